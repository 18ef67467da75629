/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Takes facts: a number is stored once, other bytes under the same number are kept beside
 * it, and each record finds the fold of its session.
 */
#include "store/ledger.h"

#include "core/wire.h"
#include "store/witness.h"
#include "util/error.h"

#include <string.h>

#define LOADS_PER_BATCH 8u    /* sessions read back only to compare a duplicate */
#define CONFLICTS_KEPT  1024u /* per log; beyond, they are only counted */

static guint
hash_session(gconstpointer key)
{
    const PdSessionFold *session = key;
    const int64_t mixed = (int64_t)(session->log_id ^ (uint64_t)session->number << 32);

    return g_int64_hash(&mixed) ^ session->number;
}

static gboolean
equal_session(gconstpointer a, gconstpointer b)
{
    const PdSessionFold *left = a;
    const PdSessionFold *right = b;

    return left->log_id == right->log_id && left->number == right->number;
}

void
pd_ledger_init(PdLedger *self, PdDb *db, const char *raw_directory, const PenFoldConfig *config)
{
    *self = (PdLedger){
        .db = db,
        .raw_directory = raw_directory,
        .config = *config,
        .replaced = g_ptr_array_new_with_free_func(g_free),
        .logs =
            g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)pd_log_free),
        .sessions = g_hash_table_new_full(
            hash_session, equal_session, NULL, (GDestroyNotify)pd_session_fold_free),
    };
}

void
pd_ledger_clear(PdLedger *self)
{
    g_clear_pointer(&self->sessions, g_hash_table_unref);
    g_clear_pointer(&self->logs, g_hash_table_unref);
    g_clear_pointer(&self->replaced, g_ptr_array_unref);
}

PdLog *
pd_ledger_get_log(PdLedger *self, uint64_t log_id)
{
    PdLog *log = g_hash_table_lookup(self->logs, &log_id);

    if (log == NULL) {
        log = pd_log_new(log_id);
        g_hash_table_insert(self->logs, &log->log_id, log);
    }
    return log;
}

static bool
find_row(PdLedger *self, PdSessionFold *session, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select opened_seq, state, n_bad from session where log_id = ?"
                    " and number = ?",
                    "ii",
                    (int64_t)session->log_id,
                    (int64_t)session->number);
    const int got = stmt == NULL ? -1 : pd_db_step(self->db, stmt, error);

    if (got > 0) {
        session->opened_seq = (uint64_t)sqlite3_column_int64(stmt, 0);
        session->is_over = !g_str_equal(pd_stmt_get_text(stmt, 1), "open");
        session->n_bad_counted = (uint32_t)sqlite3_column_int64(stmt, 2);
        session->is_erased = g_str_equal(pd_stmt_get_text(stmt, 1), "erased");
    }
    return got >= 0;
}

static bool
push_stored(void *user_data, uint32_t number, const uint8_t *record, size_t n_record)
{
    pd_session_fold_take(user_data, record, n_record);
    return true;
}

