/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/record.h"
#include "core/segment.h"
#include "pen/progress.h"
#include "store/store.h"

#include <stdatomic.h>

/*
 * From the notifications of one link to records in the store: reassembly, check, the
 * straight way into the store's queue, counters. Used by one thread at a time; the
 * counters may be read by any.
 */

typedef enum {
    PD_STREAM_LIVE = 0,
    PD_STREAM_STORED,
    PD_N_STREAMS,
} PdStream;

typedef struct {
    _Atomic uint64_t n_records;
    _Atomic uint32_t n_malformed; /* segments and records that no pen should send */
    _Atomic uint64_t n_lost;      /* segments that never came */
    _Atomic uint64_t n_refused;   /* records the store had no room for */
    /* Of the longest record of the last PD_INTAKE_LENGTHS that were reported, 0 = none yet. */
    _Atomic uint32_t n_record_segments;
} PdIntakeCounts;

/* What a segment led to, beside the record that went into the store. */
typedef enum {
    PD_INTAKE_NOTHING = 0,
    PD_INTAKE_RECORD,  /* a whole record or control item, new or not */
    PD_INTAKE_BAD,     /* a whole one that is not right */
    PD_INTAKE_GARBAGE, /* not even that */
} PdIntakeKind;

typedef struct {
    PdIntakeKind kind;
    PenStatus status;
    bool has_gap;    /* numbers before this one are missing */
    bool is_samples; /* what main need not look at */
    PenRecordHeader header;
    const uint8_t *bytes; /* borrowed until the next push */
    size_t n_bytes;
} PdIntakeResult;

/* Where numbers were seen lately, to tell a repetition from a contradiction (F30). */
#define PD_INTAKE_SEEN 256u

/* So soon is one long record forgotten (F4); pens choose how much a segment holds. */
#define PD_INTAKE_LENGTHS 32u

typedef struct {
    /* owned */
    PdProgress *progress;
    /* borrowed; outlives self because the store is closed last */
    PdStore *store;
    /* plain */
    PenReassembly reassembly[PD_N_STREAMS];
    uint32_t n_orphans[PD_N_STREAMS]; /* segments in a row that continue nothing */
    uint32_t seen_number[PD_INTAKE_SEEN];
    uint32_t seen_crc[PD_INTAKE_SEEN];
    uint32_t n_segments[PD_N_STREAMS]; /* of the record under way */
    uint32_t lengths[PD_INTAKE_LENGTHS];
    uint32_t length_at;
    PdIntakeCounts counts;
} PdIntake;

void pd_intake_init(PdIntake *self, PdStore *store, PdProgress *progress);
void pd_intake_clear(PdIntake *self);

/** Take one notification. Owns: @result_out points into @self and @segment. */
void pd_intake_push(PdIntake *self,
                    PdStream stream,
                    const uint8_t *segment,
                    size_t n_segment,
                    PdIntakeResult *result_out);
