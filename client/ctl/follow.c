/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Keeps a live view fed over restarts of penteld: decides when to ask again and what to
 * say meanwhile.
 */
#include "ctl/follow.h"

#include "lib/fault.h"
#include "lib/lines.h"

#include <gio/gunixfdlist.h>
#include <glib-unix.h>

#include <unistd.h>

#define RETRY_MS        1000
#define PENS_DELAY_MS   200
#define CALL_TIMEOUT_MS 15000
/* Turns of the main loop that a cancelled call may take to come back. */
#define DRAIN_TURNS_MAX 1000

struct CtlFollow {
    CliBus *bus;                       /* borrowed */
    const char *pen;                   /* borrowed */
    const CtlFollowListener *listener; /* borrowed */
    void *user_data;
    GCancellable *cancellable; /* owned */
    CliLines lines;
    int fd; /* -1 while not following */
    guint fd_source;
    guint retry_source;
    guint pens_source;
    guint name_watch;
    guint changed_subscription;
    guint objects_subscription;
    gulong closed_handler;
    guint n_pending; /* calls that will come back */
    bool has_owner;
};

static void start_following(CtlFollow *self);

static void
stop_reading(CtlFollow *self)
{
    g_clear_handle_id(&self->fd_source, g_source_remove);
    if (self->fd >= 0) {
        cli_lines_clear(&self->lines);
        close(self->fd);
    }
    self->fd = -1;
}

static gboolean
on_retry(gpointer user_data)
{
    CtlFollow *self = user_data;

    self->retry_source = 0;
    start_following(self);
    return G_SOURCE_REMOVE;
}

static void
retry_later(CtlFollow *self, const char *trouble)
{
    self->listener->state(self->user_data, trouble);
    if (self->retry_source == 0 && self->has_owner) {
        self->retry_source = g_timeout_add(RETRY_MS, on_retry, self);
    }
}

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer user_data)
{
    CtlFollow *self = user_data;
    const CliLinesStatus status = cli_lines_read(&self->lines);

    for (char *line = cli_lines_take(&self->lines); line != NULL;
         line = cli_lines_take(&self->lines)) {
        self->listener->line(self->user_data, line);
    }
    if (status == CLI_LINES_MORE || status == CLI_LINES_WAIT) {
        return G_SOURCE_CONTINUE;
    }
    self->fd_source = 0;
    stop_reading(self);
    retry_later(self, "waiting for penteld");
    return G_SOURCE_REMOVE;
}

static void
begin_reading(CtlFollow *self, int fd)
{
    stop_reading(self);
    self->fd = fd;
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    cli_lines_init(&self->lines, fd);
    self->fd_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, self);
}

static void
on_follow_live(GObject *source, GAsyncResult *result, gpointer user_data)
{
    CtlFollow *self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_with_unix_fd_list_finish(
        G_DBUS_CONNECTION(source), &fds, result, &error);
    gint32 index = -1;

    self->n_pending--;
    if (g_cancellable_is_cancelled(self->cancellable)) {
        return;
    }
    if (reply != NULL) {
        g_variant_get(reply, "(h)", &index);
    }
    const bool has_fd = fds != NULL && index >= 0 && index < g_unix_fd_list_get_length(fds);
    const int fd = has_fd ? g_unix_fd_list_get(fds, index, NULL) : -1;
    if (fd >= 0) {
        begin_reading(self, fd);
        self->listener->state(self->user_data, NULL);
        return;
    }
    CtlExit exit_code = CTL_EXIT_NO_DAEMON;
    g_autofree char *text =
        error != NULL ? cli_fault_describe("follow the pens", error, &exit_code) : NULL;
    retry_later(self, exit_code == CTL_EXIT_NO_DAEMON ? "waiting for penteld" : text);
}

static void
start_following(CtlFollow *self)
{
    if (self->fd >= 0) {
        return;
    }
    self->n_pending++;
    g_dbus_connection_call_with_unix_fd_list(cli_bus_get_connection(self->bus),
                                             CLI_BUS_NAME,
                                             CLI_BUS_MANAGER,
                                             CLI_BUS_LOG1,
                                             "FollowLive",
                                             g_variant_new("(s)", self->pen),
                                             G_VARIANT_TYPE("(h)"),
                                             G_DBUS_CALL_FLAGS_NO_AUTO_START,
                                             CALL_TIMEOUT_MS,
                                             NULL,
                                             self->cancellable,
                                             on_follow_live,
                                             self);
}

static void
on_list_pens(GObject *source, GAsyncResult *result, gpointer user_data)
{
    CtlFollow *self = user_data;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);

    self->n_pending--;
    if (reply == NULL || g_cancellable_is_cancelled(self->cancellable)) {
        return;
    }
    g_autoptr(GVariant) pens = g_variant_get_child_value(reply, 0);
    self->listener->pens(self->user_data, pens);
}

