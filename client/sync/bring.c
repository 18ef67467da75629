/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What --import does. Decides that a set which is refused does not stop the others.
 */
#include "sync/bring.h"

#include "sync/error.h"

#include <stdio.h>

typedef struct {
    const SyncIntaker *intaker; /* borrowed; outlives the call by contract */
    CliSets *sets;              /* owned */
    SyncBrought brought;
    guint next;
} Bringing;

static void
bringing_free(gpointer data)
{
    Bringing *self = data;

    cli_sets_free(self->sets);
    g_free(self);
}

static void
say(SyncBrought *brought, const SyncIntake *intake)
{
    if (intake->refusal != NULL) {
        g_warning("%s", intake->refusal);
        brought->n_refused++;
        return;
    }
    if (intake->is_known) {
        printf("%s: taken over before\n", intake->set);
        return;
    }
    printf("%s: %" G_GUINT64_FORMAT " deliveries, %" G_GUINT64_FORMAT " new\n",
           intake->set,
           intake->n_deliveries,
           intake->n_new);
    for (guint i = 0; i < intake->refused->len; i++) {
        g_warning("%s", (const char *)intake->refused->pdata[i]);
    }
    if (intake->n_refused > intake->refused->len) {
        g_warning("%s: and %" G_GUINT64_FORMAT " more",
                  intake->set,
                  intake->n_refused - intake->refused->len);
    }
    if (intake->missing != NULL) {
        printf("%s was not taken over, the set before %s; bring it too\n",
               intake->missing,
               intake->set);
    }
    brought->n_new += intake->n_new;
    brought->n_refused += intake->n_refused;
}

static void take_next(GTask *task);

static void
on_taken(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    Bringing *self = g_task_get_task_data(task);
    GError *error = NULL;
    g_autoptr(SyncIntake) intake = sync_intake_finish(result, &error);

    if (intake == NULL) {
        g_task_return_error(task, error);
        return;
    }
    say(&self->brought, intake);
    take_next(g_steal_pointer(&task));
}

/* Takes over @task. */
static void
take_next(GTask *task)
{
    Bringing *self = g_task_get_task_data(task);

    while (self->next < self->sets->names->len) {
        g_autoptr(GError) error = NULL;
        CliSet *set = cli_sets_open_set(self->sets, self->next++, &error);
        self->brought.n_sets++;
        if (set != NULL) {
            sync_intake_async(self->intaker, set, g_task_get_cancellable(task), on_taken, task);
            return;
        }
        g_warning("%s", error->message);
        self->brought.n_refused++;
    }
    g_task_return_boolean(task, TRUE);
    g_object_unref(task);
}

void
sync_bring_async(const SyncIntaker *intaker,
                 CliSets *sets,
                 GCancellable *cancellable,
                 GAsyncReadyCallback callback,
                 gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    Bringing *self = g_new0(Bringing, 1);

    g_task_set_source_tag(task, sync_bring_async);
    *self = (Bringing){ .intaker = intaker, .sets = sets };
    g_task_set_task_data(task, self, bringing_free);
    take_next(task);
}

bool
sync_bring_finish(GAsyncResult *result, SyncBrought *brought_out, GError **error)
{
    const Bringing *self = g_task_get_task_data(G_TASK(result));

    *brought_out = self->brought;
    return g_task_propagate_boolean(G_TASK(result), error);
}
