/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Group commit. Raw records become durable first and alone; what follows from them goes in
 * a second transaction. A batch that fails is kept and tried again.
 */
#include "store/writer.h"

#include "core/wire.h"
#include "store/checkpoint.h"
#include "store/derive.h"
#include "store/erase.h"
#include "store/identity.h"
#include "store/lock.h"
#include "store/seal.h"
#include "util/error.h"

#define RETRY_US       INT64_C(5000000)
#define WITNESS_US     INT64_C(600000000)
#define CHUNK_RECORDS  8192u /* in one transaction */
#define CHUNK_SESSIONS 64u   /* folds in memory, about 80 KiB each */

struct PdWriter {
    PdWriterConfig config;
    GThread *thread;
    PdCheckpointer *checkpointer;
    PdQueue *queue;

    PdLock lock; /* guards the following */
    bool wall_synced;
    GHashTable *published; /* &log_id to PdLog */
    PdStoreHealth health;
    bool moved_aside;

    /* The thread's own. */
    PdLedger ledger;
    PdBatch batch;
    int64_t derived_us;
    int64_t sealed_us;
    int64_t retired_us;
    int64_t witnessed_us;
    uint64_t witnessed_head;
    bool must_reload; /* the ledger is ahead of a transaction that failed */
    bool is_suspect;  /* SQLite found damage: leave everything as it is */
    int64_t retry_us; /* no attempt before; 0 when the last one went well */
};

typedef struct {
    enum { NOTICE_DURABLE, NOTICE_JOURNAL, NOTICE_STATE } kind;
    PdStoreListener listener;
    void *user_data;
    uint64_t log_id;
    uint32_t contiguous;
    uint64_t head;
    PdStoreState state;
} Notice;

static gboolean
deliver_notice(gpointer data)
{
    const Notice *notice = data;
    const PdStoreListener *listener = &notice->listener;

    if (notice->kind == NOTICE_DURABLE && listener->durable != NULL) {
        listener->durable(notice->user_data, notice->log_id, notice->contiguous);
    } else if (notice->kind == NOTICE_JOURNAL && listener->journal != NULL) {
        listener->journal(notice->user_data, notice->head);
    } else if (notice->kind == NOTICE_STATE && listener->state_changed != NULL) {
        listener->state_changed(notice->user_data, notice->state);
    }
    return G_SOURCE_REMOVE;
}

static void
send_notice(PdWriter *self, const Notice *content)
{
    Notice *notice = g_memdup2(content, sizeof *content);

    notice->listener = self->config.listener;
    notice->user_data = self->config.user_data;
    pd_outbox_post(self->config.outbox, deliver_notice, notice, g_free);
}

static PdStoreState
state_of(int code)
{
    if (code == SQLITE_FULL) {
        return PD_STORE_FULL;
    }
    if (code == SQLITE_READONLY) {
        return PD_STORE_READ_ONLY;
    }
    return PD_STORE_FAILING;
}

static void
set_state(PdWriter *self, PdStoreState state, const char *message)
{
    pd_lock_enter(&self->lock);
    const PdStoreState fine = self->moved_aside ? PD_STORE_DAMAGED : PD_STORE_OK;
    const PdStoreState new_state = state == PD_STORE_OK ? fine : state;
    const bool changed = self->health.state != new_state;
    self->health.state = new_state;
    if (changed && (state != PD_STORE_OK || !self->moved_aside)) {
        g_free(self->health.error);
        self->health.error = g_strdup(message);
    }
    pd_lock_leave(&self->lock);
    if (changed) {
        send_notice(self, &(Notice){ .kind = NOTICE_STATE, .state = new_state });
    }
}

static void
finish_job(PdWriter *self, PdJob *job, const GError *error)
{
    if (job->task != NULL) {
        pd_outbox_complete(self->config.outbox,
                           g_steal_pointer(&job->task),
                           GINT_TO_POINTER(1),
                           NULL,
                           error != NULL ? g_error_copy(error) : NULL);
    }
    pd_job_clear(job);
}

/* Jobs of one kind leave the batch: all that wait for the fold, or all that do not. */
static void
finish_jobs(PdWriter *self, bool after_fold)
{
    GArray *jobs = self->batch.jobs;

    for (guint i = 0; i < jobs->len;) {
        PdJob *job = &g_array_index(jobs, PdJob, i);
        if (job->after_fold != after_fold) {
            i++;
            continue;
        }
        PdJob done = *job;
        g_array_remove_index(jobs, i);
        finish_job(self, &done, NULL);
    }
}

