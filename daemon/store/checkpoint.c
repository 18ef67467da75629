/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The checkpointer thread.
 */
#include "store/checkpoint.h"

#include "store/lock.h"

#define WAIT_US INT64_C(2000000)

struct PdCheckpointer {
    PdCheckpointerConfig config;
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
    int64_t failed_us; /* monotonic; 0: no sync has failed */
    bool has_asked;    /* for a restart */
};

/* Commits without a pause never let the WAL begin anew; they wait for the short rest. */
static int
restart_pages(const PdCheckpointer *self)
{
    return 2 * self->config.n_pages;
}

/* The writer is held up until the WAL begins anew. */
static int
wait_pages(const PdCheckpointer *self)
{
    return 4 * self->config.n_pages;
}

static int
on_wal(void *data, sqlite3 *db, const char *name, int n_pages)
{
    PdCheckpointer *self = data;

    pd_lock_enter(&self->lock);
    self->n_pages = n_pages;
    self->n_wal_pages = n_pages;
    self->has_waited = self->has_waited && n_pages >= wait_pages(self);
    self->written_us = g_get_monotonic_time();
    const bool is_long = n_pages >= self->config.n_alarm_pages && self->failed_us == 0;
    const bool must_warn = is_long && !self->has_warned;
    self->has_warned = is_long;
    pd_lock_leave(&self->lock);
    if (must_warn) {
        g_warning("the WAL has grown to %d MiB: a reader holds it", n_pages / 256);
    }
    return SQLITE_OK;
}

bool
pd_checkpointer_has_failed(PdCheckpointer *self)
{
    if (self == NULL) {
        return false;
    }
    pd_lock_enter(&self->lock);
    const bool has_failed = self->failed_us != 0;
    pd_lock_leave(&self->lock);
    return has_failed;
}

static void
note_failed(PdCheckpointer *self, PdDb *db)
{
    const char *why = sqlite3_errmsg(pd_db_handle(db));

    g_warning("the disk did not take what was brought into index.db (%s): all of it stays in "
              "index.db-wal until penteld starts again",
              why);
    pd_lock_enter(&self->lock);
    self->failed_us = self->failed_us == 0 ? g_get_monotonic_time() : self->failed_us;
    pd_lock_broadcast(&self->lock);
    pd_lock_leave(&self->lock);
}

/* @n_pages_out: in the WAL. Returns whether the WAL begins anew after another mode than passive. */
static bool
checkpoint(PdCheckpointer *self, PdDb *db, int mode, int *n_pages_out)
{
    if (pd_checkpointer_has_failed(self)) {
        return false;
    }
    const int rc = sqlite3_wal_checkpoint_v2(pd_db_handle(db), NULL, mode, n_pages_out, NULL);
    if (rc == SQLITE_IOERR_FSYNC && self != NULL) {
        note_failed(self, db);
    }
    return rc == SQLITE_OK;
}

/* A busy database is tried again after the next commit. Returns whether the WAL begins anew. */
static bool
bring_over(PdCheckpointer *self, bool idle)
{
    int n_pages = 0;

    if (idle) {
        return checkpoint(self, self->db, SQLITE_CHECKPOINT_TRUNCATE, NULL);
    }
    (void)checkpoint(self, self->db, SQLITE_CHECKPOINT_PASSIVE, &n_pages);
    return n_pages >= restart_pages(self) &&
           checkpoint(self, self->db, SQLITE_CHECKPOINT_RESTART, NULL);
}

/* When there is something to do: 0 now, INT64_MAX never. With the lock held. */
static int64_t
due_us(const PdCheckpointer *self)
{
    const int64_t idle_us = self->written_us + self->config.idle_us;

    if (self->failed_us != 0) {
        const bool is_long = self->n_wal_pages >= self->config.n_alarm_pages;
        return self->has_asked ? INT64_MAX
               : is_long       ? 0
                               : MAX(idle_us, self->failed_us + self->config.failed_us);
    }
    if (self->n_pages >= self->config.n_pages) {
        return 0;
    }
    return self->n_pages > 0 ? idle_us : INT64_MAX;
}

/* Returns when something is due. With the lock held. */
static void
wait_until_due(PdCheckpointer *self)
{
    int64_t until_us = due_us(self);

    while (!self->is_stopping && until_us > g_get_monotonic_time()) {
        pd_lock_wait(&self->lock, until_us == INT64_MAX ? 0 : until_us);
        until_us = due_us(self);
    }
}

/* With the lock held, which is let go for as long as it takes. */
static void
do_what_is_due(PdCheckpointer *self)
{
    const bool has_failed = self->failed_us != 0;
    const bool idle = self->n_pages < self->config.n_pages;

    self->has_asked = has_failed;
    self->n_pages = 0;
    pd_lock_leave(&self->lock);
    bool anew = false;
    if (has_failed) {
        self->config.must_restart(self->config.user_data);
    } else {
        anew = bring_over(self, idle);
    }
    pd_lock_enter(&self->lock);
    self->n_wal_pages = anew ? 0 : self->n_wal_pages;
    pd_lock_broadcast(&self->lock);
}

static gpointer
run(gpointer data)
{
    PdCheckpointer *self = data;

    pd_lock_enter(&self->lock);
    wait_until_due(self);
    while (!self->is_stopping) {
        do_what_is_due(self);
        wait_until_due(self);
    }
    pd_lock_leave(&self->lock);
    return NULL;
}

PdCheckpointer *
pd_checkpointer_start(const PdCheckpointerConfig *config,
                      const char *path,
                      PdDb *writer,
                      GError **error)
{
    PdDb *db = pd_db_open(path, PD_DB_CHECKPOINTER, NULL, error);

    if (db == NULL) {
        return NULL;
    }
    PdCheckpointer *self = g_new0(PdCheckpointer, 1);
    self->config = *config;
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
    while (self->n_wal_pages >= wait_pages(self) && !self->has_waited && self->failed_us == 0 &&
           g_get_monotonic_time() < until_us) {
        self->n_pages = self->n_wal_pages;
        pd_lock_broadcast(&self->lock);
        pd_lock_wait(&self->lock, until_us);
    }
    self->has_waited = self->n_wal_pages >= wait_pages(self);
    pd_lock_leave(&self->lock);
}

bool
pd_checkpointer_truncate(PdCheckpointer *self, PdDb *db)
{
    return checkpoint(self, db, SQLITE_CHECKPOINT_TRUNCATE, NULL);
}
