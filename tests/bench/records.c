/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Records for the benches: realistic in size and noise, the same on every run.
 */
#include "records.h"

#include "core/record.h"

#include <stdlib.h>

#define SAMPLES        10u
#define INTERVAL_TICKS 20000u

static uint32_t
noise(uint32_t number, uint32_t i, uint32_t span)
{
    uint32_t x = number * 2654435761u + i * 40503u;

    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    return x % span;
}

static void
fill_samples(uint32_t number, PenSamples *samples)
{
    samples->interval_ticks = INTERVAL_TICKS;
    samples->n = SAMPLES;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        samples->depth_um[i] = (uint16_t)(1490u + noise(number, i, 21));
        samples->rate_dhz[i] = (uint16_t)(1150u + noise(number, i + 16, 9));
        samples->load_permille[i] = (uint16_t)(300u + noise(number, i + 32, 17));
    }
    samples->n_runs = 3;
    samples->run_ticks[0] = 1000;
    samples->run_ticks[1] = SAMPLES * INTERVAL_TICKS - 2000u;
    samples->run_ticks[2] = 1000;
}

size_t
bench_record_of(uint64_t log_id, uint32_t number, uint32_t n_each, uint8_t *out)
{
    const PenRecordHeader header = {
        .guard = (uint32_t)log_id,
        .number = number,
        .session = (number - 1) / n_each * n_each + 1,
        .boot = 1,
        .tick = (uint64_t)number * SAMPLES * INTERVAL_TICKS,
    };
    PenBody body = { .kind = number == header.session ? PEN_BODY_SESSION_BEGIN : PEN_BODY_SAMPLES };
    size_t n_written = 0;

    if (number > header.session) {
        fill_samples(number, &body.samples);
    }
    if (pen_record_encode(&header, &body, out, PEN_RECORD_MAX, &n_written) != PEN_STATUS_OK) {
        abort();
    }
    return n_written;
}

size_t
bench_record(uint32_t number, uint8_t *out)
{
    return bench_record_of(BENCH_LOG_ID, number, UINT32_MAX, out);
}