/* @at_out: how far of the batch one transaction comes. */
static bool
take_records(PdWriter *self, size_t *at_out, GError **error)
{
    const uint8_t *bytes = self->batch.records->data;
    const size_t n_bytes = self->batch.records->len;
    size_t at = self->batch.at;

    for (guint i = 0; at + PD_BATCH_ITEM_HEADER <= n_bytes && i < CHUNK_RECORDS &&
                      (i == 0 || g_hash_table_size(self->ledger.sessions) < CHUNK_SESSIONS);
         i++) {
        const uint64_t log_id = pen_wire_get(bytes + at, 8);
        const size_t n_record = pen_wire_get(bytes + at + 8, 2);
        at += PD_BATCH_ITEM_HEADER;
        if (!pd_ledger_take_record(&self->ledger, log_id, bytes + at, n_record, error)) {
            return false;
        }
        at += n_record;
    }
    *at_out = at;
    return true;
}

/* Jobs that fail by themselves are answered here and left out of the batch. */
static bool
run_jobs(PdWriter *self, GError **error)
{
    GArray *jobs = self->batch.jobs;

    for (guint i = 0; i < jobs->len;) {
        PdJob *job = &g_array_index(jobs, PdJob, i);
        g_autoptr(GError) local = NULL;
        if (job->run == NULL || job->run(job->data, &self->ledger, &local)) {
            i++;
            continue;
        }
        if (g_error_matches(local, PD_ERROR, PD_ERROR_STORE)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return false;
        }
        PdJob gone = *job;
        g_array_remove_index(jobs, i);
        finish_job(self, &gone, local);
    }
    return true;
}

static bool
commit_facts(PdWriter *self, GError **error)
{
    size_t at = 0;

    if (self->batch.records->len == self->batch.at && self->batch.jobs->len == 0) {
        return true;
    }
    const int64_t start_us = g_get_monotonic_time();
    if (!pd_db_script(self->ledger.db, "begin immediate", error) ||
        !take_records(self, &at, error)) {
        return false;
    }
    const bool is_all = at + PD_BATCH_ITEM_HEADER > self->batch.records->len;
    if ((is_all && !run_jobs(self, error)) || !pd_db_script(self->ledger.db, "commit", error)) {
        return false;
    }
    self->batch.at = is_all ? self->batch.records->len : at;
    pd_queue_set_pending(self->queue, self->batch.records->len - self->batch.at);
    const uint32_t took_us = (uint32_t)(g_get_monotonic_time() - start_us);
    pd_lock_enter(&self->lock);
    self->health.commit_us_max = MAX(self->health.commit_us_max, took_us);
    pd_lock_leave(&self->lock);
    return true;
}

static bool
is_fold_due(PdWriter *self)
{
    bool any = false;
    bool urgent = false;

    pd_derive_pending(&self->ledger, &any, &urgent);
    if (g_hash_table_size(self->ledger.sessions) >= CHUNK_SESSIONS) {
        return true;
    }
    for (guint i = 0; i < self->batch.jobs->len; i++) {
        urgent = urgent || g_array_index(self->batch.jobs, PdJob, i).after_fold;
    }
    const int64_t age_us = g_get_monotonic_time() - self->derived_us;
    return any &&
           (urgent || self->batch.is_last || age_us >= (int64_t)self->config.commit_ms * 2500);
}

static bool
commit_derived(PdWriter *self, GError **error)
{
    bool journaled = false;

    if (!is_fold_due(self)) {
        return true;
    }
    self->derived_us = g_get_monotonic_time();
    return pd_db_script(self->ledger.db, "begin immediate", error) &&
           pd_derive_all(&self->ledger, &journaled, error) &&
           pd_db_script(self->ledger.db, "commit", error);
}

static void
publish(PdWriter *self)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->ledger.logs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdLog *log = value;
        if (!log->changed) {
            continue;
        }
        log->changed = false;
        PdLog *copy = pd_log_copy(log);
        pd_lock_enter(&self->lock);
        g_hash_table_replace(self->published, &copy->log_id, copy);
        pd_lock_leave(&self->lock);
        send_notice(self,
                    &(Notice){
                        .kind = NOTICE_DURABLE,
                        .log_id = log->log_id,
                        .contiguous = pd_log_contiguous(log),
                    });
    }
}

/* Returns whether the journal grew. */
static bool
read_health(PdWriter *self)
{
    g_autoptr(GError) error = NULL;
    int64_t n_sessions = 0;
    uint64_t head = 0;

    if (!pd_journal_head(self->ledger.db, &head, &error) ||
        !pd_db_get_int(
            self->ledger.db, 0, &n_sessions, &error, "select max(opened_seq) from session")) {
        g_warning("%s", error->message);
        return false;
    }
    pd_lock_enter(&self->lock);
    const bool grew = head != self->health.head;
    self->health.head = head;
    self->health.n_sessions = (uint64_t)n_sessions;
    self->health.n_records = self->ledger.counts.n_records;
    self->health.n_bad = self->ledger.counts.n_bad;
    self->health.n_duplicates = self->ledger.counts.n_duplicates;
    self->health.n_conflicts = self->ledger.counts.n_conflicts;
    self->health.n_erased = self->ledger.counts.n_erased;
    pd_lock_leave(&self->lock);
    return grew;
}

