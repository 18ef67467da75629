/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/record.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEN_SEGMENT_FIRST 0x01u
#define PEN_SEGMENT_LAST  0x02u

/* Reassembly of one characteristic on one link. Caller-allocated, about 1 KiB. */
typedef struct {
    uint8_t buffer[PEN_RECORD_MAX];
    size_t n_bytes;
    uint8_t next_counter; /* 0..63 */
    bool in_record;
    bool seen_any;
    uint64_t n_lost; /* counter jumps and abandoned records */
} PenReassembly;

/** Start empty: at link-up, as counters restart on every link. */
void pen_reassembly_init(PenReassembly *self);

/**
 * Feed one notification.
 *
 * A segment that does not continue the record under way abandons that record
 * (counted in n_lost); if it is a first segment it starts the next one.
 *
 * Owns:   *record_out points into @self until the next push; only set on OK.
 * Errors: PEN_STATUS_AGAIN: more segments follow. BAD_COUNTER, SHORT, TOO_LONG:
 *         the segment was dropped; count it and go on, numbers show the gap.
 * Source: pen-telemetry-service.md, "Segments".
 */
PEN_MUST_CHECK PenStatus pen_reassembly_push(PenReassembly *self,
                                             const uint8_t *segment,
                                             size_t n_segment,
                                             const uint8_t **record_out,
                                             size_t *n_record_out);
