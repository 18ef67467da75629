/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What can be said of a session beside its fold: whether it is over, what is missing of it
 * and why, its state (F24), and where its ticks lie on the wall clock.
 */
#include "store/verdict.h"

#include "record.pb-c.h"

#include <string.h>

void
pd_verdict_clear(PdVerdict *self)
{
    g_clear_pointer(&self->missing, g_array_unref);
    g_clear_pointer(&self->closed_reason, g_free);
    g_clear_pointer(&self->old_state, g_free);
    g_clear_pointer(&self->old_definition, g_free);
}

GArray *
pd_verdict_load_anchors(PdDb *db, uint64_t log_id, uint32_t boot, uint64_t tick_us, GError **error)
{
    g_autoptr(GArray) anchors = g_array_new(FALSE, FALSE, sizeof(PenAnchor));
    g_autoptr(PdStmt) stmt = pd_db_query(
        db,
        error,
        "select * from (select tick_us, wall_us, synced, error_us from anchor where log_id = ?1"
        " and boot = ?2 and tick_us <= ?3 order by tick_us desc limit 32)"
        " union all select * from (select tick_us, wall_us, synced, error_us from anchor"
        " where log_id = ?1 and boot = ?2 and tick_us > ?3 order by tick_us limit 32)",
        "iii",
        (int64_t)log_id,
        (int64_t)boot,
        (int64_t)tick_us);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(db, stmt, error)) > 0) {
        const PenAnchor anchor = {
            .boot = boot,
            .tick_us = (uint64_t)sqlite3_column_int64(stmt, 0),
            .wall_us = sqlite3_column_int64(stmt, 1),
            .wall_synced = sqlite3_column_int64(stmt, 2) != 0,
            .error_us = (uint32_t)sqlite3_column_int64(stmt, 3),
        };
        g_array_append_val(anchors, anchor);
    }
    return stmt != NULL && got == 0 ? g_steal_pointer(&anchors) : NULL;
}

/* Lowest number after @session that is known to belong elsewhere; 0 when none is. */
static bool
find_next(PdLedger *ledger,
          const PdLog *log,
          const PdSessionFold *session,
          uint32_t last,
          uint32_t *next_out,
          GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(ledger->db,
                                         error,
                                         "select min(number) from session where log_id = ?"
                                         " and number > ?",
                                         "ii",
                                         (int64_t)session->log_id,
                                         (int64_t)session->number);
    const int got = stmt == NULL ? -1 : pd_db_step(ledger->db, stmt, error);

    if (got < 0) {
        return false;
    }
    *next_out = got > 0 ? (uint32_t)sqlite3_column_int64(stmt, 0) : 0;
    for (size_t i = 0; i < log->outside.n_ranges; i++) {
        const PenRange outside = log->outside.ranges[i];
        if (outside.last <= last) {
            continue;
        }
        const uint32_t first = MAX(outside.first, last + 1);
        if (*next_out == 0 || first < *next_out) {
            *next_out = first;
        }
        break;
    }
    return true;
}

static bool
has_cause(const GArray *missing, bool lost)
{
    for (guint i = 0; i < missing->len; i++) {
        const PdCause cause = g_array_index(missing, PdMissing, i).cause;
        const bool is_lost = cause != PD_CAUSE_MISSING && cause != PD_CAUSE_HELD_ELSEWHERE;
        if (lost ? is_lost : cause == PD_CAUSE_MISSING) {
            return true;
        }
    }
    return false;
}

static const char *
judge_state(const PdVerdict *verdict)
{
    const bool settled = verdict->is_final && !has_cause(verdict->missing, false);

    if (settled) {
        return has_cause(verdict->missing, true) ? "lossy" : "complete";
    }
    if (verdict->closed_reason != NULL) {
        return "closed-by";
    }
    return verdict->is_over ? "partial" : "open";
}

