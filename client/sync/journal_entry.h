/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/* What a copier needs of a journal entry. */
typedef struct {
    uint64_t seq;
    char *store_id; /* owned */
    GBytes *hash;   /* owned; NULL when the journal gives none */
    int64_t wall_us;
    uint32_t uid;
    char *session;   /* owned; "" when it is about none */
    bool is_fold;    /* the session's numbers changed */
    bool is_erased;  /* its content was erased */
    char *fields[7]; /* owned; what was said, NULL-terminated: patient, zone, zone:2 ... */
} SyncEntry;

/** Decode a pentel.v1.JournalEntry; NULL when it is none. Owns: free with sync_entry_free(). */
SyncEntry *sync_entry_decode(const uint8_t *bytes, size_t n_bytes);
void sync_entry_free(SyncEntry *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncEntry, sync_entry_free)
