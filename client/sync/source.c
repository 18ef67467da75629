/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides who is asked for a session: penteld for those of its journal, our own state for
 * those that were carried here.
 */
#include "sync/source.h"

#include "sync/carried.h"

static void
free_fetched(gpointer data)
{
    sync_fetched_free(data);
}

void
sync_source_fetch_async(const SyncSource *self,
                        const SyncPending *pending,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
    GError *error = NULL;

    if (pending->gateway[0] == '\0') {
        sync_fetch_async(
            self->bus, pending->session, self->wants_raw, cancellable, callback, user_data);
        return;
    }
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);
    g_task_set_source_tag(task, sync_source_fetch_async);
    SyncFetched *fetched =
        sync_carried_fetch(self->state, pending, self->own_gateway, self->wants_raw, &error);
    if (fetched == NULL) {
        g_task_return_error(task, error);
        return;
    }
    g_task_return_pointer(task, fetched, free_fetched);
}

SyncFetched *
sync_source_fetch_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
