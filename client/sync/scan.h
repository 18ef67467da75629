/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/state.h"

#include <gio/gio.h>

typedef struct {
    char *store_id;   /* owned by who finishes; NULL when penteld could not be asked */
    uint64_t scanned; /* the cursor now */
    uint64_t head;    /* of the journal when it was asked */
} SyncScanReport;

/**
 * Read what is new in the journal into @state, so that its sessions wait to be delivered.
 *
 * A journal that is not the one the cursor is of (F7) is read from its beginning.
 * Owns: @state outlives the call. Errors: as sync_journal_read_async(), SYNC_ERROR_STATE.
 */
void sync_scan_async(GDBusConnection *bus,
                     SyncState *state,
                     GCancellable *cancellable,
                     GAsyncReadyCallback callback,
                     gpointer user_data);

/** @report_out: filled in every case, as far as it came. */
bool sync_scan_finish(GAsyncResult *result, SyncScanReport *report_out, GError **error);
