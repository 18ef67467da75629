/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The window shrinks where windows come back with holes and grows where they do not; it
 * begins small, as nothing is known of the records to come. A number that a pen says it has but
 * never sends holds up nothing else (P33).
 */
#include "pen/backfill.h"

void
pd_backfill_init(PdBackfill *self)
{
    *self = (PdBackfill){ .n_numbers = PD_BACKFILL_BEGIN, .n_record_segments = 1 };
    pen_ranges_init(&self->given_up);
    self->tries = g_hash_table_new(g_direct_hash, g_direct_equal);
}

void
pd_backfill_clear(PdBackfill *self)
{
    pen_ranges_clear(&self->given_up);
    g_clear_pointer(&self->tries, g_hash_table_unref);
}

void
pd_backfill_set_record(PdBackfill *self, uint32_t n_record_segments)
{
    self->n_record_segments = MAX(n_record_segments, 1u);
}

uint32_t
pd_backfill_get_numbers(const PdBackfill *self)
{
    const uint32_t n_fitting = PD_BACKFILL_SEGMENTS_MAX / self->n_record_segments;

    return MAX(MIN(self->n_numbers, n_fitting), 1u);
}

static bool
next_within(
    PdBackfill *self, PdProgress *progress, uint32_t first, uint32_t last, PenRange *window_out)
{
    const uint32_t n_max = pd_backfill_get_numbers(self);
    PenRange missing;

    while (pd_progress_first_missing(progress, first, last, n_max, &missing)) {
        if (!pen_ranges_contains(&self->given_up, missing.first)) {
            return pen_ranges_first_missing(
                &self->given_up, missing.first, missing.last, n_max, window_out);
        }
        const uint32_t end = pen_ranges_contiguous_from(&self->given_up, missing.first);
        if (end >= last) {
            return false;
        }
        first = end + 1;
    }
    return false;
}

bool
pd_backfill_next(PdBackfill *self,
                 PdProgress *progress,
                 uint32_t oldest,
                 uint32_t newest,
                 uint32_t session,
                 PenRange *window_out)
{
    const uint32_t first = MAX(oldest, 1u);

    if (session > first && next_within(self, progress, session, newest, window_out)) {
        return true;
    }
    return next_within(self, progress, first, newest, window_out);
}

static void
count_try(PdBackfill *self, uint32_t number)
{
    gpointer key = GUINT_TO_POINTER(number);
    const guint n_tries = GPOINTER_TO_UINT(g_hash_table_lookup(self->tries, key)) + 1u;

    if (n_tries < PD_BACKFILL_TRIES_MAX) {
        g_hash_table_insert(self->tries, key, GUINT_TO_POINTER(n_tries));
        return;
    }
    g_hash_table_remove(self->tries, key);
    (void)pen_ranges_add(&self->given_up, number, number);
}

uint32_t
pd_backfill_judge(PdBackfill *self, PdProgress *progress, const PenRange *window)
{
    uint32_t n_missing = 0;

    for (uint32_t number = window->first; number <= window->last && number >= window->first;
         number++) {
        if (pd_progress_count_missing(progress, number, number) > 0) {
            n_missing++;
            count_try(self, number);
        } else {
            g_hash_table_remove(self->tries, GUINT_TO_POINTER(number));
        }
    }
    /* From what was really asked: room that no window used is not known to be there. */
    const uint32_t n_numbers = pd_backfill_get_numbers(self);
    if (n_missing > 0) {
        self->n_clean = 0;
        self->n_numbers = MAX(n_numbers / 2, 1u);
    } else if (++self->n_clean >= 2) {
        self->n_clean = 0;
        self->n_numbers = MIN(n_numbers * 2, PD_BACKFILL_SEGMENTS_MAX);
    }
    return n_missing;
}
