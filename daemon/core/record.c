/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The frame of a record: length, header, CRC. What is inside is body.c's.
 */
#include "core/record.h"

#include "core/body.h"
#include "core/crc32c.h"
#include "core/wire.h"

PenStatus
pen_record_check(const uint8_t *record, size_t n_record, PenRecordHeader *header_out)
{
    if (n_record > PEN_RECORD_MAX) {
        return PEN_STATUS_TOO_LONG;
    }
    if (n_record < PEN_RECORD_HEADER_SIZE + 1u + PEN_RECORD_CRC_SIZE) {
        return PEN_STATUS_SHORT;
    }
    if (pen_wire_get(record, 2) != n_record) {
        return PEN_STATUS_BAD_LENGTH;
    }
    const size_t n_covered = n_record - PEN_RECORD_CRC_SIZE;
    if (pen_wire_get(record + n_covered, 4) != pen_crc32c(record, n_covered)) {
        return PEN_STATUS_BAD_CRC;
    }
    header_out->length_bytes = (uint16_t)n_record;
    header_out->guard = (uint32_t)pen_wire_get(record + 2, 4);
    header_out->number = (uint32_t)pen_wire_get(record + 6, 4);
    header_out->session = (uint32_t)pen_wire_get(record + 10, 4);
    header_out->boot = (uint32_t)pen_wire_get(record + 14, 4);
    header_out->tick = pen_wire_get(record + 18, 6);
    return PEN_STATUS_OK;
}

PenStatus
pen_record_encode(const PenRecordHeader *header,
                  const PenBody *body,
                  uint8_t *out,
                  size_t n_out,
                  size_t *n_written_out)
{
    const size_t n_frame = PEN_RECORD_HEADER_SIZE + PEN_RECORD_CRC_SIZE;
    const size_t n_room = n_out < PEN_RECORD_MAX ? n_out : PEN_RECORD_MAX;
    size_t n_body = 0;

    if (n_room <= n_frame) {
        return PEN_STATUS_NO_SPACE;
    }
    const PenStatus status =
        pen_body_encode(body, out + PEN_RECORD_HEADER_SIZE, n_room - n_frame, &n_body);
    if (status != PEN_STATUS_OK) {
        return status;
    }
    const size_t n_covered = PEN_RECORD_HEADER_SIZE + n_body;
    pen_wire_put(out, 2, n_covered + PEN_RECORD_CRC_SIZE);
    pen_wire_put(out + 2, 4, header->guard);
    pen_wire_put(out + 6, 4, header->number);
    pen_wire_put(out + 10, 4, header->session);
    pen_wire_put(out + 14, 4, header->boot);
    pen_wire_put(out + 18, 6, header->tick);
    pen_wire_put(out + n_covered, 4, pen_crc32c(out, n_covered));
    *n_written_out = n_covered + PEN_RECORD_CRC_SIZE;
    return PEN_STATUS_OK;
}

uint64_t
pen_ticks_to_us(uint64_t ticks, uint32_t tick_unit)
{
    if (tick_unit != 1u) {
        return ticks;
    }
    /* 48-bit ticks times 10^6 would overflow: whole seconds first. */
    return ticks / 32768u * 1000000u + ticks % 32768u * 1000000u / 32768u;
}
