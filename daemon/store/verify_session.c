/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A session is what its raw records and the journal make of it: made again by what wrote it,
 * into tables in memory that stand before the real ones, and compared column by column.
 */
#include "journal.pb-c.h"
#include "store/derive.h"
#include "store/rebuild.h"
#include "store/verify_internal.h"
#include "util/error.h"

#include <stdio.h>
#include <string.h>

#define AT_ONCE 16

bool
pd_verify_prepare_sessions(PdDb *db, GError **error)
{
    return pd_db_script(db,
                        "create temp table session as select * from main.session where 0;"
                        "create temp table pass as select * from main.pass where 0;"
                        "create temp table pass_zone (opened_seq integer, idx integer, zone text,"
                        " primary key (opened_seq, idx));"
                        "create temp table note as select * from main.note where 0;"
                        "create temp table journal as select * from main.journal where 0",
                        error);
}

/* Only who it is and where its records lie is taken over; the next one says where it ends. */
static bool
begin_row(PdDb *db, int64_t opened_seq, GError **error)
{
    return pd_db_script(db,
                        "delete from temp.session; delete from temp.pass; delete from temp.note;"
                        "delete from temp.pass_zone; delete from temp.journal",
                        error) &&
           pd_db_run(db,
                     error,
                     "insert into temp.session (opened_seq, id, log_id, number, serial, raw_min,"
                     " raw_max, segment, block_offset, block_size, block_sha256, state, n_bad)"
                     " select opened_seq, id, log_id, number, coalesce((select l.serial from"
                     " main.log l where l.log_id = s.log_id), ''), raw_min, raw_max, segment,"
                     " block_offset, block_size, block_sha256, '', 0 from main.session s"
                     " where opened_seq = ?",
                     "i",
                     opened_seq) &&
           pd_db_run(db,
                     error,
                     "insert into temp.session (opened_seq, id, log_id, number, state)"
                     " select 0, '', n.log_id, n.number, '' from main.session n"
                     " join main.session s on s.log_id = n.log_id and n.number > s.number"
                     " where s.opened_seq = ? order by n.number limit 1",
                     "i",
                     opened_seq);
}

/* Names of the columns that differ, or that it cannot be read; NULL when none does. */
static char *
dup_differences(PdDb *db, int64_t opened_seq)
{
    g_autoptr(GString) names = g_string_new(NULL);
    g_autoptr(PdStmt) made =
        pd_db_query(db, NULL, "select * from temp.session where opened_seq = ?", "i", opened_seq);
    g_autoptr(PdStmt) said =
        pd_db_query(db, NULL, "select * from main.session where opened_seq = ?", "i", opened_seq);

    if (made == NULL || said == NULL || pd_db_step(db, made, NULL) <= 0 ||
        pd_db_step(db, said, NULL) <= 0) {
        return g_strdup("all of it");
    }
    for (int i = 0; i < sqlite3_column_count(said); i++) {
        const int n_bytes = sqlite3_column_bytes(said, i);
        if (sqlite3_column_type(made, i) != sqlite3_column_type(said, i) ||
            sqlite3_column_bytes(made, i) != n_bytes ||
            (n_bytes > 0 &&
             memcmp(sqlite3_column_blob(made, i), sqlite3_column_blob(said, i), (size_t)n_bytes) !=
                 0)) {
            g_string_append_printf(
                names, "%s%s", names->len > 0 ? ", " : "", sqlite3_column_name(said, i));
        }
    }
    return names->len > 0 ? g_string_free(g_steal_pointer(&names), FALSE) : NULL;
}

static bool
count_differing(PdDb *db, const char *sql, int64_t opened_seq, bool *differs_out, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(db, error, sql, "i", opened_seq);
    const int got = stmt == NULL ? -1 : pd_db_step(db, stmt, error);

    *differs_out = got > 0 && sqlite3_column_int64(stmt, 0) != 0;
    return got > 0;
}

