/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * From plain bodies to protobuf: the pen's side, for the simulator and tests.
 */
#include "core/body.h"
#include "record.pb-c.h"

#include <string.h>

/* Storage for the messages a body points to; lives on the encoder's stack. */
typedef struct {
    PenBody copy; /* protobuf-c wants writable text */
    Pentel__V1__SessionBegin begin;
    Pentel__V1__SessionEnd end;
    Pentel__V1__Samples samples;
    Pentel__V1__Cartridge cartridge;
    Pentel__V1__CartridgeRemoved removed;
    Pentel__V1__DepthSetting setting;
    Pentel__V1__Button button;
    Pentel__V1__Fault fault;
    Pentel__V1__ClockSet clock_set;
    Pentel__V1__RangeEnd range_end;
    Pentel__V1__Hole hole;
    Pentel__V1__Head head;
    int32_t depth_deltas[PEN_SAMPLES_MAX];
    int32_t rate_deltas[PEN_SAMPLES_MAX];
    int32_t load_deltas[PEN_SAMPLES_MAX];
} Scratch;

static void
make_deltas(const uint16_t *values, size_t n, int32_t *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (int32_t)values[i] - (i > 0 ? (int32_t)values[i - 1] : 0);
    }
}

static void
fill_samples(Scratch *scratch)
{
    PenSamples *samples = &scratch->copy.samples;

    make_deltas(samples->depth_um, samples->n, scratch->depth_deltas);
    make_deltas(samples->rate_dhz, samples->n, scratch->rate_deltas);
    make_deltas(samples->load_permille, samples->n, scratch->load_deltas);
    pentel__v1__samples__init(&scratch->samples);
    scratch->samples.interval_ticks = samples->interval_ticks;
    scratch->samples.n_depth_delta_um = samples->n;
    scratch->samples.depth_delta_um = scratch->depth_deltas;
    scratch->samples.n_rate_delta_dhz = samples->rate_unknown ? 0 : samples->n;
    scratch->samples.rate_delta_dhz = scratch->rate_deltas;
    scratch->samples.n_load_delta_permille = samples->load_unknown ? 0 : samples->n;
    scratch->samples.load_delta_permille = scratch->load_deltas;
    scratch->samples.n_contact_runs_ticks = samples->n_runs;
    scratch->samples.contact_runs_ticks = samples->run_ticks;
}

static void
fill_cartridge(PenCartridge *cartridge, Pentel__V1__Cartridge *message)
{
    pentel__v1__cartridge__init(message);
    message->id = cartridge->id;
    message->lot = cartridge->lot;
    message->expiry = cartridge->expiry;
    if (cartridge->has_needles) {
        message->maybe_needles_case = PENTEL__V1__CARTRIDGE__MAYBE_NEEDLES_NEEDLES;
        message->needles = cartridge->needles;
    }
}

static void
fill_begin(Scratch *scratch)
{
    pentel__v1__session_begin__init(&scratch->begin);
    scratch->begin.firmware = scratch->copy.begin.firmware;
    if (scratch->copy.begin.has_continues) {
        scratch->begin.maybe_continues_case = PENTEL__V1__SESSION_BEGIN__MAYBE_CONTINUES_CONTINUES;
        scratch->begin.continues = scratch->copy.begin.continues;
    }
    if (scratch->copy.begin.has_depth_setting) {
        scratch->begin.maybe_depth_setting_um_case =
            PENTEL__V1__SESSION_BEGIN__MAYBE_DEPTH_SETTING_UM_DEPTH_SETTING_UM;
        scratch->begin.depth_setting_um = scratch->copy.begin.depth_setting_um;
    }
    if (scratch->copy.begin.has_cartridge) {
        fill_cartridge(&scratch->copy.begin.cartridge, &scratch->cartridge);
        scratch->begin.cartridge = &scratch->cartridge;
    }
}

static void
fill_range_end(Scratch *scratch)
{
    pentel__v1__range_end__init(&scratch->range_end);
    scratch->range_end.first = scratch->copy.range_end.first;
    scratch->range_end.last = scratch->copy.range_end.last;
    scratch->range_end.sent = scratch->copy.range_end.sent;
    scratch->range_end.oldest = scratch->copy.range_end.oldest;
    scratch->range_end.newest = scratch->copy.range_end.newest;
    scratch->range_end.marked = scratch->copy.range_end.marked;
}

