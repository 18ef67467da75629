/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Group commit. Raw records become durable first and alone; what follows from them goes in
 * a second transaction. A batch that fails is kept and tried again.
 */
#include "core/wire.h"
#include "store/derive.h"
#include "store/erase.h"
#include "store/identity.h"
#include "store/seal.h"
#include "store/verify.h"
#include "store/writer_internal.h"
#include "util/error.h"

#define RETRY_US         INT64_C(5000000)
#define WITNESS_US       INT64_C(600000000)
#define CONTRADICTED_MAX 3u
#define CHUNK_RECORDS    8192u /* in one transaction */
#define CHUNK_SESSIONS   64u   /* folds in memory, about 80 KiB each */

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

/* What is damaged is found and mended by the next start. */
static void
suspect_if_damaged(PdWriter *self)
{
    if (!pd_db_is_damaged(self->ledger.db)) {
        return;
    }
    pd_home_suspect(self->config.home);
    self->is_suspect = true;
    pd_lock_enter(&self->lock);
    self->must_restart = true;
    pd_lock_leave(&self->lock);
}

/* A row that must not be there: what is asked for fails once, what is stored each time. The next
 * start sees whether the store fits together. */
static void
doubt_if_contradicted(PdWriter *self, int code)
{
    self->n_contradicted = code == SQLITE_CONSTRAINT ? self->n_contradicted + 1 : 0;
    if (self->n_contradicted > 0) {
        pd_home_suspect(self->config.home);
    }
    if (self->n_contradicted == CONTRADICTED_MAX) {
        pd_writer_ask_restart(self, "what is stored contradicts itself: it must be checked");
    }
}

