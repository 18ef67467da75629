/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What people say of a session: an entry in the journal, and the head of all entries beside
 * the session's row.
 */
#include "store/annotate.h"

#include "util/error.h"

#include <string.h>

#define ID_MIN         4u
#define ID_MAX         36u
#define TEXT_MAX_BYTES 4096u

bool
pd_find_session(
    PdDb *db, const char *id, char uuid_out[37], uint64_t *opened_seq_out, GError **error)
{
    const size_t n = strlen(id);

    if (n < ID_MIN || n > ID_MAX || strspn(id, "0123456789abcdefABCDEF-") != n) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "\"%.40s\" is not a session id: pass a UUID or at least 4 of its first digits",
                    id);
        return false;
    }
    g_autofree char *low = g_ascii_strdown(id, -1);
    g_autofree char *high = g_strconcat(low, "g", NULL);
    g_autoptr(PdStmt) stmt =
        pd_db_query(db,
                    error,
                    "select id, opened_seq from session where id >= ? and id < ? limit 2",
                    "tt",
                    low,
                    high);
    int got = stmt == NULL ? -1 : pd_db_step(db, stmt, error);
    if (got < 0) {
        return false;
    }
    if (got == 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_NOT_FOUND, "there is no session %s", id);
        return false;
    }
    g_strlcpy(uuid_out, pd_stmt_get_text(stmt, 0), 37);
    *opened_seq_out = (uint64_t)sqlite3_column_int64(stmt, 1);
    got = pd_db_step(db, stmt, error);
    if (got > 0) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_AMBIGUOUS,
                    "several sessions begin with %s: pass more digits",
                    id);
    }
    return got == 0;
}

bool
pd_check_not_erased(PdDb *db, uint64_t opened_seq, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(db,
                    error,
                    "select 1 from session where opened_seq = ? and state = 'erased'",
                    "i",
                    (int64_t)opened_seq);
    const int got = stmt == NULL ? -1 : pd_db_step(db, stmt, error);

    if (got > 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_NOT_FOUND, "the session is erased");
    }
    return got == 0;
}

typedef struct {
    char *id;
    char *patient;
    char *operator_name;
    char *zone;
    char *note;
    char *reaction;
    char *order;
    char *close_reason;
    bool has_pass;
    uint32_t pass_index;
    uint32_t uid;
    uint64_t *seq_out;
} Annotate;

static void
free_annotate(gpointer data)
{
    Annotate *annotate = data;

    g_free(annotate->id);
    g_free(annotate->patient);
    g_free(annotate->operator_name);
    g_free(annotate->zone);
    g_free(annotate->note);
    g_free(annotate->reaction);
    g_free(annotate->order);
    g_free(annotate->close_reason);
    g_free(annotate);
}

static bool
journal_annotation(PdLedger *ledger, const Annotate *annotate, char *uuid, GError **error)
{
    Pentel__V1__JournalEntry entry;
    Pentel__V1__Annotation said;

    pentel__v1__annotation__init(&said);
    pentel__v1__journal_entry__init(&entry);
    if (annotate->patient != NULL) {
        said.maybe_patient_case = PENTEL__V1__ANNOTATION__MAYBE_PATIENT_PATIENT;
        said.patient = annotate->patient;
    }
    if (annotate->operator_name != NULL) {
        said.maybe_operator_case = PENTEL__V1__ANNOTATION__MAYBE_OPERATOR_OPERATOR;
        said.operator_ = annotate->operator_name;
    }
    if (annotate->zone != NULL) {
        said.maybe_zone_case = PENTEL__V1__ANNOTATION__MAYBE_ZONE_ZONE;
        said.zone = annotate->zone;
    }
    if (annotate->note != NULL) {
        said.maybe_note_case = PENTEL__V1__ANNOTATION__MAYBE_NOTE_NOTE;
        said.note = annotate->note;
    }
    if (annotate->reaction != NULL) {
        said.maybe_reaction_case = PENTEL__V1__ANNOTATION__MAYBE_REACTION_REACTION;
        said.reaction = annotate->reaction;
    }
    if (annotate->order != NULL) {
        said.maybe_order_case = PENTEL__V1__ANNOTATION__MAYBE_ORDER_ORDER;
        said.order = annotate->order;
    }
    if (annotate->has_pass) {
        said.maybe_pass_index_case = PENTEL__V1__ANNOTATION__MAYBE_PASS_INDEX_PASS_INDEX;
        said.pass_index = annotate->pass_index;
    }
    entry.session = uuid;
    entry.uid = annotate->uid;
    entry.kind_case = PENTEL__V1__JOURNAL_ENTRY__KIND_ANNOTATION;
    entry.annotation = &said;
    return pd_journal_append(ledger->db, &ledger->stamp, &entry, annotate->seq_out, error);
}

