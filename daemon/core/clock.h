/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One reading of a pen's tick beside the gateway's clocks. */
typedef struct {
    uint32_t boot;     /* of the pen */
    uint64_t tick_us;  /* pen tick in microseconds */
    int64_t wall_us;   /* gateway wall clock, microseconds since 1970 UTC */
    bool wall_synced;  /* was that clock synchronised */
    uint32_t error_us; /* half the round trip plus the resolution */
} PenAnchor;

/* Assumed worst drift between anchors, parts per million of elapsed time. */
#define PEN_CLOCK_DRIFT_PPM 50u

/**
 * Place a pen tick on the wall clock by the anchors of the same boot.
 *
 * Interpolates between the two synchronised anchors around it (any anchor when no
 * synchronised one exists), else offsets from the nearest. The error bound is that
 * of the anchors used plus what a pen that wanders within PEN_CLOCK_DRIFT_PPM can do
 * on the way from them. Where the wall clock was stepped between two anchors (by hand, by a
 * leap second, because it was wrong before) the bound reaches as far as the other one says.
 * By anchors that are not synchronised it is a bound against the gateway's own clock only:
 * how far that was off nobody knows (wall_synced of the journal says which it was).
 *
 * @anchors: any order. Returns false when no anchor is of @boot: the record cannot
 * be placed and must not be given a time.
 */
bool pen_clock_place(const PenAnchor *anchors,
                     size_t n_anchors,
                     uint32_t boot,
                     uint64_t tick_us,
                     int64_t *wall_us_out,
                     uint32_t *error_us_out);
