/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Notifications: each a length byte and that many bytes. Reassembly, frame and body must
 * bear any of them, and a record that is right must be kept to the byte.
 */
#include "core/record.h"
#include "core/segment.h"
#include "fuzz.h"

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
