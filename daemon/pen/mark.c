/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * When a pen is told what it may reuse: only up to the contiguous durable number, and
 * seldom, as received and may-forget are two different things (F5).
 */
#include "pen/pen.h"

#define EVERY_US      (INT64_C(600) * 1000000) /* F5: after 10 min */
#define FREE_PERMILLE 250u                     /* F5: less than 25 % */

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

uint32_t
pd_mark_get_due(PdPen *pen)
{
    const uint32_t durable = MIN(pen->durable, pen->link.feature.newest);
    const bool is_late = g_get_monotonic_time() - pen->marked_us >= EVERY_US;
    const bool is_full = pen->link.feature.free_permille < FREE_PERMILLE;

    if (pen->mark_goal != 0) {
        flush_for_goal(pen);
    }
    if (durable <= pen->info->marked || durable < pen->link.feature.oldest) {
        return 0;
    }
    const bool is_reached = pen->mark_goal != 0 && durable >= pen->mark_goal;
    return is_reached || is_full || is_late ? durable : 0;
}

void
pd_mark_done(PdPen *pen, uint32_t number)
{
    pen->info->marked = number;
    pen->marked_us = g_get_monotonic_time();
    pen->link.feature.marked = MAX(pen->link.feature.marked, number);
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
    if (pen->mark_goal != 0) {
        pd_racp_pump(pen);
    }
}
