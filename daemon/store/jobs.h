/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/queue.h"

/*
 * What a transaction can be asked to do besides storing records. Each makes a PdJob that
 * owns copies of what it was given; pass it to pd_queue_submit().
 */
PdJob pd_job_settle(uint64_t log_id, uint32_t first, uint32_t last, PdCause cause);
PdJob pd_job_damaged(uint64_t log_id, uint32_t number, const uint8_t *bytes, size_t n_bytes);
PdJob pd_job_anchor(uint64_t log_id, const PenAnchor *anchor);
PdJob pd_job_marked(uint64_t log_id, uint32_t marked);
PdJob pd_job_save_pen(const PdPenInfo *pen);
PdJob pd_job_forget_pen(const char *serial, uint32_t n_unread, uint32_t uid);

/** @seq_out: the journal's seq, written before the task completes; lives in the task's data. */
PdJob pd_job_annotate(const char *id, const PdAnnotation *annotation, uint64_t *seq_out);

/**
 * UUID of the session that @id names: 4 to 36 characters of it.
 *
 * Errors: PD_ERROR_INVALID_ARGUMENT, PD_ERROR_NOT_FOUND, PD_ERROR_AMBIGUOUS, PD_ERROR_STORE.
 */
bool pd_find_session(
    PdDb *db, const char *id, char uuid_out[37], uint64_t *opened_seq_out, GError **error);
