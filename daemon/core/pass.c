/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Definition pass/1: contact runs, joined over short lifts; too little contact does
 * not count.
 */
#include "core/pass.h"

#define MHZ_US_PER_STROKE UINT64_C(1000000000)

void
pen_pass_open(PenPassUnderWay *self, uint64_t start_us, bool has_needles, uint32_t needles)
{
    self->is_open = true;
    self->incomplete = false;
    self->has_needles = has_needles;
    self->needles = needles;
    self->start_us = start_us;
    self->contact_end_us = start_us;
    self->contact_us = 0;
    pen_tally_reset(&self->tally);
}

void
pen_pass_extend(PenPassUnderWay *self, uint64_t start_us, uint64_t end_us)
{
    self->contact_us += end_us - start_us;
    self->contact_end_us = end_us;
}

bool
pen_pass_is_over(const PenPassUnderWay *self, const PenFoldConfig *config, uint64_t at_us)
{
    return self->is_open && at_us >= self->contact_end_us &&
           at_us - self->contact_end_us >= config->lift_us;
}

/* Strokes x needles, rounded half up; split so that hours of contact do not overflow. */
static uint64_t
estimate_punctures(uint32_t rate_mhz, uint64_t contact_us, uint32_t needles)
{
    const uint64_t per_us = (uint64_t)rate_mhz * needles;
    const uint64_t whole = contact_us / MHZ_US_PER_STROKE * per_us;
    const uint64_t rest = contact_us % MHZ_US_PER_STROKE * per_us;

    return whole + (rest + MHZ_US_PER_STROKE / 2) / MHZ_US_PER_STROKE;
}

bool
pen_pass_close(PenPassUnderWay *self, const PenFoldConfig *config, PenPass *pass_out)
{
    self->is_open = false;
    if (self->contact_us < config->min_contact_us) {
        return false;
    }
    const uint32_t rate_mhz = pen_tally_rate_mhz(&self->tally);
    const bool has_rate = self->tally.n_rated > 0;
    const bool has_punctures = self->has_needles && has_rate;
    *pass_out = (PenPass){
        .start_us = self->start_us,
        .elapsed_us = self->contact_end_us - self->start_us,
        .contact_us = self->contact_us,
        .depth = pen_tally_depth(&self->tally),
        .rate_mhz = rate_mhz,
        .has_punctures = has_punctures,
        .punctures =
            has_punctures ? estimate_punctures(rate_mhz, self->contact_us, self->needles) : 0,
        .incomplete = self->incomplete,
        .has_rate = has_rate,
    };
    return true;
}
