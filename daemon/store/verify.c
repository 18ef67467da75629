/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Goes from one thing that can be wrong to the next, a bounded read transaction at a time
 * (F14). What each of them must be is decided in the files beside this one.
 */
#include "store/home.h"
#include "store/records.h"
#include "store/segment.h"
#include "store/verify_internal.h"
#include "store/witness.h"
#include "util/error.h"

#include <stdarg.h>
#include <string.h>

#define STEP_US     INT64_C(100000)
#define TRIES_MAX   3
#define N_TABLES    17u
#define SEGMENT_ROW 16

typedef enum {
    STAGE_OPEN = 0,
    STAGE_PAGES,
    STAGE_BEGIN,
    STAGE_JOURNAL,
    STAGE_SESSIONS,
    STAGE_TAIL,
    STAGE_NUMBERS,
    STAGE_WITNESSES,
    STAGE_SEGMENTS,
    STAGE_ANCHOR,
    STAGE_SUSPECTS,
    STAGE_DONE,
} Stage;

static const char *const table_names[N_TABLES] = {
    "anchor", "conflict", "damaged", "erased",  "former_store", "journal",
    "log",    "meta",     "note",    "pass",    "pass_zone",    "pen",
    "raw",    "segment",  "session", "settled", "witness",
};

static void
free_log(gpointer data)
{
    PdVerifyLog *log = data;

    pen_ranges_clear(&log->said);
    pen_ranges_clear(&log->said_outside);
    pen_ranges_clear(&log->seen);
    pen_ranges_clear(&log->seen_outside);
    pen_ranges_clear(&log->rows);
    pen_ranges_clear(&log->erased);
    g_free(log);
}

PdVerifyLog *
pd_verify_get_log(PdVerify *self, uint64_t log_id)
{
    PdVerifyLog *log = g_hash_table_lookup(self->logs, &log_id);

    if (log == NULL) {
        log = g_new0(PdVerifyLog, 1);
        log->log_id = log_id;
        g_hash_table_insert(self->logs, &log->log_id, log);
    }
    return log;
}

void
pd_verify_find(GPtrArray *findings, char *where, const char *format, ...)
{
    PdFinding *finding = g_new0(PdFinding, 1);
    va_list args;

    va_start(args, format);
    finding->what = g_strdup_vprintf(format, args);
    va_end(args);
    finding->where = where;
    g_ptr_array_add(findings, finding);
}

PdVerify *
pd_verify_new(const char *index, const char *raw_directory, const PdVerifyAnchor *anchor)
{
    PdVerify *self = g_new0(PdVerify, 1);

    self->index = g_strdup(index);
    self->raw = g_strdup(raw_directory);
    self->suspects = g_array_new(FALSE, FALSE, sizeof(int64_t));
    self->logs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_log);
    if (anchor != NULL) {
        self->anchor = *anchor;
    }
    self->anchor.store_id = g_strdup(anchor != NULL ? anchor->store_id : "");
    return self;
}

void
pd_verify_leave_out_segments(PdVerify *self)
{
    self->without_segments = true;
}

void
pd_verify_free(PdVerify *self)
{
    if (self == NULL) {
        return;
    }
    pd_db_close(self->db);
    g_array_unref(self->suspects);
    g_hash_table_unref(self->logs);
    g_free((char *)(uintptr_t)self->anchor.store_id);
    g_free(self->index);
    g_free(self->raw);
    g_free(self);
}

void
pd_verify_get_summary(const PdVerify *self, PdVerifySummary *out)
{
    *out = self->summary;
}

static bool
check_version(PdVerify *self, GPtrArray *findings, GError **error)
{
    int64_t version = 0;
    bool fits = false;

    if (!pd_db_get_int(self->db, 0, &version, error, "pragma user_version") ||
        !pd_witness_check_schema(self->db, &fits, error)) {
        return false;
    }
    if (version != PD_SCHEMA_VERSION) {
        pd_verify_find(findings,
                       g_strdup("schema"),
                       "the version is %d and not %d",
                       (int)version,
                       PD_SCHEMA_VERSION);
    }
    if (!fits) {
        pd_verify_find(findings, g_strdup("schema"), "the tables are not as they were made");
    }
    return true;
}

static bool
step_open(PdVerify *self, GPtrArray *findings, GError **error)
{
    self->db = pd_db_open(self->index, PD_DB_VERIFIER, NULL, error);
    return self->db != NULL && check_version(self, findings, error);
}

/* One table in each step: SQLite has no smaller piece. That is 0.2 s for 200,000 records, in
 * which a gateway writes less to the WAL than it does between two checkpoints (bench verify);
 * what is older lies in segments. */