static gboolean
on_pens_due(gpointer user_data)
{
    CtlFollow *self = user_data;

    self->pens_source = 0;
    self->n_pending++;
    g_dbus_connection_call(cli_bus_get_connection(self->bus),
                           CLI_BUS_NAME,
                           CLI_BUS_MANAGER,
                           CLI_BUS_MANAGER1,
                           "ListPens",
                           NULL,
                           G_VARIANT_TYPE("(aa{sv})"),
                           G_DBUS_CALL_FLAGS_NO_AUTO_START,
                           CALL_TIMEOUT_MS,
                           self->cancellable,
                           on_list_pens,
                           self);
    return G_SOURCE_REMOVE;
}

/* Properties of several pens change together: one question answers for all. */
static void
ask_for_pens(CtlFollow *self, guint delay_ms)
{
    if (self->pens_source == 0) {
        self->pens_source = g_timeout_add(delay_ms, on_pens_due, self);
    }
}

static void
on_signal(GDBusConnection *connection,
          const char *sender,
          const char *path,
          const char *interface,
          const char *name,
          GVariant *parameters,
          gpointer user_data)
{
    ask_for_pens(user_data, PENS_DELAY_MS);
}

static void
on_name_appeared(GDBusConnection *connection,
                 const char *name,
                 const char *owner,
                 gpointer user_data)
{
    CtlFollow *self = user_data;

    self->has_owner = true;
    start_following(self);
    ask_for_pens(self, 0);
}

static void
on_name_vanished(GDBusConnection *connection, const char *name, gpointer user_data)
{
    CtlFollow *self = user_data;

    self->has_owner = false;
    g_clear_handle_id(&self->retry_source, g_source_remove);
    stop_reading(self);
    self->listener->state(self->user_data, "waiting for penteld");
}

static void
on_closed(GDBusConnection *connection, gboolean is_remote, GError *error, gpointer user_data)
{
    CtlFollow *self = user_data;

    self->listener->lost(self->user_data);
}

static guint
subscribe(CtlFollow *self, const char *interface, const char *name, const char *arg0)
{
    return g_dbus_connection_signal_subscribe(cli_bus_get_connection(self->bus),
                                              CLI_BUS_NAME,
                                              interface,
                                              name,
                                              NULL,
                                              arg0,
                                              G_DBUS_SIGNAL_FLAGS_NONE,
                                              on_signal,
                                              self,
                                              NULL);
}

CtlFollow *
ctl_follow_new(CliBus *bus,
               const char *pen,
               const CtlFollowListener *listener,
               void *user_data,
               GError **error)
{
    int fd = -1;
    g_autoptr(GVariant) reply = cli_bus_call_fd(
        bus, CLI_BUS_LOG1, "FollowLive", g_variant_new("(s)", pen), "(h)", &fd, error);

    if (reply == NULL) {
        return NULL;
    }
    CtlFollow *self = g_new0(CtlFollow, 1);
    self->bus = bus;
    self->pen = pen;
    self->listener = listener;
    self->user_data = user_data;
    self->cancellable = g_cancellable_new();
    self->fd = -1;
    self->has_owner = true;
    begin_reading(self, fd);
    self->changed_subscription =
        subscribe(self, CLI_BUS_PROPERTIES, "PropertiesChanged", CLI_BUS_PEN1);
    self->objects_subscription = subscribe(self, "org.freedesktop.DBus.ObjectManager", NULL, NULL);
    self->closed_handler =
        g_signal_connect(cli_bus_get_connection(bus), "closed", G_CALLBACK(on_closed), self);
    self->name_watch = g_bus_watch_name_on_connection(cli_bus_get_connection(bus),
                                                      CLI_BUS_NAME,
                                                      G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                      on_name_appeared,
                                                      on_name_vanished,
                                                      self,
                                                      NULL);
    return self;
}

void
ctl_follow_free(CtlFollow *self)
{
    if (self == NULL) {
        return;
    }
    GDBusConnection *connection = cli_bus_get_connection(self->bus);
    stop_reading(self);
    g_cancellable_cancel(self->cancellable);
    for (int i = 0; i < DRAIN_TURNS_MAX && self->n_pending > 0; i++) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_bus_unwatch_name(self->name_watch);
    g_signal_handler_disconnect(connection, self->closed_handler);
    g_dbus_connection_signal_unsubscribe(connection, self->changed_subscription);
    g_dbus_connection_signal_unsubscribe(connection, self->objects_subscription);
    g_clear_handle_id(&self->retry_source, g_source_remove);
    g_clear_handle_id(&self->pens_source, g_source_remove);
    g_object_unref(self->cancellable);
    g_free(self);
}
