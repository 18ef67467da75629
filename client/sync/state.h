/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/database.h"
#include "sync/journal_entry.h"

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * What one sink must not forget, in one SQLite file (F21): how far the journal was scanned,
 * which sessions wait and why, what was delivered and what the sink said about it, and when
 * each thing was last said about a session. Of a session's content it holds only what was
 * carried here in files (carried.h), until that is delivered. The file is locked: a second
 * process on the same sink is refused.
 *
 * Errors of all: SYNC_ERROR_STATE. Main thread only.
 */
typedef struct SyncState SyncState;

/* Why a session waits. */
typedef enum {
    SYNC_WAIT_QUEUED = 0, /* not tried yet since it changed */
    SYNC_WAIT_BACKOFF,    /* tried; the sink or penteld could not */
    SYNC_WAIT_UNBOUND,    /* it has no patient reference */
    SYNC_WAIT_SET_ASIDE,  /* refused */
    SYNC_WAIT_SECOND,     /* delivered, and looked at once more: not counted or listed */
} SyncWait;

#define SYNC_WAIT_N 4 /* that people are told of */

typedef struct {
    char *session;  /* owned */
    char *gateway;  /* owned; "" for what the journal tells, else whose record was carried here */
    char *store_id; /* owned; of the journal that seq is of */
    uint64_t seq;   /* newest entry about it that was scanned */
    int64_t wall_us;
    int64_t fold_wall_us;
    int64_t since_us;   /* our clock, when it began to wait */
    bool may_be_erased; /* an entry about it was erased */
    SyncWait wait;
    int64_t next_us;   /* our clock, next try; 0 when only a change or a person brings it back */
    uint32_t attempts; /* in vain since it last changed */
    char *reason;      /* owned; may be NULL */
    char *note;        /* owned; the sink's, may be NULL */
    uint64_t n_bytes;  /* of what was carried of it */
} SyncPending;

/* What `pentelctl sync` shows. */
typedef struct {
    uint64_t n_delivered;
    uint64_t n_waiting[SYNC_WAIT_N];
    int64_t oldest_us;  /* since when the oldest waits; 0 when none does */
    char *last_session; /* owned; NULL before the first */
    int64_t last_us;
} SyncCounts;

/** Open, create or upgrade @directory/state.db. Owns: close with sync_state_close(). */
SyncState *sync_state_open(const char *directory, bool is_read_only, GError **error);
void sync_state_close(SyncState *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncState, sync_state_close)

/** The file itself, for carried.c. Owns: borrowed. */
SyncDb *sync_state_get_db(SyncState *self);

/** Name of the file's directory. Owns: borrowed. */
const char *sync_state_get_directory(const SyncState *self);

/** The cursor: store id ("" before the first), seq, hash of that entry (may be NULL). */
typedef struct {
    char *store_id; /* owned */
    uint64_t seq;
    GBytes *hash; /* owned; NULL when the journal gives none */
} SyncCursor;

bool sync_state_get_cursor(SyncState *self, SyncCursor *cursor_out, GError **error);
void sync_cursor_clear(SyncCursor *self);

/** Begin at 0 of another store: what waits is forgotten, what was delivered is not. */
bool sync_state_restart(SyncState *self, const char *store_id, GError **error);

/** Take entries, in order of seq, in one transaction: their sessions wait, the cursor moves on. */
bool sync_state_scan(SyncState *self, const GPtrArray *entries, int64_t now_us, GError **error);

/**
 * Up to @limit sessions that are due at @now_us, the longest waiting first.
 *
 * @is_carried_only: leave out those that penteld would have to be asked for.
 * Owns: a GPtrArray of SyncPending.
 */
GPtrArray *sync_state_list_due(
    SyncState *self, int64_t now_us, bool is_carried_only, guint limit, GError **error);

/** How many sessions are due at @now_us. */
bool sync_state_count_due(
    SyncState *self, int64_t now_us, bool is_carried_only, uint64_t *n_out, GError **error);

/** Make due at @now_us what only a clock that was wrong can have put off so far. */
bool sync_state_mend_clock(SyncState *self, int64_t now_us, GError **error);

/** When the next one is due; 0 when none ever is. */
bool sync_state_get_next_due(SyncState *self, int64_t *wall_us_out, GError **error);

/** Up to @limit sessions that wait, the longest first. Owns: a GPtrArray of SyncPending. */
GPtrArray *sync_state_list_waiting(SyncState *self, guint limit, GError **error);

void sync_pending_free(SyncPending *self);

/** What was said about a session and when. Owns: a GArray of SyncSaid. */
GArray *sync_state_list_said(SyncState *self, const SyncPending *pending, GError **error);

/* How one delivery went, for the file. */
typedef struct {
    const SyncPending *pending;
    bool is_delivered;
    bool is_erased;     /* it was redacted: nothing of it may come back */
    SyncWait wait;      /* when not */
    int64_t next_us;    /* when not: next try, 0 for never by itself; else second look, 0 none */
    const char *reason; /* may be NULL */
    const char *note;   /* NULL keeps the earlier one */
} SyncResult;

/** Remember results, in one transaction. A session that changed meanwhile goes on waiting. */
bool sync_state_store(
    SyncState *self, const SyncResult *results, guint n_results, int64_t now_us, GError **error);

/** A session was erased, here or elsewhere: what was carried of it goes and never comes back. */
bool sync_state_bury(SyncState *self, const char *session, GError **error);

/** Make what waits due now: one session, or all when NULL. @n_out: how many. */
bool sync_state_retry(SyncState *self, const char *session, uint64_t *n_out, GError **error);

bool sync_state_count(SyncState *self, SyncCounts *counts_out, GError **error);
void sync_counts_clear(SyncCounts *self);
