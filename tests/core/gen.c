/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Draws what a pen may send. What it may not is in the tables of malformed inputs.
 */
#include "gen.h"

#include <glib.h>

#include <string.h>

Gen
gen_new(uint32_t seed)
{
    g_test_message("seed %u", seed);
    return (Gen){ .state = (uint64_t)seed * 0xD1342543DE82EF95u + 1u };
}

uint64_t
gen_next(Gen *self)
{
    self->state += 0x9E3779B97F4A7C15u;
    uint64_t z = self->state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t
gen_range(Gen *self, uint64_t low, uint64_t high)
{
    return low + gen_next(self) % (high - low + 1u);
}

bool
gen_percent(Gen *self, uint32_t percent)
{
    return gen_range(self, 0, 99) < percent;
}

uint32_t
gen_u32(Gen *self)
{
    switch (gen_range(self, 0, 5)) {
    case 0:
        return 0;
    case 1:
        return UINT32_MAX;
    case 2:
        return (UINT32_C(1) << gen_range(self, 0, 31)) - 1u;
    case 3:
        return UINT32_C(1) << gen_range(self, 0, 31);
    default:
        return (uint32_t)gen_next(self);
    }
}

void
gen_text(Gen *self, char *out, size_t n_max)
{
    static const char *const letters[] = { "a", "Z", "7", "-", " ", "\"", "\\", "é", "€", "😀" };
    const size_t n_wanted = gen_percent(self, 30) ? n_max : (size_t)gen_range(self, 0, n_max);
    size_t n = 0;

    while (n < n_wanted) {
        const char *letter = letters[gen_range(self, 0, G_N_ELEMENTS(letters) - 1u)];
        if (n + strlen(letter) > n_max) {
            letter = "x";
        }
        memcpy(out + n, letter, strlen(letter));
        n += strlen(letter);
    }
    out[n] = '\0';
}

static uint16_t
gen_sample(Gen *self, uint16_t max)
{
    switch (gen_range(self, 0, 3)) {
    case 0:
        return 0;
    case 1:
        return max;
    default:
        return (uint16_t)gen_range(self, 0, max);
    }
}

/* Cut n x interval into runs: any first, the others at least 1. */
static void
gen_runs(Gen *self, PenSamples *samples)
{
    uint64_t left = (uint64_t)samples->n * samples->interval_ticks;
    const uint32_t n_wanted = (uint32_t)gen_range(self, 1, PEN_CONTACT_RUNS_MAX - 8u);

    samples->n_runs = 0;
    while (left > 0 && samples->n_runs + 1u < n_wanted) {
        const uint64_t low = samples->n_runs == 0 ? 0 : 1;
        const uint64_t high = MIN(left, UINT32_MAX);
        samples->run_ticks[samples->n_runs++] =
            (uint32_t)(gen_percent(self, 20) ? low : gen_range(self, low, high));
        left -= samples->run_ticks[samples->n_runs - 1u];
    }
    while (left > 0) {
        const uint64_t part = MIN(left, UINT32_MAX);
        samples->run_ticks[samples->n_runs++] = (uint32_t)part;
        left -= part;
    }
}

static void
gen_samples(Gen *self, PenSamples *samples)
{
    const uint32_t n_max = gen_percent(self, 20) ? PEN_SAMPLES_MAX : 60u;

    samples->n = gen_percent(self, 20) ? n_max : (uint32_t)gen_range(self, 1, n_max);
    samples->interval_ticks = gen_u32(self) | 1u;
    if (samples->interval_ticks > UINT32_MAX / PEN_SAMPLES_MAX) {
        samples->n = MIN(samples->n, 8u); /* so that 64 runs of u32 can add up to it */
    }
    /* Values that jump take three bytes each: three channels of 256 would not fit. */
    const bool calm = samples->n > 60u;
    for (uint32_t i = 0; i < samples->n; i++) {
        samples->depth_um[i] = calm ? 4095 : gen_sample(self, 4095);
        samples->rate_dhz[i] = calm ? (uint16_t)(i % 60u) : gen_sample(self, 10000);
        samples->load_permille[i] = calm ? 0 : gen_sample(self, 2000);
    }
    samples->rate_unknown = gen_percent(self, 20);
    samples->load_unknown = calm || gen_percent(self, 20);
    if (samples->rate_unknown) {
        memset(samples->rate_dhz, 0, sizeof samples->rate_dhz);
    }
    if (samples->load_unknown) {
        memset(samples->load_permille, 0, sizeof samples->load_permille);
    }
    gen_runs(self, samples);
}

static void
gen_cartridge(Gen *self, PenCartridge *out)
{
    gen_text(self, out->id, PEN_TEXT_MAX);
    gen_text(self, out->lot, PEN_TEXT_MAX);
    gen_text(self, out->expiry, PEN_TEXT_MAX);
    out->has_needles = gen_percent(self, 50);
    out->needles = out->has_needles ? (uint32_t)gen_range(self, 0, 100) : 0;
}

static void
gen_begin(Gen *self, PenBody *out)
{
    out->begin.has_continues = gen_percent(self, 50);
    out->begin.continues = out->begin.has_continues ? gen_u32(self) : 0;
    out->begin.has_depth_setting = gen_percent(self, 50);
    out->begin.depth_setting_um = out->begin.has_depth_setting ? gen_sample(self, 4095) : 0;
    out->begin.has_cartridge = gen_percent(self, 50);
    if (out->begin.has_cartridge) {
        gen_cartridge(self, &out->begin.cartridge);
    }
    gen_text(self, out->begin.firmware, PEN_TEXT_MAX);
}

static void
gen_numbers(Gen *self, uint32_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = gen_u32(self);
    }
}

