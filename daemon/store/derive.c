/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * From a session's fold to its rows, and an entry in the journal when a reader of records
 * would care.
 */
#include "store/derive.h"

#include "core/wire.h"
#include "store/verdict.h"
#include "util/error.h"

#include <string.h>

#define IDLE_KEPT 32u
#define IDLE_US   INT64_C(600000000)

static GBytes *
pack_missing(const GArray *missing)
{
    GByteArray *bytes = g_byte_array_new();

    for (guint i = 0; i < missing->len; i++) {
        const PdMissing *range = &g_array_index(missing, PdMissing, i);
        uint8_t packed[9];
        pen_wire_put(packed, 4, range->first);
        pen_wire_put(packed + 4, 4, range->last);
        packed[8] = (uint8_t)range->cause;
        g_byte_array_append(bytes, packed, sizeof packed);
    }
    return g_byte_array_free_to_bytes(bytes);
}

static bool
insert_row(PdLedger *ledger, const PdLog *log, PdSessionFold *session, GError **error)
{
    uint8_t uuid[16];
    char id[37];

    if (session->opened_seq != 0) {
        return true;
    }
    pen_session_uuid(session->log_id, session->number, uuid);
    pen_uuid_format(uuid, id);
    if (!pd_db_run(
            ledger->db,
            error,
            "insert into session (id, log_id, number, serial, boot, tick_unit, has_begin,"
            " has_end, end_cause, start_us, end_us, contact_us, all_contact_us, n_passes,"
            " first, last, n_bad, time_error_us, state, definition, receipt_last,"
            " raw_min, raw_max)"
            " values (?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ?, ?, 0, 0, '', '', 0, 0, 0)",
            "tiitii",
            id,
            (int64_t)session->log_id,
            (int64_t)session->number,
            log->serial,
            (int64_t)session->number,
            (int64_t)session->number)) {
        return false;
    }
    session->opened_seq = (uint64_t)sqlite3_last_insert_rowid(pd_db_handle(ledger->db));
    return true;
}

/* What the fold says, in the columns' order. */
static bool
write_fold(PdLedger *ledger,
           const PdSessionFold *session,
           const PenSessionFold *fold,
           GError **error)
{
    char definition[64];

    pen_fold_definition(&ledger->config, definition);
    return pd_db_run(ledger->db,
                     error,
                     "update session set boot = ?, tick_unit = ?, has_begin = ?, has_end = ?,"
                     " end_cause = ?, start_us = ?, end_us = ?, contact_us = ?,"
                     " all_contact_us = ?, n_passes = ?, first = ?, n_bad = ?,"
                     " definition = ?, raw_min = ?, raw_max = ?"
                     " where opened_seq = ?",
                     "iiiiiiiiiiiitiii",
                     (int64_t)fold->boot,
                     (int64_t)session->tick_unit,
                     (int64_t)fold->has_begin,
                     (int64_t)fold->has_end,
                     (int64_t)fold->end_cause,
                     (int64_t)fold->start_us,
                     (int64_t)fold->end_us,
                     (int64_t)fold->contact_us,
                     (int64_t)fold->all_contact_us,
                     (int64_t)fold->n_passes,
                     (int64_t)session->number,
                     (int64_t)fold->n_bad,
                     definition,
                     session->place.raw_min,
                     session->place.raw_max,
                     (int64_t)session->opened_seq);
}

/* Depth and continues are null when there is none. */
static bool
write_optional(PdLedger *ledger,
               const PdSessionFold *session,
               const PenSessionFold *fold,
               GError **error)
{
    const PenDepth *depth = &fold->depth;

    if (fold->has_continues && !pd_db_run(ledger->db,
                                          error,
                                          "update session set continues = ? where opened_seq = ?",
                                          "ii",
                                          (int64_t)fold->continues,
                                          (int64_t)session->opened_seq)) {
        return false;
    }
    return pd_db_run(ledger->db,
                     error,
                     "update session set depth_min = iif(?1, ?2, null),"
                     " depth_median = iif(?1, ?3, null), depth_p95 = iif(?1, ?4, null),"
                     " depth_max = iif(?1, ?5, null), depth_mean = iif(?1, ?6, null)"
                     " where opened_seq = ?7",
                     "iiiiiii",
                     (int64_t)depth->valid,
                     (int64_t)depth->min_um,
                     (int64_t)depth->median_um,
                     (int64_t)depth->p95_um,
                     (int64_t)depth->max_um,
                     (int64_t)depth->mean_um,
                     (int64_t)session->opened_seq);
}