bool
pd_ledger_fold_again(PdLedger *self, PdSessionFold *session, GError **error)
{
    g_autoptr(GError) local = NULL;

    pd_session_fold_reset(
        session, &self->config, pd_ledger_get_log(self, session->log_id)->tick_unit);
    if (pd_records_walk(
            self->db, self->raw_directory, &session->place, 0, 0, push_stored, session, &local)) {
        return true;
    }
    if (!g_error_matches(local, PD_ERROR, PD_ERROR_MALFORMED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    /* One damaged block must not stop everybody else's records. */
    if (!self->is_quiet) {
        g_warning("session %u of log %016" G_GINT64_MODIFIER "x stays as it was: %s",
                  session->number,
                  session->log_id,
                  local->message);
    }
    session->is_unreadable = true;
    return true;
}

static bool
load_session(PdLedger *self, PdSessionFold *session, GError **error)
{
    if (!find_row(self, session, error)) {
        return false;
    }
    if (session->opened_seq != 0 &&
        !pd_record_place_load(self->db, session->opened_seq, &session->place, error)) {
        return false;
    }
    return pd_ledger_fold_again(self, session, error);
}

PdSessionFold *
pd_ledger_get_session(PdLedger *self, uint64_t log_id, uint32_t number, GError **error)
{
    const PdSessionFold key = { .log_id = log_id, .number = number };
    PdSessionFold *session = g_hash_table_lookup(self->sessions, &key);

    if (session != NULL) {
        return session;
    }
    session = pd_session_fold_new(log_id, number);
    session->place.log_id = log_id;
    session->place.session = number;
    if (!load_session(self, session, error)) {
        pd_session_fold_free(session);
        return NULL;
    }
    session->dirty = false;
    session->is_urgent = session->opened_seq == 0;
    session->touched_us = g_get_monotonic_time();
    g_hash_table_insert(self->sessions, session, session);
    return session;
}

void
pd_ledger_drop_session(PdLedger *self, PdSessionFold *session)
{
    g_hash_table_remove(self->sessions, session);
}

/* Whether what is stored outside any session under @number are these bytes. */
static bool
is_same_outside(PdLedger *self,
                uint64_t log_id,
                uint32_t number,
                const uint8_t *record,
                size_t n_record,
                bool *same_out,
                GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(self->db,
                                         error,
                                         "select bytes from raw where session = 0 and log_id = ?"
                                         " and number = ?",
                                         "ii",
                                         (int64_t)log_id,
                                         (int64_t)number);
    const int got = stmt == NULL ? -1 : pd_db_step(self->db, stmt, error);

    *same_out = got > 0 && (size_t)sqlite3_column_bytes(stmt, 0) == n_record &&
                memcmp(sqlite3_column_blob(stmt, 0), record, n_record) == 0;
    return got >= 0;
}

/* A record says its session, so one that is not in there was stored with other bytes. */
static bool
is_same_inside(PdLedger *self,
               uint64_t log_id,
               uint32_t number,
               uint32_t session_number,
               uint32_t crc,
               bool *same_out,
               GError **error)
{
    const PdSessionFold key = { .log_id = log_id, .number = session_number };
    uint32_t kept = 0;

    if (!g_hash_table_contains(self->sessions, &key) && self->n_loads++ >= LOADS_PER_BATCH) {
        *same_out = true;
        return true;
    }
    PdSessionFold *session = pd_ledger_get_session(self, log_id, session_number, error);
    if (session == NULL) {
        return false;
    }
    *same_out =
        session->is_unreadable || (pd_session_fold_get_crc(session, number, &kept) && kept == crc);
    if (session->opened_seq == 0 && session->place.raw_min == 0) {
        pd_ledger_drop_session(self, session);
    }
    return true;
}

/* A number that is stored already: the same bytes are nothing new, others are kept too. */
static bool
take_again(PdLedger *self,
           uint64_t log_id,
           uint32_t number,
           uint32_t session_number,
           const uint8_t *record,
           size_t n_record,
           GError **error)
{
    const uint32_t crc = (uint32_t)pen_wire_get(record + n_record - PEN_RECORD_CRC_SIZE, 4);
    bool same = false;
    const bool ok = session_number == 0
                        ? is_same_outside(self, log_id, number, record, n_record, &same, error)
                        : is_same_inside(self, log_id, number, session_number, crc, &same, error);

    if (!ok || same) {
        self->counts.n_duplicates += same ? 1 : 0;
        return ok;
    }
    self->counts.n_conflicts++;
    pd_log_count_faulty(pd_ledger_get_log(self, log_id), 1);
    return pd_db_run(self->db,
                     error,
                     "insert or ignore into conflict (log_id, number, crc, wall_us, bytes)"
                     " select ?1, ?2, ?3, ?4, ?5 where ?6 >"
                     " (select count(*) from conflict where log_id = ?1)",
                     "iiiibi",
                     (int64_t)log_id,
                     (int64_t)number,
                     (int64_t)crc,
                     self->stamp.wall_us,
                     record,
                     n_record,
                     (int64_t)CONFLICTS_KEPT);
}

static bool
insert_raw(PdLedger *self,
           uint64_t log_id,
           uint32_t number,
           uint32_t session,
           const uint8_t *record,
           size_t n_record,
           GError **error)
{
    self->counts.n_records++;
    return pd_db_run(self->db,
                     error,
                     "insert into raw (rowid, log_id, number, session, bytes)"
                     " values (?, ?, ?, ?, ?)",
                     "iiiib",
                     self->next_rowid++,
                     (int64_t)log_id,
                     (int64_t)number,
                     (int64_t)session,
                     record,
                     n_record);
}

static void
count_bad(PdLedger *self, PdLog *log)
{
    self->counts.n_bad++;
    pd_log_count_faulty(log, 1);
}

/* No fold looks into these. */
static bool
has_bad_body(const uint8_t *record, size_t n_record)
{
    PenBody body;

    return pen_record_decode(record, n_record, &body) == PEN_STATUS_BAD_BODY;
}

static bool
take_outside(PdLedger *self, PdLog *log, uint32_t number, GError **error)
{
    pen_ranges_add(&log->outside, number, number);
    return pd_ledger_touch_before(self, log->log_id, number, error);
}

/* Its number counts as stored, so that nobody asks for it again; its bytes are nobody's. */
static bool
take_erased(PdLedger *self, PdLog *log, uint32_t session, uint32_t number, GError **error)
{
    self->counts.n_erased++;
    if (pen_ranges_contains(&log->stored, number) ||
        !pen_ranges_add(&log->stored, number, number)) {
        return true;
    }
    log->dirty = true;
    log->changed = true;
    return pd_db_run(self->db,
                     error,
                     "update erased set last = ?3 where log_id = ?1 and session = ?2 and last = ?3"
                     " - 1",
                     "iii",
                     (int64_t)log->log_id,
                     (int64_t)session,
                     (int64_t)number) &&
           (sqlite3_changes(pd_db_handle(self->db)) > 0 ||
            pd_db_run(self->db,
                      error,
                      "insert or ignore into erased (log_id, session, first, last)"
                      " values (?1, ?2, ?3, ?3)",
                      "iii",
                      (int64_t)log->log_id,
                      (int64_t)session,
                      (int64_t)number));
}

bool
pd_ledger_take_record(
    PdLedger *self, uint64_t log_id, const uint8_t *record, size_t n_record, GError **error)
{
    PdLog *log = pd_ledger_get_log(self, log_id);
    const uint32_t number = (uint32_t)pen_wire_get(record + 6, 4);
    const uint32_t said = (uint32_t)pen_wire_get(record + 10, 4);
    const uint32_t session_number = said > number ? 0 : said;

    if (session_number != 0 && pd_log_is_erased(log, session_number)) {
        return take_erased(self, log, session_number, number, error);
    }
    if (pen_ranges_contains(&log->stored, number)) {
        return take_again(self, log_id, number, session_number, record, n_record, error);
    }
    if (said > number || (said == 0 && has_bad_body(record, n_record))) {
        count_bad(self, log);
    }
    if (!pen_ranges_add(&log->stored, number, number)) {
        /* Numbers so scattered are no log's: what cannot be remembered is not kept. */
        count_bad(self, log);
        return true;
    }
    log->dirty = true;
    log->changed = true;
    if (session_number == 0) {
        return insert_raw(self, log_id, number, 0, record, n_record, error) &&
               pd_witness_add_outside(self->db, self->next_rowid - 1, error) &&
               take_outside(self, log, number, error);
    }
    PdSessionFold *session = pd_ledger_get_session(self, log_id, session_number, error);
    if (session == NULL ||
        !insert_raw(self, log_id, number, session_number, record, n_record, error)) {
        return false;
    }
    const int64_t rowid = self->next_rowid - 1;
    session->place.raw_min = session->place.raw_min == 0 ? rowid : session->place.raw_min;
    session->place.raw_max = rowid;
    session->touched_us = g_get_monotonic_time();
    pd_session_fold_take(session, record, n_record);
    return true;
}

bool
pd_ledger_touch_before(PdLedger *self, uint64_t log_id, uint32_t number, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(self->db,
                                         error,
                                         "select number, state, has_end from session where"
                                         " log_id = ? and number < ?"
                                         " order by number desc limit 1",
                                         "ii",
                                         (int64_t)log_id,
                                         (int64_t)number);
    const int got = stmt == NULL ? -1 : pd_db_step(self->db, stmt, error);

    if (got <= 0) {
        return got == 0;
    }
    const char *state = pd_stmt_get_text(stmt, 1);
    /* What ended in a hole goes as far as what comes after it lets it. */
    if (g_str_equal(state, "complete") || g_str_equal(state, "erased") ||
        (g_str_equal(state, "lossy") && sqlite3_column_int64(stmt, 2) != 0)) {
        return true;
    }
    const uint32_t before = (uint32_t)sqlite3_column_int64(stmt, 0);
    PdSessionFold *session = pd_ledger_get_session(self, log_id, before, error);
    if (session == NULL) {
        return false;
    }
    session->dirty = true;
    session->is_urgent = true;
    return true;
}

static bool
touch_unfinished(PdLedger *self, uint64_t log_id, uint32_t last, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select number from session where log_id = ? and number <= ?"
                    " and state in ('open', 'partial', 'closed-by') order by number desc limit 64",
                    "ii",
                    (int64_t)log_id,
                    (int64_t)last);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        PdSessionFold *session =
            pd_ledger_get_session(self, log_id, (uint32_t)sqlite3_column_int64(stmt, 0), error);
        if (session == NULL) {
            return false;
        }
        session->dirty = true;
        session->is_urgent = true;
    }
    return stmt != NULL && got == 0;
}

