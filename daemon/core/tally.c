/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Counting samples; nothing here knows what a pass is.
 */
#include "core/tally.h"

#include <string.h>

#define MHZ_PER_DHZ 100u

void
pen_tally_reset(PenTally *self)
{
    memset(self, 0, sizeof *self);
}

void
pen_tally_add(PenTally *self, const PenSamples *samples, uint32_t i)
{
    const uint32_t interval_ticks = samples->interval_ticks;

    self->counts[samples->depth_um[i]]++;
    self->n_samples++;
    self->weight_ticks += interval_ticks;
    self->weighted_um += (uint64_t)samples->depth_um[i] * interval_ticks;
    self->n_rated += samples->rate_unknown ? 0u : 1u;
    self->rate_sum_dhz += samples->rate_dhz[i];
}

void
pen_tally_merge(PenTally *self, const PenTally *other)
{
    for (size_t i = 0; i <= PEN_DEPTH_MAX_UM; i++) {
        self->counts[i] += other->counts[i];
    }
    self->n_samples += other->n_samples;
    self->weight_ticks += other->weight_ticks;
    self->weighted_um += other->weighted_um;
    self->n_rated += other->n_rated;
    self->rate_sum_dhz += other->rate_sum_dhz;
}

/* Depth of the sample at @rank (from 0) in ascending order. */
static uint32_t
depth_at_rank(const PenTally *self, uint64_t rank)
{
    uint64_t seen = 0;

    for (uint32_t depth_um = 0; depth_um <= PEN_DEPTH_MAX_UM; depth_um++) {
        seen += self->counts[depth_um];
        if (seen > rank) {
            return depth_um;
        }
    }
    return PEN_DEPTH_MAX_UM;
}

PenDepth
pen_tally_depth(const PenTally *self)
{
    const uint64_t n = self->n_samples;

    if (n == 0) {
        return (PenDepth){ .valid = false };
    }
    return (PenDepth){
        .valid = true,
        .min_um = depth_at_rank(self, 0),
        .median_um = depth_at_rank(self, (n - 1) / 2),
        .p95_um = depth_at_rank(self, (n * 95 + 99) / 100 - 1),
        .max_um = depth_at_rank(self, n - 1),
        .mean_um = (uint32_t)((self->weighted_um + self->weight_ticks / 2) / self->weight_ticks),
    };
}

uint32_t
pen_tally_rate_mhz(const PenTally *self)
{
    if (self->n_rated == 0) {
        return 0;
    }
    return (uint32_t)((self->rate_sum_dhz * MHZ_PER_DHZ + self->n_rated / 2) / self->n_rated);
}
