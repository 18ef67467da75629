/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/fold.h"

#include <glib.h>

/* A pen's log for tests: whole records in ascending number, the same for the same seed. */
typedef struct {
    uint64_t log_id;
    GPtrArray *records;  /* owned GBytes; record n at index n - 1 */
    GArray *sessions;    /* uint32_t, number of each session-begin */
    GArray *session_end; /* uint32_t, last number of each */
} Treatment;

typedef struct {
    uint64_t log_id;
    uint32_t seed;
    uint32_t n_sessions;
    uint32_t n_blocks;  /* sample blocks in each */
    bool leave_open;    /* the last one has no end record */
    bool reset_first;   /* the first one ends by a reset: its end is of the next boot */
    bool stray_records; /* a record outside any session after each */
} TreatmentPlan;

Treatment *treatment_new(const TreatmentPlan *plan);
void treatment_free(Treatment *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Treatment, treatment_free)

const uint8_t *treatment_get(const Treatment *self, uint32_t number, size_t *n_out);

/** What core's fold alone makes of a session's records, as text. @has: NULL for all numbers. */
char *treatment_dup_expected(const Treatment *self, uint32_t session, bool (*has)(uint32_t number));

/** The same text from parts. @passes: PenPass, @notes: lines. */
char *treatment_format(const PenSessionFold *fold, const GArray *passes, const GString *notes);

void treatment_format_note(
    GString *out, const char *kind, uint64_t tick_us, uint32_t value, const char *text);

/** Encode one record. Owns: the caller. */
GBytes *treatment_encode(const PenRecordHeader *header, const PenBody *body);
