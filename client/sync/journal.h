/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/journal_entry.h"

#include <gio/gio.h>

#include <stdbool.h>

/* What a reading of the journal tells its caller; each returns false with an error to stop. */
typedef struct {
    /** Before the first entry. */
    bool (*begin)(const char *store_id, uint64_t head, gpointer user_data, GError **error);
    /** Some entries, of SyncEntry, in order of seq. Owns: borrowed for the call. */
    bool (*entries)(GPtrArray *entries, gpointer user_data, GError **error);
} SyncJournalFuncs;

/**
 * Read the journal after @after up to its head, in constant memory.
 *
 * Owns: @funcs is static; @user_data must outlive the call. Errors: of D-Bus (see
 * cli_fault_of()), those of @funcs, SYNC_ERROR_UNAVAILABLE: the pipe ended early or holds
 * something else; what came before is good.
 */
void sync_journal_read_async(GDBusConnection *bus,
                             uint64_t after,
                             const SyncJournalFuncs *funcs,
                             gpointer user_data,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer callback_data);

bool sync_journal_read_finish(GAsyncResult *result, GError **error);
