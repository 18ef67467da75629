/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Reads a session's raw records in ascending number, merging the sealed block with what
 * is still in the tail.
 */
#include "store/records.h"

#include "core/wire.h"
#include "store/segment.h"
#include "util/error.h"

#include <string.h>

void
pd_record_place_clear(PdRecordPlace *self)
{
    g_clear_pointer(&self->segment, g_free);
}

bool
pd_record_place_load(PdDb *db, uint64_t opened_seq, PdRecordPlace *out, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(db,
                    error,
                    "select log_id, number, raw_min, raw_max, g.name, block_offset, block_size,"
                    " block_sha256 from session s left join segment g on g.id = s.segment"
                    " where opened_seq = ?",
                    "i",
                    (int64_t)opened_seq);
    const int got = stmt == NULL ? -1 : pd_db_step(db, stmt, error);

    memset(out, 0, sizeof *out);
    if (got <= 0) {
        return false;
    }
    out->log_id = (uint64_t)sqlite3_column_int64(stmt, 0);
    out->session = (uint32_t)sqlite3_column_int64(stmt, 1);
    out->raw_min = sqlite3_column_int64(stmt, 2);
    out->raw_max = sqlite3_column_int64(stmt, 3);
    out->segment = pd_stmt_dup_text(stmt, 4);
    out->block_offset = (uint64_t)sqlite3_column_int64(stmt, 5);
    out->block_size = (uint64_t)sqlite3_column_int64(stmt, 6);
    if (sqlite3_column_bytes(stmt, 7) == (int)sizeof out->block_sha256) {
        memcpy(out->block_sha256, sqlite3_column_blob(stmt, 7), sizeof out->block_sha256);
    }
    return true;
}

/* The next record of a block that lies beyond @after; false at its end. */
static bool
next_in_block(GBytes *block,
              size_t *at,
              uint32_t after,
              const uint8_t **record,
              size_t *n_record,
              uint32_t *number)
{
    size_t n_bytes = 0;
    const uint8_t *bytes = g_bytes_get_data(block, &n_bytes);

    while (*at + 10 <= n_bytes) {
        *record = bytes + *at;
        *n_record = pen_wire_get(*record, 2);
        *number = (uint32_t)pen_wire_get(*record + 6, 4);
        if (*n_record < 10 || *n_record > n_bytes - *at) {
            return false;
        }
        *at += *n_record;
        if (*number > after) {
            return true;
        }
    }
    return false;
}

/* With a bound only numbers are sorted, not the bytes of a whole session. */
static PdStmt *
find_in_tail(PdDb *db, const PdRecordPlace *place, uint32_t after, uint32_t n_max, GError **error)
{
    if (n_max == 0) {
        return pd_db_query(db,
                           error,
                           "select number, bytes from raw where rowid between ? and ?"
                           " and log_id = ? and session = ? and number > ? order by number",
                           "iiiii",
                           place->raw_min,
                           place->raw_max,
                           (int64_t)place->log_id,
                           (int64_t)place->session,
                           (int64_t)after);
    }
    return pd_db_query(db,
                       error,
                       "select number, bytes from raw where rowid in (select rowid from raw"
                       " where rowid between ? and ? and log_id = ? and session = ?"
                       " and number > ? order by number limit ?) order by number",
                       "iiiiii",
                       place->raw_min,
                       place->raw_max,
                       (int64_t)place->log_id,
                       (int64_t)place->session,
                       (int64_t)after,
                       (int64_t)n_max);
}

bool
pd_records_walk(PdDb *db,
                const char *raw_directory,
                const PdRecordPlace *place,
                uint32_t after,
                uint32_t n_max,
                PdRecordFunc func,
                void *user_data,
                GError **error)
{
    g_autoptr(GBytes) block = NULL;
    const uint8_t *sealed = NULL;
    size_t n_sealed = 0;
    size_t at = 0;
    uint32_t sealed_number = 0;
    bool more = false;

    if (place->segment != NULL) {
        block = pd_segment_read_block(raw_directory, place, error);
        if (block == NULL) {
            return false;
        }
        more = next_in_block(block, &at, after, &sealed, &n_sealed, &sealed_number);
    }
    g_autoptr(PdStmt) stmt = find_in_tail(db, place, after, n_max, error);
    int got = stmt == NULL ? -1 : pd_db_step(db, stmt, error);
    while (got > 0 || (more && got == 0)) {
        const uint32_t number = got > 0 ? (uint32_t)sqlite3_column_int64(stmt, 0) : 0;
        if (more && (got == 0 || sealed_number <= number)) {
            if (!func(user_data, sealed_number, sealed, n_sealed)) {
                return true;
            }
            if (got > 0 && sealed_number == number) {
                got = pd_db_step(db, stmt, error);
            }
            more = next_in_block(block, &at, after, &sealed, &n_sealed, &sealed_number);
            continue;
        }
        if (!func(user_data,
                  number,
                  sqlite3_column_blob(stmt, 1),
                  (size_t)sqlite3_column_bytes(stmt, 1))) {
            return true;
        }
        got = pd_db_step(db, stmt, error);
    }
    return got == 0;
}
