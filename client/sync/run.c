/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A run from its start to its end: the bus, our name on it, what penteld says there, signals,
 * and what systemd is told.
 */
#include "sync/run.h"

#include "lib/bus.h"
#include "lib/fault.h"
#include "sync/bring.h"
#include "sync/dry.h"
#include "sync/engine.h"
#include "sync/progress.h"
#include "sync/service.h"

#include <glib-unix.h>
#include <systemd/sd-daemon.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A sink that blocks longer than this hangs: its own time limits are far below. */
#define BUSY_MAX_US ((int64_t)900 * G_USEC_PER_SEC)
/* What a call under way gets to end in; what it did is repeated at the next start. */
#define STOP_MS 5000

typedef struct {
    GMainLoop *loop;      /* owned */
    CliBus *bus;          /* owned */
    SyncState *state;     /* owned */
    SyncEngine *engine;   /* owned */
    SyncService *service; /* owned; NULL with --once */
    SyncSink *dry;        /* owned; NULL without --dry-run */
    char *dry_state;      /* owned; NULL without --dry-run */
    SyncWork work;
    SyncIntaker intaker; /* of --import */
    SyncProgress progress;
    SyncExit code;
    GError *error; /* owned */
    guint owner_id;
    guint watch_id;
    guint signal_ids[2];
    guint watchdog_id;
    guint head_id;
    bool is_stopping;
    bool is_once;
    bool is_bringing; /* --import is at it */
    bool has_refused; /* something in the sets */
} Run;

static void
stop(Run *self, SyncExit code, const GError *error)
{
    if (self->is_stopping) {
        return;
    }
    self->is_stopping = true;
    self->code = code;
    self->error = error != NULL ? g_error_copy(error) : NULL;
    sd_notify(0, "STOPPING=1");
    sync_engine_stop(self->engine);
    if (!sync_engine_is_working(self->engine)) {
        g_main_loop_quit(self->loop);
    }
}

static gboolean
on_stop_timeout(gpointer user_data)
{
    Run *self = user_data;

    g_main_loop_quit(self->loop);
    return G_SOURCE_REMOVE;
}

static gboolean
on_signal(gpointer user_data)
{
    Run *self = user_data;

    stop(self, self->is_once ? SYNC_EXIT_WAITING : SYNC_EXIT_OK, NULL);
    g_timeout_add(STOP_MS, on_stop_timeout, self);
    return G_SOURCE_CONTINUE;
}

static void
on_ended(SyncExit code, const GError *error, gpointer user_data)
{
    stop(user_data, code, error);
}

static void
on_progress(uint64_t n_done, uint64_t n_total, gpointer user_data)
{
    Run *self = user_data;

    sync_progress_show(&self->progress, n_done, n_total);
}

/* What `systemctl status` shows: only between rounds, as counting takes its time. */
static void
on_changed(gpointer user_data)
{
    Run *self = user_data;
    SyncEngineStatus status = { 0 };
    SyncCounts counts = { 0 };

    if (sync_engine_is_working(self->engine)) {
        return;
    }
    if (self->is_stopping) {
        g_main_loop_quit(self->loop);
        return;
    }
    sync_engine_describe(self->engine, &status);
    if (status.last_error != NULL) {
        sd_notifyf(0, "STATUS=%s", status.last_error);
    } else if (sync_state_count(self->state, &counts, NULL)) {
        sd_notifyf(0,
                   "STATUS=%" G_GUINT64_FORMAT " sessions delivered, %" G_GUINT64_FORMAT
                   " without a patient reference, %" G_GUINT64_FORMAT " set aside",
                   counts.n_delivered,
                   counts.n_waiting[SYNC_WAIT_UNBOUND],
                   counts.n_waiting[SYNC_WAIT_SET_ASIDE]);
    }
    sync_counts_clear(&counts);
    sync_engine_status_clear(&status);
}

static gboolean
on_watchdog(gpointer user_data)
{
    const Run *self = user_data;
    const int64_t busy_us = sync_engine_get_busy_since(self->engine);

    if (busy_us == 0 || g_get_monotonic_time() - busy_us < BUSY_MAX_US) {
        sd_notify(0, "WATCHDOG=1");
    }
    return G_SOURCE_CONTINUE;
}

static void
on_properties(GDBusConnection *bus,
              const char *sender,
              const char *path,
              const char *interface,
              const char *signal,
              GVariant *parameters,
              gpointer user_data)
{
    Run *self = user_data;
    guint64 head = 0;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)"))) {
        return;
    }
    g_autoptr(GVariant) changed = g_variant_get_child_value(parameters, 1);
    if (g_variant_lookup(changed, "Head", "t", &head)) {
        sync_engine_set_head(self->engine, head);
    }
}

static void
on_penteld(GDBusConnection *bus, const char *name, const char *owner, gpointer user_data)
{
    Run *self = user_data;

    sync_engine_set_present(self->engine);
}

