/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/store.h"

/*
 * A walk over everything that is stored, in read transactions of about a tenth of a second:
 * SQLite's own check, the journal's chain, every session against what its raw records and
 * the journal make of it, the live tail, sealed segments, the witnesses of the facts.
 */

/** Begin; nothing is read yet. @anchor: NULL, or what the journal must hold. */
PdVerify *pd_verify_new(const char *index, const char *raw_directory, const PdVerifyAnchor *anchor);

/**
 * All but what lies in segments, which takes as long as the history is: their blocks and the
 * sessions made of them. Before the first step.
 */
void pd_verify_leave_out_segments(PdVerify *self);

/**
 * Do some of it. One thread at a time, whichever.
 *
 * @findings: PdFinding is added for each thing that is wrong.
 * Returns false when all is done.
 */
bool pd_verify_step(PdVerify *self, GPtrArray *findings);

/** Whether something could not be read for another reason than what it holds: what was found may
 * come of that. */
bool pd_verify_was_cut(const PdVerify *self);

/**
 * All of it at once, before anybody writes: whether the store fits together but for segments.
 * @cut_out: it could not be read for another reason, and nobody knows. Errors: PD_ERROR_STORE,
 * with what does not fit; the caller moves it aside.
 */
bool pd_verify_at_start(const char *index,
                        const char *raw_directory,
                        bool *cut_out,
                        GError **error);

/** What differs may only be under way: it should be written before the next step. */
bool pd_verify_wants_flush(const PdVerify *self);
