/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "lib/term.h"

#include <stdint.h>

/* One line on a terminal that says how far a long run is; nothing elsewhere. */
typedef struct {
    CliTerm term;
    int64_t begun_us; /* monotonic; 0 before the first */
    int64_t shown_us; /* monotonic */
} SyncProgress;

/** Show @n_done of @n_total, at most five times a second. */
void sync_progress_show(SyncProgress *self, uint64_t n_done, uint64_t n_total);

/** Take the line away. */
void sync_progress_clear(SyncProgress *self);
