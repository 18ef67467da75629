/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A session of whatever records: a byte of flags, then for each record five bytes (step of
 * the number, step of the tick as a power of two, its boot, length of the body) and the
 * body. What the fold says of it must agree with itself.
 */
#include "core/fold.h"
#include "frame.h"
#include "fuzz.h"

#define FLAG_TICK_UNIT 0x01u
#define N_BEFORE       5u

typedef struct {
    uint32_t n_passes;
    uint64_t contact_us;
    uint64_t end_us;
} Seen;

static void
require_depth(const PenDepth *depth)
{
    FUZZ_REQUIRE(!depth->valid || depth->max_um <= PEN_DEPTH_MAX_UM);
    FUZZ_REQUIRE(depth->min_um <= depth->median_um && depth->median_um <= depth->p95_um);
    FUZZ_REQUIRE(depth->p95_um <= depth->max_um && depth->mean_um <= depth->max_um);
    FUZZ_REQUIRE(depth->min_um <= depth->mean_um);
}

static void
on_pass(void *user_data, uint32_t index, const PenPass *pass)
{
    Seen *seen = user_data;

    FUZZ_REQUIRE(index == seen->n_passes && pass->start_us >= seen->end_us);
    FUZZ_REQUIRE(pass->contact_us <= pass->elapsed_us);
    FUZZ_REQUIRE(pass->contact_us >= PEN_FOLD_DEFAULT.min_contact_us);
    FUZZ_REQUIRE(pass->rate_mhz <= 1000000u && (pass->has_punctures || pass->punctures == 0));
    require_depth(&pass->depth);
    seen->n_passes++;
    seen->contact_us += pass->contact_us;
    seen->end_us = pass->start_us + pass->elapsed_us;
}

static void
push_all(PenFold *fold, const uint8_t *data, size_t n_data)
{
    PenRecordHeader header = { .number = 1, .session = 1, .boot = 1 };

    for (size_t at = 1; at + N_BEFORE <= n_data;) {
        const uint8_t *before = data + at;
        const size_t n_left = n_data - at - N_BEFORE;
        const size_t n_wanted = (size_t)before[3] + 256u * (before[4] & 3u);
        size_t n_body = n_wanted < n_left ? n_wanted : n_left;
        uint8_t record[PEN_RECORD_MAX];
        n_body = n_body < FUZZ_BODY_MAX ? n_body : FUZZ_BODY_MAX;
        header.number += 1u + before[0] % 4u;
        header.tick = (header.tick + (UINT64_C(1) << before[1] % 48u)) & 0xffffffffffffu;
        header.boot = 1u + (before[2] > 240u ? 1u : 0u);
        const size_t n_record = fuzz_frame(&header, before + N_BEFORE, n_body, record);
        (void)pen_fold_push(fold, &header, record, n_record);
        at += N_BEFORE + n_body;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data)
{
    static const PenFoldSink sink = { .pass = on_pass };
    const PenFoldConfig config = PEN_FOLD_DEFAULT;
    PenFold *fold = malloc(pen_fold_size());
    PenSessionFold session;
    Seen seen = { 0 };

    FUZZ_REQUIRE(fold != NULL);
    pen_fold_begin(fold, &config, n_data > 0 ? data[0] & FLAG_TICK_UNIT : 0, &sink, &seen);
    push_all(fold, data, n_data);
    pen_fold_end(fold, &session);
    FUZZ_REQUIRE(session.n_passes == seen.n_passes && session.contact_us == seen.contact_us);
    FUZZ_REQUIRE(session.contact_us <= session.all_contact_us);
    FUZZ_REQUIRE(session.n_passes == 0 || session.end_us >= seen.end_us);
    require_depth(&session.depth);
    free(fold);
    return 0;
}
