/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The public face: hands work to the writer and questions to the workers.
 */

#include "core/wire.h"
#include "store/annotate.h"
#include "store/erase.h"
#include "store/identity.h"
#include "store/jobs.h"
#include "store/pending.h"
#include "store/query.h"
#include "store/salvage.h"
#include "store/store_internal.h"
#include "util/error.h"

#define LOW_MARK_BYTES (1u << 20)

static bool
salvage_all(PdStore *self, PdLedger *ledger, char **pending)
{
    const char *const *paths = (const char *const *)pending;
    const char *moved_to = self->home.moved_to;
    bool ok = true;

    for (; *paths != NULL; paths++) {
        ok = pd_salvage(ledger, self->home.state, *paths) && ok;
    }
    /* Where the list could not be written. */
    if (moved_to != NULL && !g_strv_contains((const char *const *)pending, moved_to)) {
        ok = pd_salvage(ledger, self->home.state, moved_to) && ok;
    }
    if (moved_to == NULL) {
        self->home.moved_to = g_strdup(paths[-1]);
    }
    return ok;
}

/* Before anybody writes. */
static void
tidy(PdStore *self, const PdStoreConfig *config, PdDb *db)
{
    g_auto(GStrv) pending = pd_pending_list(self->home.state);
    PdLedger ledger;

    if (self->home.moved_to == NULL && pending[0] == NULL) {
        pd_drop_orphans(db, self->home.raw);
        return;
    }
    pd_ledger_init(&ledger, db, self->home.raw, &config->fold);
    ledger.stamp = (PdJournalStamp){ .store_id = self->id, .wall_us = g_get_real_time() };
    if (salvage_all(self, &ledger, pending)) {
        pd_pending_clear(self->home.state);
    }
    pd_ledger_clear(&ledger);
}

/* @damaged_out: true when what SQLite can open is damaged all the same. */
static PdWriter *
start_writer(PdStore *self,
             const PdStoreConfig *config,
             const PdStoreListener *listener,
             void *user_data,
             bool *damaged_out,
             GError **error)
{
    g_autoptr(PdDb) db = pd_home_open_index(&self->home, error);
    g_autofree char *machine = pd_identity_dup_machine();

    *damaged_out = false;
    if (db == NULL) {
        return NULL;
    }
    if (!pd_identity_ensure(db, self->home.state, machine, &self->id, error)) {
        *damaged_out = pd_db_is_damaged(db);
        return NULL;
    }
    tidy(self, config, db);
    PdWriterConfig writer_config = {
        .home = &self->home,
        .db = g_steal_pointer(&db),
        .outbox = self->outbox,
        .store_id = self->id,
        .commit_ms = config->commit_ms,
        .commit_records = config->commit_records,
        .checkpoint_pages = config->checkpoint_pages,
        .retention_days = config->retention_days,
        .fold = config->fold,
        .user_data = user_data,
    };
    if (listener != NULL) {
        writer_config.listener = *listener;
    }
    return pd_writer_start(&writer_config, damaged_out, error);
}

/* Nobody could say so of a store that is damaged where only a start looks: it would be refused
 * at every start. */
static PdWriter *
start_or_begin_anew(PdStore *self,
                    const PdStoreConfig *config,
                    const PdStoreListener *listener,
                    void *user_data,
                    GError **error)
{
    g_autoptr(GError) local = NULL;
    bool damaged = false;
    PdWriter *writer = start_writer(self, config, listener, user_data, &damaged, &local);

    if (writer != NULL) {
        return writer;
    }
    if (!damaged || self->home.moved_to != NULL) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    g_clear_pointer(&self->id, g_free);
    return pd_home_move_aside(&self->home, local->message, error)
               ? start_writer(self, config, listener, user_data, &damaged, error)
               : NULL;
}

static void
free_store(PdStore *self)
{
    if (self->workers != NULL) {
        pd_workers_stop(self->workers);
    }
    pd_outbox_close(self->outbox);
    *self->alive = NULL;
    g_rc_box_release(self->alive);
    g_atomic_rc_box_release(self->is_backing_up);
    pd_home_leave(&self->home);
    g_hash_table_unref(self->linked);
    pd_lock_clear(&self->lock);
    g_free(self->id);
    g_free(self);
}

