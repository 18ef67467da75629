/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/queue.h"

#define PD_REASON_MAX_BYTES 1024u /* of an erasure, of a hold */

/*
 * Content is removed where it lies: rows, journal entries (their place in the chain stays),
 * sealed blocks by writing their segment anew without them. A key for each block that is
 * thrown away instead would leave old segments unprotected and every backup of the keys as
 * sensitive as the records; segments are small, and erasing is rare.
 */

/** What an erasure did, in the task's data; written before the task completes. */
typedef struct {
    uint32_t n_sessions;
    uint64_t seq;
} PdErased;

PdJob pd_job_erase(const PdErasure *erasure, PdErased *erased_out);

/** @seq_out: as of pd_job_annotate(). */
PdJob pd_job_hold(
    const char *id, const char *reason, bool release, uint32_t uid, uint64_t *seq_out);

/** Seqs (uint64_t) of entries about a session that still say something. NULL on error. */
GArray *pd_list_entries(PdLedger *ledger, const char *id, GError **error);

/** Leave of entries (uint64_t seqs) only what the chain needs. */
bool pd_blank_entries(PdLedger *ledger, const GArray *seqs, GError **error);

/**
 * Erase sessions (int64_t opened_seq) of our own accord, each of their segments written anew
 * once. In the caller's transaction; one that is held stops them all.
 */
bool pd_erase_sessions(PdLedger *ledger,
                       const GArray *sessions,
                       const char *reason,
                       GError **error);

/** Erase the content of single entries about a session, as far as they are here. */
bool pd_erase_entries(PdLedger *ledger,
                      const char *session,
                      const uint64_t *seqs,
                      size_t n_seqs,
                      const char *reason,
                      uint32_t uid,
                      GError **error);

/**
 * Of a session that is not here: what a pen says of it is dropped on arrival, and the
 * tombstone stands in this journal as well, once.
 */
bool pd_erase_absent(PdLedger *ledger,
                     const Pentel__V1__Erasure *erasure,
                     uint32_t uid,
                     GError **error);

/**
 * After the commit: delete files that were replaced, overwrite what pages still hold, empty
 * the WAL. Writer thread, between transactions; what cannot be done now is tried again.
 */
void pd_erase_finish(PdLedger *ledger, const char *index);

/* How far the retention period was looked after; zero at first. */
typedef struct {
    int64_t looked_us; /* monotonic; 0: there is more to do */
    int64_t after;     /* opened_seq of the last one looked at in this round */
    uint32_t n_failed; /* one after another, of which the disk may be the cause */
    bool must_scrub;   /* something went in this round: free pages are for its end */
} PdRetirement;

/** When pd_erase_retire() has something to do, monotonic; 0 never as things are. */
int64_t pd_erase_retire_due(const PdLedger *ledger, uint32_t days, const PdRetirement *at);

/**
 * Erase some sessions that ended more than @days ago, and pass over what cannot be erased.
 * Returns false when something failed: what is in memory is to be read from the disk again.
 */
bool pd_erase_retire(PdLedger *ledger, uint32_t days, PdRetirement *at);

/**
 * Write the segment anew without the blocks of @gone (int64_t opened_seq); all rows follow.
 *
 * In the caller's transaction; the old file goes after the commit, by pd_erase_finish().
 */
bool pd_erase_blocks(PdLedger *ledger, int64_t segment, const GArray *gone, GError **error);
