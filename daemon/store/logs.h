/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/ranges.h"
#include "store/store.h"

/*
 * What is stored of each pen's log, as sets of numbers in memory. The writer works on a
 * PdLog of its own; what it publishes after a commit is what other threads see.
 */
typedef struct {
    uint64_t log_id;
    char *serial; /* owned, "" until known */
    uint32_t tick_unit;
    uint32_t marked;
    int64_t marked_wall_us;
    PenRanges stored;   /* whole records */
    PenRanges outside;  /* of those, the ones outside any session */
    PenRanges gone;     /* settled with a cause */
    GArray *causes;     /* PdMissing, ascending and disjoint */
    GHashTable *erased; /* set of session numbers whose records are dropped; NULL none */
    uint32_t n_faulty;  /* bad bodies and conflicts since start: in memory only */
    bool dirty;         /* stored or outside changed since they were written */
    bool changed;       /* anything changed since it was published */
} PdLog;

PdLog *pd_log_new(uint64_t log_id);
void pd_log_free(PdLog *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdLog, pd_log_free)

/** Settle first..last, without numbers that are stored or settled already. Appends what was new
 * to @added_out (PdMissing). */
void pd_log_settle(PdLog *self, uint32_t first, uint32_t last, PdCause cause, GArray *added_out);

/** Take a range as loaded from disk. */
void pd_log_load_cause(PdLog *self, uint32_t first, uint32_t last, PdCause cause);

/** Drop what comes of a session from now on. */
void pd_log_erase(PdLog *self, uint32_t session);
bool pd_log_is_erased(const PdLog *self, uint32_t session);

/** Count @n of what no pen should send. */
void pd_log_count_faulty(PdLog *self, uint32_t n);

/** What is not stored of first..last, with its cause; MISSING where it is still asked for. */
GArray *pd_log_dup_missing(const PdLog *self, uint32_t first, uint32_t last);

/**
 * End of the run of holes and damaged numbers right after @last, when what follows is not
 * stored; @last when there is none.
 */
uint32_t pd_log_last_hole(const PdLog *self, uint32_t last);

/** Deep copy of everything but the strings' identity. */
PdLog *pd_log_copy(const PdLog *self);

/** Highest n such that 1..n are stored or settled. */
uint32_t pd_log_contiguous(const PdLog *self);

/** Ranges as bytes: u32 first, u32 last, little endian. */
GBytes *pd_ranges_to_bytes(const PenRanges *ranges);
void pd_ranges_from_bytes(PenRanges *ranges, const uint8_t *bytes, size_t n_bytes);
