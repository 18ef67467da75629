/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/record.h"

/* Seeded inputs for the property tests: the same seed gives the same on every machine. */
typedef struct {
    uint64_t state;
} Gen;

/** Begin a case and leave its seed in the log, where the last one is the one that failed. */
Gen gen_new(uint32_t seed);

uint64_t gen_next(Gen *self);

/** Even number in low..high, both included. */
uint64_t gen_range(Gen *self, uint64_t low, uint64_t high);

bool gen_percent(Gen *self, uint32_t percent);

/** A u32 that is often 0, 1, a power of two or one beside it, or the greatest. */
uint32_t gen_u32(Gen *self);

/** Fill @out with 0..@n_max bytes of UTF-8 and a NUL. */
void gen_text(Gen *self, char *out, size_t n_max);

/** A body of @kind that the profile allows; values lie at their ends more often than not. */
void gen_body(Gen *self, PenBodyKind kind, PenBody *out);

/** A header with every field drawn over its whole range. */
PenRecordHeader gen_header(Gen *self);

/** A kind of body, any but UNKNOWN. */
PenBodyKind gen_kind(Gen *self);

/** Encode a body of any kind. Returns its length; @out holds PEN_RECORD_MAX. */
size_t gen_record(Gen *self, uint8_t *out);

/** Cut a record into segments of ATT_MTU @mtu from counter on, each @stride bytes apart in @out. */
size_t gen_segments(const uint8_t *record,
                    size_t n_record,
                    size_t mtu,
                    uint8_t *counter,
                    uint8_t (*out)[517],
                    size_t *n_bytes);
