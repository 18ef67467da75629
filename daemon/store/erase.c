/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what goes when a session is erased and what stays: its id, its numbers, a
 * tombstone that says why and by whom. Numbers stay known so that no pen gives them again.
 */
#include "store/erase.h"

#include "core/record.h"
#include "core/wire.h"
#include "store/annotate.h"
#include "store/chain.h"
#include "store/derive.h"
#include "store/rebuild.h"
#include "util/error.h"

#include <string.h>

#define ID_MIN 8u /* digits; what cannot be undone is named exactly */

typedef struct {
    int64_t opened_seq;
    char id[37];
    uint64_t log_id;
    uint32_t number;
    uint32_t last;
    int64_t segment; /* 0 none */
} Target;

typedef struct {
    char *session;
    char *patient;
    char *reason;
    uint32_t uid;
    PdErased *out; /* borrowed; may be NULL */
} Erase;

static bool
load_targets(PdLedger *ledger, PdStmt *stmt, GArray *targets, GError **error)
{
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(ledger->db, stmt, error)) > 0) {
        const char *hold = (const char *)sqlite3_column_text(stmt, 6);
        Target target = {
            .opened_seq = sqlite3_column_int64(stmt, 0),
            .log_id = (uint64_t)sqlite3_column_int64(stmt, 2),
            .number = (uint32_t)sqlite3_column_int64(stmt, 3),
            .last = (uint32_t)sqlite3_column_int64(stmt, 4),
            .segment = sqlite3_column_int64(stmt, 5),
        };
        g_strlcpy(target.id, pd_stmt_get_text(stmt, 1), sizeof target.id);
        if (hold != NULL) {
            g_set_error(
                error, PD_ERROR, PD_ERROR_ON_HOLD, "session %s is held: nothing erased", target.id);
            return false;
        }
        g_array_append_val(targets, target);
    }
    return stmt != NULL && got == 0;
}

#define TARGET_COLUMNS                                                                             \
    "select opened_seq, id, log_id, number, last, coalesce(segment, 0), hold from session"

static bool
find_targets(PdLedger *ledger, const Erase *erase, GArray *targets, GError **error)
{
    char uuid[37];
    uint64_t opened_seq = 0;

    if (erase->patient != NULL) {
        g_autoptr(PdStmt) stmt = pd_db_query(
            ledger->db, error, TARGET_COLUMNS " where patient = ?", "t", erase->patient);
        return load_targets(ledger, stmt, targets, error);
    }
    if (!pd_find_session(ledger->db, erase->session, uuid, &opened_seq, error)) {
        return false;
    }
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db,
                    error,
                    TARGET_COLUMNS " where opened_seq = ? and state != 'erased'",
                    "i",
                    (int64_t)opened_seq);
    if (!load_targets(ledger, stmt, targets, error)) {
        return false;
    }
    if (targets->len == 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_NOT_FOUND, "session %s is erased already", uuid);
    }
    return targets->len > 0;
}

static bool
delete_rows(PdLedger *ledger, const Target *target, GError **error)
{
    static const char *const by_seq[] = {
        "delete from pass where opened_seq = ?",
        "delete from pass_zone where opened_seq = ?",
        "delete from note where opened_seq = ?",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(by_seq); i++) {
        if (!pd_db_run(ledger->db, error, by_seq[i], "i", target->opened_seq)) {
            return false;
        }
    }
    return pd_db_run(ledger->db,
                     error,
                     "delete from raw where log_id = ?1 and session = ?2 and rowid >="
                     " (select nullif(raw_min, 0) from session where opened_seq = ?3)",
                     "iii",
                     (int64_t)target->log_id,
                     (int64_t)target->number,
                     target->opened_seq) &&
           pd_db_run(ledger->db,
                     error,
                     "delete from damaged where log_id = ? and number between ? and ?",
                     "iii",
                     (int64_t)target->log_id,
                     (int64_t)target->number,
                     (int64_t)target->last) &&
           pd_db_run(ledger->db,
                     error,
                     "delete from conflict where log_id = ? and number between ? and ?",
                     "iii",
                     (int64_t)target->log_id,
                     (int64_t)target->number,
                     (int64_t)target->last);
}

static bool
blank_row(PdLedger *ledger, const Target *target, GError **error)
{
    return pd_db_run(ledger->db,
                     error,
                     "update session set state = 'erased', boot = 0, tick_unit = 0, has_begin = 0,"
                     " has_end = 0, end_cause = 0, continues = null, start_us = 0, end_us = 0,"
                     " contact_us = 0, all_contact_us = 0, n_passes = 0, depth_min = null,"
                     " depth_median = null, depth_p95 = null, depth_max = null, depth_mean = null,"
                     " n_bad = 0, start_wall_us = null, end_wall_us = null, time_error_us = 0,"
                     " missing = null, definition = '', receipt = null, receipt_last = 0,"
                     " raw_min = 0, raw_max = 0, segment = null, block_offset = null,"
                     " block_size = null, block_sha256 = null, " PD_SAID_NULL
                     " where opened_seq = ?",
                     "i",
                     target->opened_seq);
}

