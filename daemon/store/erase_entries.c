/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What was said is erased out of the journal, and its place in the chain stays.
 */
#include "store/chain.h"
#include "store/erase.h"
#include "util/error.h"

/* The frame stays, and the hash that the chain needs; salt and content go. */
static bool
blank_entry(PdLedger *ledger, int64_t seq, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db, error, "select salt, entry from journal where seq = ?", "i", seq);
    uint8_t content[PD_CHAIN_HASH_SIZE];
    gsize n_frame = 0;

    if (stmt == NULL || pd_db_step(ledger->db, stmt, error) <= 0) {
        return false;
    }
    const uint8_t *entry = sqlite3_column_blob(stmt, 1);
    const size_t n_entry = (size_t)sqlite3_column_bytes(stmt, 1);
    pd_chain_hash_content(sqlite3_column_blob(stmt, 0),
                          (size_t)sqlite3_column_bytes(stmt, 0),
                          entry,
                          n_entry,
                          content);
    g_autoptr(GBytes) frame = pd_chain_dup_frame(entry, n_entry);
    if (frame == NULL) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_MALFORMED,
                    "journal entry %" G_GINT64_FORMAT " is damaged: see pentelctl verify",
                    seq);
        return false;
    }
    const void *bytes = g_bytes_get_data(frame, &n_frame);
    return pd_db_run(ledger->db,
                     error,
                     "update journal set salt = x'', entry = ?, content = ? where seq = ?",
                     "bbi",
                     bytes,
                     n_frame,
                     content,
                     sizeof content,
                     seq);
}

bool
pd_blank_entries(PdLedger *ledger, const GArray *seqs, GError **error)
{
    for (guint i = 0; i < seqs->len; i++) {
        if (!blank_entry(ledger, (int64_t)g_array_index(seqs, uint64_t, i), error)) {
            return false;
        }
    }
    return true;
}

GArray *
pd_list_entries(PdLedger *ledger, const char *id, GError **error)
{
    g_autoptr(GArray) seqs = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_autoptr(PdStmt) stmt = pd_db_query(ledger->db,
                                         error,
                                         "select seq from journal where session = ?"
                                         " and session != '' and length(salt) > 0 and kind != ?",
                                         "ti",
                                         id,
                                         (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_ERASURE);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(ledger->db, stmt, error)) > 0) {
        const uint64_t seq = (uint64_t)sqlite3_column_int64(stmt, 0);
        g_array_append_val(seqs, seq);
    }
    return stmt != NULL && got == 0 ? g_steal_pointer(&seqs) : NULL;
}