static void
on_bus_closed(GDBusConnection *bus, gboolean is_remote, GError *error, gpointer user_data)
{
    g_autoptr(GError) closed =
        g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CLOSED, "the system bus closed the connection");

    stop(user_data, SYNC_EXIT_FAILED, closed);
}

static void
on_name_lost(GDBusConnection *bus, const char *name, gpointer user_data)
{
    if (bus != NULL) {
        g_warning("cannot have the name %s on the bus, so pentelctl sync does not show this sink; "
                  "run it as user pentel-sync, or stop the other one",
                  name);
    }
}

static void
watch_bus(Run *self, const SyncSetup *setup)
{
    GDBusConnection *bus = self->work.bus;
    g_autofree char *name = g_strdup_printf("org.pentel.Sync.%s", setup->name);

    g_dbus_connection_set_exit_on_close(bus, FALSE);
    g_signal_connect(bus, "closed", G_CALLBACK(on_bus_closed), self);
    self->head_id = g_dbus_connection_signal_subscribe(bus,
                                                       CLI_BUS_NAME,
                                                       CLI_BUS_PROPERTIES,
                                                       "PropertiesChanged",
                                                       CLI_BUS_MANAGER,
                                                       CLI_BUS_LOG1,
                                                       G_DBUS_SIGNAL_FLAGS_NONE,
                                                       on_properties,
                                                       self,
                                                       NULL);
    if (self->is_once) {
        return;
    }
    self->watch_id = g_bus_watch_name_on_connection(
        bus, CLI_BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, on_penteld, NULL, self, NULL);
    self->owner_id = g_bus_own_name_on_connection(
        bus, name, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE, NULL, on_name_lost, self, NULL);
}

static void
start_watchdog(Run *self)
{
    uint64_t watchdog_us = 0;

    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        const guint every_ms = (guint)MIN(watchdog_us / 3000, G_MAXINT);
        self->watchdog_id = g_timeout_add(MAX(every_ms, 1), on_watchdog, self);
    }
}

static bool
open_state(Run *self, const SyncOptions *options, GError **error)
{
    if (options->is_dry_run) {
        self->dry_state = sync_dry_copy_state(options->state_dir, error);
        if (self->dry_state == NULL) {
            return false;
        }
    }
    self->state = sync_state_open(
        self->dry_state != NULL ? self->dry_state : options->state_dir, false, error);
    return self->state != NULL;
}

static bool
open_bus(Run *self, GError **error)
{
    g_autoptr(GError) failure = NULL;
    CtlExit unused = CTL_EXIT_OK;

    self->bus = cli_bus_open(&failure);
    if (self->bus == NULL) {
        g_autofree char *words = cli_fault_describe("reach penteld", failure, &unused);
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, words);
        return false;
    }
    return true;
}

static void
fill_work(Run *self, const SyncOptions *options, SyncInstance *instance)
{
    self->work = (SyncWork){ .bus = self->bus != NULL ? cli_bus_get_connection(self->bus) : NULL,
                             .state = self->state,
                             .funcs = instance->funcs,
                             .sink = instance->sink,
                             .setup = &instance->setup,
                             .wants_raw = instance->wants_raw };
    if (options->is_dry_run) {
        self->dry = sync_dry_new(instance);
        self->work.funcs = &sync_dry_funcs;
        self->work.sink = self->dry;
        self->work.wants_raw = false;
    }
}

static bool
start(Run *self, const SyncOptions *options, SyncInstance *instance, GError **error)
{
    const bool needs_bus = options->import_dir == NULL;

    if (!open_state(self, options, error) || (needs_bus && !open_bus(self, error))) {
        return false;
    }
    fill_work(self, options, instance);
    const SyncEngineConfig config = { .work = self->work,
                                      .poll_s = instance->poll_s,
                                      .is_once = options->is_once,
                                      .is_carried_only = !needs_bus,
                                      .on_changed = on_changed,
                                      .on_progress =
                                          self->progress.term.has_cursor ? on_progress : NULL,
                                      .on_ended = on_ended,
                                      .user_data = self };
    self->engine = sync_engine_new(&config);
    if (!options->is_once) {
        self->service = sync_service_new(self->engine, &self->work, error);
        if (self->service == NULL) {
            return false;
        }
    }
    self->signal_ids[0] = g_unix_signal_add(SIGTERM, on_signal, self);
    self->signal_ids[1] = g_unix_signal_add(SIGINT, on_signal, self);
    if (needs_bus) {
        watch_bus(self, &instance->setup);
    }
    start_watchdog(self);
    return true;
}

static void
on_brought(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Run *self = user_data;
    g_autoptr(GError) error = NULL;
    SyncBrought brought = { 0 };
    const bool is_good = sync_bring_finish(result, &brought, &error);

    self->is_bringing = false;
    self->has_refused = brought.n_refused > 0;
    if (!is_good) {
        stop(self, sync_exit_of(error), error);
        return;
    }
    printf("%" G_GUINT64_FORMAT " sets, %" G_GUINT64_FORMAT " new deliveries, %" G_GUINT64_FORMAT
           " refused\n",
           brought.n_sets,
           brought.n_new,
           brought.n_refused);
    sync_engine_poke(self->engine);
}