static bool
write_verdict(PdLedger *ledger,
              const PdSessionFold *session,
              const PdSessionView *view,
              const PdVerdict *verdict,
              GError **error)
{
    g_autoptr(GBytes) missing = pack_missing(verdict->missing);

    return pd_db_run(ledger->db,
                     error,
                     "update session set last = ?, receipt_last = ?, time_error_us = ?, state = ?,"
                     " missing = ?, receipt = ?, start_wall_us = iif(?, ?, null),"
                     " end_wall_us = iif(?, ?, null) where opened_seq = ?",
                     "iiitbbiiiii",
                     (int64_t)verdict->last,
                     (int64_t)view->fold.last,
                     (int64_t)verdict->time_error_us,
                     verdict->state,
                     g_bytes_get_data(missing, NULL),
                     g_bytes_get_size(missing),
                     view->receipt,
                     sizeof view->receipt,
                     (int64_t)verdict->placed,
                     verdict->start_wall_us,
                     (int64_t)verdict->placed,
                     verdict->end_wall_us,
                     (int64_t)session->opened_seq);
}

static bool
write_pass(PdLedger *ledger, uint64_t opened_seq, guint index, const PenPass *pass, GError **error)
{
    const PenDepth *depth = &pass->depth;

    return pd_db_run(
        ledger->db,
        error,
        "insert or replace into pass (opened_seq, idx, start_us, elapsed_us, contact_us,"
        " depth_min, depth_median, depth_p95, depth_max, depth_mean, rate_mhz, punctures,"
        " incomplete) values (?1, ?2, ?3, ?4, ?5, iif(?6, ?7, null), iif(?6, ?8, null),"
        " iif(?6, ?9, null), iif(?6, ?10, null), iif(?6, ?11, null),"
        " iif(?12, ?13, null), iif(?14, ?15, null), ?16)",
        "iiiiiiiiiiiiiiii",
        (int64_t)opened_seq,
        (int64_t)index,
        (int64_t)pass->start_us,
        (int64_t)pass->elapsed_us,
        (int64_t)pass->contact_us,
        (int64_t)depth->valid,
        (int64_t)depth->min_um,
        (int64_t)depth->median_um,
        (int64_t)depth->p95_um,
        (int64_t)depth->max_um,
        (int64_t)depth->mean_um,
        (int64_t)pass->has_rate,
        (int64_t)pass->rate_mhz,
        (int64_t)pass->has_punctures,
        (int64_t)pass->punctures,
        (int64_t)pass->incomplete);
}

static bool
write_note(PdLedger *ledger, uint64_t opened_seq, guint index, const PdNote *note, GError **error)
{
    const PenCartridge *cartridge = &note->cartridge;

    return pd_db_run(
        ledger->db,
        error,
        "insert or replace into note (opened_seq, idx, kind, tick_us, value, cartridge, lot,"
        " expiry, needles, text) values (?, ?, ?, ?, ?, ?, ?, ?, iif(?, ?, null), ?)",
        "iiiiitttiit",
        (int64_t)opened_seq,
        (int64_t)index,
        (int64_t)note->kind,
        (int64_t)note->tick_us,
        (int64_t)note->value,
        cartridge->id,
        cartridge->lot,
        cartridge->expiry,
        (int64_t)cartridge->has_needles,
        (int64_t)cartridge->needles,
        note->text);
}

static bool
trim(PdLedger *ledger, uint64_t opened_seq, const PdSessionView *view, GError **error)
{
    return pd_db_run(ledger->db,
                     error,
                     "delete from pass where opened_seq = ? and idx > ?",
                     "ii",
                     (int64_t)opened_seq,
                     (int64_t)view->passes->len) &&
           pd_db_run(ledger->db,
                     error,
                     "delete from note where opened_seq = ? and idx >= ?",
                     "ii",
                     (int64_t)opened_seq,
                     (int64_t)view->notes->len);
}

static bool
write_parts(PdLedger *ledger, PdSessionFold *session, const PdSessionView *view, GError **error)
{
    for (guint i = session->n_written_passes; i < view->passes->len; i++) {
        const PenPass *pass = &g_array_index(view->passes, PenPass, i);
        if (!write_pass(ledger, session->opened_seq, i + 1, pass, error)) {
            return false;
        }
    }
    for (guint i = session->n_written_notes; i < view->notes->len; i++) {
        if (!write_note(ledger, session->opened_seq, i, g_ptr_array_index(view->notes, i), error)) {
            return false;
        }
    }
    if (!trim(ledger, session->opened_seq, view, error)) {
        return false;
    }
    session->n_written_passes = session->n_closed_passes;
    session->n_written_notes = view->notes->len;
    return true;
}

