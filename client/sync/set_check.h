/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "lib/sets.h"

#include <gio/gio.h>

/* A sealed set whose files are what its sums say; the medium is not needed any more. */
typedef struct {
    char *name;        /* owned */
    char *sums;        /* owned; SHA-256 of its SHA256SUMS */
    char *gateway;     /* owned; who sealed it, "" when it does not say */
    char *sink;        /* owned; name of the sink there */
    char *store_id;    /* owned; of whose journal */
    char *before;      /* owned; name of the set before it, "" for the first */
    char *before_sums; /* owned; what the anchor says of that one's SHA256SUMS */
    char *found_sums;  /* owned; of the one that is there under that name, NULL when none is */
    int deliveries_fd; /* owned; a copy of deliveries.pb that nobody else can change */
    int records_fd;    /* owned; as that, -1 when there are none or they are not wanted */
    uint64_t n_bytes;  /* of deliveries.pb */
    uint64_t n_records_bytes;
    uint64_t n_deliveries;
} SyncSet;

void sync_set_free(SyncSet *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncSet, sync_set_free)

/**
 * Check a set: every file is there and is what SHA256SUMS says, and deliveries.pb is whole.
 *
 * @scratch: directory for the copies, which have no name there.
 * Blocks: reads all of it; any thread. Owns: the caller's.
 * Errors: SYNC_ERROR_DATA: "SET/FILE ...; remedy"; SYNC_ERROR_STATE: no room for the copies.
 */
SyncSet *sync_set_check(const CliSet *files,
                        const char *scratch,
                        bool wants_records,
                        GCancellable *cancellable,
                        GError **error);
