/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides when: a round scans the journal from the cursor and then delivers what is due, so
 * that nothing that waits stands in the way of the rest. When the sink or penteld fails, the
 * whole engine pauses, longer each time; a session that alone makes a sink fail waits on its
 * own clock, and is tried alone.
 */
#include "sync/engine.h"

#include "lib/fault.h"
#include "sync/backoff.h"
#include "sync/scan.h"

#include <string.h>

/* How often a sink may settle though nothing was delivered. */
#define SETTLE_US ((int64_t)600 * G_USEC_PER_SEC)

#define BATCH_BYTES_MAX ((uint64_t)16 << 20)

struct SyncEngine {
    SyncEngineConfig config;   /* what it points at is borrowed */
    GCancellable *cancellable; /* owned; of the whole engine */
    GSource *timer;            /* owned; NULL while working or stopped */
    char *store_id;            /* owned */
    char *last_error;          /* owned */
    GError *scan_error;        /* owned; of this round, in which only carried ones can go */
    uint64_t scanned;
    uint64_t head;
    uint64_t n_done;       /* sessions of this run of rounds, for the progress */
    uint64_t n_total;      /* of them; 0 when not counted */
    int64_t error_us;      /* wall clock */
    int64_t next_us;       /* wall clock of the timer */
    int64_t settled_us;    /* monotonic */
    int64_t busy_since_us; /* monotonic */
    uint32_t n_failed;     /* rounds in vain, one after another */
    guint n_batch;         /* sessions of the next batch */
    SyncTrouble trouble;   /* of the last round */
    bool is_working;
    bool is_again; /* poked meanwhile */
    bool is_stopped;
    bool has_opened;   /* the sink was reached once */
    bool is_unsettled; /* delivered since the sink last settled */
    bool has_more;     /* it settles in the middle of a round */
};

static void begin_round(SyncEngine *self);
static void deliver_due(SyncEngine *self);

static void
tell_changed(SyncEngine *self)
{
    if (self->config.on_changed != NULL) {
        self->config.on_changed(self->config.user_data);
    }
}

static void
end(SyncEngine *self, SyncExit code, const GError *error)
{
    self->is_stopped = true;
    if (self->config.on_ended != NULL) {
        self->config.on_ended(code, error, self->config.user_data);
    }
}

static gboolean
on_timer(gpointer user_data)
{
    SyncEngine *self = user_data;

    g_clear_pointer(&self->timer, g_source_unref);
    begin_round(self);
    return G_SOURCE_REMOVE;
}

static void
clear_timer(SyncEngine *self)
{
    if (self->timer != NULL) {
        g_source_destroy(self->timer);
        g_clear_pointer(&self->timer, g_source_unref);
    }
    self->next_us = 0;
}

static void
wait_ms(SyncEngine *self, uint32_t delay_ms)
{
    clear_timer(self);
    self->timer = g_timeout_source_new(delay_ms);
    g_source_set_callback(self->timer, on_timer, self, NULL);
    g_source_attach(self->timer, NULL);
    self->next_us = g_get_real_time() + (int64_t)delay_ms * 1000;
}

/* Until the next session is due, and at most the time between two looks at the journal. */
static uint32_t
idle_ms(SyncEngine *self)
{
    const int64_t poll_us = (int64_t)self->config.poll_s * G_USEC_PER_SEC;
    int64_t due_us = 0;

    if (!sync_state_get_next_due(self->config.work.state, &due_us, NULL) || due_us == 0) {
        return self->config.poll_s * 1000u;
    }
    const int64_t left_us = CLAMP(due_us - g_get_real_time(), 0, poll_us);
    return (uint32_t)(left_us / 1000) + 1u;
}

/* One line when the words change, not one each time (P40). */
static void
note_error(SyncEngine *self, const char *words)
{
    if (g_strcmp0(self->last_error, words) != 0) {
        if (words != NULL) {
            g_warning("%s", words);
        } else {
            g_message("delivering again");
        }
    }
    g_free(self->last_error);
    self->last_error = g_strdup(words);
    self->error_us = words != NULL ? g_get_real_time() : 0;
}

/* A round is over: the next by poke, by clock, or never. */
static void
end_round(SyncEngine *self, uint32_t delay_ms)
{
    self->is_working = false;
    if (self->is_stopped) {
        tell_changed(self);
        return;
    }
    if (self->is_again) {
        wait_ms(self, self->n_failed > 0 ? delay_ms : 0);
        self->is_again = false;
    } else {
        wait_ms(self, delay_ms);
    }
    tell_changed(self);
}

