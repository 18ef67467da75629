/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Backups for the public face: one at a time, each chunk read by a worker.
 */
#include "store/backup.h"
#include "store/store_internal.h"
#include "util/error.h"

#define DROP_TRIES   500
#define DROP_WAIT_US 10000u

/* What the store's box says of the one copy there can be. */
enum {
    COPY_NONE = 0,
    COPY_ACTIVE,
    COPY_DROPPED, /* being deleted by another worker */
    COPY_AWAITED, /* the same, and somebody waits for it */
};

typedef struct {
    PdStore *store;   /* borrowed; it waits for its workers */
    PdBackup *backup; /* borrowed */
} Read;

static void
free_backup(gpointer data)
{
    pd_backup_free(data);
}

/* Data is the store's box; the flag is only looked at where a backup is begun. */
static void
on_freed(gpointer data)
{
    gint *is_active = data;

    g_atomic_int_set(is_active, COPY_NONE);
    g_atomic_rc_box_release(is_active);
}

/* Who has read a copy to its end may ask for the next one. Only one waits for that: the others
 * of the few workers have its deletion to do. */
static bool
claim(PdStore *store)
{
    gint *state = store->is_backing_up;

    if (g_atomic_int_compare_and_exchange(state, COPY_DROPPED, COPY_AWAITED)) {
        for (int i = 0; i < DROP_TRIES && g_atomic_int_get(state) == COPY_AWAITED; i++) {
            g_usleep(DROP_WAIT_US);
        }
    }
    return g_atomic_int_compare_and_exchange(state, COPY_NONE, COPY_ACTIVE);
}

static gpointer
run_begin(gpointer data, PdDb *db, GError **error)
{
    const Read *begin = data;
    PdStore *store = begin->store;

    /* Not before: a question may be answered without having been put. */
    if (!claim(store)) {
        g_set_error(error, PD_ERROR, PD_ERROR_BUSY, "a backup is under way");
        return NULL;
    }
    PdBackup *backup =
        pd_backup_begin(store->home.state, store->home.index, store->home.raw, error);
    if (backup == NULL) {
        g_atomic_int_set(store->is_backing_up, COPY_NONE);
        return NULL;
    }
    pd_backup_on_free(backup, on_freed, g_atomic_rc_box_acquire(store->is_backing_up));
    return backup;
}

void
pd_store_backup_async(PdStore *self,
                      GCancellable *cancellable,
                      GAsyncReadyCallback callback,
                      gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    Read *begin = g_new0(Read, 1);

    begin->store = self;
    g_task_set_source_tag(task, pd_store_backup_async);
    g_task_set_task_data(task, begin, g_free);
    pd_workers_push(
        self->workers,
        &(PdWork){ .run = run_begin, .data = begin, .free_result = free_backup, .task = task });
}

PdBackup *
pd_store_backup_finish(PdStore *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

static gpointer
run_read(gpointer data, PdDb *db, GError **error)
{
    const Read *step = data;

    return pd_backup_read(step->backup, error);
}

static void
unref_bytes(gpointer data)
{
    g_bytes_unref(data);
}

void
pd_store_backup_read_async(PdStore *self,
                           PdBackup *backup,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    Read *step = g_new0(Read, 1);

    step->store = self;
    step->backup = backup;
    g_task_set_source_tag(task, pd_store_backup_read_async);
    g_task_set_task_data(task, step, g_free);
    pd_workers_push(
        self->workers,
        &(PdWork){ .run = run_read, .data = step, .free_result = unref_bytes, .task = task });
}

GBytes *
pd_store_backup_read_finish(PdStore *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

static gpointer
run_drop(gpointer data, PdDb *db, GError **error)
{
    pd_backup_free(data);
    return NULL;
}

/* With 2,000 segments these are 16 ms: not for the main loop. */
void
pd_store_backup_drop(PdStore *self, PdBackup *backup)
{
    g_atomic_int_set(self->is_backing_up, COPY_DROPPED);
    pd_workers_push(self->workers, &(PdWork){ .run = run_drop, .data = backup });
}