static bool
write_tombstone(PdLedger *ledger,
                const Erase *erase,
                const Target *target,
                const GArray *entries,
                GError **error)
{
    Pentel__V1__JournalEntry entry;
    Pentel__V1__Erasure erasure;
    uint64_t seq = 0;

    pentel__v1__erasure__init(&erasure);
    pentel__v1__journal_entry__init(&entry);
    erasure.reason = erase->reason;
    erasure.log_id = target->log_id;
    if (entries == NULL) {
        erasure.first = target->number;
        erasure.last = target->last;
    } else {
        erasure.n_entries = entries->len;
        erasure.entries = (uint64_t *)(void *)entries->data;
    }
    entry.session = (char *)(uintptr_t)target->id;
    entry.uid = erase->uid;
    entry.kind_case = PENTEL__V1__JOURNAL_ENTRY__KIND_ERASURE;
    entry.erasure = &erasure;
    if (!pd_journal_append(ledger->db, &ledger->stamp, &entry, &seq, error)) {
        return false;
    }
    if (erase->out != NULL) {
        erase->out->seq = seq;
    }
    return true;
}

/* From now on what a pen says of it is dropped on arrival. */
static bool
remember(PdLedger *ledger, const Target *target, GError **error)
{
    const PdSessionFold key = { .log_id = target->log_id, .number = target->number };
    PdSessionFold *session = g_hash_table_lookup(ledger->sessions, &key);

    if (session != NULL) {
        pd_ledger_drop_session(ledger, session);
    }
    pd_log_erase(pd_ledger_get_log(ledger, target->log_id), target->number);
    return pd_db_run(ledger->db,
                     error,
                     "insert or replace into erased (log_id, session, first, last)"
                     " values (?, ?, ?, ?)",
                     "iiii",
                     (int64_t)target->log_id,
                     (int64_t)target->number,
                     (int64_t)target->number,
                     (int64_t)target->last);
}

/* Only its first number: of the others nothing was ever stored here. */
static bool
remember_absent(PdLedger *ledger, const Target *target, GError **error)
{
    pd_log_erase(pd_ledger_get_log(ledger, target->log_id), target->number);
    return pd_db_run(ledger->db,
                     error,
                     "insert or ignore into erased (log_id, session, first, last)"
                     " values (?1, ?2, ?2, ?2)",
                     "ii",
                     (int64_t)target->log_id,
                     (int64_t)target->number);
}

static bool
has_tombstone(PdLedger *ledger, const char *id, bool *has_out, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(ledger->db,
                                         error,
                                         "select 1 from journal where session = ?"
                                         " and session != '' and kind = ?",
                                         "ti",
                                         id,
                                         (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_ERASURE);
    const int got = stmt == NULL ? -1 : pd_db_step(ledger->db, stmt, error);

    *has_out = got > 0;
    return got >= 0;
}

bool
pd_erase_absent(PdLedger *ledger, const Pentel__V1__Erasure *erasure, uint32_t uid, GError **error)
{
    const Erase erase = { .reason = erasure->reason, .uid = uid };
    Target target = { .log_id = erasure->log_id, .number = erasure->first, .last = erasure->last };
    uint8_t uuid[16];
    bool has = false;

    pen_session_uuid(target.log_id, target.number, uuid);
    pen_uuid_format(uuid, target.id);
    return remember_absent(ledger, &target, error) &&
           has_tombstone(ledger, target.id, &has, error) &&
           (has || write_tombstone(ledger, &erase, &target, NULL, error));
}

static bool
erase_one(PdLedger *ledger, const Erase *erase, const Target *target, GError **error)
{
    g_autoptr(GArray) entries = pd_list_entries(ledger, target->id, error);

    return entries != NULL && pd_blank_entries(ledger, entries, error) &&
           delete_rows(ledger, target, error) && blank_row(ledger, target, error) &&
           remember(ledger, target, error) && write_tombstone(ledger, erase, target, NULL, error);
}

/* Each segment is written anew once, whatever goes out of it. */
static bool
erase_sealed(PdLedger *ledger, const GArray *targets, GError **error)
{
    g_autoptr(GHashTable) done = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(int64_t));

    for (guint i = 0; i < targets->len; i++) {
        g_array_append_val(gone, g_array_index(targets, Target, i).opened_seq);
    }
    for (guint i = 0; i < targets->len; i++) {
        Target *target = &g_array_index(targets, Target, i);
        if (target->segment != 0 && g_hash_table_add(done, &target->segment) &&
            !pd_erase_blocks(ledger, target->segment, gone, error)) {
            return false;
        }
    }
    return true;
}

