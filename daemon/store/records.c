/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Reads a session's raw records in ascending number, merging the sealed block with what
 * is still in the tail.
 */
#include "store/records.h"

#include "core/record.h"
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

typedef struct {
    uint32_t number;
    const uint8_t *bytes;
    size_t n_bytes;
} Found;

/* The next record of a block that lies beyond @after; false at its end. */
static bool
next_in_block(GBytes *block, size_t *at, uint32_t after, Found *out)
{
    size_t n_block = 0;
    const uint8_t *bytes = block == NULL ? NULL : g_bytes_get_data(block, &n_block);

    while (*at + PEN_RECORD_HEADER_SIZE <= n_block) {
        out->bytes = bytes + *at;
        out->n_bytes = pen_wire_get(out->bytes, 2);
        out->number = (uint32_t)pen_wire_get(out->bytes + 6, 4);
        if (out->n_bytes < PEN_RECORD_HEADER_SIZE || out->n_bytes > n_block - *at) {
            return false;
        }
        *at += out->n_bytes;
        if (out->number > after) {
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

/* As pd_db_step(); what is found lives until the next step. */
static int
next_in_tail(PdDb *db, PdStmt *stmt, Found *out, GError **error)
{
    const int got = stmt == NULL ? -1 : pd_db_step(db, stmt, error);

    if (got > 0) {
        out->number = (uint32_t)sqlite3_column_int64(stmt, 0);
        out->bytes = sqlite3_column_blob(stmt, 1);
        out->n_bytes = (size_t)sqlite3_column_bytes(stmt, 1);
    }
    return got;
}

/* Both are ascending; what is in both comes from the block. */
static bool
merge(PdDb *db,
      PdStmt *stmt,
      GBytes *block,
      uint32_t after,
      PdRecordFunc func,
      void *user_data,
      GError **error)
{
    size_t at = 0;
    Found sealed = { 0 };
    Found late = { 0 };
    bool more = next_in_block(block, &at, after, &sealed);
    int got = next_in_tail(db, stmt, &late, error);

    while (got > 0 || (more && got == 0)) {
        const bool is_sealed = more && (got == 0 || sealed.number <= late.number);
        const bool is_late = got > 0 && (!more || late.number <= sealed.number);
        const Found *found = is_sealed ? &sealed : &late;
        if (!func(user_data, found->number, found->bytes, found->n_bytes)) {
            return true;
        }
        more = is_sealed ? next_in_block(block, &at, after, &sealed) : more;
        got = is_late ? next_in_tail(db, stmt, &late, error) : got;
    }
    return got == 0;
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

    if (place->segment != NULL) {
        block = pd_segment_read_block(raw_directory, place, error);
        if (block == NULL) {
            return false;
        }
    }
    g_autoptr(PdStmt) stmt = find_in_tail(db, place, after, n_max, error);
    return merge(db, stmt, block, after, func, user_data, error);
}
