/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The bounded queue between everybody and the writer.
 */
#include "store/queue.h"

#include "core/wire.h"
#include "store/lock.h"

#define QUEUE_MAX_BYTES (8u << 20)

struct PdQueue {
    uint32_t commit_ms;
    uint32_t commit_records;
    PdLock lock; /* guards the following */
    GByteArray *incoming;
    uint32_t n_incoming;
    GArray *jobs; /* PdJob */
    bool has_immediate;
    bool is_stopping;
    uint64_t n_dropped;
    size_t n_pending_bytes; /* of a batch not committed yet */
    int64_t window_us;      /* end of the window, 0 when nothing waits */
};

void
pd_job_clear(PdJob *self)
{
    if (self->free != NULL) {
        self->free(self->data);
    }
    g_clear_object(&self->task);
}

static void
clear_job(gpointer data)
{
    pd_job_clear(data);
}

PdQueue *
pd_queue_new(uint32_t commit_ms, uint32_t commit_records)
{
    PdQueue *self = g_new0(PdQueue, 1);

    self->commit_ms = commit_ms;
    self->commit_records = commit_records;
    self->incoming = g_byte_array_new();
    self->jobs = g_array_new(FALSE, FALSE, sizeof(PdJob));
    pd_lock_init(&self->lock);
    return self;
}

void
pd_queue_free(PdQueue *self)
{
    g_array_set_clear_func(self->jobs, clear_job);
    g_array_unref(self->jobs);
    g_byte_array_unref(self->incoming);
    pd_lock_clear(&self->lock);
    g_free(self);
}

static void
open_window(PdQueue *self)
{
    if (self->window_us == 0) {
        self->window_us = g_get_monotonic_time() + (int64_t)self->commit_ms * 1000;
        pd_lock_signal(&self->lock);
    }
}

bool
pd_queue_append(PdQueue *self, uint64_t log_id, const uint8_t *record, size_t n_record)
{
    uint8_t header[PD_BATCH_ITEM_HEADER];

    pen_wire_put(header, 8, log_id);
    pen_wire_put(header + 8, 2, n_record);
    pd_lock_enter(&self->lock);
    const size_t n_waiting = self->incoming->len + self->n_pending_bytes;
    const bool fits = n_waiting + sizeof header + n_record <= QUEUE_MAX_BYTES;
    if (fits) {
        g_byte_array_append(self->incoming, header, sizeof header);
        g_byte_array_append(self->incoming, record, (guint)n_record);
        self->n_incoming++;
        open_window(self);
        if (self->n_incoming == self->commit_records) {
            pd_lock_signal(&self->lock);
        }
    } else {
        self->n_dropped++;
    }
    pd_lock_leave(&self->lock);
    return fits;
}

void
pd_queue_count_dropped(PdQueue *self)
{
    pd_lock_enter(&self->lock);
    self->n_dropped++;
    pd_lock_leave(&self->lock);
}

void
pd_queue_submit(PdQueue *self, const PdJob *job)
{
    pd_lock_enter(&self->lock);
    g_array_append_val(self->jobs, *job);
    if (job->task != NULL) {
        self->has_immediate = true;
        pd_lock_signal(&self->lock);
    } else {
        open_window(self);
    }
    pd_lock_leave(&self->lock);
}

void
pd_queue_stop(PdQueue *self)
{
    pd_lock_enter(&self->lock);
    self->is_stopping = true;
    pd_lock_signal(&self->lock);
    pd_lock_leave(&self->lock);
}

static bool
is_due(const PdQueue *self, int64_t own_us, int64_t retry_us)
{
    const int64_t now_us = g_get_monotonic_time();

    if (self->is_stopping || self->has_immediate) {
        return true;
    }
    if (retry_us != 0) {
        return now_us >= retry_us;
    }
    return self->n_incoming >= self->commit_records ||
           (self->window_us != 0 && now_us >= self->window_us) || (own_us != 0 && now_us >= own_us);
}

static int64_t
wake_at(const PdQueue *self, int64_t own_us, int64_t retry_us)
{
    if (retry_us != 0) {
        return retry_us;
    }
    if (own_us != 0 && (self->window_us == 0 || own_us < self->window_us)) {
        return own_us;
    }
    return self->window_us;
}

/* The batch takes over the queue's memory when it can, so that appending goes on at once. */
static void
move_records(PdQueue *self, PdBatch *batch)
{
    if (batch->at > 0) {
        g_byte_array_remove_range(batch->records, 0, (guint)batch->at);
        batch->at = 0;
    }
    if (batch->records->len == 0) {
        GByteArray *swapped = batch->records;
        batch->records = self->incoming;
        self->incoming = swapped;
    } else {
        g_byte_array_append(batch->records, self->incoming->data, self->incoming->len);
        g_byte_array_set_size(self->incoming, 0);
    }
}

void
pd_queue_take(PdQueue *self, PdBatch *batch, int64_t own_us, int64_t retry_us)
{
    pd_lock_enter(&self->lock);
    while (!is_due(self, own_us, retry_us)) {
        pd_lock_wait(&self->lock, wake_at(self, own_us, retry_us));
    }
    move_records(self, batch);
    if (self->jobs->len > 0) {
        g_array_append_vals(batch->jobs, self->jobs->data, self->jobs->len);
        g_array_set_size(self->jobs, 0);
    }
    self->n_incoming = 0;
    self->n_pending_bytes = batch->records->len;
    self->window_us = 0;
    self->has_immediate = false;
    batch->is_last = self->is_stopping;
    pd_lock_leave(&self->lock);
}

void
pd_queue_set_pending(PdQueue *self, size_t n_bytes)
{
    pd_lock_enter(&self->lock);
    self->n_pending_bytes = n_bytes;
    pd_lock_leave(&self->lock);
}

void
pd_queue_get_counts(PdQueue *self, uint64_t *n_bytes_out, uint64_t *n_dropped_out)
{
    pd_lock_enter(&self->lock);
    *n_bytes_out = self->incoming->len + self->n_pending_bytes;
    *n_dropped_out = self->n_dropped;
    pd_lock_leave(&self->lock);
}
