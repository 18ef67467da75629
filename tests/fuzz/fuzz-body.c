/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Bodies in a right frame. What decodes must encode again, and mean the same.
 */
#include "core/record.h"
#include "frame.h"
#include "fuzz.h"
#include "structure.h"

#include <string.h>

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t n_data, size_t n_max, unsigned int seed)
{
    return fuzz_mutate_message(data, n_data, n_max < FUZZ_BODY_MAX ? n_max : FUZZ_BODY_MAX, seed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data)
{
    uint8_t record[PEN_RECORD_MAX];
    uint8_t again[PEN_RECORD_MAX];
    PenRecordHeader header = { .number = 1 };
    PenBody body;
    PenBody back;
    size_t n_again = 0;

    if (n_data == 0 || n_data > FUZZ_BODY_MAX) {
        return 0;
    }
    const size_t n_record = fuzz_frame(&header, data, n_data, record);
    FUZZ_REQUIRE(pen_record_check(record, n_record, &header) == PEN_STATUS_OK);
    memset(&body, 0, sizeof body);
    memset(&back, 0, sizeof back);
    if (pen_record_decode(record, n_record, &body) != PEN_STATUS_OK) {
        return 0;
    }
    const PenStatus status = pen_record_encode(&header, &body, again, sizeof again, &n_again);
    FUZZ_REQUIRE(status == PEN_STATUS_OK);
    FUZZ_REQUIRE(pen_record_decode(again, n_again, &back) == PEN_STATUS_OK);
    FUZZ_REQUIRE(memcmp(&body, &back, sizeof body) == 0);
    return 0;
}
