/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The composition root: makes store, pens and service know each other, tells systemd
 * how it goes, and ends in the order that keeps what was heard: off the bus, links let
 * go, store flushed.
 */
#include "options.h"
#include "service/service.h"
#include "util/error.h"
#include "util/log.h"
#include "util/timesync.h"

#include <gio/gio.h>
#include <glib-unix.h>
#include <systemd/sd-daemon.h>

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUS_NAME      "org.pentel"
#define SYNC_USER     "pentel-sync"
#define EXIT_USAGE    2
#define LAST_TURNS    64 /* of the main loop, for completions of what was cancelled */
#define STATUS_LENGTH 64
#define FLUSH_MS      2000

typedef struct {
    GMainLoop *loop;       /* owned */
    GDBusConnection *bus;  /* ref */
    PdStore *store;        /* owned */
    PdTimeSync *time_sync; /* owned */
    PdService *service;    /* owned */
    PdPenManager *pens;    /* owned */
    uint64_t watchdog_us;  /* 0: systemd does not watch */
    guint signal_ids[2];
    guint watchdog_id;
    char status[STATUS_LENGTH];
    bool is_stopping;
    bool is_flushed; /* all that was said to the bus, or there was no time for it */
    int exit_status;
} Daemon;

static void
complain(const char *text)
{
    (void)fprintf(stderr, "penteld: %s\n", text);
}

static void
stop(Daemon *self, int exit_status)
{
    self->is_stopping = true;
    self->exit_status = exit_status;
    g_main_loop_quit(self->loop);
}

static gboolean
on_signal(gpointer user_data)
{
    stop(user_data, EXIT_SUCCESS);
    return G_SOURCE_CONTINUE;
}

static void
on_bus_closed(GDBusConnection *bus, gboolean vanished, GError *error, gpointer user_data)
{
    Daemon *self = user_data;

    if (!self->is_stopping) {
        complain("the system bus is gone, so nobody can be served; ending");
        stop(self, EXIT_FAILURE);
    }
}

/* The clock's one listener is the pens'; what the store writes next should know too. */
static void
tell_store_of_clock(Daemon *self)
{
    pd_store_set_wall_synced(self->store, pd_time_sync_is_synced(self->time_sync));
}

static void
on_durable(void *user_data, uint64_t log_id, uint32_t contiguous)
{
    Daemon *self = user_data;

    if (self->pens != NULL) {
        tell_store_of_clock(self);
        pd_pen_manager_on_durable(self->pens, log_id, contiguous);
    }
}

static void
on_journal(void *user_data, uint64_t head)
{
    Daemon *self = user_data;

    if (self->service != NULL) {
        pd_service_on_journal(self->service, head);
    }
}

static void
complain_of_store(Daemon *self, PdStoreState state)
{
    PdStoreHealth health = { 0 };

    if (state == PD_STORE_DAMAGED) {
        complain("the store is damaged; ending, to begin a fresh one at the next start");
        return;
    }
    pd_store_get_health(self->store, &health);
    (void)fprintf(stderr,
                  "penteld: %s; ending, as the next start does that\n",
                  health.error != NULL ? health.error : "the store must be opened anew");
    pd_store_health_clear(&health);
}

static void
on_store_state(void *user_data, PdStoreState state)
{
    Daemon *self = user_data;

    if (self->service != NULL) {
        pd_service_on_store_state(self->service, state);
    }
    /* The pens keep what cannot be stored; systemd starts us again. */
    if (self->store != NULL && !self->is_stopping && pd_store_must_restart(self->store)) {
        complain_of_store(self, state);
        stop(self, EXIT_FAILURE);
    }
}

static void
on_pens_changed(void *user_data)
{
    Daemon *self = user_data;
    uint32_t n_pens = 0;
    uint32_t n_linked = 0;
    char status[STATUS_LENGTH];

    tell_store_of_clock(self);
    pd_service_count_pens(self->service, &n_pens, &n_linked);
    g_snprintf(status, sizeof status, "%u pens enrolled, %u linked", n_pens, n_linked);
    if (!g_str_equal(status, self->status)) {
        g_strlcpy(self->status, status, sizeof self->status);
        (void)sd_notifyf(0, "STATUS=%s", status);
    }
}