PdStore *
pd_store_open(const PdStoreConfig *config,
              const PdStoreListener *listener,
              void *user_data,
              GError **error)
{
    PdStore *self = g_new0(PdStore, 1);

    pd_lock_init(&self->lock);
    self->alive = g_rc_box_new0(PdStore *);
    *self->alive = self;
    self->is_backing_up = g_atomic_rc_box_new0(gint);
    self->linked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    self->outbox = pd_outbox_new(g_main_context_get_thread_default());
    if (!pd_home_enter(&self->home, config->directory, error)) {
        free_store(self);
        return NULL;
    }
    self->writer = start_or_begin_anew(self, config, listener, user_data, error);
    if (self->writer == NULL) {
        free_store(self);
        return NULL;
    }
    self->queue = pd_writer_get_queue(self->writer);
    self->workers = pd_workers_new(self->home.index, self->outbox);
    if (self->home.moved_to != NULL) {
        g_autofree char *what =
            g_strdup_printf("the old store was damaged and is now %s", self->home.moved_to);
        pd_writer_set_damaged(self->writer, what);
    }
    return self;
}

void
pd_store_close(PdStore *self)
{
    if (self == NULL) {
        return;
    }
    pd_workers_stop(g_steal_pointer(&self->workers));
    pd_writer_stop(self->writer);
    pd_home_mark_closed(&self->home);
    free_store(self);
}

const char *
pd_store_get_id(const PdStore *self)
{
    return self->id;
}

bool
pd_store_append(PdStore *self, uint64_t log_id, const uint8_t *record, size_t n_record)
{
    /* Sealed blocks are walked by the length that a record says of itself. */
    if (n_record < PEN_RECORD_HEADER_SIZE + PEN_RECORD_CRC_SIZE || n_record > PEN_RECORD_MAX ||
        pen_wire_get(record, 2) != n_record || pen_wire_get(record + 6, 4) == 0) {
        pd_queue_count_dropped(self->queue);
        return false;
    }
    return pd_queue_append(self->queue, log_id, record, n_record);
}

bool
pd_store_is_hungry(const PdStore *self)
{
    uint64_t n_bytes = 0;
    uint64_t n_dropped = 0;

    pd_queue_get_counts(self->queue, &n_bytes, &n_dropped);
    return n_bytes < LOW_MARK_BYTES;
}

static void
submit(PdStore *self, PdJob job)
{
    pd_queue_submit(self->queue, &job);
}

void
pd_store_settle(PdStore *self, uint64_t log_id, uint32_t first, uint32_t last, PdCause cause)
{
    submit(self, pd_job_settle(log_id, first, last, cause));
}

void
pd_store_append_damaged(
    PdStore *self, uint64_t log_id, uint32_t number, const uint8_t *bytes, size_t n_bytes)
{
    submit(self, pd_job_damaged(log_id, number, bytes, n_bytes));
}

void
pd_store_add_anchor(PdStore *self, uint64_t log_id, const PenAnchor *anchor)
{
    submit(self, pd_job_anchor(log_id, anchor));
}

void
pd_store_set_marked(PdStore *self, uint64_t log_id, uint32_t marked)
{
    submit(self, pd_job_marked(log_id, marked));
}

void
pd_store_set_wall_synced(PdStore *self, bool synced)
{
    pd_writer_set_wall_synced(self->writer, synced);
}

void
pd_store_set_linked(PdStore *self, uint64_t log_id, bool linked)
{
    pd_lock_enter(&self->lock);
    if (linked) {
        g_hash_table_add(self->linked, g_memdup2(&log_id, sizeof log_id));
    } else {
        g_hash_table_remove(self->linked, &log_id);
    }
    pd_lock_leave(&self->lock);
}

static GTask *
new_task(GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data, gpointer tag)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);

    g_task_set_source_tag(task, tag);
    return task;
}

static bool
finish_write(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error) != NULL;
}

void
pd_store_save_pen_async(PdStore *self,
                        const PdPenInfo *pen,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
    PdJob job = pd_job_save_pen(pen);

    job.task = new_task(cancellable, callback, user_data, pd_store_save_pen_async);
    submit(self, job);
}

bool
pd_store_save_pen_finish(PdStore *self, GAsyncResult *result, GError **error)
{
    return finish_write(result, error);
}

void
pd_store_forget_pen_async(PdStore *self,
                          const char *serial,
                          uint32_t n_unread,
                          uint32_t uid,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data)
{
    PdJob job = pd_job_forget_pen(serial, n_unread, uid);

    job.task = new_task(cancellable, callback, user_data, pd_store_forget_pen_async);
    submit(self, job);
}

bool
pd_store_forget_pen_finish(PdStore *self, GAsyncResult *result, GError **error)
{
    return finish_write(result, error);
}

