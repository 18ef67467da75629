/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Raw rows each by itself, and the sets of numbers that say which of a log are stored: a
 * number too few would be asked for again, one too many never.
 */
#include "core/record.h"
#include "store/ledger.h"
#include "store/verify_internal.h"

#define AT_ONCE 2048

static void
copy_ranges(PenRanges *to, const PenRanges *from)
{
    for (size_t i = 0; i < from->n_ranges; i++) {
        (void)pen_ranges_add(to, from->ranges[i].first, from->ranges[i].last);
    }
}

static bool
load_ledger(PdVerify *self, PdLedger *ledger, GError **error)
{
    const PenFoldConfig config = PEN_FOLD_DEFAULT;

    pd_ledger_init(ledger, self->db, self->raw, &config);
    return pd_ledger_load_numbers(ledger, error);
}

bool
pd_verify_load_numbers(PdVerify *self, GError **error)
{
    PdLedger ledger;
    GHashTableIter iter;
    gpointer value = NULL;
    const bool ok = load_ledger(self, &ledger, error);

    g_hash_table_iter_init(&iter, ledger.logs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const PdLog *log = value;
        PdVerifyLog *own = pd_verify_get_log(self, log->log_id);
        copy_ranges(&own->said, &log->stored);
        copy_ranges(&own->said_outside, &log->outside);
    }
    pd_ledger_clear(&ledger);
    return ok;
}

static void
check_once(PdVerifyLog *log, uint32_t number, GPtrArray *findings)
{
    if (pen_ranges_contains(&log->rows, number)) {
        pd_verify_find(
            findings,
            g_strdup_printf("record %u of log %016" G_GINT64_MODIFIER "x", number, log->log_id),
            "it is stored twice");
    }
    (void)pen_ranges_add(&log->rows, number, number);
}

static void
check_row(PdVerify *self, PdStmt *stmt, GPtrArray *findings)
{
    const int64_t rowid = sqlite3_column_int64(stmt, 0);
    const uint64_t log_id = (uint64_t)sqlite3_column_int64(stmt, 1);
    const int64_t number = sqlite3_column_int64(stmt, 2);
    const int64_t session = sqlite3_column_int64(stmt, 3);
    const uint8_t *bytes = sqlite3_column_blob(stmt, 4);
    const size_t n_bytes = (size_t)sqlite3_column_bytes(stmt, 4);
    PdVerifyLog *log = pd_verify_get_log(self, log_id);
    PenRecordHeader header = { 0 };

    check_once(log, (uint32_t)number, findings);
    const bool whole = bytes != NULL && pen_record_check(bytes, n_bytes, &header) == PEN_STATUS_OK;
    const int64_t own_session = header.session > header.number ? 0 : (int64_t)header.session;
    if (!whole || header.number != number || own_session != session ||
        header.guard != (uint32_t)log_id) {
        pd_verify_find(findings,
                       g_strdup_printf("record %" G_GINT64_FORMAT " of log %016" G_GINT64_MODIFIER
                                       "x (row %" G_GINT64_FORMAT ")",
                                       number,
                                       log_id,
                                       rowid),
                       whole ? "its columns say something else than it"
                             : "its bytes are not those that the pen sent");
    } else if (session == 0) {
        (void)pen_ranges_add(&log->seen, header.number, header.number);
        (void)pen_ranges_add(&log->seen_outside, header.number, header.number);
    }
}

/* Rows that the fold has passed lie where their session looks for them. */
static bool
check_owners(PdVerify *self, int64_t upto, GPtrArray *findings, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(
        self->db,
        error,
        "select r.rowid from main.raw r where r.rowid > ?1 and r.rowid <= min(?2,"
        " (select value from main.meta where key = 'folded_rowid')) and r.session != 0"
        " and not exists (select 1 from main.session s where s.log_id = r.log_id"
        " and s.number = r.session and r.rowid between s.raw_min and s.raw_max) limit 8",
        "ii",
        self->cursor,
        upto);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        const int64_t rowid = sqlite3_column_int64(stmt, 0);
        pd_verify_find(findings,
                       g_strdup_printf("row %" G_GINT64_FORMAT " of raw", rowid),
                       "no session looks for it there");
    }
    return stmt != NULL && got == 0;
}

bool
pd_verify_tail(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select rowid, log_id, number, session, bytes from main.raw"
                    " where rowid > ? and rowid <= ? order by rowid limit ?",
                    "iii",
                    self->cursor,
                    self->max_raw,
                    (int64_t)AT_ONCE);
    int64_t last = self->cursor;
    int got = 0;

    *more_out = false;
    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        check_row(self, stmt, findings);
        last = sqlite3_column_int64(stmt, 0);
        *more_out = true;
    }
    if (stmt == NULL || got < 0 || !check_owners(self, last, findings, error)) {
        return false;
    }
    self->cursor = last;
    return true;
}

