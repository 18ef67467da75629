/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The proof that derived rows are only a view: which sessions there are, where their records
 * lie and what the journal says is kept, all else is written anew.
 */
#include "store/rebuild.h"

#include "store/annotate.h"
#include "store/derive.h"

#define AT_ONCE 32

static bool
forget_head(PdLedger *ledger, GError **error)
{
    return pd_db_script(
        ledger->db, "delete from pass_zone; update session set " PD_SAID_NULL, error);
}

static PdAnnotation
read_annotation(const Pentel__V1__Annotation *said)
{
    PdAnnotation out = { 0 };

    if (said->maybe_patient_case == PENTEL__V1__ANNOTATION__MAYBE_PATIENT_PATIENT) {
        out.patient = said->patient;
    }
    if (said->maybe_operator_case == PENTEL__V1__ANNOTATION__MAYBE_OPERATOR_OPERATOR) {
        out.operator_name = said->operator_;
    }
    if (said->maybe_zone_case == PENTEL__V1__ANNOTATION__MAYBE_ZONE_ZONE) {
        out.zone = said->zone;
    }
    if (said->maybe_note_case == PENTEL__V1__ANNOTATION__MAYBE_NOTE_NOTE) {
        out.note = said->note;
    }
    if (said->maybe_reaction_case == PENTEL__V1__ANNOTATION__MAYBE_REACTION_REACTION) {
        out.reaction = said->reaction;
    }
    if (said->maybe_order_case == PENTEL__V1__ANNOTATION__MAYBE_ORDER_ORDER) {
        out.order = said->order;
    }
    if (said->maybe_pass_index_case == PENTEL__V1__ANNOTATION__MAYBE_PASS_INDEX_PASS_INDEX) {
        out.has_pass = true;
        out.pass_index = said->pass_index;
    }
    return out;
}

static bool
replay_entry(PdLedger *ledger, PdStmt *stmt, GError **error)
{
    Pentel__V1__JournalEntry *entry = pentel__v1__journal_entry__unpack(
        NULL, (size_t)sqlite3_column_bytes(stmt, 0), sqlite3_column_blob(stmt, 0));
    PdAnnotation said = { 0 };
    bool ok = true;

    if (entry == NULL) {
        return true;
    }
    if (entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_ANNOTATION) {
        said = read_annotation(entry->annotation);
    } else if (entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_CLOSED_BY) {
        said.close_reason = entry->closed_by->reason;
    }
    const uint64_t opened_seq = (uint64_t)sqlite3_column_int64(stmt, 1);
    if (entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_HOLD) {
        ok = pd_hold_write(ledger->db, entry->hold, opened_seq, error);
    } else {
        ok = pd_annotation_write(ledger->db, &said, opened_seq, error);
    }
    pentel__v1__journal_entry__free_unpacked(entry, NULL);
    return ok;
}

/* An erased entry says nothing any more. */
static bool
replay_all(PdLedger *ledger, PdStmt *stmt, GError **error)
{
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(ledger->db, stmt, error)) > 0) {
        if (!replay_entry(ledger, stmt, error)) {
            return false;
        }
    }
    return stmt != NULL && got == 0;
}

static bool
replay_journal(PdLedger *ledger, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db,
                    error,
                    "select j.entry, s.opened_seq from main.journal j"
                    " join session s on s.id = j.session"
                    " where length(j.salt) > 0 and j.kind in (?, ?, ?) order by j.seq",
                    "iii",
                    (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_ANNOTATION,
                    (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_CLOSED_BY,
                    (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_HOLD);

    return replay_all(ledger, stmt, error);
}

bool
pd_rebuild_head(PdLedger *ledger, uint64_t opened_seq, GError **error)
{
    if (!pd_db_run(ledger->db,
                   error,
                   "delete from pass_zone where opened_seq = ?",
                   "i",
                   (int64_t)opened_seq) ||
        !pd_db_run(ledger->db,
                   error,
                   "update session set " PD_SAID_NULL " where opened_seq = ?",
                   "i",
                   (int64_t)opened_seq)) {
        return false;
    }
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db,
                    error,
                    "select entry, ?1 from main.journal where session ="
                    " (select id from session where opened_seq = ?1) and session != ''"
                    " and length(salt) > 0 and kind in (?2, ?3, ?4) order by seq",
                    "iiii",
                    (int64_t)opened_seq,
                    (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_ANNOTATION,
                    (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_CLOSED_BY,
                    (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_HOLD);
    return replay_all(ledger, stmt, error);
}

/* Marks the next sessions for the fold; @after moves to the last of them, or stays. */
static bool
touch_some(PdLedger *ledger, int64_t *after, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(ledger->db,
                                         error,
                                         "select opened_seq, log_id, number from session"
                                         " where opened_seq > ? order by opened_seq limit ?",
                                         "ii",
                                         *after,
                                         (int64_t)AT_ONCE);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(ledger->db, stmt, error)) > 0) {
        PdSessionFold *session = pd_ledger_get_session(ledger,
                                                       (uint64_t)sqlite3_column_int64(stmt, 1),
                                                       (uint32_t)sqlite3_column_int64(stmt, 2),
                                                       error);
        if (session == NULL) {
            return false;
        }
        session->dirty = true;
        *after = sqlite3_column_int64(stmt, 0);
    }
    return stmt != NULL && got == 0;
}

static bool
fold_all(PdLedger *ledger, GError **error)
{
    int64_t after = 0;
    int64_t before = -1;
    bool journaled = false;

    while (after != before) {
        before = after;
        if (!touch_some(ledger, &after, error) || !pd_derive_all(ledger, &journaled, error)) {
            return false;
        }
    }
    return true;
}

bool
pd_rebuild_all(PdLedger *ledger, GError **error)
{
    if (!pd_ledger_reload(ledger, error) || !pd_db_script(ledger->db, "begin immediate", error)) {
        return false;
    }
    if (forget_head(ledger, error) && replay_journal(ledger, error) && fold_all(ledger, error) &&
        pd_db_script(ledger->db, "commit", error)) {
        return true;
    }
    (void)sqlite3_exec(pd_db_handle(ledger->db), "rollback", NULL, NULL, NULL);
    return false;
}
