/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/fetch.h"
#include "sync/state.h"

/* Where the sessions come from that wait: penteld, and what was carried here in files. */
typedef struct {
    GDBusConnection *bus;    /* borrowed; NULL where nothing but carried ones is asked for */
    SyncState *state;        /* borrowed */
    const char *own_gateway; /* borrowed; whose journal is read here */
    bool wants_raw;
} SyncSource;

/**
 * Get one of them as it stands now.
 *
 * Owns: @self and @pending are borrowed until the completion. Errors: as sync_fetch_async();
 * SYNC_ERROR_STATE.
 */
void sync_source_fetch_async(const SyncSource *self,
                             const SyncPending *pending,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data);

/** Owns: the caller's. */
SyncFetched *sync_source_fetch_finish(GAsyncResult *result, GError **error);
