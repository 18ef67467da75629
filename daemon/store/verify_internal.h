/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/chain.h"
#include "store/schema.h"
#include "store/verify.h"

/* Shared by verify.c, which goes from one thing to the next, and what looks at each. */
struct PdVerify {
    char *index;      /* owned */
    char *raw;        /* owned */
    PdDb *db;         /* owned; NULL before the first step */
    guint stage;      /* of verify.c */
    int64_t cursor;   /* in that stage */
    int64_t upto;     /* end of what is walked by key, fixed at the beginning */
    int64_t max_raw;  /* rowid at the beginning */
    GArray *suspects; /* owned; int64_t opened_seq that differ */
    bool wants_flush;
    bool without_segments;
    bool was_cut;
    GHashTable *logs;      /* owned; &log_id to PdVerifyLog */
    PdVerifyAnchor anchor; /* store_id owned; "" when there is none */
    PdVerifySummary summary;
    uint8_t hash[PD_CHAIN_HASH_SIZE]; /* of the last entry that was walked */
};

/* Numbers of one log, as its row had them at the beginning and as they were found. */
typedef struct {
    uint64_t log_id;
    PenRanges said;
    PenRanges said_outside;
    PenRanges seen;
    PenRanges seen_outside;
    PenRanges rows;   /* of raw */
    PenRanges erased; /* may be said to be stored and not be found */
} PdVerifyLog;

PdVerifyLog *pd_verify_get_log(PdVerify *self, uint64_t log_id);

void pd_verify_find(GPtrArray *findings, char *where, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** Walk entries after the cursor; false at the end. */
bool pd_verify_journal(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error);

/** The tables that sessions are made again in, in this connection only. */
bool pd_verify_prepare_sessions(PdDb *db, GError **error);

/** Make sessions after the cursor again and compare; those that differ become suspects. */
bool pd_verify_sessions(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error);

/** Look at the suspects once more. @findings: NULL to keep those that still differ. */
bool pd_verify_suspects(PdVerify *self, GPtrArray *findings, GError **error);

/** Raw rows after the cursor: each by itself, and whose it is. */
bool pd_verify_tail(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error);

/** What each log says that it has, before anything is walked and after. */
bool pd_verify_load_numbers(PdVerify *self, GError **error);
bool pd_verify_numbers(PdVerify *self, GPtrArray *findings, GError **error);