/* What --import takes over is delivered in the same run. */
static bool
begin_bringing(Run *self, const SyncOptions *options, GError **error)
{
    g_autoptr(GError) failure = NULL;
    CliSets *sets = cli_sets_open(options->import_dir, &failure);

    if (sets == NULL) {
        g_set_error_literal(error, SYNC_ERROR, SYNC_ERROR_USAGE, failure->message);
        return false;
    }
    self->intaker = (SyncIntaker){ .state = self->state,
                                   .own_gateway = self->work.setup->gateway,
                                   .wants_raw = self->work.wants_raw };
    self->is_bringing = true;
    sync_bring_async(&self->intaker, sets, NULL, on_brought, self);
    return true;
}

static void
say_counts(Run *self)
{
    SyncCounts counts = { 0 };

    sync_progress_clear(&self->progress);
    if (self->state != NULL && self->dry == NULL && sync_state_count(self->state, &counts, NULL)) {
        printf("%" G_GUINT64_FORMAT " sessions delivered so far, %" G_GUINT64_FORMAT
               " waiting, %" G_GUINT64_FORMAT " without a patient reference, %" G_GUINT64_FORMAT
               " set aside\n",
               counts.n_delivered,
               counts.n_waiting[SYNC_WAIT_QUEUED] + counts.n_waiting[SYNC_WAIT_BACKOFF],
               counts.n_waiting[SYNC_WAIT_UNBOUND],
               counts.n_waiting[SYNC_WAIT_SET_ASIDE]);
    }
    sync_counts_clear(&counts);
}

/* True when everything could be let go; a worker that hangs still uses it. */
static bool
clear(Run *self)
{
    const bool is_taking =
        self->is_bringing || (self->service != NULL && sync_service_is_taking(self->service));

    if (is_taking || (self->engine != NULL && sync_engine_is_working(self->engine) &&
                      sync_engine_get_busy_since(self->engine) != 0)) {
        return false;
    }
    g_clear_handle_id(&self->owner_id, g_bus_unown_name);
    g_clear_handle_id(&self->watch_id, g_bus_unwatch_name);
    g_clear_handle_id(&self->watchdog_id, g_source_remove);
    g_clear_handle_id(&self->signal_ids[0], g_source_remove);
    g_clear_handle_id(&self->signal_ids[1], g_source_remove);
    if (self->head_id != 0) {
        g_dbus_connection_signal_unsubscribe(self->work.bus, self->head_id);
    }
    if (self->bus != NULL) {
        g_signal_handlers_disconnect_by_data(cli_bus_get_connection(self->bus), self);
    }
    g_clear_pointer(&self->service, sync_service_free);
    g_clear_pointer(&self->engine, sync_engine_free);
    g_clear_pointer(&self->state, sync_state_close);
    if (self->dry != NULL) {
        sync_dry_funcs.destroy(self->dry);
    }
    if (self->dry_state != NULL) {
        sync_dry_remove_state(self->dry_state);
        g_free(self->dry_state);
    }
    cli_bus_free(self->bus);
    g_main_loop_unref(self->loop);
    return true;
}

SyncExit
sync_run(const SyncOptions *options, SyncInstance *instance, GError **error)
{
    Run self = { .loop = g_main_loop_new(NULL, FALSE),
                 .is_once = options->is_once,
                 .progress = { .term = cli_term_probe(STDERR_FILENO) } };

    if (!start(&self, options, instance, error) ||
        (options->import_dir != NULL && !begin_bringing(&self, options, error))) {
        self.code = sync_exit_of(*error);
    } else {
        sd_notify(0, "READY=1");
        if (!self.is_bringing) {
            sync_engine_poke(self.engine);
        }
        g_main_loop_run(self.loop);
        if (self.is_once) {
            say_counts(&self);
        }
    }
    if (self.has_refused && (self.code == SYNC_EXIT_OK || self.code == SYNC_EXIT_WAITING)) {
        self.code = SYNC_EXIT_REFUSED;
    }
    if (self.error != NULL) {
        g_propagate_error(error, g_steal_pointer(&self.error));
    }
    const SyncExit code = self.code;
    if (!clear(&self)) {
        /* What the worker holds is cut off with the process, as by a power cut. */
        (void)fflush(NULL);
        _exit((int)code);
    }
    return code;
}

SyncExit
sync_run_migrate(SyncInstance *instance, GError **error)
{
    if (instance->funcs->migrate == NULL) {
        printf("nothing to create or upgrade for a sink of kind %s\n", instance->funcs->kind);
        return SYNC_EXIT_OK;
    }
    return instance->funcs->migrate(instance->sink, NULL, error) ? SYNC_EXIT_OK
                                                                 : sync_exit_of(*error);
}