void
pd_store_flush_async(PdStore *self,
                     GCancellable *cancellable,
                     GAsyncReadyCallback callback,
                     gpointer user_data)
{
    submit(self,
           (PdJob){
               .task = new_task(cancellable, callback, user_data, pd_store_flush_async),
               .after_fold = true,
           });
}

bool
pd_store_flush_finish(PdStore *self, GAsyncResult *result, GError **error)
{
    return finish_write(result, error);
}

void
pd_store_annotate_async(PdStore *self,
                        const char *id,
                        const PdAnnotation *annotation,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
    uint64_t *seq = g_new0(uint64_t, 1);
    PdJob job = pd_job_annotate(id, annotation, seq);

    job.task = new_task(cancellable, callback, user_data, pd_store_annotate_async);
    g_task_set_task_data(job.task, seq, g_free);
    submit(self, job);
}

bool
pd_store_annotate_finish(PdStore *self, GAsyncResult *result, uint64_t *seq_out, GError **error)
{
    const uint64_t *seq = g_task_get_task_data(G_TASK(result));

    if (!finish_write(result, error)) {
        return false;
    }
    *seq_out = *seq;
    return true;
}

/* Copies that are not the store's to touch. A few names of one directory, read in less than
 * 0.1 ms. */
static char **
dup_left(PdStore *self)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    g_autoptr(GDir) directory = g_dir_open(self->home.state, 0, NULL);
    const char *name = NULL;

    while (directory != NULL && (name = g_dir_read_name(directory)) != NULL) {
        if (g_str_has_prefix(name, "damaged-") || g_str_has_prefix(name, "replaced-")) {
            g_strv_builder_add(names, name);
        }
    }
    return g_strv_builder_end(names);
}

void
pd_store_erase_async(PdStore *self,
                     const PdErasure *erasure,
                     GCancellable *cancellable,
                     GAsyncReadyCallback callback,
                     gpointer user_data)
{
    PdErased *erased = g_new0(PdErased, 1);
    PdJob job = pd_job_erase(erasure, erased);

    job.task = new_task(cancellable, callback, user_data, pd_store_erase_async);
    g_task_set_task_data(job.task, erased, g_free);
    submit(self, job);
}

bool
pd_store_erase_finish(PdStore *self,
                      GAsyncResult *result,
                      uint32_t *n_sessions_out,
                      uint64_t *seq_out,
                      char ***left_out,
                      GError **error)
{
    const PdErased *erased = g_task_get_task_data(G_TASK(result));

    if (!finish_write(result, error)) {
        return false;
    }
    *n_sessions_out = erased->n_sessions;
    *seq_out = erased->seq;
    if (left_out != NULL) {
        *left_out = dup_left(self);
    }
    return true;
}

void
pd_store_hold_async(PdStore *self,
                    const char *id,
                    const char *reason,
                    bool release,
                    uint32_t uid,
                    GCancellable *cancellable,
                    GAsyncReadyCallback callback,
                    gpointer user_data)
{
    uint64_t *seq = g_new0(uint64_t, 1);
    PdJob job = pd_job_hold(id, reason, release, uid, seq);

    job.task = new_task(cancellable, callback, user_data, pd_store_hold_async);
    g_task_set_task_data(job.task, seq, g_free);
    submit(self, job);
}

bool
pd_store_hold_finish(PdStore *self, GAsyncResult *result, uint64_t *seq_out, GError **error)
{
    return pd_store_annotate_finish(self, result, seq_out, error);
}

void
pd_store_get_settled(PdStore *self, uint64_t log_id, PenRanges *ranges_out)
{
    pd_writer_get_settled(self->writer, log_id, ranges_out);
}

char *
pd_store_dup_log_serial(PdStore *self, uint64_t log_id)
{
    return pd_writer_dup_log_serial(self->writer, log_id);
}

uint32_t
pd_store_get_n_faulty(PdStore *self, uint64_t log_id)
{
    return pd_writer_get_n_faulty(self->writer, log_id);
}

void
pd_store_get_health(PdStore *self, PdStoreHealth *out)
{
    pd_writer_get_health(self->writer, out);
}

GPtrArray *
pd_store_load_pens(PdStore *self, GError **error)
{
    g_autoptr(PdDb) db = pd_db_open(self->home.index, PD_DB_READER, NULL, error);
    PdQuery query = { .db = db };

    return db == NULL ? NULL : pd_query_load_pens(&query, error);
}

bool
pd_store_must_restart(PdStore *self)
{
    return pd_writer_must_restart(self->writer);
}
