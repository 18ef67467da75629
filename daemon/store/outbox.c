/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A queue under a lock and one wake-up of the main loop for all that is in it.
 */
#include "store/outbox.h"

#include "store/lock.h"

typedef struct {
    GTask *task; /* NULL: a call */
    GSourceFunc func;
    gpointer data; /* of the call, or the task's result */
    GDestroyNotify free;
    GError *error;
} Item;

struct PdOutbox {
    gatomicrefcount refs;
    GMainContext *context;
    PdLock lock; /* guards the following */
    GQueue items;
    bool is_scheduled;
    bool is_closed;
};

static void
drop_item(Item *item)
{
    if (item->free != NULL && item->data != NULL) {
        item->free(item->data);
    }
    g_clear_error(&item->error);
    g_clear_object(&item->task);
    g_free(item);
}

static void
outbox_unref(gpointer data)
{
    PdOutbox *self = data;
    Item *item = NULL;

    if (!g_atomic_ref_count_dec(&self->refs)) {
        return;
    }
    while ((item = g_queue_pop_head(&self->items)) != NULL) {
        drop_item(item);
    }
    if (self->context != NULL) {
        g_main_context_unref(self->context);
    }
    pd_lock_clear(&self->lock);
    g_free(self);
}

PdOutbox *
pd_outbox_new(GMainContext *context)
{
    PdOutbox *self = g_new0(PdOutbox, 1);

    g_atomic_ref_count_init(&self->refs);
    self->context = context != NULL ? g_main_context_ref(context) : NULL;
    pd_lock_init(&self->lock);
    g_queue_init(&self->items);
    return self;
}

void
pd_outbox_close(PdOutbox *self)
{
    pd_lock_enter(&self->lock);
    self->is_closed = true;
    pd_lock_leave(&self->lock);
    outbox_unref(self);
}

static void
deliver(Item *item, bool closed)
{
    if (item->task != NULL && item->error != NULL) {
        g_task_return_error(item->task, g_steal_pointer(&item->error));
    } else if (item->task != NULL) {
        g_task_return_pointer(item->task, g_steal_pointer(&item->data), item->free);
    } else if (!closed) {
        item->func(item->data);
    }
    drop_item(item);
}

static gboolean
on_wake(gpointer user_data)
{
    PdOutbox *self = user_data;

    pd_lock_enter(&self->lock);
    self->is_scheduled = false;
    guint n_left = g_queue_get_length(&self->items);
    pd_lock_leave(&self->lock);
    /* A callback may close the outbox; the source's reference keeps it. */
    for (; n_left > 0; n_left--) {
        pd_lock_enter(&self->lock);
        Item *item = g_queue_pop_head(&self->items);
        const bool closed = self->is_closed;
        pd_lock_leave(&self->lock);
        if (item == NULL) {
            break;
        }
        deliver(item, closed);
    }
    return G_SOURCE_REMOVE;
}

static void
push(PdOutbox *self, const Item *content)
{
    Item *item = g_memdup2(content, sizeof *content);

    pd_lock_enter(&self->lock);
    g_queue_push_tail(&self->items, item);
    const bool must_wake = !self->is_scheduled;
    self->is_scheduled = true;
    pd_lock_leave(&self->lock);
    if (must_wake) {
        g_autoptr(GSource) source = g_idle_source_new();
        g_atomic_ref_count_inc(&self->refs);
        g_source_set_priority(source, G_PRIORITY_DEFAULT);
        g_source_set_callback(source, on_wake, self, outbox_unref);
        g_source_attach(source, self->context);
    }
}

void
pd_outbox_post(PdOutbox *self, GSourceFunc func, gpointer data, GDestroyNotify free)
{
    push(self, &(Item){ .func = func, .data = data, .free = free });
}

void
pd_outbox_complete(
    PdOutbox *self, GTask *task, gpointer result, GDestroyNotify free_result, GError *error)
{
    push(self, &(Item){ .task = task, .data = result, .free = free_result, .error = error });
}