static bool
names_patient(PdStmt *stmt, const char *patient)
{
    Pentel__V1__JournalEntry *entry = pentel__v1__journal_entry__unpack(
        NULL, (size_t)sqlite3_column_bytes(stmt, 1), sqlite3_column_blob(stmt, 1));
    const bool names =
        entry != NULL && entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_ANNOTATION &&
        entry->annotation->maybe_patient_case == PENTEL__V1__ANNOTATION__MAYBE_PATIENT_PATIENT &&
        g_str_equal(entry->annotation->patient, patient);

    if (entry != NULL) {
        pentel__v1__journal_entry__free_unpacked(entry, NULL);
    }
    return names;
}

typedef struct {
    uint64_t seq;
    Target target;
} Mention;

/* Entries that named the patient of a session that is somebody else's now. */
static GArray *
list_mentions(PdLedger *ledger, const char *patient, GError **error)
{
    g_autoptr(GArray) mentions = g_array_new(FALSE, FALSE, sizeof(Mention));
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db,
                    error,
                    "select j.seq, j.entry, s.opened_seq, s.id, s.log_id, s.hold is not null"
                    " from journal j join session s on s.id = j.session"
                    " where j.kind = ? and length(j.salt) > 0",
                    "i",
                    (int64_t)PENTEL__V1__JOURNAL_ENTRY__KIND_ANNOTATION);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(ledger->db, stmt, error)) > 0) {
        Mention mention = {
            .seq = (uint64_t)sqlite3_column_int64(stmt, 0),
            .target = { .opened_seq = sqlite3_column_int64(stmt, 2),
                        .log_id = (uint64_t)sqlite3_column_int64(stmt, 4) },
        };
        if (!names_patient(stmt, patient)) {
            continue;
        }
        g_strlcpy(mention.target.id, pd_stmt_get_text(stmt, 3), sizeof mention.target.id);
        if (sqlite3_column_int(stmt, 5) != 0) {
            g_set_error(error,
                        PD_ERROR,
                        PD_ERROR_ON_HOLD,
                        "session %s is held: nothing erased",
                        mention.target.id);
            return NULL;
        }
        g_array_append_val(mentions, mention);
    }
    return stmt != NULL && got == 0 ? g_steal_pointer(&mentions) : NULL;
}

static bool
erase_mentions(PdLedger *ledger, const Erase *erase, GArray *mentions, GError **error)
{
    for (guint i = 0; i < mentions->len; i++) {
        const Mention *mention = &g_array_index(mentions, Mention, i);
        g_autoptr(GArray) seqs = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        g_array_append_val(seqs, mention->seq);
        if (!pd_blank_entries(ledger, seqs, error) ||
            !pd_rebuild_head(ledger, (uint64_t)mention->target.opened_seq, error) ||
            !write_tombstone(ledger, erase, &mention->target, seqs, error)) {
            return false;
        }
    }
    return true;
}

/* In the transaction, so that it is known after a crash and forgotten with a rollback. */
static bool
begin_erasing(PdLedger *ledger, GError **error)
{
    ledger->must_scrub = true;
    return pd_db_script(ledger->db,
                        "pragma secure_delete=on;"
                        "insert or replace into meta (key, value) values ('scrub', 1)",
                        error);
}

static bool
erase_targets(PdLedger *ledger, const Erase *erase, const GArray *targets, GError **error)
{
    if (!begin_erasing(ledger, error) || !erase_sealed(ledger, targets, error)) {
        return false;
    }
    for (guint i = 0; i < targets->len; i++) {
        if (!erase_one(ledger, erase, &g_array_index(targets, Target, i), error)) {
            return false;
        }
    }
    if (erase->out != NULL) {
        erase->out->n_sessions = targets->len;
    }
    return true;
}

static bool
load_old(PdLedger *ledger, const GArray *sessions, GArray *targets, GError **error)
{
    for (guint i = 0; i < sessions->len; i++) {
        g_autoptr(PdStmt) stmt =
            pd_db_query(ledger->db,
                        error,
                        TARGET_COLUMNS " where opened_seq = ? and state != 'erased'",
                        "i",
                        g_array_index(sessions, int64_t, i));
        if (!load_targets(ledger, stmt, targets, error)) {
            return false;
        }
    }
    return true;
}

bool
pd_erase_sessions(PdLedger *ledger, const GArray *sessions, const char *reason, GError **error)
{
    const Erase erase = { .reason = (char *)(uintptr_t)reason, .uid = PD_JOURNAL_UID_SELF };
    g_autoptr(GArray) targets = g_array_new(FALSE, FALSE, sizeof(Target));

    return load_old(ledger, sessions, targets, error) &&
           erase_targets(ledger, &erase, targets, error);
}

