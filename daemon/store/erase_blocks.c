/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Sealed blocks are erased by writing what stays of their segment into a new one. The old
 * file goes after the commit, or at the next start when that was cut.
 */
#include "store/erase.h"
#include "store/segment.h"

typedef struct {
    int64_t opened_seq;
    PdRecordPlace place;
} Kept;

static void
clear_kept(gpointer data)
{
    pd_record_place_clear(&((Kept *)data)->place);
}

static bool
is_gone(const GArray *gone, int64_t opened_seq)
{
    for (guint i = 0; i < gone->len; i++) {
        if (g_array_index(gone, int64_t, i) == opened_seq) {
            return true;
        }
    }
    return false;
}

static GArray *
list_kept(PdLedger *ledger, int64_t segment, const GArray *gone, GError **error)
{
    g_autoptr(GArray) kept = g_array_new(FALSE, TRUE, sizeof(Kept));
    g_autoptr(PdStmt) stmt = pd_db_query(
        ledger->db, error, "select opened_seq from session where segment = ?", "i", segment);
    int got = 0;

    g_array_set_clear_func(kept, clear_kept);
    while (stmt != NULL && (got = pd_db_step(ledger->db, stmt, error)) > 0) {
        const Kept one = { .opened_seq = sqlite3_column_int64(stmt, 0) };
        if (!is_gone(gone, one.opened_seq)) {
            g_array_append_val(kept, one);
        }
    }
    return stmt != NULL && got == 0 ? g_steal_pointer(&kept) : NULL;
}

static bool
copy_block(PdLedger *ledger, PdSegmentWriter *writer, Kept *kept, GError **error)
{
    return pd_record_place_load(ledger->db, (uint64_t)kept->opened_seq, &kept->place, error) &&
           pd_segment_copy(writer, &kept->place, error);
}

static bool
write_kept(PdLedger *ledger, GArray *kept, GError **error)
{
    PdSegmentWriter *writer = pd_segment_begin(ledger->raw_directory, ledger->stamp.wall_us, error);

    if (writer == NULL) {
        return false;
    }
    for (guint i = 0; i < kept->len; i++) {
        if (!copy_block(ledger, writer, &g_array_index(kept, Kept, i), error)) {
            pd_segment_abandon(writer);
            g_prefix_error(error, "another session of the same segment: ");
            return false;
        }
    }
    return pd_segment_commit(writer, error);
}

static bool
point_rows(PdLedger *ledger, GArray *kept, GError **error)
{
    if (!pd_db_run(ledger->db,
                   error,
                   "insert into segment (name) values (?)",
                   "t",
                   g_array_index(kept, Kept, 0).place.segment)) {
        return false;
    }
    const int64_t id = sqlite3_last_insert_rowid(pd_db_handle(ledger->db));
    for (guint i = 0; i < kept->len; i++) {
        const Kept *one = &g_array_index(kept, Kept, i);
        if (!pd_db_run(ledger->db,
                       error,
                       "update session set segment = ?, block_offset = ?, block_size = ?"
                       " where opened_seq = ?",
                       "iiii",
                       id,
                       (int64_t)one->place.block_offset,
                       (int64_t)one->place.block_size,
                       one->opened_seq)) {
            return false;
        }
    }
    return true;
}

static bool
forget_segment(PdLedger *ledger, int64_t segment, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db, error, "select name from segment where id = ?", "i", segment);
    const int got = stmt == NULL ? -1 : pd_db_step(ledger->db, stmt, error);
    const char *name = got > 0 ? (const char *)sqlite3_column_text(stmt, 0) : NULL;

    if (got < 0) {
        return false;
    }
    if (name != NULL) {
        g_ptr_array_add(ledger->replaced, g_build_filename(ledger->raw_directory, name, NULL));
    }
    return pd_db_run(ledger->db, error, "delete from segment where id = ?", "i", segment);
}

/* Folds in memory know where their block was. */
static void
forget_places(PdLedger *ledger, const GArray *kept)
{
    for (guint i = 0; i < kept->len; i++) {
        const PdRecordPlace *place = &g_array_index(kept, Kept, i).place;
        const PdSessionFold key = { .log_id = place->log_id, .number = place->session };
        PdSessionFold *session = g_hash_table_lookup(ledger->sessions, &key);
        if (session != NULL) {
            g_free(session->place.segment);
            session->place.segment = g_strdup(place->segment);
            session->place.block_offset = place->block_offset;
            session->place.block_size = place->block_size;
        }
    }
}

bool
pd_erase_blocks(PdLedger *ledger, int64_t segment, const GArray *gone, GError **error)
{
    g_autoptr(GArray) kept = list_kept(ledger, segment, gone, error);

    if (kept == NULL) {
        return false;
    }
    if (kept->len > 0 && (!write_kept(ledger, kept, error) || !point_rows(ledger, kept, error))) {
        return false;
    }
    forget_places(ledger, kept);
    return forget_segment(ledger, segment, error);
}
