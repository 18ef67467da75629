/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Query threads. Nobody's question may hold a read transaction for long (F14), so a few
 * are enough for a thousand clients.
 */
#include "store/workers.h"

#include "store/home.h"
#include "store/lock.h"

#define N_WORKERS 3u

struct PdWorkers {
    char *path;       /* owned */
    PdOutbox *outbox; /* borrowed; closed after the workers */
    PdLock lock;      /* guards the following */
    GQueue queue;     /* owned PdWork */
    GThread *threads[N_WORKERS];
    guint n_threads;
    guint n_idle;
    bool is_stopping;
};

/* The next start looks at every page before it trusts the store (F12). */
static void
suspect(PdWorkers *self, PdDb *db)
{
    const bool damaged = pd_db_is_damaged(db);

    pd_db_clear_code(db);
    if (!damaged) {
        return;
    }
    pd_home_suspect_index(self->path);
    g_warning("a query met damage in the store: restart penteld to have it checked");
}

static void
answer(PdWorkers *self, PdWork *work, PdDb **db)
{
    GError *error = NULL;
    gpointer result = NULL;

    if (work->task == NULL) {
        (void)work->run(work->data, NULL, NULL);
        g_free(work);
        return;
    }
    if (!g_cancellable_set_error_if_cancelled(g_task_get_cancellable(work->task), &error)) {
        if (*db == NULL) {
            *db = pd_db_open(self->path, PD_DB_READER, NULL, &error);
        }
        if (*db != NULL) {
            result = work->run(work->data, *db, &error);
            suspect(self, *db);
        }
    }
    pd_outbox_complete(self->outbox, work->task, result, work->free_result, error);
    g_free(work);
}

static gpointer
run(gpointer data)
{
    PdWorkers *self = data;
    PdDb *db = NULL;

    pd_lock_enter(&self->lock);
    for (;;) {
        PdWork *work = g_queue_pop_head(&self->queue);
        if (work == NULL && self->is_stopping) {
            break;
        }
        if (work == NULL) {
            self->n_idle++;
            pd_lock_wait(&self->lock, 0);
            self->n_idle--;
            continue;
        }
        pd_lock_leave(&self->lock);
        answer(self, work, &db);
        pd_lock_enter(&self->lock);
    }
    pd_lock_leave(&self->lock);
    pd_db_close(db);
    return NULL;
}

PdWorkers *
pd_workers_new(const char *path, PdOutbox *outbox)
{
    PdWorkers *self = g_new0(PdWorkers, 1);

    self->path = g_strdup(path);
    self->outbox = outbox;
    pd_lock_init(&self->lock);
    g_queue_init(&self->queue);
    return self;
}

void
pd_workers_stop(PdWorkers *self)
{
    pd_lock_enter(&self->lock);
    self->is_stopping = true;
    pd_lock_broadcast(&self->lock);
    pd_lock_leave(&self->lock);
    for (guint i = 0; i < self->n_threads; i++) {
        g_thread_join(self->threads[i]);
    }
    pd_lock_clear(&self->lock);
    g_free(self->path);
    g_free(self);
}

void
pd_workers_push(PdWorkers *self, const PdWork *work)
{
    pd_lock_enter(&self->lock);
    g_queue_push_tail(&self->queue, g_memdup2(work, sizeof *work));
    if (self->n_idle < g_queue_get_length(&self->queue) && self->n_threads < N_WORKERS) {
        self->threads[self->n_threads] = g_thread_new("store-reader", run, self);
        self->n_threads++;
    } else {
        pd_lock_signal(&self->lock);
    }
    pd_lock_leave(&self->lock);
}