/* In the facts' own transaction, so that the fold comes about after a crash as well: no raw
 * row tells of it. */
static bool
fall_behind(PdLedger *self, GError **error)
{
    if (self->is_behind) {
        return true;
    }
    self->is_behind = true;
    return pd_db_script(
        self->db, "insert or replace into meta (key, value) values ('unfolded', 1)", error);
}

static bool
catch_up(PdLedger *self, GError **error)
{
    const bool was_behind = self->is_behind;

    self->is_behind = false;
    return !was_behind || pd_db_script(self->db, "delete from meta where key = 'unfolded'", error);
}

bool
pd_ledger_settle(
    PdLedger *self, uint64_t log_id, uint32_t first, uint32_t last, PdCause cause, GError **error)
{
    PdLog *log = pd_ledger_get_log(self, log_id);
    g_autoptr(GArray) added = g_array_new(FALSE, FALSE, sizeof(PdMissing));

    pd_log_settle(log, MAX(first, 1u), last, cause, added);
    for (guint i = 0; i < added->len; i++) {
        const PdMissing *range = &g_array_index(added, PdMissing, i);
        if (!pd_db_run(self->db,
                       error,
                       "insert or replace into settled (log_id, first, last, cause)"
                       " values (?, ?, ?, ?)",
                       "iiii",
                       (int64_t)log_id,
                       (int64_t)range->first,
                       (int64_t)range->last,
                       (int64_t)range->cause)) {
            return false;
        }
    }
    log->changed = log->changed || added->len > 0;
    return added->len == 0 ||
           (fall_behind(self, error) && touch_unfinished(self, log_id, last, error) &&
            (last == UINT32_MAX || pd_ledger_touch_before(self, log_id, last + 1, error)));
}

