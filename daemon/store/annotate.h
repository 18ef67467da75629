/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/queue.h"

/** In an update of session: nothing was said, and it is not held. */
#define PD_SAID_NULL                                                                               \
    "patient = null, operator = null, note = null, reaction = null, order_ref = null,"             \
    " zone = null, closed_reason = null, hold = null"

/** @seq_out: the journal's seq, written before the task completes; lives in the task's data. */
PdJob pd_job_annotate(const char *id, const PdAnnotation *annotation, uint64_t *seq_out);

/**
 * UUID of the session that @id names: 4 to 36 characters of it.
 *
 * Errors: PD_ERROR_INVALID_ARGUMENT, PD_ERROR_NOT_FOUND, PD_ERROR_AMBIGUOUS, PD_ERROR_STORE.
 */
bool pd_find_session(
    PdDb *db, const char *id, char uuid_out[37], uint64_t *opened_seq_out, GError **error);

/** Errors: PD_ERROR_NOT_FOUND: the session is erased, so that nothing can be said of it. */
bool pd_check_not_erased(PdDb *db, uint64_t opened_seq, GError **error);

/** Bring the head beside a session's row to what an entry says; no entry is written. */
bool pd_annotation_write(PdDb *db,
                         const PdAnnotation *annotation,
                         uint64_t opened_seq,
                         GError **error);

/** The same for an entry that holds or releases. */
bool pd_hold_write(PdDb *db, const Pentel__V1__Hold *hold, uint64_t opened_seq, GError **error);