typedef struct {
    Pentel__V1__SessionChanged message;
    char definition[64];
    Pentel__V1__MissingRange *ranges; /* owned */
    Pentel__V1__MissingRange **list;  /* owned */
} Receipt;

static void
receipt_clear(Receipt *self)
{
    g_free(self->ranges);
    g_free(self->list);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Receipt, receipt_clear)

static void
fill_missing(Receipt *self, const GArray *missing)
{
    self->ranges = g_new0(Pentel__V1__MissingRange, missing->len);
    self->list = g_new0(Pentel__V1__MissingRange *, missing->len);
    for (guint i = 0; i < missing->len; i++) {
        const PdMissing *range = &g_array_index(missing, PdMissing, i);
        pentel__v1__missing_range__init(&self->ranges[i]);
        self->ranges[i].first = range->first;
        self->ranges[i].last = range->last;
        self->ranges[i].cause = (char *)(uintptr_t)pd_cause_to_string(range->cause);
        self->list[i] = &self->ranges[i];
    }
    self->message.n_missing = missing->len;
    self->message.missing = self->list;
}

static void
fill_receipt(Receipt *self,
             PdLedger *ledger,
             const PdSessionFold *session,
             const PdSessionView *view,
             const PdVerdict *verdict)
{
    const PdLog *log = pd_ledger_get_log(ledger, session->log_id);
    Pentel__V1__SessionChanged *changed = &self->message;

    pentel__v1__session_changed__init(changed);
    pen_fold_definition(&ledger->config, self->definition);
    changed->state = (char *)(uintptr_t)verdict->state;
    changed->definition = self->definition;
    changed->receipt_sha256 = (ProtobufCBinaryData){ 32, (uint8_t *)(uintptr_t)view->receipt };
    changed->log_id = session->log_id;
    changed->first = session->number;
    changed->last = verdict->last;
    changed->placed = verdict->placed;
    changed->started_wall_us = verdict->placed ? verdict->start_wall_us : 0;
    changed->ended_wall_us = verdict->placed ? verdict->end_wall_us : 0;
    changed->time_error_us = verdict->placed ? verdict->time_error_us : 0;
    if (log->marked >= session->number) {
        changed->marked = MIN(log->marked, verdict->last);
        changed->marked_wall_us = log->marked_wall_us;
    }
    fill_missing(self, verdict->missing);
}

/* A reader of records cares about a new state, about new content of a settled one, and about
 * numbers that are of another definition than those before. */
static bool
write_entry(PdLedger *ledger,
            const PdSessionFold *session,
            const PdSessionView *view,
            const PdVerdict *verdict,
            bool *journaled_out,
            GError **error)
{
    const bool same_content =
        verdict->has_old_receipt && memcmp(verdict->old_receipt, view->receipt, 32) == 0;
    const bool same_state = g_strcmp0(verdict->old_state, verdict->state) == 0;
    g_auto(Receipt) receipt = { 0 };
    char definition[64];
    Pentel__V1__JournalEntry entry;
    uint8_t uuid[16];
    char id[37];
    uint64_t seq = 0;

    pentel__v1__journal_entry__init(&entry);
    pen_fold_definition(&ledger->config, definition);
    if (same_state && g_strcmp0(verdict->old_definition, definition) == 0 &&
        (same_content || !verdict->is_over)) {
        return true;
    }
    pen_session_uuid(session->log_id, session->number, uuid);
    pen_uuid_format(uuid, id);
    fill_receipt(&receipt, ledger, session, view, verdict);
    entry.session = id;
    entry.uid = PD_JOURNAL_UID_SELF;
    entry.kind_case = PENTEL__V1__JOURNAL_ENTRY__KIND_SESSION_CHANGED;
    entry.session_changed = &receipt.message;
    *journaled_out = true;
    return pd_journal_append(ledger->db, &ledger->stamp, &entry, &seq, error);
}

/* Where its late records lie must be known even so. */
static bool
write_place_only(PdLedger *ledger, PdSessionFold *session, GError **error)
{
    session->dirty = false;
    session->is_urgent = false;
    return pd_db_run(ledger->db,
                     error,
                     "update session set raw_min = ?, raw_max = ? where opened_seq = ?",
                     "iii",
                     session->place.raw_min,
                     session->place.raw_max,
                     (int64_t)session->opened_seq);
}