static void
end_round_well(SyncEngine *self)
{
    SyncCounts counts = { 0 };

    self->n_failed = 0;
    self->n_total = 0;
    self->trouble = SYNC_TROUBLE_NONE;
    note_error(self, NULL);
    if (self->config.is_once && !self->is_again) {
        self->is_working = false;
        sync_state_count(self->config.work.state, &counts, NULL);
        const uint64_t n_left = counts.n_waiting[SYNC_WAIT_BACKOFF] +
                                counts.n_waiting[SYNC_WAIT_QUEUED] +
                                counts.n_waiting[SYNC_WAIT_SET_ASIDE];
        sync_counts_clear(&counts);
        end(self, n_left > 0 ? SYNC_EXIT_WAITING : SYNC_EXIT_OK, NULL);
        return;
    }
    end_round(self, idle_ms(self));
}

/* Whether this error, before the first success, is one that only a person can cure. */
static bool
is_final(const SyncEngine *self, SyncTrouble trouble, const GError *error)
{
    if (trouble == SYNC_TROUBLE_STATE) {
        return true;
    }
    return trouble == SYNC_TROUBLE_OPEN && !self->has_opened &&
           (g_error_matches(error, SYNC_ERROR, SYNC_ERROR_CONFIG) ||
            g_error_matches(error, SYNC_ERROR, SYNC_ERROR_FOREIGN));
}

static char *
describe(SyncTrouble trouble, const GError *error)
{
    CtlExit unused = CTL_EXIT_OK;

    if (trouble == SYNC_TROUBLE_PENTELD && error->domain != SYNC_ERROR) {
        return cli_fault_describe("ask penteld", error, &unused);
    }
    return g_strdup(error->message);
}

static void
end_badly(SyncEngine *self, SyncTrouble trouble, uint32_t after_ms, const GError *error)
{
    g_autofree char *words = describe(trouble, error);

    if (g_cancellable_is_cancelled(self->cancellable)) {
        end_round(self, 0);
        return;
    }
    if (is_final(self, trouble, error) || self->config.is_once) {
        g_autoptr(GError) said = g_error_new_literal(error->domain, error->code, words);
        self->is_working = false;
        end(self, is_final(self, trouble, error) ? sync_exit_of(error) : SYNC_EXIT_WAITING, said);
        return;
    }
    self->n_failed++;
    self->trouble = trouble;
    note_error(self, words);
    end_round(self,
              sync_backoff_ms(self->n_failed,
                              SYNC_SINK_BACKOFF_FIRST_MS,
                              SYNC_SINK_BACKOFF_MAX_MS,
                              after_ms,
                              g_random_int()));
}

static void
end_well(SyncEngine *self)
{
    g_autoptr(GError) error = g_steal_pointer(&self->scan_error);

    if (error != NULL) {
        end_badly(self, SYNC_TROUBLE_PENTELD, 0, error);
    } else {
        end_round_well(self);
    }
}

typedef struct {
    const SyncWork *work; /* borrowed; outlives the call */
    SyncCursor cursor;    /* owned */
    bool is_last;
} Settling;

static void
settling_free(gpointer data)
{
    Settling *self = data;

    sync_cursor_clear(&self->cursor);
    g_free(self);
}

static void
settle_in_thread(GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
    const Settling *settling = task_data;
    const SyncWork *work = settling->work;
    const SyncPosition position = { .store_id = settling->cursor.store_id,
                                    .seq = settling->cursor.seq,
                                    .hash = settling->cursor.hash,
                                    .now_us = g_get_real_time(),
                                    .is_last = settling->is_last };
    GError *error = NULL;

    if (!work->funcs->open(work->sink, cancellable, &error) ||
        !work->funcs->settle(work->sink, &position, cancellable, &error)) {
        g_task_return_error(task, error);
        return;
    }
    g_task_return_boolean(task, TRUE);
}

static void
on_settled(GObject *source, GAsyncResult *result, gpointer user_data)
{
    SyncEngine *self = user_data;
    g_autoptr(GError) error = NULL;

    self->busy_since_us = 0;
    if (!g_task_propagate_boolean(G_TASK(result), &error)) {
        self->has_more = false;
        end_badly(self, self->has_opened ? SYNC_TROUBLE_SINK : SYNC_TROUBLE_OPEN, 0, error);
        return;
    }
    self->has_opened = true;
    self->is_unsettled = false;
    self->settled_us = g_get_monotonic_time();
    if (self->has_more) {
        self->has_more = false;
        deliver_due(self);
        return;
    }
    end_well(self);
}

