/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"

#include <gio/gio.h>

/* One session as penteld has it now, and all that a delivery needs of it. */
typedef struct {
    char *session;      /* owned */
    GVariant *state;    /* owned; NULL when penteld does not know it (any more) */
    bool is_erased;     /* penteld keeps a tombstone of it only; state is NULL */
    bool is_superseded; /* a later state of it is known elsewhere here: nothing to deliver */
    int raw_fd;         /* owned; -1 when not asked for */
    uint64_t n_raw_bytes;
    uint32_t n_settled;
} SyncFetched;

/**
 * Ask penteld for a session, and for its records when @wants_raw.
 *
 * Errors: of D-Bus, see cli_fault_of(); SYNC_ERROR_UNAVAILABLE: the records ended early, or
 * the session changed meanwhile: ask again. A session that is not known is no error.
 */
void sync_fetch_async(GDBusConnection *bus,
                      const char *session,
                      bool wants_raw,
                      GCancellable *cancellable,
                      GAsyncReadyCallback callback,
                      gpointer user_data);

/** Owns: the caller's. */
SyncFetched *sync_fetch_finish(GAsyncResult *result, GError **error);

void sync_fetched_free(SyncFetched *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncFetched, sync_fetched_free)

/** Records of a session that are here: its span of numbers without all missing ones. */
uint32_t sync_count_settled(GVariant *state);