static bool
journal_closed(PdLedger *ledger, const Annotate *annotate, char *uuid, GError **error)
{
    Pentel__V1__JournalEntry entry;
    Pentel__V1__SessionClosedBy closed;

    pentel__v1__session_closed_by__init(&closed);
    pentel__v1__journal_entry__init(&entry);
    closed.reason = annotate->close_reason;
    entry.session = uuid;
    entry.uid = annotate->uid;
    entry.kind_case = PENTEL__V1__JOURNAL_ENTRY__KIND_CLOSED_BY;
    entry.closed_by = &closed;
    return pd_journal_append(ledger->db, &ledger->stamp, &entry, annotate->seq_out, error);
}

/* An empty text takes back what was said. */
static const char *
or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static bool
write_zone(PdDb *db, const PdAnnotation *annotate, uint64_t opened_seq, GError **error)
{
    if (annotate->zone == NULL) {
        return true;
    }
    if (!annotate->has_pass) {
        return pd_db_run(db,
                         error,
                         "update session set zone = ? where opened_seq = ?",
                         "ti",
                         or_null(annotate->zone),
                         (int64_t)opened_seq);
    }
    if (or_null(annotate->zone) == NULL) {
        return pd_db_run(db,
                         error,
                         "delete from pass_zone where opened_seq = ? and idx = ?",
                         "ii",
                         (int64_t)opened_seq,
                         (int64_t)annotate->pass_index);
    }
    return pd_db_run(db,
                     error,
                     "insert or replace into pass_zone (opened_seq, idx, zone) values (?, ?, ?)",
                     "iit",
                     (int64_t)opened_seq,
                     (int64_t)annotate->pass_index,
                     annotate->zone);
}

bool
pd_annotation_write(PdDb *db, const PdAnnotation *annotate, uint64_t opened_seq, GError **error)
{
    return pd_db_run(db,
                     error,
                     "update session set patient = iif(?1, ?2, patient),"
                     " operator = iif(?3, ?4, operator), note = iif(?5, ?6, note),"
                     " closed_reason = iif(?7, ?8, closed_reason),"
                     " reaction = iif(?9, ?10, reaction), order_ref = iif(?11, ?12, order_ref)"
                     " where opened_seq = ?13",
                     "ititititititi",
                     (int64_t)(annotate->patient != NULL),
                     or_null(annotate->patient),
                     (int64_t)(annotate->operator_name != NULL),
                     or_null(annotate->operator_name),
                     (int64_t)(annotate->note != NULL),
                     or_null(annotate->note),
                     (int64_t)(annotate->close_reason != NULL),
                     or_null(annotate->close_reason),
                     (int64_t)(annotate->reaction != NULL),
                     or_null(annotate->reaction),
                     (int64_t)(annotate->order != NULL),
                     or_null(annotate->order),
                     (int64_t)opened_seq) &&
           write_zone(db, annotate, opened_seq, error);
}

bool
pd_hold_write(PdDb *db, const Pentel__V1__Hold *hold, uint64_t opened_seq, GError **error)
{
    return pd_db_run(db,
                     error,
                     "update session set hold = ? where opened_seq = ?",
                     "ti",
                     hold->released ? NULL : hold->reason,
                     (int64_t)opened_seq);
}

static bool
pass_exists(PdLedger *ledger, const Annotate *annotate, uint64_t opened_seq, GError **error)
{
    if (!annotate->has_pass) {
        return true;
    }
    g_autoptr(PdStmt) stmt = pd_db_query(ledger->db,
                                         error,
                                         "select 1 from pass where opened_seq = ? and idx = ?",
                                         "ii",
                                         (int64_t)opened_seq,
                                         (int64_t)annotate->pass_index);
    const int got = stmt == NULL ? -1 : pd_db_step(ledger->db, stmt, error);
    if (got == 0) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "the session has no pass %u",
                    annotate->pass_index);
    }
    return got > 0;
}

