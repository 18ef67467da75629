/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "pen/progress.h"

/*
 * Which numbers to ask a pen for next, on one link: windows that bluetoothd's socket
 * can hold, so that pressure goes back to the pen (F4). Pure: no clock, no I/O.
 */

#define PD_BACKFILL_SEGMENTS_MAX 64u /* of one report; F4 */
#define PD_BACKFILL_BEGIN        2u  /* records, while nothing is known of them */
#define PD_BACKFILL_TRIES_MAX    5u  /* of one number on one link; F3 */

typedef struct {
    /* owned */
    PenRanges given_up; /* until the next link */
    GHashTable *tries;  /* number -> times it was asked for in vain */
    /* plain */
    uint32_t n_numbers;         /* of a window, as far as loss lets it grow */
    uint32_t n_record_segments; /* of one record, at most, lately */
    uint32_t n_clean;           /* windows without loss in a row */
} PdBackfill;

void pd_backfill_init(PdBackfill *self);
void pd_backfill_clear(PdBackfill *self);

/** @n_record_segments: of the longest record that came lately, 0 = none yet. */
void pd_backfill_set_record(PdBackfill *self, uint32_t n_record_segments);

/** How many numbers the next window may have. */
uint32_t pd_backfill_get_numbers(const PdBackfill *self);

/**
 * The next window within @oldest..@newest: of @session first, 0 = none runs, then the
 * oldest, as the pen overwrites those first. Returns false when nothing is missing.
 */
bool pd_backfill_next(PdBackfill *self,
                      PdProgress *progress,
                      uint32_t oldest,
                      uint32_t newest,
                      uint32_t session,
                      PenRange *window_out);

/** A window is over. Returns how many of its numbers did not come. */
uint32_t pd_backfill_judge(PdBackfill *self, PdProgress *progress, const PenRange *window);