#define DIFFERS(table)                                                                             \
    "select exists (select * from temp." table " except select * from main." table                 \
    " where opened_seq = ?1) or exists (select * from main." table                                 \
    " where opened_seq = ?1 except select * from temp." table ")"

/* Appends to @what what of the session differs. */
static bool
compare_parts(PdDb *db, int64_t opened_seq, GString *what, GError **error)
{
    static const struct {
        const char *sql;
        const char *name;
    } parts[] = {
        { DIFFERS("pass"), "its passes" },
        { DIFFERS("note"), "its settings, cartridges or faults" },
        { DIFFERS("pass_zone"), "the zones of its passes" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        bool differs = false;
        if (!count_differing(db, parts[i].sql, opened_seq, &differs, error)) {
            return false;
        }
        if (differs) {
            g_string_append_printf(what, "%s%s", what->len > 0 ? ", " : "", parts[i].name);
        }
    }
    return true;
}

static bool
fits_entry(PdStmt *stmt, const Pentel__V1__SessionChanged *said)
{
    const char *state = (const char *)sqlite3_column_text(stmt, 0);
    const bool is_settled = g_strcmp0(state, "complete") == 0 || g_strcmp0(state, "lossy") == 0;

    if (g_strcmp0(said->definition, (const char *)sqlite3_column_text(stmt, 1)) != 0) {
        return false;
    }
    return !is_settled ||
           (g_strcmp0(said->state, state) == 0 && said->receipt_sha256.len == 32 &&
            sqlite3_column_bytes(stmt, 2) == 32 &&
            memcmp(said->receipt_sha256.data, sqlite3_column_blob(stmt, 2), 32) == 0);
}

/*
 * Sealed or not, the receipt of a settled session is in the journal; and of any session the
 * definition, which its numbers do not tell: other thresholds may give the same ones.
 */
static bool
compare_receipt(PdDb *db, int64_t opened_seq, GString *what, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(db,
                    error,
                    "select s.state, s.definition, s.receipt, j.entry"
                    " from temp.session s left join main.journal j"
                    " on j.seq = (select max(k.seq) from main.journal k where k.session = s.id"
                    " and k.kind = ?2 and length(k.salt) > 0) where s.opened_seq = ?1",
                    "ii",
                    opened_seq,
                    (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_SESSION_CHANGED);
    const int got = stmt == NULL ? -1 : pd_db_step(db, stmt, error);

    if (got <= 0) {
        return got == 0;
    }
    Pentel__V1__JournalEntry *entry = pentel__v1__journal_entry__unpack(
        NULL, (size_t)sqlite3_column_bytes(stmt, 3), sqlite3_column_blob(stmt, 3));
    const bool fits = entry != NULL &&
                      entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_SESSION_CHANGED &&
                      fits_entry(stmt, entry->session_changed);
    if (entry != NULL) {
        pentel__v1__journal_entry__free_unpacked(entry, NULL);
    }
    if (!fits) {
        g_string_append_printf(what, "%sits receipt in the journal", what->len > 0 ? ", " : "");
    }
    return true;
}

typedef struct {
    int64_t opened_seq;
    char id[37];
    uint64_t log_id;
    uint32_t number;
    bool is_erased;
    PenFoldConfig config;
} Row;

/* The thresholds that its numbers were made with stand beside them. */
static bool
parse_definition(const char *text, PenFoldConfig *config)
{
    static const char head[] = "pass/1 lift=";
    char *end = NULL;

    if (text == NULL || !g_str_has_prefix(text, head)) {
        return false;
    }
    const guint64 lift_ms = g_ascii_strtoull(text + strlen(head), &end, 10);
    if (!g_str_has_prefix(end, "ms min=")) {
        return false;
    }
    const guint64 min_ms = g_ascii_strtoull(end + strlen("ms min="), &end, 10);
    if (!g_str_equal(end, "ms") || lift_ms > UINT32_MAX / 1000u || min_ms > UINT32_MAX / 1000u) {
        return false;
    }
    *config = (PenFoldConfig){ .lift_us = (uint32_t)lift_ms * 1000u,
                               .min_contact_us = (uint32_t)min_ms * 1000u };
    return true;
}

static void
take_numbers(PdVerify *self, const PdSessionFold *session)
{
    PdVerifyLog *log = pd_verify_get_log(self, session->log_id);

    for (guint i = 0; i < session->crcs->len; i++) {
        const uint32_t number = g_array_index(session->crcs, PdNumberCrc, i).number;
        (void)pen_ranges_add(&log->seen, number, number);
    }
    self->summary.n_records += session->crcs->len;
}

/* For some sessions of one look at the store: the numbers of a log are read once. */
static void
begin_ledger(PdVerify *self, PdLedger *ledger)
{
    const PenFoldConfig config = PEN_FOLD_DEFAULT;

    pd_ledger_init(ledger, self->db, self->raw, &config);
    ledger->is_quiet = true;
    ledger->stamp.store_id = "";
}

static bool
make_again(PdVerify *self, PdLedger *ledger, const Row *row, GString *what, GError **error)
{
    bool journaled = false;

    ledger->config = row->config;
    PdSessionFold *session = begin_row(self->db, row->opened_seq, error) &&
                                     pd_ledger_load_log(ledger, row->log_id, error)
                                 ? pd_ledger_get_session(ledger, row->log_id, row->number, error)
                                 : NULL;
    const bool ok = session != NULL && pd_rebuild_head(ledger, (uint64_t)row->opened_seq, error) &&
                    pd_derive_session(ledger, session, &journaled, error);
    if (ok && session->is_unreadable) {
        g_string_append(what, "its sealed records");
    } else if (ok) {
        take_numbers(self, session);
    }
    if (session != NULL) {
        pd_ledger_drop_session(ledger, session);
    }
    return ok;
}

/* What an erased one left is its place and nothing else. */
static bool
check_erased(PdVerify *self, const Row *row, GString *what, GError **error)
{
    bool holds = false;

    if (!count_differing(self->db,
                         "select exists (select 1 from main.pass where opened_seq = ?1)"
                         " or exists (select 1 from main.note where opened_seq = ?1)"
                         " or exists (select 1 from main.pass_zone where opened_seq = ?1)"
                         " or exists (select 1 from main.session where opened_seq = ?1 and"
                         " (raw_min != 0 or segment is not null or receipt is not null or"
                         " patient is not null or operator is not null or note is not null or"
                         " reaction is not null or order_ref is not null or"
                         " zone is not null or closed_reason is not null or"
                         " start_wall_us is not null or n_passes != 0 or contact_us != 0))"
                         " or not exists (select 1 from main.session s join main.erased e"
                         " on e.log_id = s.log_id and e.session = s.number"
                         " where s.opened_seq = ?1)",
                         row->opened_seq,
                         &holds,
                         error)) {
        return false;
    }
    if (holds) {
        g_string_append(what, "it is erased and holds something");
    }
    return true;
}

static bool
check_id(const Row *row)
{
    uint8_t uuid[16];
    char id[37];

    pen_session_uuid(row->log_id, row->number, uuid);
    pen_uuid_format(uuid, id);
    return g_str_equal(id, row->id);
}

/* What differs, in words; empty when nothing does. */
static bool
check_session(PdVerify *self, PdLedger *ledger, const Row *row, GString *what, GError **error)
{
    if (!check_id(row)) {
        g_string_append(what, "its id");
        return true;
    }
    if (row->is_erased) {
        return check_erased(self, row, what, error);
    }
    if (row->config.lift_us == 0 && row->config.min_contact_us == 0) {
        g_string_append(what, "its definition");
        return true;
    }
    if (!make_again(self, ledger, row, what, error)) {
        return false;
    }
    if (what->len > 0) {
        return true;
    }
    g_autofree char *columns = dup_differences(self->db, row->opened_seq);
    g_string_append(what, columns != NULL ? columns : "");
    return compare_parts(self->db, row->opened_seq, what, error) &&
           compare_receipt(self->db, row->opened_seq, what, error);
}

static void
take_row(PdStmt *stmt, Row *row)
{
    const char *id = (const char *)sqlite3_column_text(stmt, 1);
    const char *state = (const char *)sqlite3_column_text(stmt, 4);

    *row = (Row){
        .opened_seq = sqlite3_column_int64(stmt, 0),
        .log_id = (uint64_t)sqlite3_column_int64(stmt, 2),
        .number = (uint32_t)sqlite3_column_int64(stmt, 3),
        .is_erased = g_strcmp0(state, "erased") == 0,
    };
    g_strlcpy(row->id, id != NULL ? id : "", sizeof row->id);
    (void)parse_definition((const char *)sqlite3_column_text(stmt, 5), &row->config);
}

static bool
load_rows(PdVerify *self, int64_t after, int64_t n_max, GArray *rows, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select opened_seq, id, log_id, number, state, definition from main.session"
                    " where opened_seq > ? and (segment is null or not ?)"
                    " order by opened_seq limit ?",
                    "iii",
                    after,
                    (int64_t)self->without_segments,
                    n_max);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        Row row;
        take_row(stmt, &row);
        g_array_append_val(rows, row);
    }
    return stmt != NULL && got == 0;
}