bool
pd_ledger_take_damaged(PdLedger *self,
                       uint64_t log_id,
                       uint32_t number,
                       const uint8_t *bytes,
                       size_t n_bytes,
                       GError **error)
{
    return pd_db_run(self->db,
                     error,
                     "insert or replace into damaged (log_id, number, bytes) select ?1, ?2, ?3"
                     " where not exists (select 1 from erased where log_id = ?1"
                     " and ?2 between first and last)",
                     "iib",
                     (int64_t)log_id,
                     (int64_t)number,
                     bytes,
                     n_bytes) &&
           pd_ledger_settle(self, log_id, number, number, PD_CAUSE_DAMAGED, error);
}

static bool
insert_anchor(PdLedger *self, uint64_t log_id, const PenAnchor *anchor, GError **error)
{
    return pd_db_run(self->db,
                     error,
                     "insert into anchor (log_id, boot, tick_us, wall_us, synced, error_us)"
                     " values (?, ?, ?, ?, ?, ?)",
                     "iiiiii",
                     (int64_t)log_id,
                     (int64_t)anchor->boot,
                     (int64_t)anchor->tick_us,
                     anchor->wall_us,
                     (int64_t)anchor->wall_synced,
                     (int64_t)anchor->error_us);
}

/* Times of what lies after the anchor before may now be better, or known at all; an open
 * session of an earlier boot is over. */