void
gen_body(Gen *self, PenBodyKind kind, PenBody *out)
{
    uint32_t numbers[6];

    memset(out, 0, sizeof *out);
    out->kind = kind;
    gen_numbers(self, numbers, G_N_ELEMENTS(numbers));
    switch (kind) {
    case PEN_BODY_UNKNOWN:
        break;
    case PEN_BODY_SESSION_BEGIN:
        gen_begin(self, out);
        break;
    case PEN_BODY_SESSION_END:
        out->end.cause = numbers[0];
        break;
    case PEN_BODY_SAMPLES:
        gen_samples(self, &out->samples);
        break;
    case PEN_BODY_CARTRIDGE_ATTACHED:
        gen_cartridge(self, &out->cartridge);
        break;
    case PEN_BODY_CARTRIDGE_REMOVED:
        gen_text(self, out->cartridge.id, PEN_TEXT_MAX);
        break;
    case PEN_BODY_DEPTH_SETTING:
        out->depth_setting.depth_um = gen_sample(self, 4095);
        break;
    case PEN_BODY_BUTTON:
        out->button.button = numbers[0];
        break;
    case PEN_BODY_FAULT:
        out->fault.code = numbers[0];
        gen_text(self, out->fault.text, PEN_TEXT_MAX);
        break;
    case PEN_BODY_CLOCK_SET:
        out->clock_set.unix_us = (int64_t)gen_next(self);
        out->clock_set.source = numbers[0];
        break;
    case PEN_BODY_RANGE_END:
        out->range_end.first = numbers[0];
        out->range_end.last = numbers[1];
        out->range_end.sent = numbers[2];
        out->range_end.oldest = numbers[3];
        out->range_end.newest = numbers[4];
        out->range_end.marked = numbers[5];
        break;
    case PEN_BODY_HOLE:
        out->hole.number = numbers[0];
        out->hole.cause = numbers[1];
        break;
    case PEN_BODY_HEAD:
        out->head.oldest = numbers[0];
        out->head.newest = numbers[1];
        out->head.marked = numbers[2];
        out->head.free_permille = numbers[3];
        out->head.overwritten_unmarked = numbers[4];
        break;
    }
}

PenRecordHeader
gen_header(Gen *self)
{
    const uint64_t tick_max = (UINT64_C(1) << 48) - 1u;

    return (PenRecordHeader){
        .guard = gen_u32(self),
        .number = gen_u32(self),
        .session = gen_u32(self),
        .boot = gen_u32(self),
        .tick = gen_percent(self, 20) ? tick_max : gen_next(self) & tick_max,
    };
}

PenBodyKind
gen_kind(Gen *self)
{
    const uint64_t n = gen_range(self, 1, 12);

    return (PenBodyKind)(n <= 9 ? n : n + 10u);
}

size_t
gen_record(Gen *self, uint8_t *out)
{
    const PenRecordHeader header = gen_header(self);
    PenBody body;
    size_t n = 0;

    gen_body(self, gen_kind(self), &body);
    g_assert_cmpint(pen_record_encode(&header, &body, out, PEN_RECORD_MAX, &n), ==, PEN_STATUS_OK);
    return n;
}

size_t
gen_segments(const uint8_t *record,
             size_t n_record,
             size_t mtu,
             uint8_t *counter,
             uint8_t (*out)[517],
             size_t *n_bytes)
{
    const size_t room = mtu - 4u;
    size_t n = 0;

    for (size_t at = 0; at < n_record; at += room) {
        const size_t n_part = MIN(room, n_record - at);
        const unsigned flags = (at == 0 ? 1u : 0u) | (at + n_part == n_record ? 2u : 0u);
        out[n][0] = (uint8_t)(flags | (unsigned)*counter << 2);
        *counter = (uint8_t)((*counter + 1u) & 63u);
        memcpy(out[n] + 1, record + at, n_part);
        n_bytes[n] = n_part + 1u;
        n++;
    }
    return n;
}