/* A reader that hangs is cured by a restart; a writer stuck in fsync is not (F17). */
static gboolean
on_watchdog(gpointer user_data)
{
    Daemon *self = user_data;
    const int64_t age_us = pd_pen_manager_get_reader_age_us(self->pens);

    if (age_us >= 0 && (uint64_t)age_us > self->watchdog_us / 2) {
        g_warning("the reader shows no life for %" G_GINT64_FORMAT " ms; systemd may restart us",
                  age_us / 1000);
        return G_SOURCE_CONTINUE;
    }
    (void)sd_notify(0, "WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

static uint32_t
find_sync_uid(void)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char buffer[4096];

    if (getpwnam_r(SYNC_USER, &entry, buffer, sizeof buffer, &found) != 0 || found == NULL) {
        return PD_SERVICE_NO_UID;
    }
    return found->pw_uid;
}

static void
on_named(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Daemon *self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    uint32_t answer = 0;

    if (reply == NULL && !self->is_stopping) {
        (void)fprintf(stderr,
                      "penteld: may not own %s, is its bus policy installed? %s\n",
                      BUS_NAME,
                      error->message);
        stop(self, EXIT_FAILURE);
    }
    /* A stop may come before the answer, which is then heard as the layers are gone. */
    if (reply == NULL || self->is_stopping) {
        return;
    }
    g_variant_get(reply, "(u)", &answer);
    if (answer != 1) {
        complain(BUS_NAME " is already owned on this bus; is another penteld running?");
        stop(self, EXIT_FAILURE);
        return;
    }
    on_pens_changed(self);
    (void)sd_notify(0, "READY=1");
    pd_log_event(G_LOG_DOMAIN,
                 &(PdLogEvent){ .message_id = PD_LOG_STARTED },
                 "penteld %s serves store %s",
                 PENTEL_VERSION,
                 pd_store_get_id(self->store));
}

/* By hand, because GDBus's own helper does not tell "taken" from "forbidden". */
static void
request_name(Daemon *self)
{
    const uint32_t do_not_queue = 4;

    g_dbus_connection_call(self->bus,
                           "org.freedesktop.DBus",
                           "/org/freedesktop/DBus",
                           "org.freedesktop.DBus",
                           "RequestName",
                           g_variant_new("(su)", BUS_NAME, do_not_queue),
                           G_VARIANT_TYPE("(u)"),
                           G_DBUS_CALL_FLAGS_NONE,
                           -1,
                           NULL,
                           on_named,
                           self);
}

static bool
open_store(Daemon *self, const PdOptions *options, GError **error)
{
    const PdStoreListener listener = {
        .durable = on_durable,
        .journal = on_journal,
        .state_changed = on_store_state,
    };

    if (g_mkdir_with_parents(options->state_directory, 0700) != 0) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_STORE,
                    "cannot make the state directory %s",
                    options->state_directory);
        return false;
    }
    /* A migration happens in here and may take its time. */
    (void)sd_notify(0, "EXTEND_TIMEOUT_USEC=600000000");
    self->store = pd_store_open(&options->store, &listener, self, error);
    return self->store != NULL;
}

static bool
start(Daemon *self, const PdOptions *options, GError **error)
{
    self->bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
    if (self->bus == NULL) {
        g_prefix_error(error, "cannot connect to the system bus: ");
        return false;
    }
    g_dbus_connection_set_exit_on_close(self->bus, FALSE);
    g_signal_connect(self->bus, "closed", G_CALLBACK(on_bus_closed), self);
    if (!open_store(self, options, error)) {
        g_prefix_error(error, "cannot open the store: ");
        return false;
    }
    const PdServiceConfig config = {
        .authority = { .trusted_uids = { 0, getuid() }, .sync_uid = find_sync_uid() },
        .notify_by_signal = options->pen.notify_by_signal,
        .pens_changed = on_pens_changed,
        .user_data = self,
    };
    self->time_sync = pd_time_sync_new(self->bus);
    self->service = pd_service_new(self->bus, self->store, &config);
    self->pens = pd_pen_manager_new(self->bus,
                                    self->store,
                                    self->time_sync,
                                    &options->pen,
                                    pd_service_get_pen_listener(),
                                    self->service);
    pd_service_start(self->service, self->pens, self->time_sync);
    request_name(self);
    return true;
}