bool
pd_derive_session(PdLedger *ledger, PdSessionFold *session, bool *journaled_out, GError **error)
{
    PdLog *log = pd_ledger_get_log(ledger, session->log_id);
    g_auto(PdVerdict) verdict = { 0 };
    PdSessionView view;

    if (session->is_erased) {
        session->dirty = false;
        return true;
    }
    if (session->needs_fold || session->tick_unit != log->tick_unit) {
        if (!pd_ledger_fold_again(ledger, session, error)) {
            return false;
        }
    }
    if (session->is_unreadable) {
        return write_place_only(ledger, session, error);
    }
    pd_session_fold_look(session, &view);
    const bool ok = pd_verdict_judge(ledger, log, session, &view.fold, &verdict, error) &&
                    write_fold(ledger, session, &view.fold, error) &&
                    write_optional(ledger, session, &view.fold, error) &&
                    write_verdict(ledger, session, &view, &verdict, error) &&
                    write_parts(ledger, session, &view, error) &&
                    write_entry(ledger, session, &view, &verdict, journaled_out, error);
    pd_session_fold_unlook(session);
    if (view.fold.n_bad > session->n_bad_counted) {
        ledger->counts.n_bad += view.fold.n_bad - session->n_bad_counted;
        pd_log_count_faulty(log, view.fold.n_bad - session->n_bad_counted);
        session->n_bad_counted = view.fold.n_bad;
    }
    session->dirty = false;
    session->is_urgent = false;
    session->is_over = verdict.is_over;
    return ok;
}

static GPtrArray *
list_dirty(PdLedger *ledger)
{
    GPtrArray *dirty = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, ledger->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (((PdSessionFold *)value)->dirty) {
            g_ptr_array_add(dirty, value);
        }
    }
    return dirty;
}

static int
compare_arrival(gconstpointer a, gconstpointer b)
{
    const PdSessionFold *left = *(const PdSessionFold *const *)a;
    const PdSessionFold *right = *(const PdSessionFold *const *)b;

    if (left->place.raw_min != right->place.raw_min) {
        return left->place.raw_min < right->place.raw_min ? -1 : 1;
    }
    return left->number < right->number ? -1 : left->number > right->number;
}

/* Rows first, so that each sees its neighbours; a new one says that the one before is over. */
static bool
insert_rows(PdLedger *ledger, GError **error)
{
    g_autoptr(GPtrArray) dirty = list_dirty(ledger);

    g_ptr_array_sort(dirty, compare_arrival);
    for (guint i = 0; i < dirty->len; i++) {
        PdSessionFold *session = g_ptr_array_index(dirty, i);
        const bool is_new = session->opened_seq == 0;
        if (!insert_row(ledger, pd_ledger_get_log(ledger, session->log_id), session, error) ||
            (is_new && !pd_ledger_touch_before(ledger, session->log_id, session->number, error))) {
            return false;
        }
    }
    return true;
}

/* Folds of sessions that are over or long quiet need not stay in memory. */
static void
drop_idle(PdLedger *ledger)
{
    g_autoptr(GPtrArray) idle = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value = NULL;
    const int64_t now_us = g_get_monotonic_time();
    const bool crowded = g_hash_table_size(ledger->sessions) > IDLE_KEPT;

    g_hash_table_iter_init(&iter, ledger->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const PdSessionFold *session = value;
        const int64_t age_us = now_us - session->touched_us;
        if (!session->dirty && (session->is_over || crowded || age_us > IDLE_US)) {
            g_ptr_array_add(idle, value);
        }
    }
    for (guint i = 0; i < idle->len; i++) {
        pd_ledger_drop_session(ledger, g_ptr_array_index(idle, i));
    }
}

bool
pd_derive_all(PdLedger *ledger, bool *journaled_out, GError **error)
{
    *journaled_out = false;
    if (!insert_rows(ledger, error)) {
        return false;
    }
    g_autoptr(GPtrArray) dirty = list_dirty(ledger);
    g_ptr_array_sort(dirty, compare_arrival);
    for (guint i = 0; i < dirty->len; i++) {
        if (!pd_derive_session(ledger, g_ptr_array_index(dirty, i), journaled_out, error)) {
            return false;
        }
    }
    drop_idle(ledger);
    return pd_ledger_write_numbers(ledger, error);
}

void
pd_derive_pending(PdLedger *ledger, bool *any_out, bool *urgent_out)
{
    GHashTableIter iter;
    gpointer value = NULL;

    *any_out = false;
    *urgent_out = false;
    g_hash_table_iter_init(&iter, ledger->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const PdSessionFold *session = value;
        *any_out = *any_out || session->dirty;
        *urgent_out = *urgent_out || (session->dirty && session->is_urgent);
    }
}