static void
fill_head(Scratch *scratch)
{
    pentel__v1__head__init(&scratch->head);
    scratch->head.oldest = scratch->copy.head.oldest;
    scratch->head.newest = scratch->copy.head.newest;
    scratch->head.marked = scratch->copy.head.marked;
    scratch->head.free_permille = scratch->copy.head.free_permille;
    scratch->head.overwritten_unmarked = scratch->copy.head.overwritten_unmarked;
}

static void
fill_removed(Scratch *scratch)
{
    pentel__v1__cartridge_removed__init(&scratch->removed);
    scratch->removed.id = scratch->copy.cartridge.id;
}

static void
fill_fault(Scratch *scratch)
{
    pentel__v1__fault__init(&scratch->fault);
    scratch->fault.code = scratch->copy.fault.code;
    scratch->fault.text = scratch->copy.fault.text;
}

static void
fill_hole(Scratch *scratch)
{
    pentel__v1__hole__init(&scratch->hole);
    scratch->hole.number = scratch->copy.hole.number;
    scratch->hole.cause = (Pentel__V1__HoleCause)scratch->copy.hole.cause;
}

static void
fill_clock_set(Scratch *scratch)
{
    pentel__v1__clock_set__init(&scratch->clock_set);
    scratch->clock_set.unix_us = scratch->copy.clock_set.unix_us;
    scratch->clock_set.source = scratch->copy.clock_set.source;
}

static bool
fill_message(Scratch *scratch, Pentel__V1__Body *message)
{
    PenBody *body = &scratch->copy;

    message->kind_case = (Pentel__V1__Body__KindCase)body->kind;
    switch (body->kind) {
    case PEN_BODY_UNKNOWN:
        return false;
    case PEN_BODY_SESSION_BEGIN:
        fill_begin(scratch);
        message->session_begin = &scratch->begin;
        return true;
    case PEN_BODY_SESSION_END:
        pentel__v1__session_end__init(&scratch->end);
        scratch->end.cause = (Pentel__V1__EndCause)body->end.cause;
        message->session_end = &scratch->end;
        return true;
    case PEN_BODY_SAMPLES:
        fill_samples(scratch);
        message->samples = &scratch->samples;
        return true;
    case PEN_BODY_CARTRIDGE_ATTACHED:
        fill_cartridge(&body->cartridge, &scratch->cartridge);
        message->cartridge_attached = &scratch->cartridge;
        return true;
    case PEN_BODY_CARTRIDGE_REMOVED:
        fill_removed(scratch);
        message->cartridge_removed = &scratch->removed;
        return true;
    case PEN_BODY_DEPTH_SETTING:
        pentel__v1__depth_setting__init(&scratch->setting);
        scratch->setting.depth_um = body->depth_setting.depth_um;
        message->depth_setting = &scratch->setting;
        return true;
    case PEN_BODY_BUTTON:
        pentel__v1__button__init(&scratch->button);
        scratch->button.button = body->button.button;
        message->button = &scratch->button;
        return true;
    case PEN_BODY_FAULT:
        fill_fault(scratch);
        message->fault = &scratch->fault;
        return true;
    case PEN_BODY_CLOCK_SET:
        fill_clock_set(scratch);
        message->clock_set = &scratch->clock_set;
        return true;
    case PEN_BODY_RANGE_END:
        fill_range_end(scratch);
        message->range_end = &scratch->range_end;
        return true;
    case PEN_BODY_HOLE:
        fill_hole(scratch);
        message->hole = &scratch->hole;
        return true;
    case PEN_BODY_HEAD:
        fill_head(scratch);
        message->head = &scratch->head;
        return true;
    }
    return false;
}

PenStatus
pen_body_encode(const PenBody *body, uint8_t *out, size_t n_out, size_t *n_written_out)
{
    Scratch scratch = { .copy = *body };
    Pentel__V1__Body message;
    pentel__v1__body__init(&message);

    if (!pen_body_is_valid(body) || !fill_message(&scratch, &message)) {
        return PEN_STATUS_BAD_BODY;
    }
    const size_t n = pentel__v1__body__get_packed_size(&message);
    if (n > n_out) {
        return PEN_STATUS_NO_SPACE;
    }
    *n_written_out = pentel__v1__body__pack(&message, out);
    return PEN_STATUS_OK;
}