/* The session's state may depend on what was said; let the fold look again. */
static bool
touch_session(PdLedger *ledger, uint64_t opened_seq, GError **error)
{
    g_auto(PdRecordPlace) place = { 0 };

    if (!pd_record_place_load(ledger->db, opened_seq, &place, error)) {
        return false;
    }
    PdSessionFold *session = pd_ledger_get_session(ledger, place.log_id, place.session, error);
    if (session == NULL) {
        return false;
    }
    session->dirty = true;
    session->is_urgent = true;
    return true;
}

static bool
check_text(const char *what, const char *text, GError **error)
{
    if (text == NULL || (strlen(text) <= TEXT_MAX_BYTES && g_utf8_validate(text, -1, NULL))) {
        return true;
    }
    g_set_error(error,
                PD_ERROR,
                PD_ERROR_INVALID_ARGUMENT,
                "%s must be UTF-8 of at most %u bytes",
                what,
                TEXT_MAX_BYTES);
    return false;
}

/* Beside a reason to close the session. */
static bool
says_something(const Annotate *annotate)
{
    return annotate->patient != NULL || annotate->operator_name != NULL || annotate->zone != NULL ||
           annotate->note != NULL || annotate->reaction != NULL || annotate->order != NULL;
}

static bool
check_annotation(const Annotate *annotate, GError **error)
{
    if (!says_something(annotate) && annotate->close_reason == NULL) {
        g_set_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT, "there is nothing to say");
        return false;
    }
    return check_text("the patient reference", annotate->patient, error) &&
           check_text("the operator", annotate->operator_name, error) &&
           check_text("the zone", annotate->zone, error) &&
           check_text("the note", annotate->note, error) &&
           check_text("the reaction", annotate->reaction, error) &&
           check_text("the order", annotate->order, error) &&
           check_text("the reason", annotate->close_reason, error);
}

static bool
run_annotate(gpointer data, PdLedger *ledger, GError **error)
{
    const Annotate *annotate = data;
    uint64_t opened_seq = 0;
    char uuid[37];

    if (!check_annotation(annotate, error) ||
        !pd_find_session(ledger->db, annotate->id, uuid, &opened_seq, error) ||
        !pd_check_not_erased(ledger->db, opened_seq, error) ||
        !pass_exists(ledger, annotate, opened_seq, error)) {
        return false;
    }
    if (says_something(annotate) && !journal_annotation(ledger, annotate, uuid, error)) {
        return false;
    }
    if (annotate->close_reason != NULL && (!journal_closed(ledger, annotate, uuid, error) ||
                                           !touch_session(ledger, opened_seq, error))) {
        return false;
    }
    const PdAnnotation head = {
        .patient = annotate->patient,
        .operator_name = annotate->operator_name,
        .zone = annotate->zone,
        .note = annotate->note,
        .reaction = annotate->reaction,
        .order = annotate->order,
        .close_reason = annotate->close_reason,
        .has_pass = annotate->has_pass,
        .pass_index = annotate->pass_index,
    };
    return pd_annotation_write(ledger->db, &head, opened_seq, error);
}

PdJob
pd_job_annotate(const char *id, const PdAnnotation *annotation, uint64_t *seq_out)
{
    Annotate *annotate = g_new0(Annotate, 1);

    annotate->id = g_strdup(id);
    annotate->patient = g_strdup(annotation->patient);
    annotate->operator_name = g_strdup(annotation->operator_name);
    annotate->zone = g_strdup(annotation->zone);
    annotate->note = g_strdup(annotation->note);
    annotate->reaction = g_strdup(annotation->reaction);
    annotate->order = g_strdup(annotation->order);
    annotate->close_reason = g_strdup(annotation->close_reason);
    annotate->has_pass = annotation->has_pass;
    annotate->pass_index = annotation->pass_index;
    annotate->uid = annotation->uid;
    annotate->seq_out = seq_out;
    /* Closing changes the state, which the fold writes. */
    return (PdJob){
        .run = run_annotate,
        .data = annotate,
        .free = free_annotate,
        .after_fold = annotation->close_reason != NULL,
    };
}
