/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The chain: every entry follows the one before it, and says what its columns say.
 */
#include "journal.pb-c.h"
#include "store/verify_internal.h"

#include <string.h>

#define AT_ONCE 256

enum { SEQ, WALL_US, SESSION, KIND, SALT, ENTRY, CONTENT, HASH };

typedef struct {
    PdVerify *verify;
    GPtrArray *findings;
    PdStmt *stmt;
    int64_t seq;
} Look;

static char *
dup_where(const Look *look)
{
    return g_strdup_printf("journal %" G_GINT64_FORMAT, look->seq);
}

static bool
is_erased(PdStmt *stmt)
{
    return sqlite3_column_bytes(stmt, SALT) == 0;
}

/* The salted hash of an entry, or of one that was erased what is left of it. */
static bool
get_content(PdStmt *stmt, uint8_t hash_out[PD_CHAIN_HASH_SIZE])
{
    const bool has_content = sqlite3_column_type(stmt, CONTENT) != SQLITE_NULL;

    if (is_erased(stmt) != has_content) {
        return false;
    }
    if (!has_content) {
        pd_chain_hash_content(sqlite3_column_blob(stmt, SALT),
                              (size_t)sqlite3_column_bytes(stmt, SALT),
                              sqlite3_column_blob(stmt, ENTRY),
                              (size_t)sqlite3_column_bytes(stmt, ENTRY),
                              hash_out);
        return sqlite3_column_bytes(stmt, SALT) == (int)PD_CHAIN_SALT_SIZE;
    }
    if (sqlite3_column_bytes(stmt, CONTENT) != (int)PD_CHAIN_HASH_SIZE) {
        return false;
    }
    memcpy(hash_out, sqlite3_column_blob(stmt, CONTENT), PD_CHAIN_HASH_SIZE);
    return true;
}

static bool
says_same(PdStmt *stmt, const Pentel__V1__JournalEntry *entry)
{
    const char *session = (const char *)sqlite3_column_text(stmt, SESSION);

    return entry->seq == (uint64_t)sqlite3_column_int64(stmt, SEQ) &&
           entry->wall_us == sqlite3_column_int64(stmt, WALL_US) &&
           g_strcmp0(entry->session, session) == 0 &&
           (is_erased(stmt) || (int64_t)entry->kind_case == sqlite3_column_int64(stmt, KIND));
}

static void
check_columns(const Look *look)
{
    Pentel__V1__JournalEntry *entry =
        pentel__v1__journal_entry__unpack(NULL,
                                          (size_t)sqlite3_column_bytes(look->stmt, ENTRY),
                                          sqlite3_column_blob(look->stmt, ENTRY));

    if (entry == NULL || !says_same(look->stmt, entry)) {
        pd_verify_find(look->findings, dup_where(look), "its columns say something else than it");
    }
    if (entry != NULL) {
        pentel__v1__journal_entry__free_unpacked(entry, NULL);
    }
}

static void
check_link(const Look *look)
{
    PdVerify *self = look->verify;
    const uint8_t *said = sqlite3_column_blob(look->stmt, HASH);
    const int n_said = sqlite3_column_bytes(look->stmt, HASH);
    uint8_t content[PD_CHAIN_HASH_SIZE];
    uint8_t hash[PD_CHAIN_HASH_SIZE] = { 0 };
    g_autoptr(GBytes) frame = pd_chain_dup_frame(sqlite3_column_blob(look->stmt, ENTRY),
                                                 (size_t)sqlite3_column_bytes(look->stmt, ENTRY));

    const bool has_content = get_content(look->stmt, content);
    if (frame != NULL && has_content) {
        pd_chain_link(
            self->hash, frame, (uint32_t)sqlite3_column_int64(look->stmt, KIND), content, hash);
    }
    if (frame == NULL || !has_content || n_said != (int)sizeof hash ||
        memcmp(hash, said, sizeof hash) != 0) {
        pd_verify_find(look->findings,
                       dup_where(look),
                       "it is not what was hashed when it was written, or the entry before it "
                       "is not the one it followed");
    }
    /* From what it says of itself, so that each break is told once. */
    memset(self->hash, 0, sizeof self->hash);
    if (n_said == (int)sizeof self->hash) {
        memcpy(self->hash, said, sizeof self->hash);
    }
}

/* Whether it is the tombstone of a session that never was here, of which a number is kept. */
static bool
is_tombstone(const Look *look)
{
    Pentel__V1__JournalEntry *entry =
        pentel__v1__journal_entry__unpack(NULL,
                                          (size_t)sqlite3_column_bytes(look->stmt, ENTRY),
                                          sqlite3_column_blob(look->stmt, ENTRY));
    bool is = entry != NULL && entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_ERASURE;

    if (is) {
        g_autoptr(PdStmt) stmt =
            pd_db_query(look->verify->db,
                        NULL,
                        "select 1 from main.erased where log_id = ? and session = ?",
                        "ii",
                        (int64_t)entry->erasure->log_id,
                        (int64_t)entry->erasure->first);
        is = stmt != NULL && pd_db_step(look->verify->db, stmt, NULL) > 0;
    }
    if (entry != NULL) {
        pentel__v1__journal_entry__free_unpacked(entry, NULL);
    }
    return is;
}

static bool
check_session(const Look *look, GError **error)
{
    const char *session = (const char *)sqlite3_column_text(look->stmt, SESSION);

    if (session == NULL || session[0] == '\0') {
        return true;
    }
    g_autoptr(PdStmt) stmt = pd_db_query(
        look->verify->db, error, "select 1 from main.session where id = ?", "t", session);
    const int got = stmt == NULL ? -1 : pd_db_step(look->verify->db, stmt, error);
    if (got == 0 && !is_tombstone(look)) {
        pd_verify_find(look->findings, dup_where(look), "its session %s is gone", session);
    }
    return got >= 0;
}

static bool
check_entry(const Look *look, GError **error)
{
    if (look->seq != look->verify->cursor + 1) {
        pd_verify_find(look->findings,
                       dup_where(look),
                       "the entries from %" G_GINT64_FORMAT " to it are gone",
                       look->verify->cursor + 1);
    }
    check_columns(look);
    check_link(look);
    return check_session(look, error);
}

/* Each entry is also found by its session, or not at all. */
bool
pd_verify_journal(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select seq, wall_us, session, kind, salt, entry, content, hash"
                    " from main.journal where seq > ? and seq <= ? order by seq limit ?",
                    "iii",
                    self->cursor,
                    (int64_t)self->summary.head,
                    (int64_t)AT_ONCE);
    int got = 0;

    *more_out = false;
    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        const Look look = {
            .verify = self,
            .findings = findings,
            .stmt = stmt,
            .seq = sqlite3_column_int64(stmt, SEQ),
        };
        if (!check_entry(&look, error)) {
            return false;
        }
        self->cursor = look.seq;
        self->summary.n_entries++;
        *more_out = true;
    }
    memcpy(self->summary.head_hash, self->hash, sizeof self->hash);
    return stmt != NULL && got == 0;
}
