/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/batch.h"

/*
 * Carries the journal to the sink, round by round: scan what is new, deliver what is due,
 * wait until something changes or is due. Main thread.
 */
typedef struct SyncEngine SyncEngine;

typedef struct {
    SyncWork work;
    uint32_t poll_s;
    bool is_once;         /* end when nothing is due, or at the first trouble */
    bool is_carried_only; /* leave penteld alone: deliver what was carried here */

    /* All may be NULL. */
    void (*on_changed)(gpointer user_data); /* what sync_engine_describe() says */
    void (*on_progress)(uint64_t n_done, uint64_t n_total, gpointer user_data);
    /** It ends by itself: nothing left (--once), or an error that no second try can cure. */
    void (*on_ended)(SyncExit code, const GError *error, gpointer user_data);
    gpointer user_data;
} SyncEngineConfig;

typedef struct {
    char *store_id;   /* owned; "" before the first contact */
    uint64_t scanned; /* journal seq */
    uint64_t head;    /* journal seq as last heard, 0 unknown */
    char *last_error; /* owned; NULL when the last round was well */
    int64_t error_us; /* wall clock */
    int64_t next_us;  /* wall clock of the next round; 0 while one is under way */
    bool is_working;
} SyncEngineStatus;

/** Make. Owns: copies @config, borrows what it points at; free with sync_engine_free(). */
SyncEngine *sync_engine_new(const SyncEngineConfig *config);

/** Free; not while sync_engine_is_working(). */
void sync_engine_free(SyncEngine *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncEngine, sync_engine_free)

/** Begin a round now; one under way is followed by another. */
void sync_engine_poke(SyncEngine *self);

/** The journal grew to @head. */
void sync_engine_set_head(SyncEngine *self, uint64_t head);

/** penteld came (back): what failed for want of it is tried now. */
void sync_engine_set_present(SyncEngine *self);

/** Stop: no round begins any more, the one under way is cancelled and ends soon. */
void sync_engine_stop(SyncEngine *self);

/** True while a round is under way. */
bool sync_engine_is_working(const SyncEngine *self);

/** Monotonic time since when the sink has been at work on one batch; 0 when it is not. */
int64_t sync_engine_get_busy_since(const SyncEngine *self);

/** Try now what waits: @session, or all when NULL. Errors: SYNC_ERROR_STATE. */
bool sync_engine_retry(SyncEngine *self, const char *session, uint64_t *n_out, GError **error);

void sync_engine_describe(const SyncEngine *self, SyncEngineStatus *status_out);
void sync_engine_status_clear(SyncEngineStatus *self);