static void
watch_ends(Daemon *self)
{
    self->signal_ids[0] = g_unix_signal_add(SIGTERM, on_signal, self);
    self->signal_ids[1] = g_unix_signal_add(SIGINT, on_signal, self);
    if (sd_watchdog_enabled(0, &self->watchdog_us) > 0) {
        self->watchdog_id =
            g_timeout_add((guint)(self->watchdog_us / 2000 + 1) / 2, on_watchdog, self);
    }
}

/* Completions of what was cancelled come in the main loop; let them free what they hold. */
static void
run_last_turns(void)
{
    for (int i = 0; i < LAST_TURNS && g_main_context_iteration(NULL, FALSE); i++) {
    }
}

/* In this order: who asks is answered, pens are let go, what they said is flushed. */
static void
close_layers(Daemon *self)
{
    g_clear_pointer(&self->service, pd_service_free);
    g_clear_pointer(&self->pens, pd_pen_manager_free);
    g_clear_pointer(&self->time_sync, pd_time_sync_free);
    g_clear_pointer(&self->store, pd_store_close);
}

static void
on_bus_flushed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Daemon *self = user_data;

    (void)g_dbus_connection_flush_finish(G_DBUS_CONNECTION(source), result, NULL);
    self->is_flushed = true;
}

static gboolean
on_flush_late(gpointer user_data)
{
    Daemon *self = user_data;

    self->is_flushed = true;
    return G_SOURCE_CONTINUE;
}

/* Links are let go without waiting for an answer: the words themselves must be out, and a
 * bus that takes none must not keep us. */
static void
flush_bus(Daemon *self)
{
    const guint timer = g_timeout_add(FLUSH_MS, on_flush_late, self);

    g_dbus_connection_flush(self->bus, NULL, on_bus_flushed, self);
    while (!self->is_flushed) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_source_remove(timer);
}

static void
leave_bus(Daemon *self)
{
    if (self->bus == NULL) {
        return;
    }
    flush_bus(self);
    run_last_turns();
    g_signal_handlers_disconnect_by_data(self->bus, self);
    g_clear_object(&self->bus);
}

static void
forget_signals(Daemon *self)
{
    for (size_t i = 0; i < G_N_ELEMENTS(self->signal_ids); i++) {
        g_source_remove(self->signal_ids[i]);
    }
}

static void
finish(Daemon *self)
{
    self->is_stopping = true;
    g_clear_handle_id(&self->watchdog_id, g_source_remove);
    (void)sd_notify(0, "STOPPING=1");
    close_layers(self);
    leave_bus(self);
    /* Not before: a second signal must not cut the flush short. */
    forget_signals(self);
    g_main_loop_unref(self->loop);
}

static int
run(const PdOptions *options)
{
    g_autoptr(GError) error = NULL;
    Daemon self = { .loop = g_main_loop_new(NULL, FALSE) };

    watch_ends(&self);
    if (start(&self, options, &error)) {
        g_main_loop_run(self.loop);
    } else {
        complain(error->message);
        self.exit_status = EXIT_FAILURE;
    }
    finish(&self);
    if (self.exit_status == EXIT_SUCCESS) {
        pd_log_event(
            G_LOG_DOMAIN, &(PdLogEvent){ .message_id = PD_LOG_STOPPED }, "penteld has ended");
    }
    return self.exit_status;
}

static int
restore(const PdOptions *options)
{
    g_autoptr(GError) error = NULL;

    if (!pd_store_restore(
            options->state_directory, options->restore, options->tombstones, &error)) {
        g_prefix_error(&error, "cannot restore: ");
        complain(error->message);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    PdOptions options;
    int exit_status = EXIT_USAGE;

    /* A client that closes its end of a pipe is an error of write(), not of ours. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(0077);
    pd_log_setup();
    if (!pd_options_init(&options, argc, argv, &error)) {
        complain(error->message);
    } else if (options.show_version) {
        (void)printf("penteld %s\n", PENTEL_VERSION);
        exit_status = EXIT_SUCCESS;
    } else if (options.restore != NULL) {
        exit_status = restore(&options);
    } else {
        exit_status = run(&options);
    }
    pd_options_clear(&options);
    return exit_status;
}
