/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "lib/sets.h"
#include "sync/state.h"

#include <gio/gio.h>

/* What became of a set that was brought. */
typedef struct {
    char *set;             /* owned */
    char *refusal;         /* owned; why nothing of it was taken, NULL when it was sound */
    char *missing;         /* owned; a set before it that never came, NULL when none is missing */
    GPtrArray *refused;    /* owned; why a delivery was not taken, the first of them */
    uint64_t n_deliveries; /* in it */
    uint64_t n_new;        /* of these told something new and now wait */
    uint64_t n_refused;    /* of these were refused alone */
    bool is_known;         /* it was taken over before */
} SyncIntake;

void sync_intake_free(SyncIntake *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncIntake, sync_intake_free)

/* Who takes sets over. Borrowed until the completion. */
typedef struct {
    SyncState *state;
    const char *own_gateway;
    bool wants_raw;
} SyncIntaker;

/**
 * Take over a set: check it, and let wait what of it is new. When this is completed the
 * medium may go; cut off at any moment, the same set can be brought again.
 *
 * Main thread, one at a time; the reading is done in a thread of its own.
 * Owns: takes over @set. Errors: SYNC_ERROR_STATE; a set that is refused is none.
 */
void sync_intake_async(const SyncIntaker *self,
                       CliSet *set,
                       GCancellable *cancellable,
                       GAsyncReadyCallback callback,
                       gpointer user_data);

/** Owns: the caller's. */
SyncIntake *sync_intake_finish(GAsyncResult *result, GError **error);
