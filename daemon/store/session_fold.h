/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/fold.h"
#include "store/records.h"

/*
 * One session's fold in memory: fed as records arrive in order, begun again from disk when
 * one came late. Belongs to the writer thread.
 */
typedef struct {
    uint64_t log_id;
    uint32_t number;     /* of session-begin */
    uint64_t opened_seq; /* 0 until its row exists */
    PdRecordPlace place;
    bool dirty;         /* its row is behind */
    bool needs_fold;    /* what is in memory is not what is stored */
    bool is_over;       /* as last derived */
    bool is_unreadable; /* its sealed block is damaged: its row stays as it is */
    bool is_erased;     /* its row is a tombstone and stays as it is */
    bool is_urgent;     /* begun or ended since its row was written */
    int64_t touched_us;
    uint32_t tick_unit;
    GArray *crcs;  /* PdNumberCrc, ascending by number */
    PenFold *fold; /* owned memory */
    GChecksum *receipt;
    GArray *passes;            /* PenPass */
    GPtrArray *notes;          /* PdNote */
    guint n_closed_passes;     /* of passes, without the one a look closed */
    uint32_t n_bad_counted;    /* bad bodies that the counters know of */
    uint32_t n_written_passes; /* rows on disk that will not change */
    uint32_t n_written_notes;
} PdSessionFold;

typedef struct {
    uint32_t number;
    uint32_t crc;
} PdNumberCrc;

PdSessionFold *pd_session_fold_new(uint64_t log_id, uint32_t number);
void pd_session_fold_free(PdSessionFold *self);

/** Begin again; the caller then pushes everything there is. */
void pd_session_fold_reset(PdSessionFold *self, const PenFoldConfig *config, uint32_t tick_unit);

/**
 * Take a record that is new to the session. In order it goes into the fold at once, else
 * the fold is begun again later.
 */
void pd_session_fold_take(PdSessionFold *self, const uint8_t *record, size_t n_record);

/** CRC kept of a number; false when it is not known here. */
bool pd_session_fold_get_crc(const PdSessionFold *self, uint32_t number, uint32_t *crc_out);

/* What there is of a session now: the pass under way is closed for the look. */
typedef struct {
    PenSessionFold fold;
    GArray *passes;   /* PenPass, borrowed until the next call on the fold */
    GPtrArray *notes; /* PdNote, borrowed */
    uint8_t receipt[32];
} PdSessionView;

/** Look, then pd_session_fold_unlook() before anything is pushed. */
void pd_session_fold_look(PdSessionFold *self, PdSessionView *view_out);
void pd_session_fold_unlook(PdSessionFold *self);
