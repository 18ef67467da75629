/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * When a pen is told what it may reuse: only up to the contiguous durable number, and
 * seldom, as received and may-forget are two different things (F5).
 */
#include "pen/pen.h"

#define EVERY_US      (INT64_C(600) * 1000000) /* F5: after 10 min */
#define FREE_PERMILLE 250u                     /* F5: less than 25 % */
#define FULL_PERMILLE (1000u - FREE_PERMILLE)

static void
on_flushed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPen) pen = user_data;
    g_autoptr(GError) error = NULL;
    PdPenManager *manager = pen->manager;

    pen->is_flushing = false;
    if (manager == NULL) {
        return;
    }
    if (!pd_store_flush_finish(manager->store, result, &error)) {
        g_message("%s: not marked: %s", pen->info->serial, error->message);
        return;
    }
    pd_racp_pump(pen);
}

/* All of the session is here, only not durable yet: do not wait for the commit window. */
static void
flush_for_goal(PdPen *pen)
{
    if (pen->is_flushing || pen->durable >= pen->mark_goal ||
        pd_progress_count_missing(pen->progress, 1, pen->mark_goal) > 0) {
        return;
    }
    pen->is_flushing = true;
    pd_store_flush_async(pen->manager->store, NULL, on_flushed, pd_pen_ref(pen));
}

/*
 * Less than a quarter is free: as the pen said since the last mark, or by count, as it
 * says nothing while records flow.
 */
static bool
is_full(PdPen *pen)
{
    const PenFeature *feature = &pen->link.feature;
    const uint32_t kept_from = MAX(feature->marked, feature->oldest > 0 ? feature->oldest - 1 : 0);
    const uint32_t newest = pd_progress_get_newest(pen->progress);
    const uint64_t n_kept = newest > kept_from ? newest - kept_from : 0;

    return feature->free_permille < FREE_PERMILLE ||
           (feature->capacity_records > 0 &&
            n_kept * 1000u > (uint64_t)feature->capacity_records * FULL_PERMILLE);
}

uint32_t
pd_mark_get_due(PdPen *pen)
{
    const uint32_t durable = MIN(pen->durable, pd_progress_get_newest(pen->progress));
    const bool is_late = g_get_monotonic_time() - pen->marked_us >= EVERY_US;

    if (pen->mark_goal != 0) {
        flush_for_goal(pen);
    }
    if (durable <= pen->info->marked || durable < pen->link.feature.oldest) {
        return 0;
    }
    const bool is_reached = pen->mark_goal != 0 && durable >= pen->mark_goal;
    return is_reached || is_late || is_full(pen) ? durable : 0;
}

void
pd_mark_done(PdPen *pen, uint32_t number)
{
    pen->info->marked = number;
    pen->marked_us = g_get_monotonic_time();
    pen->link.feature.marked = MAX(pen->link.feature.marked, number);
    pen->link.feature.free_permille = 1000; /* until the pen says it anew */
    pd_store_set_marked(pen->manager->store, pen->info->log_id, number);
    if (number >= pen->mark_goal) {
        pen->mark_goal = 0;
    }
    g_debug("%s: marked up to %u", pen->info->serial, number);
}

void
pd_mark_on_durable(PdPen *pen, uint32_t contiguous)
{
    pen->durable = MAX(pen->durable, contiguous);
    pd_racp_pump(pen);
}