static void
update_health(PdWriter *self)
{
    if (read_health(self)) {
        send_notice(self, &(Notice){ .kind = NOTICE_JOURNAL, .head = self->health.head });
    }
}

/* What nobody waits for is kept for the next attempt; who waits is told. */
static void
fail_jobs(PdWriter *self, const GError *cause)
{
    GArray *jobs = self->batch.jobs;

    for (guint i = 0; i < jobs->len;) {
        PdJob *job = &g_array_index(jobs, PdJob, i);
        if (job->task == NULL) {
            i++;
            continue;
        }
        PdJob gone = *job;
        g_array_remove_index(jobs, i);
        finish_job(self, &gone, cause);
    }
}

static void
fail_batch(PdWriter *self, const PdLedgerCounts *counts, const GError *cause)
{
    const int code = pd_db_last_code(self->ledger.db);

    g_warning("%s; trying again in %d s", cause->message, (int)(RETRY_US / 1000000));
    (void)sqlite3_exec(pd_db_handle(self->ledger.db), "rollback", NULL, NULL, NULL);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
        pd_home_suspect(self->config.home);
        self->is_suspect = true;
    }
    set_state(self, state_of(code), cause->message);
    self->ledger.counts = *counts;
    self->must_reload = true;
    self->retry_us = g_get_monotonic_time() + RETRY_US;
}

/* What was counted of transactions that went well is on no disk. Only this thread publishes. */
static void
restore_counts(PdWriter *self)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->published);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const PdLog *log = value;
        pd_ledger_get_log(&self->ledger, log->log_id)->n_faulty = log->n_faulty;
    }
}

/* What is in memory must be what is on disk before anything is added to either. */
static bool
make_ready(PdWriter *self, GError **error)
{
    if (self->must_reload && !pd_ledger_reload(&self->ledger, error)) {
        return false;
    }
    if (self->must_reload) {
        restore_counts(self);
    }
    self->must_reload = false;
    return true;
}

/* One pair of transactions: facts, then what follows from them. */
static bool
write_chunk(PdWriter *self)
{
    const PdLedgerCounts before = self->ledger.counts;
    g_autoptr(GError) error = NULL;

    self->ledger.n_loads = 0;
    if (!make_ready(self, &error) || !commit_facts(self, &error)) {
        fail_batch(self, &before, error);
        fail_jobs(self, error);
        return false;
    }
    pd_erase_finish(&self->ledger, self->config.home->index);
    publish(self);
    update_health(self);
    /* Who is told that it went well must not find an old complaint. */
    set_state(self, PD_STORE_OK, NULL);
    const bool is_all = self->batch.at == self->batch.records->len;
    if (is_all) {
        finish_jobs(self, false);
    }
    const PdLedgerCounts stored = self->ledger.counts;
    const bool folded = commit_derived(self, &error);
    if (folded) {
        publish(self);
        update_health(self);
    } else {
        fail_batch(self, &stored, error);
    }
    if (is_all) {
        finish_jobs(self, true);
    }
    return folded;
}

static void
write_batch(PdWriter *self)
{
    self->retry_us = 0;
    pd_db_clear_code(self->ledger.db);
    self->ledger.stamp.wall_us = g_get_real_time();
    pd_lock_enter(&self->lock);
    self->ledger.stamp.wall_synced = self->wall_synced;
    pd_lock_leave(&self->lock);
    while (write_chunk(self) && self->batch.at < self->batch.records->len) {
    }
}

/* When the thread has something to do by itself; 0 never. */
static int64_t
next_own_us(PdWriter *self)
{
    bool any = false;
    bool urgent = false;

    pd_derive_pending(&self->ledger, &any, &urgent);
    return any ? self->derived_us + (int64_t)self->config.commit_ms * 2500 : 0;
}

/* Now and then is enough: what it witnesses is that a store is not an older one. */
static void
write_witness(PdWriter *self)
{
    const int64_t now_us = g_get_monotonic_time();

    if (self->health.head == self->witnessed_head ||
        (!self->batch.is_last && now_us - self->witnessed_us < WITNESS_US)) {
        return;
    }
    self->witnessed_us = now_us;
    self->witnessed_head = self->health.head;
    pd_identity_write_witness(self->config.home->state, self->config.store_id, self->health.head);
}

