/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/intake.h"

/* What became of a directory of sets. */
typedef struct {
    uint64_t n_sets;
    uint64_t n_new;     /* deliveries that now wait */
    uint64_t n_refused; /* sets, and deliveries of the others */
} SyncBrought;

/**
 * Take over all sets of a directory, one after another, and say what became of each: on
 * standard output, what was refused as warnings.
 *
 * Owns: takes over @sets; @intaker is borrowed until the completion. Errors: SYNC_ERROR_STATE.
 */
void sync_bring_async(const SyncIntaker *intaker,
                      CliSets *sets,
                      GCancellable *cancellable,
                      GAsyncReadyCallback callback,
                      gpointer user_data);

/** @brought_out: filled in every case. */
bool sync_bring_finish(GAsyncResult *result, SyncBrought *brought_out, GError **error);