static void
settle(SyncEngine *self)
{
    const int64_t now_us = g_get_monotonic_time();
    const bool is_time = self->settled_us == 0 || now_us - self->settled_us >= SETTLE_US;

    if (self->config.work.funcs->settle == NULL ||
        (!self->is_unsettled && !is_time && !self->has_more)) {
        end_well(self);
        return;
    }
    g_autoptr(GError) error = NULL;
    SyncCursor cursor = { 0 };
    if (!sync_state_get_cursor(self->config.work.state, &cursor, &error)) {
        self->has_more = false;
        end_badly(self, SYNC_TROUBLE_STATE, 0, error);
        return;
    }
    g_autoptr(GTask) task = g_task_new(NULL, self->cancellable, on_settled, self);
    Settling *settling = g_new0(Settling, 1);
    *settling = (Settling){ .work = &self->config.work,
                            .cursor = cursor,
                            .is_last = self->config.is_once && !self->has_more };
    g_task_set_source_tag(task, settle);
    g_task_set_check_cancellable(task, FALSE);
    g_task_set_task_data(task, settling, settling_free);
    self->busy_since_us = now_us;
    g_task_run_in_thread(task, settle_in_thread);
}

static void
count_progress(SyncEngine *self, guint n_tried)
{
    self->n_done += n_tried;
    if (self->config.on_progress != NULL && self->n_total > 0) {
        self->config.on_progress(
            self->n_done, MAX(self->n_total, self->n_done), self->config.user_data);
    }
}

static void
on_delivered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    SyncEngine *self = user_data;
    g_autoptr(GError) error = NULL;
    SyncBatchReport report = { 0 };
    const bool is_good = sync_batch_run_finish(result, &report, &error);

    self->busy_since_us = 0;
    count_progress(self, report.n_tried);
    if (report.n_delivered > 0) {
        self->is_unsettled = true;
        self->has_opened = true;
    }
    if (report.trouble == SYNC_TROUBLE_SINK) {
        self->n_failed = report.n_delivered > 0 ? 0 : self->n_failed;
        self->n_batch = MAX(1, self->n_batch / 2);
    }
    if (!is_good) {
        end_badly(self, report.trouble, report.after_ms, error);
        return;
    }
    self->n_failed = 0;
    self->n_batch = MIN(self->n_batch * 2, self->config.work.funcs->n_batch_max);
    tell_changed(self);
    const SyncSinkFuncs *funcs = self->config.work.funcs;
    self->has_more = funcs->is_full != NULL && funcs->is_full(self->config.work.sink);
    if (self->has_more) {
        settle(self);
    } else {
        deliver_due(self);
    }
}

static bool
is_carried_only(const SyncEngine *self)
{
    return self->config.is_carried_only || self->scan_error != NULL;
}

/* What was carried may be large, and is held in memory a few times over. */
static void
leave_out_much(GPtrArray *due)
{
    uint64_t n_bytes = 0;

    for (guint i = 0; i < due->len; i++) {
        n_bytes += ((const SyncPending *)due->pdata[i])->n_bytes;
        if (i > 0 && n_bytes > BATCH_BYTES_MAX) {
            g_ptr_array_set_size(due, (gint)i);
        }
    }
}

static void
deliver_due(SyncEngine *self)
{
    g_autoptr(GError) error = NULL;
    /* Records are held in memory until the batch is over. */
    const guint n_batch = self->config.work.wants_raw ? MIN(self->n_batch, 8) : self->n_batch;
    GPtrArray *due = sync_state_list_due(
        self->config.work.state, g_get_real_time(), is_carried_only(self), n_batch, &error);

    if (due == NULL) {
        end_badly(self, SYNC_TROUBLE_STATE, 0, error);
        return;
    }
    if (due->len == 0 || self->is_stopped) {
        g_ptr_array_unref(due);
        settle(self);
        return;
    }
    leave_out_much(due);
    self->busy_since_us = g_get_monotonic_time();
    sync_batch_run_async(&self->config.work, due, self->cancellable, on_delivered, self);
}

static bool
has_carried_due(const SyncEngine *self)
{
    uint64_t n = 0;

    return !g_cancellable_is_cancelled(self->cancellable) &&
           sync_state_count_due(self->config.work.state, g_get_real_time(), true, &n, NULL) &&
           n > 0;
}

