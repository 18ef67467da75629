/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"

/*
 * The raw records of one session, wherever they lie: in a sealed block, in the live tail,
 * or in both when some came late.
 */
typedef struct {
    uint64_t log_id;
    uint32_t session;
    int64_t raw_min; /* rowids of the tail that can be its */
    int64_t raw_max;
    char *segment; /* owned; file name below raw/, NULL when nothing is sealed */
    uint64_t block_offset;
    uint64_t block_size;
    uint8_t block_sha256[32];
} PdRecordPlace;

void pd_record_place_clear(PdRecordPlace *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PdRecordPlace, pd_record_place_clear)

/** Where the session in @id_sql's row lies. False with no error when there is none. */
bool pd_record_place_load(PdDb *db, uint64_t opened_seq, PdRecordPlace *out, GError **error);

/* Return false to stop early. */
typedef bool (*PdRecordFunc)(void *user_data,
                             uint32_t number,
                             const uint8_t *record,
                             size_t n_record);

/**
 * Walk records with number > @after, ascending.
 *
 * @n_max: of the tail's records, 0 all; what @func refuses must come before.
 * @raw_directory: where segments are.
 * Errors: PD_ERROR_STORE, also for a block whose hash does not fit.
 */
bool pd_records_walk(PdDb *db,
                     const char *raw_directory,
                     const PdRecordPlace *place,
                     uint32_t after,
                     uint32_t n_max,
                     PdRecordFunc func,
                     void *user_data,
                     GError **error);