static void
fail_batch(PdWriter *self, const PdLedgerCounts *counts, const GError *cause)
{
    const int code = pd_db_last_code(self->ledger.db);

    g_warning("%s; trying again in %d s", cause->message, (int)(RETRY_US / 1000000));
    (void)sqlite3_exec(pd_db_handle(self->ledger.db), "rollback", NULL, NULL, NULL);
    suspect_if_damaged(self);
    doubt_if_contradicted(self, code);
    if (code == SQLITE_FULL) {
        pd_home_drop_ballast(self->config.home);
        self->is_full = true;
    }
    pd_writer_set_state(self, pd_writer_state_of(code), cause->message);
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

/* What was to wait for records, which are not written now. */
static void
fail_flushes(PdWriter *self)
{
    g_autoptr(GError) full =
        g_error_new(PD_ERROR, PD_ERROR_STORE, "the disk is full: records stay on the pens");
    GArray *jobs = self->batch.jobs;

    for (guint i = 0; i < jobs->len;) {
        PdJob *job = &g_array_index(jobs, PdJob, i);
        if (job->run != NULL) {
            i++;
            continue;
        }
        PdJob gone = *job;
        g_array_remove_index(jobs, i);
        finish_job(self, &gone, full);
    }
}

/* On a full disk the ballast's room is for what people do, and not for records: their pens
 * keep them, and would fill it at once (F26). */
static bool
write_jobs_only(PdWriter *self)
{
    g_autoptr(GError) error = NULL;

    fail_flushes(self);
    if (!make_ready(self, &error) || !pd_db_script(self->ledger.db, "begin immediate", &error) ||
        !run_jobs(self, &error) || !pd_db_script(self->ledger.db, "commit", &error)) {
        (void)sqlite3_exec(pd_db_handle(self->ledger.db), "rollback", NULL, NULL, NULL);
        self->must_reload = true;
        fail_jobs(self, error);
        return false;
    }
    pd_erase_finish(&self->ledger, self->config.home->index);
    pd_writer_publish(self);
    pd_writer_update_health(self);
    finish_jobs(self, false);
    finish_jobs(self, true);
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
        if (!self->is_full || !write_jobs_only(self)) {
            fail_jobs(self, error);
        }
        return false;
    }
    pd_erase_finish(&self->ledger, self->config.home->index);
    pd_writer_publish(self);
    pd_writer_update_health(self);
    /* Who is told that it went well must not find an old complaint. */
    pd_writer_set_state(self, PD_STORE_OK, NULL);
    const bool is_all = self->batch.at == self->batch.records->len;
    if (is_all) {
        finish_jobs(self, false);
    }
    const PdLedgerCounts stored = self->ledger.counts;
    const bool folded = commit_derived(self, &error);
    if (folded) {
        self->n_contradicted = 0;
        pd_writer_publish(self);
        pd_writer_update_health(self);
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
    if (self->is_full && !pd_home_take_ballast(self->config.home)) {
        (void)write_jobs_only(self);
        self->retry_us = g_get_monotonic_time() + RETRY_US;
        return;
    }
    self->is_full = false;
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
    const int64_t due_us[] = {
        any ? self->derived_us + (int64_t)self->config.commit_ms * 2500 : 0,
        self->ledger.must_truncate ? self->ledger.truncate_us : 0,
        pd_erase_retire_due(&self->ledger, self->config.retention_days, &self->retired),
    };
    int64_t first_us = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(due_us); i++) {
        if (due_us[i] != 0 && (first_us == 0 || due_us[i] < first_us)) {
            first_us = due_us[i];
        }
    }
    return first_us;
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

static void
retire(PdWriter *self)
{
    if (!pd_erase_retire(&self->ledger, self->config.retention_days, &self->retired)) {
        suspect_if_damaged(self);
        self->must_reload = true;
    }
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
            retire(self);
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
    const bool has_failed = pd_checkpointer_has_failed(self->checkpointer);
    pd_checkpointer_stop(self->checkpointer);
    pd_ledger_clear(&self->ledger);
    pd_db_keep_wal(self->config.db, self->is_suspect || has_failed);
    pd_db_close(self->config.db);
    g_array_unref(self->batch.jobs);
    g_byte_array_unref(self->batch.records);
    pd_queue_free(self->queue);
    g_hash_table_unref(self->published);
    pd_lock_clear(&self->lock);
    g_free(self->health.error);
    g_free(self);
}

/* What is in the WAL alone is brought over by a process that trusts nothing of it. */
static void
on_checkpoints_failed(void *user_data)
{
    pd_writer_ask_restart(user_data, "a sync of index.db failed: its WAL must be read again");
}

static PdCheckpointer *
start_checkpointer(PdWriter *self, GError **error)
{
    PdCheckpointerConfig config = PD_CHECKPOINTER_DEFAULT;

    config.must_restart = on_checkpoints_failed;
    config.user_data = self;
    if (self->config.checkpoint_pages > 0) {
        config.n_pages = (int)self->config.checkpoint_pages;
    }
    return pd_checkpointer_start(&config, self->config.home->index, self->config.db, error);
}

/* After the first batch. A row that was in its way is damage like any other: nobody has asked for
 * anything yet. What cannot be checked now is left to the next start. */
static bool
is_sound(PdWriter *self, GError **error)
{
    PdHome *home = self->config.home;
    const bool has_failed = self->retry_us != 0;
    const bool is_contradicted = pd_db_last_code(self->ledger.db) == SQLITE_CONSTRAINT;
    bool was_cut = false;

    if (has_failed && (self->is_suspect || is_contradicted)) {
        g_set_error_literal(error, PD_ERROR, PD_ERROR_STORE, self->health.error);
        return false;
    }
    if (has_failed || !home->must_check) {
        return true;
    }
    if (!pd_verify_at_start(home->index, home->raw, &was_cut, error)) {
        return false;
    }
    home->must_check = was_cut;
    return true;
}

PdWriter *
pd_writer_start(const PdWriterConfig *config, bool *damaged_out, GError **error)
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
    self->checkpointer = start_checkpointer(self, error);
    self->ledger.checkpointer = self->checkpointer;
    if (self->checkpointer == NULL || !pd_ledger_reload(&self->ledger, error)) {
        *damaged_out = pd_db_is_damaged(config->db);
        suspect_if_damaged(self);
        free_writer(self);
        return NULL;
    }
    publish_all(self);
    (void)pd_writer_read_health(self);
    (void)pd_home_take_ballast(config->home);
    /* What a crash left unfolded is on disk, and must be there for who asks at once. */
    write_batch(self);
    if (!is_sound(self, error)) {
        *damaged_out = true;
        self->is_suspect = true;
        free_writer(self);
        return NULL;
    }
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