static bool
check_erase(const Erase *erase, GError **error)
{
    const char *wrong = NULL;

    if ((erase->session == NULL) == (erase->patient == NULL)) {
        wrong = "name either a session or a patient";
    } else if (erase->reason[0] == '\0' || strlen(erase->reason) > PD_REASON_MAX_BYTES ||
               !g_utf8_validate(erase->reason, -1, NULL)) {
        wrong = "give a reason of at most 1024 bytes";
    } else if (erase->patient != NULL && erase->patient[0] == '\0') {
        wrong = "the patient reference is empty";
    } else if (erase->session != NULL && strlen(erase->session) < ID_MIN) {
        wrong = "give at least 8 digits of the session's id";
    }
    if (wrong != NULL) {
        g_set_error_literal(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT, wrong);
    }
    return wrong == NULL;
}

/* Where a session lies and ends stands in its row, which follows its records later. */
static bool
derive(PdLedger *ledger, GError **error)
{
    g_autoptr(GError) local = NULL;
    bool journaled = false;

    if (!pd_derive_all(ledger, &journaled, &local)) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s", local->message);
        return false;
    }
    return true;
}

/* What names the patient in sessions that are another's. */
static bool
erase_left(PdLedger *ledger, const Erase *erase, GError **error)
{
    g_autoptr(GArray) left = list_mentions(ledger, erase->patient, error);

    return left != NULL && erase_mentions(ledger, erase, left, error);
}

/* Nothing is changed before everything was found and may be erased; what fails in between
 * fails the whole transaction. */
static bool
run_erase(gpointer data, PdLedger *ledger, GError **error)
{
    const Erase *erase = data;
    g_autoptr(GArray) targets = g_array_new(FALSE, TRUE, sizeof(Target));
    g_autoptr(GArray) mentions = NULL;
    g_autoptr(GError) local = NULL;

    if (!check_erase(erase, error) || !derive(ledger, error) ||
        !find_targets(ledger, erase, targets, error)) {
        return false;
    }
    if (erase->patient != NULL &&
        (mentions = list_mentions(ledger, erase->patient, error)) == NULL) {
        return false;
    }
    if (erase->patient != NULL && targets->len + mentions->len == 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_NOT_FOUND, "no session is of this patient");
        return false;
    }
    if (!erase_targets(ledger, erase, targets, &local) ||
        (mentions != NULL && !erase_left(ledger, erase, &local))) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s", local->message);
        return false;
    }
    return true;
}

static bool
is_entry_of(PdLedger *ledger, uint64_t seq, const char *session, int64_t *opened_out)
{
    g_autoptr(PdStmt) stmt = pd_db_query(ledger->db,
                                         NULL,
                                         "select s.opened_seq from journal j join session s"
                                         " on s.id = j.session where j.seq = ? and s.id = ?"
                                         " and length(j.salt) > 0 and s.state != 'erased'",
                                         "it",
                                         (int64_t)seq,
                                         session);
    const bool is = stmt != NULL && pd_db_step(ledger->db, stmt, NULL) > 0;

    *opened_out = is ? sqlite3_column_int64(stmt, 0) : 0;
    return is;
}

bool
pd_erase_entries(PdLedger *ledger,
                 const char *session,
                 const uint64_t *seqs,
                 size_t n_seqs,
                 const char *reason,
                 uint32_t uid,
                 GError **error)
{
    g_autofree char *copy = g_strdup(reason);
    const Erase erase = { .reason = copy, .uid = uid };
    g_autoptr(GArray) mentions = g_array_new(FALSE, TRUE, sizeof(Mention));

    for (size_t i = 0; i < n_seqs; i++) {
        Mention mention = { .seq = seqs[i] };
        if (is_entry_of(ledger, seqs[i], session, &mention.target.opened_seq)) {
            g_strlcpy(mention.target.id, session, sizeof mention.target.id);
            g_array_append_val(mentions, mention);
        }
    }
    return (mentions->len == 0 || begin_erasing(ledger, error)) &&
           erase_mentions(ledger, &erase, mentions, error);
}

static void
free_erase(gpointer data)
{
    Erase *erase = data;

    g_free(erase->session);
    g_free(erase->patient);
    g_free(erase->reason);
    g_free(erase);
}

PdJob
pd_job_erase(const PdErasure *erasure, PdErased *erased_out)
{
    Erase *erase = g_new0(Erase, 1);

    erase->session = g_strdup(erasure->session);
    erase->patient = g_strdup(erasure->patient);
    erase->reason = g_strdup(erasure->reason != NULL ? erasure->reason : "");
    erase->uid = erasure->uid;
    erase->out = erased_out;
    return (PdJob){ .run = run_erase, .data = erase, .free = free_erase };
}