bool
pd_ledger_add_anchor(PdLedger *self, uint64_t log_id, const PenAnchor *anchor, GError **error)
{
    if (!insert_anchor(self, log_id, anchor, error) || !fall_behind(self, error)) {
        return false;
    }
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select number from (select number, boot, state, end_us, start_wall_us"
                    " from session where log_id = ?1 order by number desc limit 64)"
                    " where (boot = ?2 and (start_wall_us is null or end_us >= coalesce("
                    "  (select max(tick_us) from anchor where log_id = ?1 and boot = ?2"
                    "   and tick_us < ?3), 0))) or (boot < ?2 and state = 'open')",
                    "iii",
                    (int64_t)log_id,
                    (int64_t)anchor->boot,
                    (int64_t)anchor->tick_us);
    int got = 0;
    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        PdSessionFold *session =
            pd_ledger_get_session(self, log_id, (uint32_t)sqlite3_column_int64(stmt, 0), error);
        if (session == NULL) {
            return false;
        }
        session->dirty = true;
    }
    return stmt != NULL && got == 0;
}

bool
pd_ledger_write_log(PdLedger *self, const PdLog *log, GError **error)
{
    g_autoptr(GBytes) stored = pd_ranges_to_bytes(&log->stored);
    g_autoptr(GBytes) outside = pd_ranges_to_bytes(&log->outside);

    return pd_db_run(
        self->db,
        error,
        "insert into log (log_id, serial, tick_unit, marked, marked_wall_us, stored, outside)"
        " values (?, ?, ?, ?, ?, ?, ?) on conflict (log_id) do update set"
        " serial = excluded.serial, tick_unit = excluded.tick_unit, marked = excluded.marked,"
        " marked_wall_us = excluded.marked_wall_us, stored = excluded.stored,"
        " outside = excluded.outside",
        "itiiibb",
        (int64_t)log->log_id,
        log->serial,
        (int64_t)log->tick_unit,
        (int64_t)log->marked,
        log->marked_wall_us,
        g_bytes_get_data(stored, NULL),
        g_bytes_get_size(stored),
        g_bytes_get_data(outside, NULL),
        g_bytes_get_size(outside));
}

bool
pd_ledger_write_numbers(PdLedger *self, GError **error)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->logs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdLog *log = value;
        if (log->dirty && !pd_ledger_write_log(self, log, error)) {
            return false;
        }
        log->dirty = false;
    }
    return catch_up(self, error) &&
           pd_db_run(self->db,
                     error,
                     "insert into meta (key, value) values ('folded_rowid', ?)"
                     " on conflict (key) do update set value = excluded.value",
                     "i",
                     self->next_rowid - 1);
}
