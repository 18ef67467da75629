/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Walks one session's records in ascending number and tells what they amount to. It
 * believes contact runs and ticks only; numbers tell it where something is missing.
 */
#include "core/fold.h"

#include "core/pass.h"
#include "record.pb-c.h"

#include <stdio.h>
#include <string.h>

#define BUTTON_MARKER 1u

struct PenFold {
    PenFoldConfig config;
    uint32_t tick_unit;
    const PenFoldSink *sink; /* borrowed until pen_fold_end() */
    void *user_data;
    PenSessionFold result;
    bool any;          /* a record was pushed */
    bool after_hole;   /* no block since numbers were missing */
    bool touches_hole; /* contact that begins before touch_end_us touches a hole */
    uint64_t touch_end_us;
    uint64_t covered_us; /* end of the last block */
    uint64_t latest_us;  /* latest instant known of this boot */
    bool has_needles;
    uint32_t needles;
    PenPassUnderWay pass;
    PenTally tally;
};

size_t
pen_fold_size(void)
{
    return sizeof(PenFold);
}

void
pen_fold_begin(PenFold *self,
               const PenFoldConfig *config,
               uint32_t tick_unit,
               const PenFoldSink *sink,
               void *user_data)
{
    memset(self, 0, sizeof *self);
    self->config = *config;
    self->tick_unit = tick_unit;
    self->sink = sink;
    self->user_data = user_data;
}

static void
close_pass(PenFold *self)
{
    PenPass pass;

    if (!self->pass.is_open || !pen_pass_close(&self->pass, &self->config, &pass)) {
        return;
    }
    pen_tally_merge(&self->tally, &self->pass.tally);
    self->result.contact_us += pass.contact_us;
    if (self->sink != NULL && self->sink->pass != NULL) {
        self->sink->pass(self->user_data, self->result.n_passes, &pass);
    }
    self->result.n_passes++;
}

static void
take_hole(PenFold *self)
{
    self->after_hole = true;
    if (self->pass.is_open) {
        self->pass.incomplete = true;
    }
}

static void
take_contact(PenFold *self, uint64_t start_us, uint64_t end_us)
{
    if (pen_pass_is_over(&self->pass, &self->config, start_us)) {
        close_pass(self);
    }
    if (!self->pass.is_open) {
        pen_pass_open(&self->pass, start_us, self->has_needles, self->needles);
        self->pass.incomplete = self->touches_hole && start_us < self->touch_end_us;
    }
    pen_pass_extend(&self->pass, start_us, end_us);
    self->result.all_contact_us += end_us - start_us;
}

static void
take_contact_samples(PenFold *self,
                     const PenSamples *samples,
                     uint64_t run_start_ticks,
                     uint64_t run_end_ticks)
{
    const uint64_t interval = samples->interval_ticks;

    for (uint64_t i = (run_start_ticks + interval - 1) / interval;
         i < samples->n && i * interval < run_end_ticks;
         i++) {
        pen_tally_add(&self->pass.tally, samples, (uint32_t)i);
    }
}

static uint64_t
to_us(const PenFold *self, uint64_t ticks)
{
    return pen_ticks_to_us(ticks, self->tick_unit);
}

/* False when it lies over a block before it. */
static bool
take_samples(PenFold *self, uint64_t tick, const PenSamples *samples)
{
    const uint64_t start_us = to_us(self, tick);
    const uint64_t end_us = to_us(self, tick + (uint64_t)samples->n * samples->interval_ticks);
    uint64_t at_ticks = 0;

    if (start_us < self->covered_us) {
        return false;
    }
    if (self->after_hole) {
        self->after_hole = false;
        self->touches_hole = true;
        self->touch_end_us = start_us + self->config.lift_us;
    }
    for (uint32_t i = 0; i < samples->n_runs; i++) {
        const uint64_t run_end_ticks = at_ticks + samples->run_ticks[i];
        if (i % 2 == 1) {
            take_contact(self, to_us(self, tick + at_ticks), to_us(self, tick + run_end_ticks));
            take_contact_samples(self, samples, at_ticks, run_end_ticks);
        }
        at_ticks = run_end_ticks;
    }
    self->covered_us = end_us;
    self->latest_us = end_us > self->latest_us ? end_us : self->latest_us;
    if (pen_pass_is_over(&self->pass, &self->config, end_us)) {
        close_pass(self);
    }
    return true;
}

