/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides how penteld is reached: which bus, which names, how long anything may take.
 */
#include "lib/bus.h"

#define OPEN_TIMEOUT_MS 10000

struct CliBus {
    GDBusConnection *connection; /* owned */
};

typedef struct {
    GMainLoop *loop;             /* borrowed from cli_bus_open() */
    GDBusConnection *connection; /* owned until taken */
    GError *error;               /* owned until taken */
} Opening;

static void
on_open(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Opening *opening = user_data;

    opening->connection = g_dbus_connection_new_for_address_finish(result, &opening->error);
    g_main_loop_quit(opening->loop);
}

static gboolean
on_open_timeout(gpointer user_data)
{
    g_cancellable_cancel(user_data);
    return G_SOURCE_REMOVE;
}

/* A bus that accepts and then says nothing must not hold the user up. The connection tells
 * of its end in the context in which it was made: the one that verbs run. */
static GDBusConnection *
connect_within(const char *address, GError **error)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GSource) timeout = g_timeout_source_new(OPEN_TIMEOUT_MS);
    Opening opening = { .loop = loop };

    g_source_set_callback(timeout, on_open_timeout, cancellable, NULL);
    g_source_attach(timeout, NULL);
    g_dbus_connection_new_for_address(address,
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                      NULL,
                                      cancellable,
                                      on_open,
                                      &opening);
    g_main_loop_run(loop);
    g_source_destroy(timeout);
    if (opening.error != NULL) {
        g_propagate_error(error, opening.error);
    }
    return opening.connection;
}

CliBus *
cli_bus_open(GError **error)
{
    g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, error);

    if (address == NULL) {
        return NULL;
    }
    GDBusConnection *connection = connect_within(address, error);
    if (connection == NULL) {
        return NULL;
    }
    CliBus *self = g_new0(CliBus, 1);
    self->connection = connection;
    return self;
}

void
cli_bus_free(CliBus *self)
{
    if (self == NULL) {
        return;
    }
    g_object_unref(self->connection);
    g_free(self);
}

GDBusConnection *
cli_bus_get_connection(CliBus *self)
{
    return self->connection;
}

GVariant *
cli_bus_call_other(CliBus *self,
                   const CliBusTarget *target,
                   GVariant *arguments,
                   const char *reply_type,
                   int timeout_ms,
                   GError **error)
{
    return g_dbus_connection_call_sync(self->connection,
                                       target->service,
                                       target->path,
                                       target->interface,
                                       target->method,
                                       arguments,
                                       G_VARIANT_TYPE(reply_type),
                                       G_DBUS_CALL_FLAGS_NONE,
                                       timeout_ms,
                                       NULL,
                                       error);
}

GVariant *
cli_bus_call(CliBus *self,
             const char *interface,
             const char *method,
             GVariant *arguments,
             const char *reply_type,
             int timeout_ms,
             GError **error)
{
    const CliBusTarget target = { CLI_BUS_NAME, CLI_BUS_MANAGER, interface, method };

    return cli_bus_call_other(self, &target, arguments, reply_type, timeout_ms, error);
}

GVariant *
cli_bus_call_fd(CliBus *self,
                const char *interface,
                const char *method,
                GVariant *arguments,
                const char *reply_type,
                int *fd_out,
                GError **error)
{
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_with_unix_fd_list_sync(self->connection,
                                                      CLI_BUS_NAME,
                                                      CLI_BUS_MANAGER,
                                                      interface,
                                                      method,
                                                      arguments,
                                                      G_VARIANT_TYPE(reply_type),
                                                      G_DBUS_CALL_FLAGS_NONE,
                                                      CLI_BUS_TIMEOUT_MS,
                                                      NULL,
                                                      &fds,
                                                      NULL,
                                                      error);
    if (reply == NULL) {
        return NULL;
    }
    gint32 index = 0;
    g_variant_get_child(reply, g_variant_n_children(reply) - 1, "h", &index);
    if (fds == NULL || index < 0 || index >= g_unix_fd_list_get_length(fds)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "the reply lacks its pipe");
        return NULL;
    }
    *fd_out = g_unix_fd_list_get(fds, index, error);
    return *fd_out < 0 ? NULL : g_steal_pointer(&reply);
}

GVariant *
cli_bus_send_fds(CliBus *self,
                 const CliBusTarget *target,
                 GVariant *arguments,
                 GUnixFDList *fds,
                 const char *reply_type,
                 int timeout_ms,
                 GError **error)
{
    return g_dbus_connection_call_with_unix_fd_list_sync(self->connection,
                                                         target->service,
                                                         target->path,
                                                         target->interface,
                                                         target->method,
                                                         arguments,
                                                         G_VARIANT_TYPE(reply_type),
                                                         G_DBUS_CALL_FLAGS_NONE,
                                                         timeout_ms,
                                                         fds,
                                                         NULL,
                                                         NULL,
                                                         error);
}
