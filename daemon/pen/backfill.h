/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "pen/progress.h"

/*
 * Which numbers to ask a pen for next, on one link: windows that bluetoothd's socket
 * can hold, so that pressure goes back to the pen (F4). Pure: no clock, no I/O.
 */

#define PD_BACKFILL_SEGMENTS_MAX 64u /* of one report; F4 */
#define PD_BACKFILL_TRIES_MAX    5u  /* of one number on one link; F3 */

typedef struct {
    /* owned */
    PenRanges given_up; /* until the next link */
    GHashTable *tries;  /* number -> times it was asked for in vain */
    /* plain */
    uint32_t n_segments;        /* of a window, now */
    uint32_t n_record_segments; /* of one record */
    uint32_t n_clean;           /* windows without loss in a row */
} PdBackfill;

void pd_backfill_init(PdBackfill *self);
void pd_backfill_clear(PdBackfill *self);

/** @record_bytes: of the longest record seen, 0 = none yet. @mtu: ATT_MTU of the link. */
void pd_backfill_set_record(PdBackfill *self, uint32_t record_bytes, uint16_t mtu);

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
