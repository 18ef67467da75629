/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Asks timedate1 in the background and lets the kernel say when the wall clock was set:
 * a timer on CLOCK_REALTIME that never fires but is cancelled by a step (F17).
 */
#include "util/timesync.h"

#include <glib-unix.h>

#include <errno.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define FRESH_US        (INT64_C(60) * 1000000)
#define CALL_TIMEOUT_MS 10000 /* the first call starts a service, 0.77 s seen (F17) */

struct PdTimeSync {
    /* owned */
    GDBusConnection *bus;
    GCancellable *cancellable;
    /* borrowed; the listener's until it is replaced */
    void *user_data;
    /* plain */
    PdTimeSyncChanged changed;
    int64_t asked_us; /* CLOCK_MONOTONIC, 0 = never */
    int timer_fd;
    guint timer_id;
    bool is_asking;
    bool synced;
};

static void
tell(PdTimeSync *self, bool stepped)
{
    if (self->changed != NULL) {
        self->changed(self->user_data, self->synced, stepped);
    }
}

static void
on_answer(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        return;
    }
    PdTimeSync *self = user_data;
    bool synced = false;
    self->is_asking = false;
    if (reply != NULL) {
        g_autoptr(GVariant) value = NULL;
        g_variant_get(reply, "(v)", &value);
        synced =
            g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN) && g_variant_get_boolean(value);
    } else {
        g_debug("timedate1: %s", error->message);
    }
    if (synced != self->synced) {
        self->synced = synced;
        tell(self, false);
    }
}

static void
ask(PdTimeSync *self)
{
    if (self->is_asking) {
        return;
    }
    self->is_asking = true;
    self->asked_us = g_get_monotonic_time();
    g_dbus_connection_call(self->bus,
                           "org.freedesktop.timedate1",
                           "/org/freedesktop/timedate1",
                           "org.freedesktop.DBus.Properties",
                           "Get",
                           g_variant_new("(ss)", "org.freedesktop.timedate1", "NTPSynchronized"),
                           G_VARIANT_TYPE("(v)"),
                           G_DBUS_CALL_FLAGS_NONE,
                           CALL_TIMEOUT_MS,
                           self->cancellable,
                           on_answer,
                           self);
}

static void
arm(PdTimeSync *self)
{
    /* Far enough to never fire; what counts is the cancellation. */
    const struct itimerspec never = { .it_value.tv_sec = (time_t)INT32_MAX };

    if (timerfd_settime(self->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) <
        0) {
        g_message("steps of the wall clock are not seen: %s", g_strerror(errno));
    }
}

static gboolean
on_step(int fd, GIOCondition condition, gpointer user_data)
{
    PdTimeSync *self = user_data;
    uint64_t n_times = 0;

    if (read(fd, &n_times, sizeof n_times) < 0 && errno != ECANCELED) {
        return G_SOURCE_CONTINUE;
    }
    arm(self);
    self->asked_us = 0;
    ask(self);
    tell(self, true);
    return G_SOURCE_CONTINUE;
}

PdTimeSync *
pd_time_sync_new(GDBusConnection *bus)
{
    PdTimeSync *self = g_new0(PdTimeSync, 1);

    self->bus = g_object_ref(bus);
    self->cancellable = g_cancellable_new();
    self->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (self->timer_fd >= 0) {
        arm(self);
        self->timer_id = g_unix_fd_add(self->timer_fd, G_IO_IN, on_step, self);
    }
    ask(self);
    return self;
}

void
pd_time_sync_free(PdTimeSync *self)
{
    if (self == NULL) {
        return;
    }
    g_cancellable_cancel(self->cancellable);
    g_object_unref(self->cancellable);
    g_clear_handle_id(&self->timer_id, g_source_remove);
    if (self->timer_fd >= 0) {
        close(self->timer_fd);
    }
    g_object_unref(self->bus);
    g_free(self);
}

bool
pd_time_sync_is_synced(const PdTimeSync *self)
{
    return self->synced;
}

void
pd_time_sync_refresh(PdTimeSync *self)
{
    if (self->asked_us == 0 || g_get_monotonic_time() - self->asked_us >= FRESH_US) {
        ask(self);
    }
}

void
pd_time_sync_set_listener(PdTimeSync *self, PdTimeSyncChanged changed, void *user_data)
{
    self->changed = changed;
    self->user_data = user_data;
}
