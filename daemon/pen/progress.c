/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The numbers of one log under a lock. What the store refused for want of room is never
 * added here, so it stays a gap and is asked for again (F4). Not GLib's lock, which
 * ThreadSanitizer cannot see.
 */
#include "pen/progress.h"

#include <pthread.h>

struct PdProgress {
    gint n_refs; /* atomic */
    uint64_t log_id;
    pthread_mutex_t lock; /* of all below */
    PenRanges known;
    uint32_t newest;      /* that exists, as far as anybody said */
    uint32_t newest_seen; /* of the records taken or settled */
    uint32_t session;     /* of newest_seen, 0 when none is open */
};

PdProgress *
pd_progress_new(uint64_t log_id, PenRanges *settled)
{
    PdProgress *self = g_new0(PdProgress, 1);

    self->n_refs = 1;
    self->log_id = log_id;
    pthread_mutex_init(&self->lock, NULL);
    self->known = *settled;
    pen_ranges_init(settled);
    if (self->known.n_ranges > 0) {
        self->newest = self->known.ranges[self->known.n_ranges - 1].last;
        self->newest_seen = self->newest;
    }
    return self;
}

PdProgress *
pd_progress_ref(PdProgress *self)
{
    g_atomic_int_inc(&self->n_refs);
    return self;
}

void
pd_progress_unref(PdProgress *self)
{
    if (!g_atomic_int_dec_and_test(&self->n_refs)) {
        return;
    }
    pen_ranges_clear(&self->known);
    pthread_mutex_destroy(&self->lock);
    g_free(self);
}

uint64_t
pd_progress_get_log_id(const PdProgress *self)
{
    return self->log_id;
}

bool
pd_progress_take(PdProgress *self, const PenRecordHeader *header, bool is_session_end)
{
    pthread_mutex_lock(&self->lock);
    const bool is_newest = header->number >= self->newest_seen;
    const bool has_gap = header->number > self->newest_seen + 1u;
    (void)pen_ranges_add(&self->known, header->number, header->number);
    if (is_newest) {
        self->newest_seen = header->number;
        self->session = is_session_end ? 0 : header->session;
    }
    self->newest = MAX(self->newest, header->number);
    pthread_mutex_unlock(&self->lock);
    return is_newest && has_gap;
}

void
pd_progress_settle(PdProgress *self, uint32_t first, uint32_t last)
{
    pthread_mutex_lock(&self->lock);
    (void)pen_ranges_add(&self->known, first, last);
    if (last > self->newest_seen) {
        /* It may have been the end of the session: who waits for that would wait for ever. */
        self->newest_seen = last;
        self->session = 0;
    }
    pthread_mutex_unlock(&self->lock);
}

void
pd_progress_raise(PdProgress *self, uint32_t newest)
{
    pthread_mutex_lock(&self->lock);
    self->newest = MAX(self->newest, newest);
    pthread_mutex_unlock(&self->lock);
}

uint32_t
pd_progress_get_newest(PdProgress *self)
{
    pthread_mutex_lock(&self->lock);
    const uint32_t newest = self->newest;
    pthread_mutex_unlock(&self->lock);
    return newest;
}

uint32_t
pd_progress_get_session(PdProgress *self)
{
    pthread_mutex_lock(&self->lock);
    const uint32_t session = self->session;
    pthread_mutex_unlock(&self->lock);
    return session;
}

bool
pd_progress_first_missing(
    PdProgress *self, uint32_t first, uint32_t last, uint32_t n_max, PenRange *missing_out)
{
    pthread_mutex_lock(&self->lock);
    const bool found = pen_ranges_first_missing(&self->known, first, last, n_max, missing_out);
    pthread_mutex_unlock(&self->lock);
    return found;
}

uint64_t
pd_progress_count_missing(PdProgress *self, uint32_t first, uint32_t last)
{
    uint64_t n_missing = first > last ? 0 : (uint64_t)last - first + 1u;

    pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < self->known.n_ranges && n_missing > 0; i++) {
        const uint32_t from = MAX(self->known.ranges[i].first, first);
        const uint32_t to = MIN(self->known.ranges[i].last, last);

        n_missing -= from <= to ? (uint64_t)to - from + 1u : 0;
    }
    pthread_mutex_unlock(&self->lock);
    return n_missing;
}
