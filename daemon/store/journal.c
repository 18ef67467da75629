/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Appending to the journal and its hash chain.
 */
#include "store/journal.h"

#include "store/chain.h"
#include "util/error.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* seq and hash of the last entry; zeros when there is none. */
static bool
read_last(PdDb *db, uint64_t *seq_out, uint8_t hash_out[PD_CHAIN_HASH_SIZE], GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(db, error, "select seq, hash from journal order by seq desc limit 1", "");
    const int got = stmt == NULL ? -1 : pd_db_step(db, stmt, error);

    *seq_out = 0;
    memset(hash_out, 0, PD_CHAIN_HASH_SIZE);
    if (got > 0) {
        *seq_out = (uint64_t)sqlite3_column_int64(stmt, 0);
        if (sqlite3_column_bytes(stmt, 1) == (int)PD_CHAIN_HASH_SIZE) {
            memcpy(hash_out, sqlite3_column_blob(stmt, 1), PD_CHAIN_HASH_SIZE);
        }
    }
    return got >= 0;
}

bool
pd_journal_head(PdDb *db, uint64_t *head_out, GError **error)
{
    int64_t head = 0;

    if (!pd_db_get_int(db, 0, &head, error, "select max(seq) from journal")) {
        return false;
    }
    *head_out = (uint64_t)head;
    return true;
}

bool
pd_journal_append(PdDb *db,
                  const PdJournalStamp *stamp,
                  Pentel__V1__JournalEntry *entry,
                  uint64_t *seq_out,
                  GError **error)
{
    uint8_t before[PD_CHAIN_HASH_SIZE];
    uint8_t content[PD_CHAIN_HASH_SIZE];
    uint8_t hash[PD_CHAIN_HASH_SIZE];
    uint8_t salt[PD_CHAIN_SALT_SIZE];
    uint64_t seq = 0;

    if (!read_last(db, &seq, before, error)) {
        return false;
    }
    if (getrandom(salt, sizeof salt, 0) != (ssize_t)sizeof salt) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "getrandom: %s", g_strerror(errno));
        return false;
    }
    entry->seq = seq + 1;
    entry->store_id = (char *)(uintptr_t)stamp->store_id;
    entry->wall_us = stamp->wall_us;
    entry->wall_synced = stamp->wall_synced;
    const size_t n_bytes = pentel__v1__journal_entry__get_packed_size(entry);
    g_autofree uint8_t *bytes = g_malloc(n_bytes);
    pentel__v1__journal_entry__pack(entry, bytes);
    pd_chain_hash_content(salt, sizeof salt, bytes, n_bytes, content);
    g_autoptr(GBytes) frame = pd_chain_dup_frame(bytes, n_bytes);
    pd_chain_link(before, frame, (uint32_t)entry->kind_case, content, hash);
    *seq_out = seq + 1;
    return pd_db_run(db,
                     error,
                     "insert into journal (seq, wall_us, session, kind, salt, entry, hash)"
                     " values (?, ?, ?, ?, ?, ?, ?)",
                     "iitibbb",
                     (int64_t)(seq + 1),
                     stamp->wall_us,
                     entry->session,
                     (int64_t)entry->kind_case,
                     salt,
                     sizeof salt,
                     bytes,
                     n_bytes,
                     hash,
                     sizeof hash);
}
