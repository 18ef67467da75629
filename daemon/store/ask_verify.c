/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Verification for the public face: a step on a worker, after what is under way was written
 * when the step before asked for it.
 */
#include "store/store_internal.h"
#include "store/verify.h"
#include "util/error.h"

typedef struct {
    PdStore **alive;  /* ref; NULL in it once the store is closed */
    PdVerify *verify; /* borrowed */
    bool done;
} Step;

static void
free_step(gpointer data)
{
    Step *step = data;

    g_rc_box_release(step->alive);
    g_free(step);
}

static void
unref_findings(gpointer data)
{
    g_ptr_array_unref(data);
}

static gpointer
run_step(gpointer data, PdDb *db, GError **error)
{
    Step *step = data;
    GPtrArray *findings = g_ptr_array_new_with_free_func((GDestroyNotify)pd_finding_free);

    step->done = !pd_verify_step(step->verify, findings);
    return findings;
}

static void
push(PdStore *self, Step *step, GTask *task)
{
    pd_workers_push(
        self->workers,
        &(PdWork){ .run = run_step, .data = step, .free_result = unref_findings, .task = task });
}

/* A store that cannot write just now can be verified all the same. */
static void
on_flushed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    GTask *task = user_data;
    Step *step = g_task_get_task_data(task);

    if (*step->alive == NULL) {
        g_task_return_new_error(task, PD_ERROR, PD_ERROR_FAILED, "the store is closing");
        g_object_unref(task);
        return;
    }
    push(*step->alive, step, task);
}

PdVerify *
pd_store_verify_new(PdStore *self, const PdVerifyAnchor *anchor)
{
    return pd_verify_new(self->home.index, self->home.raw, anchor);
}

void
pd_store_verify_async(PdStore *self,
                      PdVerify *verify,
                      GCancellable *cancellable,
                      GAsyncReadyCallback callback,
                      gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    Step *step = g_new0(Step, 1);

    step->alive = g_rc_box_acquire(self->alive);
    step->verify = verify;
    g_task_set_source_tag(task, pd_store_verify_async);
    g_task_set_task_data(task, step, free_step);
    if (pd_verify_wants_flush(verify)) {
        pd_store_flush_async(self, cancellable, on_flushed, task);
    } else {
        push(self, step, task);
    }
}

GPtrArray *
pd_store_verify_finish(PdStore *self, GAsyncResult *result, bool *done_out, GError **error)
{
    const Step *step = g_task_get_task_data(G_TASK(result));
    GPtrArray *findings = g_task_propagate_pointer(G_TASK(result), error);

    if (findings != NULL) {
        *done_out = step->done;
    }
    return findings;
}