static bool
place_times(PdLedger *ledger,
            const PdSessionFold *session,
            const PenSessionFold *fold,
            PdVerdict *verdict,
            GError **error)
{
    g_autoptr(GArray) anchors =
        pd_verdict_load_anchors(ledger->db, session->log_id, fold->boot, fold->start_us, error);
    uint32_t start_error_us = 0;
    uint32_t end_error_us = 0;

    if (anchors == NULL) {
        return false;
    }
    const PenAnchor *list = (const PenAnchor *)(void *)anchors->data;
    verdict->placed =
        pen_session_fold_has_time(fold) &&
        pen_clock_place(list,
                        anchors->len,
                        fold->boot,
                        fold->start_us,
                        &verdict->start_wall_us,
                        &start_error_us) &&
        pen_clock_place(
            list, anchors->len, fold->boot, fold->end_us, &verdict->end_wall_us, &end_error_us);
    verdict->time_error_us = MAX(start_error_us, end_error_us);
    return true;
}

static bool
load_old(PdLedger *ledger, const PdSessionFold *session, PdVerdict *verdict, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db,
                    error,
                    "select state, receipt, closed_reason, definition from session"
                    " where opened_seq = ?",
                    "i",
                    (int64_t)session->opened_seq);
    const int got = stmt == NULL ? -1 : pd_db_step(ledger->db, stmt, error);

    if (got > 0) {
        verdict->old_state = pd_stmt_dup_text(stmt, 0);
        verdict->has_old_receipt = sqlite3_column_bytes(stmt, 1) == 32;
        if (verdict->has_old_receipt) {
            memcpy(verdict->old_receipt, sqlite3_column_blob(stmt, 1), 32);
        }
        verdict->closed_reason = pd_stmt_dup_text(stmt, 2);
        verdict->old_definition = pd_stmt_dup_text(stmt, 3);
    }
    return got >= 0;
}

/* The pen went on without an end that we know of: a later boot was seen, or another log. */
static bool
was_left(
    PdLedger *ledger, const PdLog *log, const PenSessionFold *fold, bool *left_out, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(ledger->db,
                                         error,
                                         "select exists (select 1 from anchor where log_id = ?1"
                                         " and boot > ?2) or exists (select 1 from pen"
                                         " where serial = ?3 and log_id not in (0, ?1))",
                                         "iit",
                                         (int64_t)log->log_id,
                                         (int64_t)fold->boot,
                                         log->serial);
    const int got = stmt == NULL ? -1 : pd_db_step(ledger->db, stmt, error);

    *left_out = got > 0 && sqlite3_column_int64(stmt, 0) != 0;
    return got >= 0;
}

/* The end that a reset left out is written in the next boot: its tick is not this one's. */
static bool
has_only_late_end(const PenSessionFold *fold)
{
    return fold->first == fold->last && fold->has_end &&
           fold->end_cause == PENTEL__V1__END_CAUSE__END_CAUSE_RESET;
}

bool
pd_verdict_judge(PdLedger *ledger,
                 const PdLog *log,
                 const PdSessionFold *session,
                 const PenSessionFold *fold,
                 PdVerdict *verdict,
                 GError **error)
{
    uint32_t next = 0;
    bool left = false;

    if (!load_old(ledger, session, verdict, error) ||
        !find_next(ledger, log, session, fold->last, &next, error) ||
        !was_left(ledger, log, fold, &left, error)) {
        return false;
    }
    /* A pen that goes on has said more when it says that one of its numbers is a hole. */
    const uint32_t hole = pd_log_last_hole(log, fold->last);
    verdict->is_final = fold->has_end || next != 0 || hole != fold->last;
    verdict->is_over = verdict->is_final || left;
    verdict->last = fold->has_end ? fold->last : next != 0 ? next - 1 : hole;
    verdict->missing = pd_log_dup_missing(log, session->number, verdict->last);
    verdict->state = judge_state(verdict);
    return has_only_late_end(fold) || place_times(ledger, session, fold, verdict, error);
}