static bool
take_new_rows(PdVerify *self, GPtrArray *findings, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(self->db,
                                         error,
                                         "select log_id, number, session from main.raw"
                                         " where rowid > ?",
                                         "i",
                                         self->max_raw);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        PdVerifyLog *log = pd_verify_get_log(self, (uint64_t)sqlite3_column_int64(stmt, 0));
        const uint32_t number = (uint32_t)sqlite3_column_int64(stmt, 1);
        check_once(log, number, findings);
        (void)pen_ranges_add(&log->seen, number, number);
        if (sqlite3_column_int64(stmt, 2) == 0) {
            (void)pen_ranges_add(&log->seen_outside, number, number);
        }
    }
    return stmt != NULL && got == 0;
}

/* What lies in segments as well, when nobody looks there. */
static bool
take_unseen(PdVerify *self, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(self->db,
                                         error,
                                         "select log_id, first, last from main.erased union all"
                                         " select log_id, first, last from main.session"
                                         " where ? and segment is not null",
                                         "i",
                                         (int64_t)self->without_segments);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        PdVerifyLog *log = pd_verify_get_log(self, (uint64_t)sqlite3_column_int64(stmt, 0));
        (void)pen_ranges_add(&log->erased,
                             (uint32_t)sqlite3_column_int64(stmt, 1),
                             (uint32_t)sqlite3_column_int64(stmt, 2));
    }
    return stmt != NULL && got == 0;
}

/* First number of @a that @b lacks; 0 when there is none. */
static uint32_t
find_lack(const PenRanges *a, const PenRanges *b)
{
    for (size_t i = 0; i < a->n_ranges; i++) {
        PenRange range;
        if (pen_ranges_first_missing(
                b, a->ranges[i].first, a->ranges[i].last, UINT32_MAX, &range)) {
            return range.first;
        }
    }
    return 0;
}

/* Only what the fold has passed is in the sets on disk; the rest is theirs to come. */
static bool
add_unfolded(PdVerify *self, PdLedger *ledger, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select log_id, number, session from main.raw where rowid >"
                    " coalesce((select value from main.meta where key = 'folded_rowid'), 0)",
                    "");
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        PdLog *log = pd_ledger_get_log(ledger, (uint64_t)sqlite3_column_int64(stmt, 0));
        const uint32_t number = (uint32_t)sqlite3_column_int64(stmt, 1);
        (void)pen_ranges_add(&log->stored, number, number);
        if (sqlite3_column_int64(stmt, 2) == 0) {
            (void)pen_ranges_add(&log->outside, number, number);
        }
    }
    return stmt != NULL && got == 0;
}

static void
compare_numbers(PdVerify *self, PdLedger *ledger, PdVerifyLog *log, GPtrArray *findings)
{
    const PdLog *now = pd_ledger_get_log(ledger, log->log_id);
    const uint32_t unsaid = find_lack(&log->seen, &now->stored);
    /* Not all of an erased range was ever stored. */
    copy_ranges(&log->seen, &log->erased);
    const uint32_t lacks[] = {
        find_lack(&log->said, &log->seen),
        unsaid,
        find_lack(&log->said_outside, &log->seen_outside),
        find_lack(&log->seen_outside, &now->outside),
    };
    static const char *const words[] = {
        "record %u is said to be stored and is not",
        "record %u is stored and not said to be",
        "record %u is said to lie outside any session and does not",
        "record %u lies outside any session and is not said to",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lacks); i++) {
        if (lacks[i] != 0) {
            g_autoptr(GString) what = g_string_new(words[i]);
            g_autofree char *number = g_strdup_printf("%u", lacks[i]);
            g_string_replace(what, "%u", number, 1);
            pd_verify_find(findings,
                           g_strdup_printf("log %016" G_GINT64_MODIFIER "x", log->log_id),
                           "%s",
                           what->str);
        }
    }
}

bool
pd_verify_numbers(PdVerify *self, GPtrArray *findings, GError **error)
{
    PdLedger ledger;
    GHashTableIter iter;
    gpointer value = NULL;
    const bool ok = take_new_rows(self, findings, error) && take_unseen(self, error) &&
                    load_ledger(self, &ledger, error) && add_unfolded(self, &ledger, error);

    if (!ok) {
        return false;
    }
    g_hash_table_iter_init(&iter, self->logs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        compare_numbers(self, &ledger, value, findings);
    }
    pd_ledger_clear(&ledger);
    return true;
}