static void
take_cartridge(PenFold *self, uint64_t at_us, const PenCartridge *cartridge)
{
    self->has_needles = cartridge->has_needles;
    self->needles = cartridge->needles;
    if (self->sink != NULL && self->sink->cartridge != NULL) {
        self->sink->cartridge(self->user_data, at_us, cartridge);
    }
}

static void
take_setting(PenFold *self, uint64_t at_us, uint32_t depth_um)
{
    if (self->sink != NULL && self->sink->setting != NULL) {
        self->sink->setting(self->user_data, at_us, depth_um);
    }
}

static void
take_begin(PenFold *self, uint64_t at_us, const PenBody *body)
{
    self->result.has_begin = true;
    self->result.has_continues = body->begin.has_continues;
    self->result.continues = body->begin.continues;
    if (body->begin.has_cartridge) {
        take_cartridge(self, at_us, &body->begin.cartridge);
    }
    if (body->begin.has_depth_setting) {
        take_setting(self, at_us, body->begin.depth_setting_um);
    }
}

static bool
take_body(PenFold *self, const PenRecordHeader *header, const PenBody *body)
{
    const uint64_t at_us = to_us(self, header->tick);

    switch (body->kind) {
    case PEN_BODY_SESSION_BEGIN:
        take_begin(self, at_us, body);
        break;
    case PEN_BODY_SESSION_END:
        self->result.has_end = true;
        self->result.end_cause = body->end.cause;
        break;
    case PEN_BODY_SAMPLES:
        return take_samples(self, header->tick, &body->samples);
    case PEN_BODY_CARTRIDGE_ATTACHED:
        take_cartridge(self, at_us, &body->cartridge);
        break;
    case PEN_BODY_CARTRIDGE_REMOVED:
        self->has_needles = false;
        break;
    case PEN_BODY_DEPTH_SETTING:
        take_setting(self, at_us, body->depth_setting.depth_um);
        break;
    case PEN_BODY_BUTTON:
        if (body->button.button == BUTTON_MARKER) {
            close_pass(self);
        }
        break;
    case PEN_BODY_FAULT:
        if (self->sink != NULL && self->sink->fault != NULL) {
            self->sink->fault(self->user_data, at_us, body->fault.code, body->fault.text);
        }
        break;
    case PEN_BODY_UNKNOWN:
    case PEN_BODY_CLOCK_SET:
    case PEN_BODY_RANGE_END:
    case PEN_BODY_HOLE:
    case PEN_BODY_HEAD:
        break;
    }
    return true;
}

static void
take_number(PenFold *self, const PenRecordHeader *header)
{
    if (!self->any) {
        self->any = true;
        self->result.first = header->number;
        self->result.boot = header->boot;
        self->result.start_us = to_us(self, header->tick);
        self->after_hole = header->number != header->session;
    } else if (header->number != self->result.last + 1) {
        take_hole(self);
    }
    self->result.last = header->number;
}

/* What it said is lost, and may have been contact: to the passes around it, a hole. */
static PenStatus
take_bad(PenFold *self)
{
    self->result.n_bad++;
    take_hole(self);
    return PEN_STATUS_BAD_BODY;
}

PenStatus
pen_fold_push(PenFold *self, const PenRecordHeader *header, const uint8_t *record, size_t n_record)
{
    PenBody body;

    take_number(self, header);
    const PenStatus status = pen_record_decode(record, n_record, &body);
    if (status != PEN_STATUS_OK) {
        return status == PEN_STATUS_UNKNOWN ? status : take_bad(self);
    }
    if (header->boot != self->result.boot) {
        /* The reset's session-end is written in the next boot: its tick is not ours. */
        if (body.kind != PEN_BODY_SESSION_END) {
            return take_bad(self);
        }
    } else if (to_us(self, header->tick) > self->latest_us) {
        self->latest_us = to_us(self, header->tick);
    }
    return take_body(self, header, &body) ? PEN_STATUS_OK : take_bad(self);
}

void
pen_fold_end(PenFold *self, PenSessionFold *fold_out)
{
    close_pass(self);
    self->result.end_us = self->latest_us;
    self->result.depth = pen_tally_depth(&self->tally);
    *fold_out = self->result;
}

bool
pen_session_fold_has_time(const PenSessionFold *self)
{
    return self->first != self->last || !self->has_end ||
           self->end_cause != PENTEL__V1__END_CAUSE__END_CAUSE_RESET;
}

void
pen_fold_definition(const PenFoldConfig *config, char text_out[64])
{
    (void)snprintf(text_out,
                   64,
                   "pass/1 lift=%ums min=%ums",
                   config->lift_us / 1000u,
                   config->min_contact_us / 1000u);
}