static void
begin_delivery(SyncEngine *self)
{
    if (self->config.on_progress != NULL && self->n_total == 0) {
        self->n_done = 0;
        sync_state_count_due(self->config.work.state,
                             g_get_real_time(),
                             is_carried_only(self),
                             &self->n_total,
                             NULL);
    }
    tell_changed(self);
    deliver_due(self);
}

static void
on_scanned(GObject *source, GAsyncResult *result, gpointer user_data)
{
    SyncEngine *self = user_data;
    g_autoptr(GError) error = NULL;
    SyncScanReport report = { 0 };
    const bool is_good = sync_scan_finish(result, &report, &error);

    if (report.store_id != NULL) {
        g_free(self->store_id);
        self->store_id = g_steal_pointer(&report.store_id);
        self->scanned = report.scanned;
        self->head = MAX(report.head, report.scanned);
    }
    if (g_error_matches(error, SYNC_ERROR, SYNC_ERROR_STATE)) {
        end_badly(self, SYNC_TROUBLE_STATE, 0, error);
        return;
    }
    /* What was carried here needs no penteld. */
    if (!is_good && !has_carried_due(self)) {
        end_badly(self, SYNC_TROUBLE_PENTELD, 0, error);
        return;
    }
    self->scan_error = g_steal_pointer(&error);
    begin_delivery(self);
}

static void
begin_round(SyncEngine *self)
{
    g_autoptr(GError) error = NULL;

    clear_timer(self);
    self->is_working = true;
    self->is_again = false;
    g_clear_error(&self->scan_error);
    if (!sync_state_mend_clock(self->config.work.state, g_get_real_time(), &error)) {
        end_badly(self, SYNC_TROUBLE_STATE, 0, error);
        return;
    }
    if (self->config.is_carried_only) {
        begin_delivery(self);
        return;
    }
    sync_scan_async(
        self->config.work.bus, self->config.work.state, self->cancellable, on_scanned, self);
}

SyncEngine *
sync_engine_new(const SyncEngineConfig *config)
{
    SyncEngine *self = g_new0(SyncEngine, 1);

    self->config = *config;
    self->cancellable = g_cancellable_new();
    self->store_id = g_strdup("");
    self->n_batch = config->work.funcs->n_batch_max;
    return self;
}

void
sync_engine_free(SyncEngine *self)
{
    if (self == NULL) {
        return;
    }
    clear_timer(self);
    g_clear_error(&self->scan_error);
    g_object_unref(self->cancellable);
    g_free(self->store_id);
    g_free(self->last_error);
    g_free(self);
}

void
sync_engine_poke(SyncEngine *self)
{
    if (self->is_stopped) {
        return;
    }
    if (self->is_working) {
        self->is_again = true;
        return;
    }
    begin_round(self);
}

void
sync_engine_set_head(SyncEngine *self, uint64_t head)
{
    self->head = head;
    /* A sink that fails is left alone until its time, whatever happens in the journal. */
    if (self->is_working || self->n_failed == 0) {
        sync_engine_poke(self);
    }
}

void
sync_engine_set_present(SyncEngine *self)
{
    if (self->trouble == SYNC_TROUBLE_PENTELD || self->n_failed == 0) {
        sync_engine_poke(self);
    }
}

void
sync_engine_stop(SyncEngine *self)
{
    self->is_stopped = true;
    clear_timer(self);
    g_cancellable_cancel(self->cancellable);
}

bool
sync_engine_is_working(const SyncEngine *self)
{
    return self->is_working;
}

int64_t
sync_engine_get_busy_since(const SyncEngine *self)
{
    return self->busy_since_us;
}

bool
sync_engine_retry(SyncEngine *self, const char *session, uint64_t *n_out, GError **error)
{
    if (!sync_state_retry(self->config.work.state, session, n_out, error)) {
        return false;
    }
    if (*n_out > 0 || session == NULL) {
        sync_engine_poke(self);
    }
    return true;
}

void
sync_engine_describe(const SyncEngine *self, SyncEngineStatus *status_out)
{
    *status_out = (SyncEngineStatus){ .store_id = g_strdup(self->store_id),
                                      .scanned = self->scanned,
                                      .head = self->head,
                                      .last_error = g_strdup(self->last_error),
                                      .error_us = self->error_us,
                                      .next_us = self->next_us,
                                      .is_working = self->is_working };
}

void
sync_engine_status_clear(SyncEngineStatus *self)
{
    g_clear_pointer(&self->store_id, g_free);
    g_clear_pointer(&self->last_error, g_free);
}