static gpointer
run(gpointer data)
{
    PdWriter *self = data;

    while (!self->batch.is_last) {
        pd_queue_take(self->queue, &self->batch, next_own_us(self), self->retry_us);
        write_batch(self);
        if (self->retry_us == 0) {
            pd_seal_if_due(&self->ledger, &self->sealed_us);
            pd_erase_retire(&self->ledger, self->config.retention_days, &self->retired_us);
            pd_erase_finish(&self->ledger, self->config.home->index);
        }
        write_witness(self);
        pd_checkpointer_written(self->checkpointer);
    }
    return NULL;
}

static void
publish_all(PdWriter *self)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->ledger.logs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdLog *copy = pd_log_copy(value);
        g_hash_table_replace(self->published, &copy->log_id, copy);
    }
}

static void
clear_job(gpointer data)
{
    pd_job_clear(data);
}

static void
free_writer(PdWriter *self)
{
    pd_checkpointer_stop(self->checkpointer);
    pd_ledger_clear(&self->ledger);
    pd_db_keep_wal(self->config.db, self->is_suspect);
    pd_db_close(self->config.db);
    g_array_unref(self->batch.jobs);
    g_byte_array_unref(self->batch.records);
    pd_queue_free(self->queue);
    g_hash_table_unref(self->published);
    pd_lock_clear(&self->lock);
    g_free(self->health.error);
    g_free(self);
}

PdWriter *
pd_writer_start(const PdWriterConfig *config, GError **error)
{
    PdWriter *self = g_new0(PdWriter, 1);

    self->config = *config;
    pd_lock_init(&self->lock);
    self->queue = pd_queue_new(config->commit_ms, config->commit_records);
    self->batch.records = g_byte_array_new();
    self->batch.jobs = g_array_new(FALSE, FALSE, sizeof(PdJob));
    self->published =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)pd_log_free);
    pd_ledger_init(&self->ledger, config->db, config->home->raw, &config->fold);
    self->ledger.stamp.store_id = config->store_id;
    self->checkpointer = pd_checkpointer_start(config->home->index, config->db, error);
    if (self->checkpointer == NULL || !pd_ledger_reload(&self->ledger, error)) {
        free_writer(self);
        return NULL;
    }
    publish_all(self);
    (void)read_health(self);
    self->thread = g_thread_new("store-writer", run, self);
    return self;
}

void
pd_writer_stop(PdWriter *self)
{
    pd_queue_stop(self->queue);
    g_thread_join(self->thread);
    /* What could not be written is let go: the pens still have it. */
    g_array_set_clear_func(self->batch.jobs, clear_job);
    free_writer(self);
}

PdQueue *
pd_writer_get_queue(PdWriter *self)
{
    return self->queue;
}

void
pd_writer_get_settled(PdWriter *self, uint64_t log_id, PenRanges *ranges_out)
{
    pen_ranges_init(ranges_out);
    pd_lock_enter(&self->lock);
    const PdLog *log = g_hash_table_lookup(self->published, &log_id);
    for (size_t i = 0; log != NULL && i < log->stored.n_ranges; i++) {
        pen_ranges_add(ranges_out, log->stored.ranges[i].first, log->stored.ranges[i].last);
    }
    for (size_t i = 0; log != NULL && i < log->gone.n_ranges; i++) {
        pen_ranges_add(ranges_out, log->gone.ranges[i].first, log->gone.ranges[i].last);
    }
    pd_lock_leave(&self->lock);
}

uint32_t
pd_writer_get_n_faulty(PdWriter *self, uint64_t log_id)
{
    pd_lock_enter(&self->lock);
    const PdLog *log = g_hash_table_lookup(self->published, &log_id);
    const uint32_t n_faulty = log != NULL ? log->n_faulty : 0;
    pd_lock_leave(&self->lock);
    return n_faulty;
}

void
pd_writer_set_wall_synced(PdWriter *self, bool synced)
{
    pd_lock_enter(&self->lock);
    self->wall_synced = synced;
    pd_lock_leave(&self->lock);
}

void
pd_writer_get_health(PdWriter *self, PdStoreHealth *out)
{
    pd_lock_enter(&self->lock);
    *out = self->health;
    out->error = g_strdup(self->health.error);
    pd_lock_leave(&self->lock);
    pd_queue_get_counts(self->queue, &out->queue_bytes, &out->n_dropped);
    out->disk_free_bytes = pd_home_free_bytes(self->config.home);
}

void
pd_writer_set_damaged(PdWriter *self, const char *what)
{
    pd_lock_enter(&self->lock);
    self->moved_aside = true;
    self->health.state = PD_STORE_DAMAGED;
    g_free(self->health.error);
    self->health.error = g_strdup(what);
    pd_lock_leave(&self->lock);
}
