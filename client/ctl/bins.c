/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Keeps the envelope of a stream of samples. Pure.
 */
#include "ctl/bins.h"

#include <string.h>

#define BIN_US_FIRST 5000
#define HOLD_MAX_US  200000

static void
merge(CtlBin *into, const CtlBin *bin)
{
    if (bin->n_contact > 0) {
        if (into->n_contact == 0 || bin->min_um < into->min_um) {
            into->min_um = bin->min_um;
        }
        if (into->n_contact == 0 || bin->max_um > into->max_um) {
            into->max_um = bin->max_um;
        }
    }
    into->n_samples += bin->n_samples;
    into->n_contact += bin->n_contact;
}

void
ctl_bins_init(CtlBins *self)
{
    memset(self, 0, sizeof *self);
    self->bin_us = BIN_US_FIRST;
}

static void
join_neighbours(CtlBins *self)
{
    const uint32_t n_joined = (self->n_used + 1) / 2;

    for (uint32_t i = 0; i < n_joined; i++) {
        const size_t first = (size_t)i * 2;
        CtlBin joined = self->bins[first];
        if (first + 1 < self->n_used) {
            merge(&joined, &self->bins[first + 1]);
        }
        self->bins[i] = joined;
    }
    memset(&self->bins[n_joined], 0, (size_t)(CTL_BINS_N - n_joined) * sizeof(CtlBin));
    self->n_used = n_joined;
    self->bin_us *= 2;
}

/* What lies between the last sample and this one is the last sample's. */
static void
hold_last(CtlBins *self, uint64_t time_us)
{
    if (self->last.n_samples == 0 || time_us - self->last_us > HOLD_MAX_US) {
        return;
    }
    const uint64_t first = self->last_us / self->bin_us + 1;
    for (uint64_t i = first; i < time_us / self->bin_us; i++) {
        merge(&self->bins[i], &self->last);
    }
}

void
ctl_bins_add(CtlBins *self, uint64_t tick_us, uint32_t depth_um, bool has_contact)
{
    if (self->n_used == 0) {
        self->origin_us = tick_us;
    }
    if (tick_us < self->origin_us || tick_us - self->origin_us < self->last_us) {
        return;
    }
    const uint64_t time_us = tick_us - self->origin_us;
    while (time_us / self->bin_us >= CTL_BINS_N) {
        join_neighbours(self);
    }
    const uint32_t index = (uint32_t)(time_us / self->bin_us);
    hold_last(self, time_us);
    self->last = (CtlBin){ depth_um, depth_um, 1, has_contact };
    self->last_us = time_us;
    merge(&self->bins[index], &self->last);
    if (index >= self->n_used) {
        self->n_used = index + 1;
    }
}

CtlBin
ctl_bins_get(const CtlBins *self, uint64_t from_us, uint64_t to_us)
{
    CtlBin out = { 0 };

    if (to_us <= from_us) {
        return out;
    }
    for (uint64_t i = from_us / self->bin_us; i <= (to_us - 1) / self->bin_us && i < self->n_used;
         i++) {
        merge(&out, &self->bins[i]);
    }
    return out;
}
