/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/fold.h"

/*
 * Exact statistics over samples in contact: a histogram of one micrometre, so that
 * order statistics need no sorting and memory does not grow with the session.
 */
typedef struct {
    uint32_t counts[PEN_DEPTH_MAX_UM + 1];
    uint64_t n_samples;
    uint64_t n_rated; /* of them, with a rate */
    uint64_t weight_ticks;
    uint64_t weighted_um;
    uint64_t rate_sum_dhz;
} PenTally;

void pen_tally_reset(PenTally *self);

/** Count sample @i of a block. */
void pen_tally_add(PenTally *self, const PenSamples *samples, uint32_t i);

/** Add all of @other. */
void pen_tally_merge(PenTally *self, const PenTally *other);

/** Order statistics as fold.h defines them; invalid when nothing was counted. */
PenDepth pen_tally_depth(const PenTally *self);

/** Mean rate in millihertz, rounded half up; 0 when none was counted. */
uint32_t pen_tally_rate_mhz(const PenTally *self);
