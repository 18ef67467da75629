/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The checkpointer thread.
 */
#include "store/checkpoint.h"

#include "store/lock.h"

#define PASSIVE_PAGES 1024
#define RESTART_PAGES 2048
#define WAIT_US       INT64_C(2000000)
#define ALARM_PAGES   16384 /* 64 MiB */
#define IDLE_US       INT64_C(30000000)

struct PdCheckpointer {
    PdDb *db;     /* owned; the thread's */
    PdDb *writer; /* borrowed */
    GThread *thread;
    PdLock lock; /* guards the following */
    bool is_stopping;
    bool has_warned;
    int n_pages;     /* in the WAL after the last commit; 0 once that was looked at */
    int n_wal_pages; /* the same; 0 once the WAL begins anew */
    bool has_waited; /* the writer did, and the WAL is as long as before */
    int64_t written_us;
};

static int
on_wal(void *data, sqlite3 *db, const char *name, int n_pages)
{
    PdCheckpointer *self = data;

    pd_lock_enter(&self->lock);
    self->n_pages = n_pages;
    self->n_wal_pages = n_pages;
    self->has_waited = self->has_waited && n_pages >= 2 * RESTART_PAGES;
    self->written_us = g_get_monotonic_time();
    const bool must_warn = n_pages >= ALARM_PAGES && !self->has_warned;
    self->has_warned = n_pages >= ALARM_PAGES;
    pd_lock_leave(&self->lock);
    if (must_warn) {
        g_warning("the WAL has grown to %d MiB: a reader holds it", n_pages / 256);
    }
    return SQLITE_OK;
}

static bool
is_due(const PdCheckpointer *self, bool *idle_out)
{
    *idle_out = self->n_pages > 0 && g_get_monotonic_time() - self->written_us >= IDLE_US;
    return self->is_stopping || *idle_out || self->n_pages >= PASSIVE_PAGES;
}

/* A busy database is tried again after the next commit. Returns whether the WAL begins anew. */
static bool
checkpoint(PdCheckpointer *self, bool idle)
{
    sqlite3 *db = pd_db_handle(self->db);
    int n_pages = 0;

    if (idle) {
        return sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) ==
               SQLITE_OK;
    }
    (void)sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &n_pages, NULL);
    /* Commits without a pause never let the WAL begin anew; they wait for the short rest. */
    return n_pages >= RESTART_PAGES &&
           sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL) == SQLITE_OK;
}

static gpointer
run(gpointer data)
{
    PdCheckpointer *self = data;
    bool idle = false;

    pd_lock_enter(&self->lock);
    while (!self->is_stopping) {
        while (!is_due(self, &idle)) {
            pd_lock_wait(&self->lock, self->n_pages > 0 ? self->written_us + IDLE_US : 0);
        }
        if (self->is_stopping) {
            break;
        }
        self->n_pages = 0;
        pd_lock_leave(&self->lock);
        const bool anew = checkpoint(self, idle);
        pd_lock_enter(&self->lock);
        self->n_wal_pages = anew ? 0 : self->n_wal_pages;
        pd_lock_broadcast(&self->lock);
    }
    pd_lock_leave(&self->lock);
    return NULL;
}

PdCheckpointer *
pd_checkpointer_start(const char *path, PdDb *writer, GError **error)
{
    PdDb *db = pd_db_open(path, PD_DB_CHECKPOINTER, NULL, error);

    if (db == NULL) {
        return NULL;
    }
    PdCheckpointer *self = g_new0(PdCheckpointer, 1);
    self->db = db;
    self->writer = writer;
    pd_lock_init(&self->lock);
    sqlite3_wal_hook(pd_db_handle(writer), on_wal, self);
    self->thread = g_thread_new("store-checkpoint", run, self);
    return self;
}

void
pd_checkpointer_stop(PdCheckpointer *self)
{
    if (self == NULL) {
        return;
    }
    sqlite3_wal_hook(pd_db_handle(self->writer), NULL, NULL);
    pd_lock_enter(&self->lock);
    self->is_stopping = true;
    pd_lock_signal(&self->lock);
    pd_lock_leave(&self->lock);
    g_thread_join(self->thread);
    pd_db_close(self->db);
    pd_lock_clear(&self->lock);
    g_free(self);
}

void
pd_checkpointer_written(PdCheckpointer *self)
{
    pd_lock_enter(&self->lock);
    const int64_t until_us = g_get_monotonic_time() + WAIT_US;
    if (self->n_pages > 0) {
        pd_lock_broadcast(&self->lock);
    }
    /* Commits without a pause outrun the checkpoint; but who holds a read open for long does
     * not stop them twice. */
    while (self->n_wal_pages >= 2 * RESTART_PAGES && !self->has_waited &&
           g_get_monotonic_time() < until_us) {
        self->n_pages = self->n_wal_pages;
        pd_lock_broadcast(&self->lock);
        pd_lock_wait(&self->lock, until_us);
    }
    self->has_waited = self->n_wal_pages >= 2 * RESTART_PAGES;
    pd_lock_leave(&self->lock);
}
