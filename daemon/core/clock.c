/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Places pen ticks on the wall clock by anchors, with a bound on the error. A tick of a
 * boot without an anchor has no place, and gets none.
 */
#include "core/clock.h"

#define PPM 1000000u

static uint64_t
distance_us(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Nearest anchor of @boot at or below (@below) or above the tick; NULL when none. */
static const PenAnchor *
find_nearest(const PenAnchor *anchors,
             size_t n_anchors,
             uint32_t boot,
             uint64_t tick_us,
             bool synced_only,
             bool below)
{
    const PenAnchor *best = NULL;

    for (size_t i = 0; i < n_anchors; i++) {
        const PenAnchor *anchor = &anchors[i];
        if (anchor->boot != boot || (synced_only && !anchor->wall_synced) ||
            (anchor->tick_us <= tick_us) != below) {
            continue;
        }
        if (best == NULL ||
            distance_us(anchor->tick_us, tick_us) < distance_us(best->tick_us, tick_us)) {
            best = anchor;
        }
    }
    return best;
}

static uint32_t
add_drift(uint32_t error_us, uint64_t elapsed_us)
{
    const uint64_t sum = error_us + elapsed_us / PPM * PEN_CLOCK_DRIFT_PPM +
                         elapsed_us % PPM * PEN_CLOCK_DRIFT_PPM / PPM;

    return sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

static void
place_by_one(const PenAnchor *anchor, uint64_t tick_us, int64_t *wall_us, uint32_t *error_us)
{
    *wall_us = anchor->wall_us + ((int64_t)tick_us - (int64_t)anchor->tick_us);
    *error_us = add_drift(anchor->error_us, distance_us(anchor->tick_us, tick_us));
}

/*
 * The pen may have run fast up to the tick and slow behind it while the anchors agree: at
 * most twice the drift over the harmonic share of both distances.
 */
static uint32_t
bound_between(const PenAnchor *a, const PenAnchor *b, double to_a_us, double to_b_us)
{
    const double span_us = to_a_us + to_b_us;
    const double reading_us = (a->error_us * to_b_us + b->error_us * to_a_us) / span_us;
    const double drift_us = 2.0 * PEN_CLOCK_DRIFT_PPM / PPM * (to_a_us * to_b_us / span_us);
    const double sum_us = reading_us + drift_us;

    if (to_a_us <= 0) {
        return a->error_us;
    }
    /* 1 for the fraction cut off here, 1 for that of the time itself */
    return sum_us >= UINT32_MAX - 2.0 ? UINT32_MAX : (uint32_t)sum_us + 2u;
}

static void
place_between(
    const PenAnchor *a, const PenAnchor *b, uint64_t tick_us, int64_t *wall_us, uint32_t *error_us)
{
    const double span = (double)(b->tick_us - a->tick_us);
    const uint64_t to_a = tick_us - a->tick_us;
    const int64_t drift_us =
        (b->wall_us - a->wall_us) - ((int64_t)b->tick_us - (int64_t)a->tick_us);

    *wall_us = a->wall_us + (int64_t)to_a + (int64_t)((double)drift_us * ((double)to_a / span));
    *error_us = bound_between(a, b, (double)to_a, (double)(b->tick_us - tick_us));
}

/*
 * The wall clock was stepped between both: by hand, by a leap second, or because the one
 * before was wrong. The nearer one is taken, but only both together bound where it was.
 */
static void
place_by_either(
    const PenAnchor *a, const PenAnchor *b, uint64_t tick_us, int64_t *wall_us, uint32_t *error_us)
{
    const bool is_a = tick_us - a->tick_us <= b->tick_us - tick_us;
    int64_t other_wall_us = 0;
    uint32_t other_error_us = 0;

    place_by_one(is_a ? a : b, tick_us, wall_us, error_us);
    place_by_one(is_a ? b : a, tick_us, &other_wall_us, &other_error_us);
    const uint64_t apart_us = *wall_us > other_wall_us
                                  ? (uint64_t)*wall_us - (uint64_t)other_wall_us
                                  : (uint64_t)other_wall_us - (uint64_t)*wall_us;
    const uint64_t reach_us = apart_us > UINT32_MAX ? UINT32_MAX : apart_us + other_error_us;
    if (reach_us > *error_us) {
        *error_us = reach_us > UINT32_MAX ? UINT32_MAX : (uint32_t)reach_us;
    }
}

/* A stepped wall clock between two anchors must not be smeared over the ticks. */
static bool
is_plausible_pair(const PenAnchor *a, const PenAnchor *b)
{
    const uint64_t ticks_us = b->tick_us - a->tick_us;
    const int64_t wall_us = b->wall_us - a->wall_us;

    return wall_us >= 0 &&
           distance_us((uint64_t)wall_us, ticks_us) <=
               (uint64_t)a->error_us + b->error_us + add_drift(0, ticks_us) * UINT64_C(10);
}

bool
pen_clock_place(const PenAnchor *anchors,
                size_t n_anchors,
                uint32_t boot,
                uint64_t tick_us,
                int64_t *wall_us_out,
                uint32_t *error_us_out)
{
    const bool any_synced = find_nearest(anchors, n_anchors, boot, tick_us, true, true) != NULL ||
                            find_nearest(anchors, n_anchors, boot, tick_us, true, false) != NULL;
    const PenAnchor *a = find_nearest(anchors, n_anchors, boot, tick_us, any_synced, true);
    const PenAnchor *b = find_nearest(anchors, n_anchors, boot, tick_us, any_synced, false);

    if (a == NULL && b == NULL) {
        return false;
    }
    if (a != NULL && b != NULL && is_plausible_pair(a, b)) {
        place_between(a, b, tick_us, wall_us_out, error_us_out);
        return true;
    }
    if (a != NULL && b != NULL) {
        place_by_either(a, b, tick_us, wall_us_out, error_us_out);
        return true;
    }
    place_by_one(a != NULL ? a : b, tick_us, wall_us_out, error_us_out);
    return true;
}