static bool
check_rows(PdVerify *self, PdLedger *ledger, const GArray *rows, GError **error)
{
    for (guint i = 0; i < rows->len; i++) {
        const Row *row = &g_array_index(rows, Row, i);
        g_autoptr(GString) what = g_string_new(NULL);
        if (!check_session(self, ledger, row, what, error)) {
            return false;
        }
        if (what->len > 0) {
            g_array_append_val(self->suspects, row->opened_seq);
        }
        self->cursor = row->opened_seq;
        self->summary.n_sessions++;
    }
    return true;
}

bool
pd_verify_sessions(PdVerify *self, GPtrArray *findings, bool *more_out, GError **error)
{
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(Row));
    PdLedger ledger;

    begin_ledger(self, &ledger);
    const bool ok = load_rows(self, self->cursor, AT_ONCE, rows, error) &&
                    check_rows(self, &ledger, rows, error);
    pd_ledger_clear(&ledger);
    *more_out = rows->len > 0;
    return ok;
}

/* Appends to @still when it differs still. */
static bool
check_suspect(PdVerify *self,
              PdLedger *ledger,
              int64_t opened_seq,
              GArray *still,
              GPtrArray *findings,
              GError **error)
{
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(Row));
    g_autoptr(GString) what = g_string_new(NULL);

    if (!load_rows(self, opened_seq - 1, 1, rows, error)) {
        return false;
    }
    const Row *row = rows->len > 0 ? &g_array_index(rows, Row, 0) : NULL;
    if (row == NULL || row->opened_seq != opened_seq) {
        return true;
    }
    if (!check_session(self, ledger, row, what, error)) {
        return false;
    }
    if (what->len > 0) {
        g_array_append_val(still, opened_seq);
    }
    if (what->len > 0 && findings != NULL) {
        pd_verify_find(findings,
                       g_strdup_printf("session %s", row->id),
                       "not what its records and the journal make of it: %s",
                       what->str);
    }
    return true;
}

bool
pd_verify_suspects(PdVerify *self, GPtrArray *findings, GError **error)
{
    g_autoptr(GArray) still = g_array_new(FALSE, FALSE, sizeof(int64_t));
    PdLedger ledger;
    bool ok = true;

    begin_ledger(self, &ledger);
    for (guint i = 0; ok && i < self->suspects->len; i++) {
        const int64_t opened_seq = g_array_index(self->suspects, int64_t, i);
        ok = check_suspect(self, &ledger, opened_seq, still, findings, error);
    }
    pd_ledger_clear(&ledger);
    if (ok) {
        g_array_set_size(self->suspects, 0);
        g_array_append_vals(self->suspects, still->data, still->len);
    }
    return ok;
}
