/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/ranges.h"
#include "core/record.h"

#include <glib.h>

/*
 * What is known of one pen's log: the numbers that are stored, handed to the store or
 * settled, and the newest one that exists. Shared by the reader, which adds records,
 * and the supervisor, which asks for what is missing. Every function: any thread.
 */
typedef struct PdProgress PdProgress;

/** Owns: takes the ranges out of @settled. */
PdProgress *pd_progress_new(uint64_t log_id, PenRanges *settled);
PdProgress *pd_progress_ref(PdProgress *self);
void pd_progress_unref(PdProgress *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdProgress, pd_progress_unref)

uint64_t pd_progress_get_log_id(const PdProgress *self);

/**
 * A record was handed to the store.
 *
 * Returns true when numbers between the newest one before and this one are missing.
 */
bool pd_progress_take(PdProgress *self, const PenRecordHeader *header, bool is_session_end);

/** first..last need not be asked for any more. */
void pd_progress_settle(PdProgress *self, uint32_t first, uint32_t last);

/** The pen said that its log reaches up to @newest. */
void pd_progress_raise(PdProgress *self, uint32_t newest);

uint32_t pd_progress_get_newest(PdProgress *self);

/** Session of the newest record seen, 0 when it was outside one, ended it or is lost. */
uint32_t pd_progress_get_session(PdProgress *self);

/** First missing range within first..last, at most @n_max numbers long. */
bool pd_progress_first_missing(
    PdProgress *self, uint32_t first, uint32_t last, uint32_t n_max, PenRange *missing_out);

/** How many of first..last are missing. */
uint64_t pd_progress_count_missing(PdProgress *self, uint32_t first, uint32_t last);
