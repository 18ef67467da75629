/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Reassembly: turns the notifications of one characteristic on one link back into
 * whole records. Whether a record is right is record.c's to say.
 */
#include "core/segment.h"

#include <string.h>

#define COUNTER_MASK 0x3fu

void
pen_reassembly_init(PenReassembly *self)
{
    self->n_bytes = 0;
    self->next_counter = 0;
    self->in_record = false;
    self->seen_any = false;
    self->n_lost = 0;
}

/* The first counter of a link is taken as it comes: early notifications may be lost (P2). */
static bool
take_counter(PenReassembly *self, uint8_t counter)
{
    const bool expected = !self->seen_any || counter == self->next_counter;

    self->seen_any = true;
    self->next_counter = (uint8_t)((counter + 1u) & COUNTER_MASK);
    return expected;
}

static void
abandon(PenReassembly *self)
{
    self->in_record = false;
    self->n_bytes = 0;
    self->n_lost++;
}

PenStatus
pen_reassembly_push(PenReassembly *self,
                    const uint8_t *segment,
                    size_t n_segment,
                    const uint8_t **record_out,
                    size_t *n_record_out)
{
    if (n_segment < 2) {
        return PEN_STATUS_SHORT;
    }
    const bool is_first = (segment[0] & PEN_SEGMENT_FIRST) != 0;
    const bool is_last = (segment[0] & PEN_SEGMENT_LAST) != 0;
    const bool in_order = take_counter(self, segment[0] >> 2);

    if (self->in_record && (is_first || !in_order)) {
        abandon(self);
    }
    if (is_first) {
        self->in_record = true;
        self->n_bytes = 0;
    }
    if (!self->in_record) {
        self->n_lost += in_order ? 0u : 1u;
        return PEN_STATUS_BAD_COUNTER;
    }
    if (n_segment - 1 > sizeof self->buffer - self->n_bytes) {
        abandon(self);
        return PEN_STATUS_TOO_LONG;
    }
    memcpy(self->buffer + self->n_bytes, segment + 1, n_segment - 1);
    self->n_bytes += n_segment - 1;
    if (!is_last) {
        return PEN_STATUS_AGAIN;
    }
    self->in_record = false;
    *record_out = self->buffer;
    *n_record_out = self->n_bytes;
    return PEN_STATUS_OK;
}
