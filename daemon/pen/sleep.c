/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What pens do when the machine sleeps (P27): links that are ours are ended, so that no
 * pen waits for its supervision time-out and no bond meets a half-dead link; what was
 * heard is written; then logind gets its lock back. Nothing is tried until the wake,
 * and then all begins anew on the adapters that are there.
 */
#include "pen/logind.h"
#include "pen/pen.h"

#define LINKS_MS 2000 /* of the 5 s that logind gives; the rest is the disk's */
#define POLL_MS  50

/* One way into sleep; outlives the manager if the store takes long. */
typedef struct {
    PdPenManager *manager; /* borrowed; not used when life is over */
    PdStore *store;        /* borrowed: it completes before it is closed */
    GCancellable *life;    /* owned */
    uint32_t n_sleeps;     /* which one */
} SleepCall;

static void
sleep_call_free(SleepCall *call)
{
    g_object_unref(call->life);
    g_free(call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SleepCall, sleep_call_free)

static void
on_flushed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(SleepCall) call = user_data;
    g_autoptr(GError) error = NULL;

    if (!pd_store_flush_finish(call->store, result, &error)) {
        g_warning("not all is on disk before the sleep: %s", error->message);
    }
    if (g_cancellable_is_cancelled(call->life) || !call->manager->is_asleep ||
        call->manager->n_sleeps != call->n_sleeps) {
        return;
    }
    g_message("pens are let go and what they said is on disk: the machine may sleep");
    pd_logind_ready(call->manager->logind);
}

static void
flush(PdPenManager *self)
{
    SleepCall *call = g_new0(SleepCall, 1);

    call->manager = self;
    call->store = self->store;
    call->life = g_object_ref(self->life);
    call->n_sleeps = self->n_sleeps;
    pd_store_flush_async(self->store, NULL, on_flushed, call);
}

static bool
is_any_link_ending(const PdPenManager *self)
{
    for (guint i = 0; i < self->pens->len; i++) {
        const PdPen *pen = g_ptr_array_index(self->pens, i);

        if (pen->n_letting_go > 0) {
            return true;
        }
    }
    return false;
}

static gboolean
on_poll(gpointer user_data)
{
    PdPenManager *self = user_data;
    const bool is_late = g_get_monotonic_time() - self->sleep_us > LINKS_MS * INT64_C(1000);

    if (is_any_link_ending(self) && !is_late) {
        return G_SOURCE_CONTINUE;
    }
    self->sleep_timer = 0;
    flush(self);
    return G_SOURCE_REMOVE;
}

static void
on_going(void *user_data)
{
    PdPenManager *self = user_data;

    g_message("the machine goes to sleep");
    self->is_asleep = true;
    self->n_sleeps++;
    self->sleep_us = g_get_monotonic_time();
    if (self->enrol != NULL) {
        pd_enrol_cancel(self->enrol, "the machine goes to sleep");
    }
    for (guint i = 0; i < self->pens->len; i++) {
        pd_pen_sleep(g_ptr_array_index(self->pens, i));
    }
    g_clear_handle_id(&self->sleep_timer, g_source_remove);
    self->sleep_timer = g_timeout_add(POLL_MS, on_poll, self);
}

static void
on_woke(void *user_data)
{
    PdPenManager *self = user_data;

    g_message("the machine woke");
    self->is_asleep = false;
    g_clear_handle_id(&self->sleep_timer, g_source_remove);
    for (guint i = 0; i < self->pens->len; i++) {
        pd_pen_wake(g_ptr_array_index(self->pens, i));
    }
}

void
pd_sleep_start(PdPenManager *self)
{
    static const PdLogindListener listener = { .going = on_going, .woke = on_woke };

    self->logind = pd_logind_new(self->bus, &listener, self);
}

void
pd_sleep_stop(PdPenManager *self)
{
    g_clear_handle_id(&self->sleep_timer, g_source_remove);
    g_clear_pointer(&self->logind, pd_logind_free);
}
