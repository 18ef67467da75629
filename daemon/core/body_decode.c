/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * From protobuf to plain bodies: nothing leaves here that body_check.c did not see, so
 * nobody after this has to doubt a value.
 */
#include "core/body.h"
#include "record.pb-c.h"

#include <string.h>

bool
pen_body_copy_text(const char *text, char *out, size_t n_out)
{
    const size_t n = text == NULL ? n_out : strnlen(text, n_out);

    if (n >= n_out || !pen_body_is_text(text)) {
        return false;
    }
    memcpy(out, text, n + 1);
    return true;
}

/* Undo delta coding. None at all means not measured: zeros. */
static bool
expand_deltas(const int32_t *deltas, size_t n_deltas, size_t n, uint16_t *out)
{
    int64_t value = 0;

    if (n_deltas == 0) {
        memset(out, 0, n * sizeof *out);
        return true;
    }
    if (n_deltas != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        value += deltas[i];
        if (value < 0 || value > UINT16_MAX) {
            return false;
        }
        out[i] = (uint16_t)value;
    }
    return true;
}

static bool
copy_samples(const Pentel__V1__Samples *message, PenSamples *out)
{
    const size_t n = message->n_depth_delta_um;
    const size_t n_runs = message->n_contact_runs_ticks;

    if (n > PEN_SAMPLES_MAX || n_runs > PEN_CONTACT_RUNS_MAX) {
        return false;
    }
    out->interval_ticks = message->interval_ticks;
    out->n = (uint32_t)n;
    out->n_runs = (uint32_t)n_runs;
    out->rate_unknown = message->n_rate_delta_dhz == 0;
    out->load_unknown = message->n_load_delta_permille == 0;
    for (size_t i = 0; i < n_runs; i++) {
        out->run_ticks[i] = message->contact_runs_ticks[i];
    }
    return expand_deltas(message->depth_delta_um, n, n, out->depth_um) &&
           expand_deltas(message->rate_delta_dhz, message->n_rate_delta_dhz, n, out->rate_dhz) &&
           expand_deltas(
               message->load_delta_permille, message->n_load_delta_permille, n, out->load_permille);
}

static bool
copy_cartridge(const Pentel__V1__Cartridge *message, PenCartridge *out)
{
    /* protobuf-c sets a message's case and its pointer together; said again for the analyzer. */
    if (message == NULL) {
        return false;
    }
    out->has_needles = message->maybe_needles_case != 0;
    out->needles = out->has_needles ? message->needles : 0;
    return pen_body_copy_text(message->id, out->id, sizeof out->id) &&
           pen_body_copy_text(message->lot, out->lot, sizeof out->lot) &&
           pen_body_copy_text(message->expiry, out->expiry, sizeof out->expiry);
}

static bool
copy_begin(const Pentel__V1__SessionBegin *message, PenBody *out)
{
    out->begin.has_continues = message->maybe_continues_case != 0;
    out->begin.continues = out->begin.has_continues ? message->continues : 0;
    out->begin.has_depth_setting = message->maybe_depth_setting_um_case != 0;
    out->begin.depth_setting_um = out->begin.has_depth_setting ? message->depth_setting_um : 0;
    out->begin.has_cartridge = message->cartridge != NULL;
    if (!pen_body_copy_text(message->firmware, out->begin.firmware, sizeof out->begin.firmware)) {
        return false;
    }
    return !out->begin.has_cartridge || copy_cartridge(message->cartridge, &out->begin.cartridge);
}

static void
copy_range_end(const Pentel__V1__RangeEnd *message, PenBody *out)
{
    out->range_end.first = message->first;
    out->range_end.last = message->last;
    out->range_end.sent = message->sent;
    out->range_end.oldest = message->oldest;
    out->range_end.newest = message->newest;
    out->range_end.marked = message->marked;
}

static void
copy_head(const Pentel__V1__Head *message, PenBody *out)
{
    out->head.oldest = message->oldest;
    out->head.newest = message->newest;
    out->head.marked = message->marked;
    out->head.free_permille = message->free_permille;
    out->head.overwritten_unmarked = message->overwritten_unmarked;
}

static PenStatus
copy_body(const Pentel__V1__Body *message, PenBody *out)
{
    bool good = true;

    out->kind = (PenBodyKind)message->kind_case;
    switch (out->kind) {
    case PEN_BODY_UNKNOWN:
        return PEN_STATUS_UNKNOWN;
    case PEN_BODY_SESSION_BEGIN:
        good = copy_begin(message->session_begin, out);
        break;
    case PEN_BODY_SESSION_END:
        out->end.cause = (uint32_t)message->session_end->cause;
        break;
    case PEN_BODY_SAMPLES:
        good = copy_samples(message->samples, &out->samples);
        break;
    case PEN_BODY_CARTRIDGE_ATTACHED:
        good = copy_cartridge(message->cartridge_attached, &out->cartridge);
        break;
    case PEN_BODY_CARTRIDGE_REMOVED:
        good = pen_body_copy_text(
            message->cartridge_removed->id, out->cartridge.id, sizeof out->cartridge.id);
        break;
    case PEN_BODY_DEPTH_SETTING:
        out->depth_setting.depth_um = message->depth_setting->depth_um;
        break;
    case PEN_BODY_BUTTON:
        out->button.button = message->button->button;
        break;
    case PEN_BODY_FAULT:
        out->fault.code = message->fault->code;
        good = pen_body_copy_text(message->fault->text, out->fault.text, sizeof out->fault.text);
        break;
    case PEN_BODY_CLOCK_SET:
        out->clock_set.unix_us = message->clock_set->unix_us;
        out->clock_set.source = message->clock_set->source;
        break;
    case PEN_BODY_RANGE_END:
        copy_range_end(message->range_end, out);
        break;
    case PEN_BODY_HOLE:
        out->hole.number = message->hole->number;
        out->hole.cause = (uint32_t)message->hole->cause;
        break;
    case PEN_BODY_HEAD:
        copy_head(message->head, out);
        break;
    }
    return good && pen_body_is_valid(out) ? PEN_STATUS_OK : PEN_STATUS_BAD_BODY;
}

PenStatus
pen_record_decode(const uint8_t *record, size_t n_record, PenBody *body_out)
{
    const size_t n_frame = PEN_RECORD_HEADER_SIZE + PEN_RECORD_CRC_SIZE;
    PenBody body = { 0 };

    if (n_record <= n_frame) {
        return PEN_STATUS_SHORT;
    }
    Pentel__V1__Body *message =
        pentel__v1__body__unpack(NULL, n_record - n_frame, record + PEN_RECORD_HEADER_SIZE);
    if (message == NULL) {
        return PEN_STATUS_BAD_BODY;
    }
    const PenStatus status = copy_body(message, &body);
    pentel__v1__body__free_unpacked(message, NULL);
    if (status == PEN_STATUS_OK) {
        *body_out = body;
    }
    return status;
}
