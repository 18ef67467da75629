/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Brings the ledger to what is on disk: at start, and after a transaction that failed.
 */
#include "store/ledger.h"

static bool
load_logs(PdLedger *self, PdStmt *stmt, GError **error)
{
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        PdLog *log = pd_ledger_get_log(self, (uint64_t)sqlite3_column_int64(stmt, 0));
        g_free(log->serial);
        log->serial = g_strdup(pd_stmt_get_text(stmt, 1));
        log->tick_unit = (uint32_t)sqlite3_column_int64(stmt, 2);
        log->marked = (uint32_t)sqlite3_column_int64(stmt, 3);
        log->marked_wall_us = sqlite3_column_int64(stmt, 4);
        pd_ranges_from_bytes(
            &log->stored, sqlite3_column_blob(stmt, 5), (size_t)sqlite3_column_bytes(stmt, 5));
        pd_ranges_from_bytes(
            &log->outside, sqlite3_column_blob(stmt, 6), (size_t)sqlite3_column_bytes(stmt, 6));
    }
    return stmt != NULL && got == 0;
}

static bool
load_causes(PdLedger *self, PdStmt *stmt, GError **error)
{
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        pd_log_load_cause(pd_ledger_get_log(self, (uint64_t)sqlite3_column_int64(stmt, 0)),
                          (uint32_t)sqlite3_column_int64(stmt, 1),
                          (uint32_t)sqlite3_column_int64(stmt, 2),
                          (PdCause)sqlite3_column_int64(stmt, 3));
    }
    return stmt != NULL && got == 0;
}

#define LOG_COLUMNS                                                                                \
    "select log_id, serial, tick_unit, marked, marked_wall_us, stored, outside from log"
#define CAUSE_COLUMNS "select log_id, first, last, cause from settled"

static bool
load_erased(PdLedger *self, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db, error, "select distinct log_id, session from erased", "");
    int64_t must_scrub = 0;
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        pd_log_erase(pd_ledger_get_log(self, (uint64_t)sqlite3_column_int64(stmt, 0)),
                     (uint32_t)sqlite3_column_int64(stmt, 1));
    }
    if (stmt == NULL || got < 0 ||
        !pd_db_get_int(
            self->db, 0, &must_scrub, error, "select value from meta where key = 'scrub'")) {
        return false;
    }
    self->must_scrub = must_scrub != 0;
    return true;
}

/* Raw rows beyond what the sets on disk know of: their fold did not come about. */
static bool
load_tail(PdLedger *self, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(
        self->db,
        error,
        "select log_id, number, session, rowid from raw where rowid >"
        " coalesce((select value from meta where key = 'folded_rowid'), 0) order by rowid",
        "");
    g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(PdSessionFold));
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        PdLog *log = pd_ledger_get_log(self, (uint64_t)sqlite3_column_int64(stmt, 0));
        const uint32_t number = (uint32_t)sqlite3_column_int64(stmt, 1);
        const PdSessionFold key = {
            .log_id = log->log_id,
            .number = (uint32_t)sqlite3_column_int64(stmt, 2),
            .place = { .raw_min = sqlite3_column_int64(stmt, 3) },
        };
        pen_ranges_add(&log->stored, number, number);
        log->dirty = true;
        if (key.number == 0 || key.number > number) {
            pen_ranges_add(&log->outside, number, number);
            continue;
        }
        g_array_append_val(keys, key);
    }
    if (stmt == NULL || got < 0) {
        return false;
    }
    for (guint i = 0; i < keys->len; i++) {
        const PdSessionFold *key = &g_array_index(keys, PdSessionFold, i);
        PdSessionFold *session = pd_ledger_get_session(self, key->log_id, key->number, error);
        if (session == NULL) {
            return false;
        }
        if (session->place.raw_min == 0) {
            session->place.raw_min = key->place.raw_min;
        }
        session->place.raw_max = MAX(session->place.raw_max, key->place.raw_min);
        session->dirty = true;
        session->needs_fold = true;
    }
    return true;
}

/* Which sessions it was about is not remembered: those that can change, and the last ones,
 * whose times may be better now. */
static bool
load_behind(PdLedger *self, GError **error)
{
    int64_t is_behind = 0;

    if (!pd_db_get_int(
            self->db, 0, &is_behind, error, "select value from meta where key = 'unfolded'")) {
        return false;
    }
    self->is_behind = is_behind != 0;
    if (!self->is_behind) {
        return true;
    }
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select log_id, number from session where opened_seq in (select opened_seq"
                    " from session where state in ('open', 'partial', 'closed-by')"
                    " order by opened_seq desc limit 256) or opened_seq in (select opened_seq"
                    " from session order by opened_seq desc limit 32)",
                    "");
    int got = 0;
    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        PdSessionFold *session = pd_ledger_get_session(self,
                                                       (uint64_t)sqlite3_column_int64(stmt, 0),
                                                       (uint32_t)sqlite3_column_int64(stmt, 1),
                                                       error);
        if (session == NULL) {
            return false;
        }
        session->dirty = true;
    }
    return stmt != NULL && got == 0;
}

static bool
load_next_rowid(PdLedger *self, GError **error)
{
    int64_t last = 0;

    if (!pd_db_get_int(self->db,
                       0,
                       &last,
                       error,
                       "select max(coalesce((select max(rowid) from raw), 0),"
                       " coalesce((select value from meta where key = 'folded_rowid'), 0))")) {
        return false;
    }
    self->next_rowid = last + 1;
    return true;
}

bool
pd_ledger_load_numbers(PdLedger *self, GError **error)
{
    g_autoptr(PdStmt) logs = pd_db_query(self->db, error, LOG_COLUMNS, "");

    if (!load_logs(self, logs, error)) {
        return false;
    }
    g_autoptr(PdStmt) causes =
        pd_db_query(self->db, error, CAUSE_COLUMNS " order by log_id, first", "");
    return load_causes(self, causes, error);
}

bool
pd_ledger_load_log(PdLedger *self, uint64_t log_id, GError **error)
{
    if (g_hash_table_contains(self->logs, &log_id)) {
        return true;
    }
    g_autoptr(PdStmt) log =
        pd_db_query(self->db, error, LOG_COLUMNS " where log_id = ?", "i", (int64_t)log_id);
    if (!load_logs(self, log, error)) {
        return false;
    }
    g_autoptr(PdStmt) causes = pd_db_query(
        self->db, error, CAUSE_COLUMNS " where log_id = ? order by first", "i", (int64_t)log_id);
    return load_causes(self, causes, error);
}

bool
pd_ledger_reload(PdLedger *self, GError **error)
{
    g_hash_table_remove_all(self->sessions);
    g_hash_table_remove_all(self->logs);
    return load_next_rowid(self, error) && pd_ledger_load_numbers(self, error) &&
           load_erased(self, error) && load_tail(self, error) && load_behind(self, error);
}
