/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "model.h"

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t tick_us;
    uint32_t depth_um;
    uint32_t rate_dhz;
} SimSample;

typedef struct {
    bool valid;
    uint32_t min_um;
    uint32_t median_um;
    uint32_t p95_um;
    uint32_t max_um;
    uint32_t mean_um;
} SimDepth;

/* Needles from a moment on; has_needles false when nobody knows. */
typedef struct {
    uint64_t tick_us;
    bool has_needles;
    uint32_t needles;
} SimNeedles;

typedef struct {
    uint64_t start_us;
    uint64_t elapsed_us;
    uint64_t contact_us;
    SimDepth depth;
    uint32_t rate_mhz;
    bool has_punctures;
    uint64_t punctures;
} SimPass;

typedef struct {
    uint64_t contact_us;
    uint64_t all_contact_us;
    SimDepth depth;
} SimTotals;

/**
 * Find the passes of pass/1 in continuous contact, and their numbers.
 *
 * @runs: SimRun in microseconds, ascending. @samples: SimSample, ascending.
 * @markers: uint64_t microseconds of marker buttons. @needles: SimNeedles, ascending.
 *
 * Owns: the array of SimPass is the caller's.
 * Source: pass/1.
 */
GArray *sim_passes_find(const GArray *runs,
                        const GArray *samples,
                        const GArray *markers,
                        const GArray *needles,
                        SimTotals *totals_out);
