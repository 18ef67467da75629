/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "journal.pb-c.h"
#include "store/db.h"

#define PD_JOURNAL_UID_SELF 0xffffffffu

/*
 * The append-only journal: seq is given inside the writing transaction, each entry's hash
 * covers the one before (F7). A salt stands before the content so that an erased entry
 * cannot be guessed from its hash (F20).
 */

/** What an entry is written under; the same for the life of a writer but for the clock. */
typedef struct {
    const char *store_id; /* borrowed */
    int64_t wall_us;
    bool wall_synced;
} PdJournalStamp;

/**
 * Append an entry inside the transaction under way.
 *
 * @entry: kind, session and uid are set; seq, store id and time are filled in here.
 */
bool pd_journal_append(PdDb *db,
                       const PdJournalStamp *stamp,
                       Pentel__V1__JournalEntry *entry,
                       uint64_t *seq_out,
                       GError **error);

/** Last seq there is, 0 when empty. */
bool pd_journal_head(PdDb *db, uint64_t *head_out, GError **error);
