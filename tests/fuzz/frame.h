/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/crc32c.h"
#include "core/record.h"
#include "core/wire.h"

#include <string.h>

#define FUZZ_BODY_MAX (PEN_RECORD_MAX - PEN_RECORD_HEADER_SIZE - PEN_RECORD_CRC_SIZE)

/** Put a right frame around any body of at most FUZZ_BODY_MAX bytes. Returns its length. */
static inline size_t
fuzz_frame(const PenRecordHeader *header, const uint8_t *body, size_t n_body, uint8_t *out)
{
    const size_t n_covered = PEN_RECORD_HEADER_SIZE + n_body;

    pen_wire_put(out, 2, n_covered + PEN_RECORD_CRC_SIZE);
    pen_wire_put(out + 2, 4, header->guard);
    pen_wire_put(out + 6, 4, header->number);
    pen_wire_put(out + 10, 4, header->session);
    pen_wire_put(out + 14, 4, header->boot);
    pen_wire_put(out + 18, 6, header->tick);
    memcpy(out + PEN_RECORD_HEADER_SIZE, body, n_body);
    pen_wire_put(out + n_covered, 4, pen_crc32c(out, n_covered));
    return n_covered + PEN_RECORD_CRC_SIZE;
}
