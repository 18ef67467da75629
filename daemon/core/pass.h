/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/tally.h"

/* The pass under way: where contact began and ended last, and what was sampled. */
typedef struct {
    bool is_open;
    bool incomplete;
    bool has_needles;
    uint32_t needles; /* in force when the pass began */
    uint64_t start_us;
    uint64_t contact_end_us;
    uint64_t contact_us;
    PenTally tally;
} PenPassUnderWay;

void pen_pass_open(PenPassUnderWay *self, uint64_t start_us, bool has_needles, uint32_t needles);

/** Add contact from @start_us to @end_us, not before the last one's end. */
void pen_pass_extend(PenPassUnderWay *self, uint64_t start_us, uint64_t end_us);

/** Whether contact that begins at @at_us no longer belongs to this pass. */
bool pen_pass_is_over(const PenPassUnderWay *self, const PenFoldConfig *config, uint64_t at_us);

/** Close it. Returns false when it had too little contact to count. */
bool pen_pass_close(PenPassUnderWay *self, const PenFoldConfig *config, PenPass *pass_out);
