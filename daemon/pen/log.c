/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What Feature says about the pen's log: which one it is, how far it reaches, and what
 * of it can never be had any more, lost or kept by another gateway (F2, F5, F24).
 */
#include "pen/pen.h"

#include <string.h>

static void
begin_log(PdPen *pen, const PenFeature *feature)
{
    PenRanges settled;

    if (pen->info->log_id != 0 && pen->info->log_id != feature->log_id) {
        g_message("%s: the pen has a new log %016" G_GINT64_MODIFIER "x, before it %016" //
                  G_GINT64_MODIFIER "x",
                  pen->info->serial,
                  feature->log_id,
                  pen->info->log_id);
        pen->info->marked = 0;
        pen->n_malformed_before += pd_store_get_n_faulty(pen->manager->store, pen->info->log_id);
    }
    pen->info->log_id = feature->log_id;
    pd_store_get_settled(pen->manager->store, feature->log_id, &settled);
    pen->durable = pen_ranges_contiguous_from(&settled, 1);
    pen->mark_goal = 0;
    g_clear_pointer(&pen->progress, pd_progress_unref);
    pen->progress = pd_progress_new(feature->log_id, &settled);
}

static bool
take_text(char **field, const char *text)
{
    if (g_strcmp0(*field, text) == 0) {
        return false;
    }
    g_free(*field);
    *field = g_strdup(text);
    return true;
}

/* A store that was salvaged may know the pen and not whose the log is. */
static bool
is_described(const PdPen *pen, uint64_t log_id)
{
    g_autofree char *serial = pd_store_dup_log_serial(pen->manager->store, log_id);

    return g_strcmp0(serial, pen->info->serial) == 0;
}

void
pd_log_accept_feature(PdPen *pen, const PenFeature *feature)
{
    bool is_changed = false;

    if (pen->progress == NULL || pd_progress_get_log_id(pen->progress) != feature->log_id) {
        is_changed = pen->info->log_id != feature->log_id || !is_described(pen, feature->log_id);
        begin_log(pen, feature);
    }
    is_changed = take_text(&pen->info->firmware, feature->firmware) || is_changed;
    /* An adapter may hear the name late, or another one. */
    const char *name = pd_bluez_device_get_name(pen->device);
    is_changed = (name != NULL && take_text(&pen->info->name, name)) || is_changed;
    is_changed = is_changed || pen->info->tick_unit != feature->tick_unit ||
                 pen->info->overwritten != feature->overwritten_unmarked;
    pen->info->tick_unit = feature->tick_unit;
    pen->info->overwritten = feature->overwritten_unmarked;
    pd_progress_raise(pen->progress, feature->newest);
    pd_log_settle_lost(pen);
    if (is_changed) {
        pd_pen_save(pen);
    }
}

/* Why @number, below oldest, is not here; and the end of the run it is true for. */
static PdCause
judge_lost(const PdPen *pen, uint32_t number, uint32_t *last)
{
    const PenFeature *feature = &pen->link.feature;
    const uint32_t ours = pen->info->marked;

    if (feature->overwritten_unmarked > 0 && number >= feature->overwritten_first &&
        number <= feature->overwritten_last) {
        *last = MIN(*last, feature->overwritten_last);
        return PD_CAUSE_OVERWRITTEN;
    }
    if (feature->overwritten_unmarked > 0 && number < feature->overwritten_first) {
        *last = MIN(*last, feature->overwritten_first - 1);
    }
    if (number <= ours) {
        /* We had it once, by our own mark, and have it no more: that is a loss. */
        *last = MIN(*last, ours);
        return PD_CAUSE_OVERWRITTEN;
    }
    if (number <= feature->marked) {
        *last = MIN(*last, feature->marked);
        return PD_CAUSE_HELD_ELSEWHERE;
    }
    return PD_CAUSE_OVERWRITTEN; /* an earlier range than the last one */
}

void
pd_log_settle_lost(PdPen *pen)
{
    const uint32_t oldest = pen->link.feature.oldest;
    PenRange missing;

    while (oldest > 1 &&
           pd_progress_first_missing(pen->progress, 1, oldest - 1, UINT32_MAX, &missing)) {
        uint32_t last = missing.last;
        const PdCause cause = judge_lost(pen, missing.first, &last);

        g_message("%s: records %u to %u are gone: %s",
                  pen->info->serial,
                  missing.first,
                  last,
                  pd_cause_to_string(cause));
        pd_store_settle(pen->manager->store, pen->info->log_id, missing.first, last, cause);
        pd_progress_settle(pen->progress, missing.first, last);
        if (pd_progress_count_missing(pen->progress, missing.first, last) > 0) {
            return; /* no room for more ranges; the next Feature tries again */
        }
    }
}
