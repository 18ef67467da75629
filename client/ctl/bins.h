/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Samples on their way into a chart: shallowest and deepest of each span of time, in
 * constant memory whatever the length. When the spans run out, neighbours are joined, so
 * a peak is never averaged away.
 */
#define CTL_BINS_N 4096

typedef struct {
    uint32_t min_um; /* both of samples in contact; meaningless when n_contact is 0 */
    uint32_t max_um;
    uint32_t n_samples;
    uint32_t n_contact;
} CtlBin;

typedef struct {
    uint64_t origin_us; /* tick of the first sample */
    uint64_t bin_us;    /* doubles whenever the bins run out */
    uint32_t n_used;
    uint64_t last_us; /* of the latest sample, since the origin */
    CtlBin last;      /* that sample */
    CtlBin bins[CTL_BINS_N];
} CtlBins;

void ctl_bins_init(CtlBins *self);

/**
 * Add a sample; one that is older than the first is left out.
 *
 * A sample counts until the next one, at most 200 ms, as pens sample at fixed intervals.
 */
void ctl_bins_add(CtlBins *self, uint64_t tick_us, uint32_t depth_um, bool has_contact);

/** All that lies in from_us <= time since the origin < to_us. */
CtlBin ctl_bins_get(const CtlBins *self, uint64_t from_us, uint64_t to_us);
