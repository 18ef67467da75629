/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/fetch.h"
#include "sync/state.h"

/*
 * What was carried here in files and is not delivered yet, in the sink's state: the sets
 * themselves are not needed any more once this returned. Main thread only.
 *
 * Errors of all: SYNC_ERROR_STATE.
 */

/* One delivery out of a set. */
typedef struct {
    char *session;   /* owned; UUID */
    char *gateway;   /* owned; not empty */
    char *store_id;  /* owned; of the journal that seq is of, "" when not known */
    char *state;     /* owned; JSON of it, NULL when it was erased */
    GBytes *records; /* owned; length-delimited pentel.v1.RawRecord; NULL for none */
    GArray *said;    /* owned; of SyncSaid */
    uint64_t seq;
    int64_t wall_us;
    int64_t fold_wall_us;
    uint64_t records_at; /* where they are in records.pb */
    uint64_t n_records_bytes;
} SyncCarried;

void sync_carried_free(SyncCarried *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncCarried, sync_carried_free)

/**
 * Let what is new of it wait, in one transaction: a session waits as its gateway told it
 * last, and an erasure takes away what waits of the session from anywhere.
 *
 * @items: of SyncCarried, in order. @own_gateway: whose journal is read here.
 * @n_new_out: how many were.
 */
bool sync_carried_take(SyncState *state,
                       const GPtrArray *items,
                       const char *own_gateway,
                       int64_t now_us,
                       guint *n_new_out,
                       GError **error);

/**
 * What waits of a session, as penteld would hand it out.
 *
 * Owns: the caller's; is_superseded when the journal here has come to know a later state.
 */
SyncFetched *sync_carried_fetch(SyncState *state,
                                const SyncPending *pending,
                                const char *own_gateway,
                                bool wants_raw,
                                GError **error);

/** How much of a set is here already. */
typedef enum {
    SYNC_CARRIED_NONE = 0,
    SYNC_CARRIED_PART, /* all but deliveries that were refused */
    SYNC_CARRIED_ALL,
} SyncCarriedPart;

/** @sums: SHA-256 of its SHA256SUMS. */
bool sync_carried_find_set(SyncState *state,
                           const char *sums,
                           SyncCarriedPart *out,
                           GError **error);
bool sync_carried_add_set(
    SyncState *state, const char *sums, const char *name, uint64_t n_refused, GError **error);
