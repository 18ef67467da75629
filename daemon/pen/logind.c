/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A delay lock on sleep, held from the start and again after each wake, so that logind
 * waits for us a few seconds (InhibitDelayMaxSec, 5 by default). The lock is a file
 * descriptor; closing it is all there is to giving it back.
 */
#include "pen/logind.h"

#include <gio/gunixfdlist.h>

#include <unistd.h>

#define NAME            "org.freedesktop.login1"
#define PATH            "/org/freedesktop/login1"
#define MANAGER         "org.freedesktop.login1.Manager"
#define CALL_TIMEOUT_MS 10000

struct PdLogind {
    unsigned n_refs;
    /* owned */
    GDBusConnection *bus;
    GCancellable *life;
    /* borrowed; not used after free */
    void *user_data;
    /* plain */
    PdLogindListener listener;
    guint watch_id;
    guint signal_id;
    guint n_owners; /* that came and went: whose answer counts */
    int lock_fd;    /* -1 = none */
    bool is_asking;
    bool is_going; /* between the announcement and the wake */
};

static void
unref(PdLogind *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    g_object_unref(self->life);
    g_object_unref(self->bus);
    g_free(self);
}

static void
drop_lock(PdLogind *self)
{
    if (self->lock_fd >= 0) {
        close(self->lock_fd);
        self->lock_fd = -1;
    }
}

static int
steal_lock(GVariant *reply, GUnixFDList *fds)
{
    gint32 index = 0;

    g_variant_get(reply, "(h)", &index);
    if (fds == NULL || index < 0 || index >= g_unix_fd_list_get_length(fds)) {
        return -1;
    }
    return g_unix_fd_list_get(fds, index, NULL); /* close-on-exec */
}

typedef struct {
    PdLogind *logind; /* ref */
    guint n_owners;   /* when it was asked */
} Asked;

static void
on_lock(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autofree Asked *asked = user_data;
    PdLogind *self = asked->logind;
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_with_unix_fd_list_finish(
        G_DBUS_CONNECTION(source), &fds, result, &error);

    if (asked->n_owners != self->n_owners) {
        /* Another was asked since; what this one gave ends with the reply. */
        unref(self);
        return;
    }
    self->is_asking = false;
    if (reply != NULL && !g_cancellable_is_cancelled(self->life)) {
        drop_lock(self);
        self->lock_fd = steal_lock(reply, fds);
        if (self->is_going) {
            drop_lock(self); /* too late for this sleep, and it is not ours to stop it */
        }
    } else if (reply == NULL && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        g_message("no lock that delays sleep, so a suspend will cut links: %s", error->message);
    }
    unref(self);
}

static void
take_lock(PdLogind *self)
{
    if (self->is_asking || self->lock_fd >= 0) {
        return;
    }
    Asked *asked = g_new0(Asked, 1);

    self->is_asking = true;
    self->n_refs++;
    asked->logind = self;
    asked->n_owners = self->n_owners;
    g_dbus_connection_call_with_unix_fd_list(
        self->bus,
        NAME,
        PATH,
        MANAGER,
        "Inhibit",
        g_variant_new("(ssss)",
                      "sleep",
                      "penteld",
                      "pens are let go and what they said is written to disk",
                      "delay"),
        G_VARIANT_TYPE("(h)"),
        G_DBUS_CALL_FLAGS_NO_AUTO_START,
        CALL_TIMEOUT_MS,
        NULL,
        self->life,
        on_lock,
        asked);
}

static void
set_going(PdLogind *self, bool going)
{
    if (self->is_going == going) {
        return;
    }
    self->is_going = going;
    if (going) {
        self->listener.going(self->user_data);
        return;
    }
    take_lock(self);
    self->listener.woke(self->user_data);
}

static void
on_prepare(GDBusConnection *bus,
           const char *sender,
           const char *path,
           const char *interface,
           const char *signal,
           GVariant *parameters,
           gpointer user_data)
{
    gboolean going = FALSE;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(b)"))) {
        return;
    }
    g_variant_get(parameters, "(b)", &going);
    set_going(user_data, going != FALSE);
}

static void
forget_signal(PdLogind *self)
{
    if (self->signal_id != 0) {
        g_dbus_connection_signal_unsubscribe(self->bus, self->signal_id);
        self->signal_id = 0;
    }
}

/* That one was asked and has not answered is no reason not to ask the next. */
static void
forget_lock(PdLogind *self)
{
    self->n_owners++;
    self->is_asking = false;
    drop_lock(self);
}

static void
on_appeared(GDBusConnection *bus, const char *name, const char *owner, gpointer user_data)
{
    PdLogind *self = user_data;

    forget_signal(self);
    self->signal_id = g_dbus_connection_signal_subscribe(bus,
                                                         owner,
                                                         MANAGER,
                                                         "PrepareForSleep",
                                                         PATH,
                                                         NULL,
                                                         G_DBUS_SIGNAL_FLAGS_NONE,
                                                         on_prepare,
                                                         self,
                                                         NULL);
    forget_lock(self); /* an earlier logind's */
    take_lock(self);
}

/* A logind that ends while the machine is about to sleep will not say when it wakes. */
static void
on_vanished(GDBusConnection *bus, const char *name, gpointer user_data)
{
    PdLogind *self = user_data;

    forget_signal(self);
    forget_lock(self);
    if (self->is_going) {
        self->is_going = false;
        self->listener.woke(self->user_data);
    }
}

PdLogind *
pd_logind_new(GDBusConnection *bus, const PdLogindListener *listener, void *user_data)
{
    PdLogind *self = g_new0(PdLogind, 1);

    self->n_refs = 1;
    self->bus = g_object_ref(bus);
    self->life = g_cancellable_new();
    self->listener = *listener;
    self->user_data = user_data;
    self->lock_fd = -1;
    self->watch_id = g_bus_watch_name_on_connection(
        bus, NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, on_appeared, on_vanished, self, NULL);
    return self;
}

void
pd_logind_free(PdLogind *self)
{
    if (self == NULL) {
        return;
    }
    g_bus_unwatch_name(self->watch_id);
    forget_signal(self);
    g_cancellable_cancel(self->life);
    drop_lock(self);
    unref(self);
}

void
pd_logind_ready(PdLogind *self)
{
    drop_lock(self);
}
