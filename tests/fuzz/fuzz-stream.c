/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Notifications: each a length byte and that many bytes. Reassembly, frame and body must
 * bear any of them, and a record that is right must be kept to the byte.
 */
#include "core/record.h"
#include "core/segment.h"
#include "frame.h"
#include "fuzz.h"
#include "structure.h"

#include <string.h>

static void
take_record(const uint8_t *record, size_t n_record)
{
    /* A copy of its own size, so that a byte too far is seen. */
    uint8_t *copy = malloc(n_record);
    PenRecordHeader header = { 0 };
    PenBody body = { 0 };

    FUZZ_REQUIRE(copy != NULL && n_record <= PEN_RECORD_MAX);
    memcpy(copy, record, n_record);
    if (pen_record_check(copy, n_record, &header) == PEN_STATUS_OK) {
        FUZZ_REQUIRE(header.length_bytes == n_record && header.tick >> 48 == 0);
        (void)pen_status_name(pen_record_decode(copy, n_record, &body));
    }
    free(copy);
}

/* Where the notification at @at of the input ends. */
static size_t
end_of(const uint8_t *data, size_t n_data, size_t at)
{
    const size_t n_left = n_data - at - 1;

    return at + 1 + (data[at] < n_left ? data[at] : n_left);
}

/* A record that came in one notification gets another body, and a CRC that is right. */
static size_t
mutate_record(uint8_t *data, size_t n_data, size_t n_max, size_t at, unsigned int seed)
{
    uint8_t body[FUZZ_BODY_MAX];
    uint8_t record[PEN_RECORD_MAX];
    const size_t end = end_of(data, n_data, at);
    const size_t n_frame = PEN_RECORD_HEADER_SIZE + PEN_RECORD_CRC_SIZE;
    PenRecordHeader header = { 0 };

    if (end - at < 2 + n_frame + 1 || pen_record_check(data + at + 2, end - at - 2, &header) != 0) {
        return fuzz_mutate_message(data, n_data, n_max, seed);
    }
    const size_t n_body = end - at - 2 - n_frame;
    memcpy(body, data + at + 2 + PEN_RECORD_HEADER_SIZE, n_body);
    const size_t n_new = fuzz_mutate_message(body, n_body, 254u - n_frame, seed);
    const size_t n_record = fuzz_frame(&header, body, n_new, record);
    if (n_new == 0 || n_data - (end - at) + 2 + n_record > n_max) {
        return n_data;
    }
    memmove(data + at + 2 + n_record, data + end, n_data - end);
    memcpy(data + at + 2, record, n_record);
    data[at] = (uint8_t)(n_record + 1);
    return n_data - (end - at) + 2 + n_record;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t n_data, size_t n_max, unsigned int seed)
{
    size_t starts[64];
    size_t n_starts = 0;

    for (size_t at = 0; at < n_data && n_starts < 64; at = end_of(data, n_data, at)) {
        starts[n_starts++] = at;
    }
    if (n_starts == 0 || seed % 4u == 0) {
        return LLVMFuzzerMutate != NULL ? LLVMFuzzerMutate(data, n_data, n_max) : n_data;
    }
    return mutate_record(data, n_data, n_max, starts[seed / 4u % n_starts], seed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data)
{
    PenReassembly reassembly;
    size_t at = 0;

    pen_reassembly_init(&reassembly);
    while (at < n_data) {
        const size_t n_left = n_data - at - 1;
        const size_t n = data[at] < n_left ? data[at] : n_left;
        const uint8_t *record = NULL;
        size_t n_record = 0;
        const PenStatus status =
            pen_reassembly_push(&reassembly, data + at + 1, n, &record, &n_record);
        if (status == PEN_STATUS_OK) {
            take_record(record, n_record);
        }
        at += 1 + n;
    }
    return 0;
}
