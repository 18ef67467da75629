/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What was erased after a backup was made must not come back with it (F20).
 */
#include "journal.pb-c.h"
#include "store/erase.h"
#include "store/restore.h"
#include "util/error.h"

#include <string.h>

static void
append_entry(GByteArray *out, const void *entry, size_t n_entry)
{
    size_t value = n_entry;

    do {
        const uint8_t byte = (uint8_t)((value & 0x7f) | (value >= 0x80 ? 0x80 : 0));
        g_byte_array_append(out, &byte, 1);
        value >>= 7;
    } while (value > 0);
    g_byte_array_append(out, entry, (guint)n_entry);
}

GBytes *
pd_read_tombstones(const char *index, GError **error)
{
    GByteArray *out = g_byte_array_new();
    const bool is_there = g_file_test(index, G_FILE_TEST_EXISTS);
    g_autoptr(PdDb) db = is_there ? pd_db_open(index, PD_DB_READER, NULL, error) : NULL;
    g_autoptr(PdStmt) stmt =
        db == NULL ? NULL
                   : pd_db_query(db,
                                 error,
                                 "select entry from journal where kind = ? order by seq",
                                 "i",
                                 (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_ERASURE);

    while (stmt != NULL && pd_db_step(db, stmt, error) > 0) {
        append_entry(out, sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0));
    }
    return g_byte_array_free_to_bytes(out);
}

typedef enum { SESSION_ABSENT, SESSION_HERE, SESSION_ERASED } SessionState;

static bool
find_session(PdLedger *ledger, const char *id, SessionState *state_out, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(
        ledger->db, error, "select state = 'erased' from session where id = ?", "t", id);
    const int got = stmt == NULL ? -1 : pd_db_step(ledger->db, stmt, error);

    *state_out = SESSION_ABSENT;
    if (got > 0) {
        *state_out = sqlite3_column_int(stmt, 0) != 0 ? SESSION_ERASED : SESSION_HERE;
    }
    return got >= 0;
}

static bool
run(PdLedger *ledger, PdJob job, GError **error)
{
    const bool ok = job.run(job.data, ledger, error);

    pd_job_clear(&job);
    return ok;
}

static bool
apply(PdLedger *ledger, const Pentel__V1__JournalEntry *entry, GError **error)
{
    const Pentel__V1__Erasure *erasure = entry->erasure;
    uint64_t seq = 0;
    SessionState state = SESSION_ABSENT;

    if (erasure->n_entries > 0) {
        return pd_erase_entries(ledger,
                                entry->session,
                                erasure->entries,
                                erasure->n_entries,
                                erasure->reason,
                                entry->uid,
                                error);
    }
    if (erasure->first == 0 || !find_session(ledger, entry->session, &state, error)) {
        return erasure->first == 0;
    }
    if (state != SESSION_HERE) {
        return state == SESSION_ERASED || pd_erase_absent(ledger, erasure, entry->uid, error);
    }
    /* A hold of the time of the backup was released before it was erased. */
    return run(ledger, pd_job_hold(entry->session, "", true, entry->uid, &seq), error) &&
           run(ledger,
               pd_job_erase(&(PdErasure){ .session = entry->session,
                                          .reason = erasure->reason,
                                          .uid = entry->uid },
                            NULL),
               error);
}

/* Length at @at; false when it is none or points beyond the end. */
static bool
next_length(const uint8_t *bytes, size_t n_bytes, size_t *at, size_t *n_out)
{
    uint64_t length = 0;

    for (unsigned shift = 0; shift < 35 && *at < n_bytes; shift += 7) {
        const uint8_t byte = bytes[(*at)++];
        length |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *n_out = (size_t)length;
            return length <= n_bytes - *at;
        }
    }
    return false;
}

bool
pd_apply_tombstones(PdLedger *ledger, GBytes *data, GError **error)
{
    size_t n_bytes = 0;
    const uint8_t *bytes = g_bytes_get_data(data, &n_bytes);
    size_t at = 0;
    size_t n_entry = 0;

    while (at < n_bytes) {
        Pentel__V1__JournalEntry *entry =
            next_length(bytes, n_bytes, &at, &n_entry)
                ? pentel__v1__journal_entry__unpack(NULL, n_entry, bytes + at)
                : NULL;
        if (entry == NULL) {
            g_set_error(error,
                        PD_ERROR,
                        PD_ERROR_INVALID_ARGUMENT,
                        "the tombstones are no journal entries, each after its length");
            return false;
        }
        at += n_entry;
        const bool ok = entry->kind_case != PENTEL__V1__JOURNAL_ENTRY__KIND_ERASURE ||
                        apply(ledger, entry, error);
        pentel__v1__journal_entry__free_unpacked(entry, NULL);
        if (!ok) {
            return false;
        }
    }
    return true;
}
