/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/checkpoint.h"
#include "store/journal.h"
#include "store/logs.h"
#include "store/session_fold.h"

/* Since start. */
typedef struct {
    uint64_t n_records;
    uint64_t n_bad;
    uint64_t n_duplicates;
    uint64_t n_conflicts;
    uint64_t n_erased; /* records of erased sessions, dropped */
} PdLedgerCounts;

/*
 * What the writer thread knows: every log's numbers and the sessions under way. Facts are
 * taken inside a transaction of the caller; if that fails, pd_ledger_reload() brings
 * memory back to what is on disk.
 */
typedef struct {
    PdDb *db;                     /* borrowed */
    const char *raw_directory;    /* borrowed */
    PdCheckpointer *checkpointer; /* borrowed; NULL: nobody else brings the WAL over */
    PenFoldConfig config;
    PdJournalStamp stamp;
    GHashTable *logs;     /* owned; &log_id to PdLog */
    GHashTable *sessions; /* owned; PdSessionFold as its own key */
    int64_t next_rowid;   /* of raw; never one twice, so that "folded up to" stays true */
    PdLedgerCounts counts;
    GPtrArray *replaced; /* owned; paths that go once no row names them */
    bool must_scrub;     /* something was erased and may still be in free pages */
    bool must_truncate;  /* the same of the WAL */
    int64_t truncate_us; /* monotonic; not before */
    bool is_quiet;       /* what is unreadable is for the caller to say */
    bool is_behind;      /* what was settled or anchored is on disk, what follows from it not yet */
    uint32_t n_loads;    /* sessions read back only to compare a duplicate, in this batch */
} PdLedger;

void pd_ledger_init(PdLedger *self,
                    PdDb *db,
                    const char *raw_directory,
                    const PenFoldConfig *config);
void pd_ledger_clear(PdLedger *self);

/** Forget memory and read it from disk again. */
bool pd_ledger_reload(PdLedger *self, GError **error);

/** Only each log's numbers, as its row has them. */
bool pd_ledger_load_numbers(PdLedger *self, GError **error);

/** The same of one log, once. */
bool pd_ledger_load_log(PdLedger *self, uint64_t log_id, GError **error);

/** The log, made when it is new. Owns: borrowed. */
PdLog *pd_ledger_get_log(PdLedger *self, uint64_t log_id);

/** The session, loaded from disk when it is there. NULL on error. Owns: borrowed. */
PdSessionFold *pd_ledger_get_session(PdLedger *self,
                                     uint64_t log_id,
                                     uint32_t number,
                                     GError **error);

/** Store a record that passed pen_record_check(). */
bool pd_ledger_take_record(
    PdLedger *self, uint64_t log_id, const uint8_t *record, size_t n_record, GError **error);

bool pd_ledger_settle(
    PdLedger *self, uint64_t log_id, uint32_t first, uint32_t last, PdCause cause, GError **error);

bool pd_ledger_take_damaged(PdLedger *self,
                            uint64_t log_id,
                            uint32_t number,
                            const uint8_t *bytes,
                            size_t n_bytes,
                            GError **error);

bool pd_ledger_add_anchor(PdLedger *self, uint64_t log_id, const PenAnchor *anchor, GError **error);

/** Serial, tick unit and mark of a log. */
bool pd_ledger_write_log(PdLedger *self, const PdLog *log, GError **error);

/** The sets of every log that changed since. */
bool pd_ledger_write_numbers(PdLedger *self, GError **error);

/**
 * Fold a session from everything stored. One whose sealed block is damaged is marked
 * unreadable, which is no error.
 */
bool pd_ledger_fold_again(PdLedger *self, PdSessionFold *session, GError **error);

/** Forget a session's fold; it is loaded again when a record comes. */
void pd_ledger_drop_session(PdLedger *self, PdSessionFold *session);

/** Mark the session that was under way just before @number for another look. */
bool pd_ledger_touch_before(PdLedger *self, uint64_t log_id, uint32_t number, GError **error);