static bool
step_pages(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error)
{
    const char *name = table_names[self->cursor];
    g_autofree char *sql = g_strdup_printf("pragma main.integrity_check('%s')", name);
    sqlite3_stmt *stmt = NULL;
    int got = 0;

    if (sqlite3_prepare_v2(pd_db_handle(self->db), sql, -1, &stmt, NULL) != SQLITE_OK) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s", sqlite3_errmsg(pd_db_handle(self->db)));
        return false;
    }
    while ((got = pd_db_step(self->db, stmt, error)) > 0) {
        const char *answer = (const char *)sqlite3_column_text(stmt, 0);
        if (answer == NULL || strcmp(answer, "ok") != 0) {
            g_autofree char *valid = g_utf8_make_valid(answer != NULL ? answer : "", -1);
            pd_verify_find(findings, g_strdup_printf("table %s", name), "SQLite says: %s", valid);
            pd_home_suspect_index(self->index);
        }
    }
    sqlite3_finalize(stmt);
    self->cursor++;
    *more_out = self->cursor < (int64_t)N_TABLES;
    return got == 0;
}

static bool
read_store_id(PdVerify *self, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db, error, "select value from main.meta where key = 'store_id'", "");
    const int got = stmt == NULL ? -1 : pd_db_step(self->db, stmt, error);
    const char *id = got > 0 ? (const char *)sqlite3_column_text(stmt, 0) : NULL;

    g_strlcpy(self->summary.store_id, id != NULL ? id : "", sizeof self->summary.store_id);
    return got >= 0;
}

/* Rows that the fold has not passed count as new: a log's numbers may know of them. */
static bool
read_bounds(PdVerify *self, GError **error)
{
    int64_t head = 0;

    if (!read_store_id(self, error) ||
        !pd_db_get_int(self->db, 0, &head, error, "select max(seq) from main.journal") ||
        !pd_db_get_int(self->db,
                       0,
                       &self->max_raw,
                       error,
                       "select min(coalesce((select max(rowid) from main.raw), 0),"
                       " coalesce((select value from main.meta where key = 'folded_rowid'), 0))")) {
        return false;
    }
    self->summary.head = (uint64_t)head;
    return pd_verify_load_numbers(self, error);
}

static bool
step_begin(PdVerify *self, GError **error)
{
    const bool ok = pd_db_script(self->db, "begin", error) && read_bounds(self, error);

    (void)sqlite3_exec(pd_db_handle(self->db), "rollback", NULL, NULL, NULL);
    return ok && pd_verify_prepare_sessions(self->db, error);
}

static bool
step_witnesses(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error)
{
    const char *name = pd_witness_list()[self->cursor];
    bool fits = false;

    self->cursor++;
    *more_out = pd_witness_list()[self->cursor] != NULL;
    if (!pd_witness_check(self->db, name, &fits, error)) {
        return false;
    }
    if (!fits) {
        pd_verify_find(findings,
                       g_strdup_printf("table %s", name),
                       "the rows are not those that were written");
    }
    return true;
}

static bool
step_segments(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select id, name from main.segment where id > ? order by id limit ?",
                    "ii",
                    self->cursor,
                    (int64_t)SEGMENT_ROW);
    int got = 0;

    *more_out = false;
    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        const char *name = (const char *)sqlite3_column_text(stmt, 1);
        g_autoptr(GError) local = NULL;
        self->cursor = sqlite3_column_int64(stmt, 0);
        *more_out = true;
        if (name == NULL || !pd_segment_check(self->raw, name, &local)) {
            pd_verify_find(findings,
                           g_strdup_printf("segment %s", name != NULL ? name : "without a name"),
                           "%s",
                           local != NULL ? local->message : "its row is damaged");
        }
    }
    return stmt != NULL && got == 0;
}

static void
judge_anchor(PdVerify *self, PdStmt *stmt, GPtrArray *findings)
{
    g_autofree char *where = g_strdup_printf("anchor %" G_GUINT64_FORMAT, self->anchor.seq);
    const uint8_t *hash = sqlite3_column_blob(stmt, 0);

    if (hash == NULL || sqlite3_column_bytes(stmt, 0) != (int)sizeof self->anchor.hash ||
        memcmp(hash, self->anchor.hash, sizeof self->anchor.hash) != 0) {
        pd_verify_find(findings,
                       g_steal_pointer(&where),
                       "the entry with this number is another one: the journal up to here was "
                       "changed, or is not that of store %s",
                       self->anchor.store_id);
    }
}

static bool
step_anchor(PdVerify *self, GPtrArray *findings, GError **error)
{
    if (self->anchor.store_id[0] == '\0') {
        return true;
    }
    g_autoptr(PdStmt) stmt = pd_db_query(self->db,
                                         error,
                                         "select hash from main.journal where seq = ?",
                                         "i",
                                         (int64_t)MIN(self->anchor.seq, (uint64_t)INT64_MAX));
    const int got = stmt == NULL ? -1 : pd_db_step(self->db, stmt, error);
    if (got == 0) {
        pd_verify_find(findings,
                       g_strdup_printf("anchor %" G_GUINT64_FORMAT, self->anchor.seq),
                       "the journal ends before this entry: what was written up to it is gone");
    } else if (got > 0) {
        judge_anchor(self, stmt, findings);
    }
    return got >= 0;
}

/* What differs may have been under way: only what still differs after it was written counts. */
static bool
step_suspects(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error)
{
    *more_out = false;
    if (self->suspects->len == 0) {
        return true;
    }
    self->cursor++;
    if (!pd_verify_suspects(self, self->cursor >= TRIES_MAX ? findings : NULL, error)) {
        return false;
    }
    *more_out = self->cursor < TRIES_MAX && self->suspects->len > 0;
    self->wants_flush = *more_out;
    return true;
}

static bool
run_stage(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error)
{
    switch ((Stage)self->stage) {
    case STAGE_OPEN:
        return step_open(self, findings, error);
    case STAGE_PAGES:
        return step_pages(self, findings, more_out, error);
    case STAGE_BEGIN:
        return step_begin(self, error);
    case STAGE_JOURNAL:
        return pd_verify_journal(self, findings, more_out, error);
    case STAGE_SESSIONS:
        return pd_verify_sessions(self, findings, more_out, error);
    case STAGE_TAIL:
        return pd_verify_tail(self, findings, more_out, error);
    case STAGE_NUMBERS:
        return pd_verify_numbers(self, findings, error);
    case STAGE_WITNESSES:
        return step_witnesses(self, findings, more_out, error);
    case STAGE_SEGMENTS:
        return self->without_segments || step_segments(self, findings, more_out, error);
    case STAGE_ANCHOR:
        return step_anchor(self, findings, error);
    case STAGE_SUSPECTS:
        return step_suspects(self, findings, more_out, error);
    case STAGE_DONE:
        break;
    }
    return true;
}

static bool
is_cut(const PdVerify *self)
{
    return self->db == NULL || pd_db_is_hindered(self->db);
}

bool
pd_verify_was_cut(const PdVerify *self)
{
    return self->was_cut;
}

/* What SQLite cannot read is a finding like any other; the next thing may be readable. */
static void
run_some(PdVerify *self, GPtrArray *findings)
{
    static const char *const names[] = {
        "index.db", "index.db", "index.db", "journal", "sessions", "live tail",
        "numbers",  "tables",   "segments", "anchor",  "sessions", "",
    };
    g_autoptr(GError) error = NULL;
    bool more = false;

    G_STATIC_ASSERT(G_N_ELEMENTS(names) == STAGE_DONE + 1);
    const int64_t before = self->cursor;
    bool ok = run_stage(self, findings, &more, &error);
    if (ok && more && self->cursor <= before) {
        /* Keys that are out of order would be walked for ever. */
        g_set_error(&error, PD_ERROR, PD_ERROR_STORE, "its rows are out of order");
        ok = false;
    }
    self->was_cut = self->was_cut || (!ok && is_cut(self));
    if (!ok) {
        pd_verify_find(findings,
                       g_strdup(names[self->stage]),
                       "cannot be read: %s",
                       error != NULL ? error->message : "unknown error");
    }
    if (self->db == NULL) {
        self->stage = STAGE_DONE;
    } else if (!ok || !more) {
        self->stage++;
        self->cursor = 0;
    }
}

bool
pd_verify_step(PdVerify *self, GPtrArray *findings)
{
    const int64_t until_us = g_get_monotonic_time() + STEP_US;

    self->wants_flush = false;
    while (self->stage != STAGE_DONE && !self->wants_flush && g_get_monotonic_time() < until_us) {
        const guint before = self->stage;
        /* Each is one look at one state. */
        const bool begun =
            self->db != NULL && self->stage > STAGE_BEGIN &&
            sqlite3_exec(pd_db_handle(self->db), "begin", NULL, NULL, NULL) == SQLITE_OK;
        run_some(self, findings);
        if (begun) {
            (void)sqlite3_exec(pd_db_handle(self->db), "rollback", NULL, NULL, NULL);
        }
        if (before != self->stage && self->stage == STAGE_SUSPECTS) {
            self->wants_flush = self->suspects->len > 0;
        }
    }
    return self->stage != STAGE_DONE;
}

bool
pd_verify_wants_flush(const PdVerify *self)
{
    return self->wants_flush;
}
