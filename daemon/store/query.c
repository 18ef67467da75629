/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * From rows to what the service shows. A read never outlives one page (F14).
 */
#include "store/query.h"

#include "core/wire.h"
#include "journal.pb-c.h"
#include "store/annotate.h"
#include "store/records.h"
#include "store/verdict.h"
#include "util/error.h"

#include <string.h>

#define PAGE_BYTES         65536u
#define PAGE_RECORDS       2048u /* more than a page can hold */
#define VARINT_MAX         5u
#define LOG_ID_FIELD_BYTES 9u
#define HASH_SIZE          32u
#define CHAIN_FIELDS_MAX   36u  /* hash and erased of JournalEntry */
#define SCAN_SESSIONS      8192 /* rows in one read transaction, a few tens of milliseconds */

/* The columns that take_row() reads, in its order. */
#define SESSION_COLUMNS                                                                            \
    "s.opened_seq, s.id, s.log_id, s.number, s.serial, s.boot, s.tick_unit, s.has_begin,"          \
    " s.has_end, s.end_cause, s.continues, s.start_us, s.end_us, s.contact_us,"                    \
    " s.all_contact_us, s.n_passes, s.depth_min, s.depth_median, s.depth_p95, s.depth_max,"        \
    " s.depth_mean, s.first, s.last, s.n_bad, s.start_wall_us, s.end_wall_us,"                     \
    " s.time_error_us, s.state, s.missing, s.patient, s.operator, s.note, s.zone,"                 \
    " s.closed_reason, s.definition, s.receipt, s.receipt_last, s.hold, s.reaction,"               \
    " s.order_ref"

static PenDepth
take_depth(PdStmt *stmt, int column)
{
    return (PenDepth){
        .valid = sqlite3_column_type(stmt, column) != SQLITE_NULL,
        .min_um = (uint32_t)sqlite3_column_int64(stmt, column),
        .median_um = (uint32_t)sqlite3_column_int64(stmt, column + 1),
        .p95_um = (uint32_t)sqlite3_column_int64(stmt, column + 2),
        .max_um = (uint32_t)sqlite3_column_int64(stmt, column + 3),
        .mean_um = (uint32_t)sqlite3_column_int64(stmt, column + 4),
    };
}

static GArray *
take_missing(PdStmt *stmt, int column)
{
    GArray *missing = g_array_new(FALSE, FALSE, sizeof(PdMissing));
    const uint8_t *bytes = sqlite3_column_blob(stmt, column);
    const int n_bytes = sqlite3_column_bytes(stmt, column);

    for (int i = 0; i + 9 <= n_bytes; i += 9) {
        const PdMissing range = {
            .first = (uint32_t)pen_wire_get(bytes + i, 4),
            .last = (uint32_t)pen_wire_get(bytes + i + 4, 4),
            .cause = (PdCause)bytes[i + 8],
        };
        g_array_append_val(missing, range);
    }
    return missing;
}

static PenSessionFold
take_fold(PdStmt *stmt)
{
    return (PenSessionFold){
        .boot = (uint32_t)sqlite3_column_int64(stmt, 5),
        .has_begin = sqlite3_column_int64(stmt, 7) != 0,
        .has_end = sqlite3_column_int64(stmt, 8) != 0,
        .end_cause = (uint32_t)sqlite3_column_int64(stmt, 9),
        .has_continues = sqlite3_column_type(stmt, 10) != SQLITE_NULL,
        .continues = (uint32_t)sqlite3_column_int64(stmt, 10),
        .start_us = (uint64_t)sqlite3_column_int64(stmt, 11),
        .end_us = (uint64_t)sqlite3_column_int64(stmt, 12),
        .contact_us = (uint64_t)sqlite3_column_int64(stmt, 13),
        .all_contact_us = (uint64_t)sqlite3_column_int64(stmt, 14),
        .n_passes = (uint32_t)sqlite3_column_int64(stmt, 15),
        .depth = take_depth(stmt, 16),
        .first = (uint32_t)sqlite3_column_int64(stmt, 21),
        .last = (uint32_t)sqlite3_column_int64(stmt, 22),
        .n_bad = (uint32_t)sqlite3_column_int64(stmt, 23),
    };
}

static void
take_receipt(PdStmt *stmt, int column, char text_out[65])
{
    const uint8_t *bytes = sqlite3_column_blob(stmt, column);
    const int n_bytes = sqlite3_column_bytes(stmt, column);

    text_out[0] = '\0';
    for (int i = 0; i < n_bytes && i < 32; i++) {
        g_snprintf(text_out + (ptrdiff_t)i * 2, 3, "%02x", bytes[i]);
    }
}

static PdSession *
take_row(PdQuery *self, PdStmt *stmt)
{
    PdSession *session = g_new0(PdSession, 1);
    const char *state = pd_stmt_get_text(stmt, 27);

    session->opened_seq = (uint64_t)sqlite3_column_int64(stmt, 0);
    g_strlcpy(session->id, pd_stmt_get_text(stmt, 1), sizeof session->id);
    session->log_id = (uint64_t)sqlite3_column_int64(stmt, 2);
    session->number = (uint32_t)sqlite3_column_int64(stmt, 3);
    session->serial = pd_stmt_dup_text(stmt, 4);
    session->fold = take_fold(stmt);
    session->placed = sqlite3_column_type(stmt, 24) != SQLITE_NULL;
    session->start_wall_us = sqlite3_column_int64(stmt, 24);
    session->end_wall_us = sqlite3_column_int64(stmt, 25);
    session->time_error_us = (uint32_t)sqlite3_column_int64(stmt, 26);
    const bool live =
        g_str_equal(state, "open") && self->is_linked(self->user_data, session->log_id);
    session->state = g_strdup(live ? "live" : state);
    session->missing = take_missing(stmt, 28);
    session->patient = pd_stmt_dup_text(stmt, 29);
    session->operator_name = pd_stmt_dup_text(stmt, 30);
    session->note = pd_stmt_dup_text(stmt, 31);
    session->closed_reason = pd_stmt_dup_text(stmt, 33);
    session->definition = pd_stmt_dup_text(stmt, 34);
    session->hold = pd_stmt_dup_text(stmt, 37);
    session->reaction = pd_stmt_dup_text(stmt, 38);
    session->order = pd_stmt_dup_text(stmt, 39);
    take_receipt(stmt, 35, session->receipt_sha256);
    return session;
}

static bool
load_zones(PdQuery *self, PdSession *session, GError **error)
{
    g_autoptr(GStrvBuilder) zones = g_strv_builder_new();
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select zone from pass_zone where opened_seq = ?1"
                    " union select zone from session where opened_seq = ?1 and zone is not null",
                    "i",
                    (int64_t)session->opened_seq);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        g_strv_builder_add(zones, pd_stmt_get_text(stmt, 0));
    }
    session->zones = g_strv_builder_end(zones);
    return stmt != NULL && got == 0;
}

/* % and _ of what people type are letters to us. */
static char *
like_pattern(const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    g_autoptr(GString) pattern = g_string_new("%");
    for (const char *at = text; *at != '\0'; at++) {
        if (strchr("%_\\", *at) != NULL) {
            g_string_append_c(pattern, '\\');
        }
        g_string_append_c(pattern, *at);
    }
    g_string_append_c(pattern, '%');
    return g_string_free(g_steal_pointer(&pattern), FALSE);
}

/* live and open are one state on disk. */
static bool
fits_state(const PdSession *session, const PdSessionFilter *filter)
{
    return filter->state == NULL || g_str_equal(session->state, filter->state);
}

static PdStmt *
bind_list(PdQuery *self,
          const PdSessionFilter *filter,
          int64_t before_seq,
          const char *pattern,
          GError **error)
{
    const char *state = filter->state;

    if (state != NULL && g_str_equal(state, "live")) {
        state = "open";
    }
    return pd_db_query(
        self->db,
        error,
        "select " SESSION_COLUMNS " from session s where opened_seq < ?1 and opened_seq >= ?7"
        " and (?2 is null or serial = ?2)"
        " and (?3 = 0 or start_wall_us + time_error_us >= ?3)"
        " and (?4 = 0 or start_wall_us - time_error_us < ?4)"
        " and (?5 is null or state = ?5)"
        " and (?6 is null or patient like ?6 escape '\\' or operator like ?6 escape '\\'"
        "  or note like ?6 escape '\\' or zone like ?6 escape '\\'"
        "  or reaction like ?6 escape '\\' or order_ref like ?6 escape '\\'"
        "  or exists (select 1 from pass_zone z where z.opened_seq = s.opened_seq"
        "             and z.zone like ?6 escape '\\'))"
        " order by opened_seq desc",
        "itiitti",
        before_seq,
        filter->serial,
        filter->since_us,
        filter->until_us,
        state,
        pattern,
        before_seq > SCAN_SESSIONS ? before_seq - SCAN_SESSIONS : 0);
}

/* One short read: at most SCAN_SESSIONS rows are looked at. */
static bool
list_some(PdQuery *self,
          const PdSessionFilter *filter,
          int64_t before_seq,
          const char *pattern,
          uint32_t limit,
          GPtrArray *sessions,
          GError **error)
{
    g_autoptr(PdStmt) stmt = bind_list(self, filter, before_seq, pattern, error);
    int got = stmt == NULL ? -1 : 0;

    while (stmt != NULL && sessions->len < limit && (got = pd_db_step(self->db, stmt, error)) > 0) {
        g_autoptr(PdSession) session = take_row(self, stmt);
        if (fits_state(session, filter)) {
            g_ptr_array_add(sessions, g_steal_pointer(&session));
        }
    }
    return got >= 0;
}

GPtrArray *
pd_query_list_sessions(PdQuery *self,
                       const PdSessionFilter *filter,
                       uint64_t before_seq,
                       uint32_t limit,
                       GError **error)
{
    g_autoptr(GPtrArray) sessions = g_ptr_array_new_with_free_func((GDestroyNotify)pd_session_free);
    g_autofree char *pattern = like_pattern(filter->text);
    int64_t last = 0;

    if (!pd_db_get_int(self->db, 0, &last, error, "select max(opened_seq) from session")) {
        return NULL;
    }
    int64_t before =
        before_seq == 0 || before_seq > (uint64_t)last ? last + 1 : (int64_t)before_seq;
    for (; before > 1 && sessions->len < limit; before -= SCAN_SESSIONS) {
        if (!list_some(self, filter, before, pattern, limit, sessions, error)) {
            return NULL;
        }
    }
    for (guint i = 0; i < sessions->len; i++) {
        if (!load_zones(self, g_ptr_array_index(sessions, i), error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&sessions);
}

static void
free_pass(gpointer data)
{
    PdPass *pass = data;

    g_free(pass->zone);
    g_free(pass);
}

static void
free_note(gpointer data)
{
    PdNote *note = data;

    g_free(note->text);
    g_free(note);
}

/* Wall time of a tick, 0 when it cannot be placed. */
static int64_t
place(const GArray *anchors, uint32_t boot, uint64_t tick_us)
{
    int64_t wall_us = 0;
    uint32_t error_us = 0;

    if (!pen_clock_place((const PenAnchor *)(const void *)anchors->data,
                         anchors->len,
                         boot,
                         tick_us,
                         &wall_us,
                         &error_us)) {
        return 0;
    }
    return wall_us;
}

static bool
load_passes(PdQuery *self, PdSession *session, const GArray *anchors, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select p.start_us, p.elapsed_us, p.contact_us, p.depth_min, p.depth_median,"
                    " p.depth_p95, p.depth_max, p.depth_mean, p.rate_mhz, p.punctures,"
                    " p.incomplete, coalesce(z.zone, s.zone) from pass p"
                    " join session s on s.opened_seq = p.opened_seq"
                    " left join pass_zone z on z.opened_seq = p.opened_seq and z.idx = p.idx"
                    " where p.opened_seq = ? order by p.idx",
                    "i",
                    (int64_t)session->opened_seq);
    int got = 0;

    session->passes = g_ptr_array_new_with_free_func(free_pass);
    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        PdPass *pass = g_new0(PdPass, 1);
        pass->fold = (PenPass){
            .start_us = (uint64_t)sqlite3_column_int64(stmt, 0),
            .elapsed_us = (uint64_t)sqlite3_column_int64(stmt, 1),
            .contact_us = (uint64_t)sqlite3_column_int64(stmt, 2),
            .depth = take_depth(stmt, 3),
            .has_rate = sqlite3_column_type(stmt, 8) != SQLITE_NULL,
            .rate_mhz = (uint32_t)sqlite3_column_int64(stmt, 8),
            .has_punctures = sqlite3_column_type(stmt, 9) != SQLITE_NULL,
            .punctures = (uint64_t)sqlite3_column_int64(stmt, 9),
            .incomplete = sqlite3_column_int64(stmt, 10) != 0,
        };
        pass->start_wall_us = place(anchors, session->fold.boot, pass->fold.start_us);
        pass->zone = pd_stmt_dup_text(stmt, 11);
        g_ptr_array_add(session->passes, pass);
    }
    return stmt != NULL && got == 0;
}

static void
copy_text(PdStmt *stmt, int column, char *out, size_t n_out)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    g_strlcpy(out, text != NULL ? text : "", n_out);
}

static bool
load_notes(PdQuery *self, PdSession *session, const GArray *anchors, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select kind, tick_us, value, cartridge, lot, expiry, needles, text from note"
                    " where opened_seq = ? order by idx",
                    "i",
                    (int64_t)session->opened_seq);
    int got = 0;

    session->notes = g_ptr_array_new_with_free_func(free_note);
    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        PdNote *note = g_new0(PdNote, 1);
        note->kind = (typeof(note->kind))sqlite3_column_int(stmt, 0);
        note->tick_us = (uint64_t)sqlite3_column_int64(stmt, 1);
        note->wall_us = place(anchors, session->fold.boot, note->tick_us);
        note->value = (uint32_t)sqlite3_column_int64(stmt, 2);
        copy_text(stmt, 3, note->cartridge.id, sizeof note->cartridge.id);
        copy_text(stmt, 4, note->cartridge.lot, sizeof note->cartridge.lot);
        copy_text(stmt, 5, note->cartridge.expiry, sizeof note->cartridge.expiry);
        note->cartridge.has_needles = sqlite3_column_type(stmt, 6) != SQLITE_NULL;
        note->cartridge.needles = (uint32_t)sqlite3_column_int64(stmt, 6);
        note->text = pd_stmt_dup_text(stmt, 7);
        g_ptr_array_add(session->notes, note);
    }
    return stmt != NULL && got == 0;
}

static bool
load_mark(PdQuery *self, PdSession *session, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(self->db,
                                         error,
                                         "select marked, marked_wall_us from log where log_id = ?",
                                         "i",
                                         (int64_t)session->log_id);
    const int got = stmt == NULL ? -1 : pd_db_step(self->db, stmt, error);

    if (got > 0 && sqlite3_column_int64(stmt, 0) >= session->number) {
        session->marked = (uint32_t)MIN(sqlite3_column_int64(stmt, 0), (int64_t)session->fold.last);
        session->marked_wall_us = sqlite3_column_int64(stmt, 1);
    }
    return got >= 0;
}

PdSession *
pd_query_get_session(PdQuery *self, const char *id, GError **error)
{
    uint64_t opened_seq = 0;
    char uuid[37];

    if (!pd_find_session(self->db, id, uuid, &opened_seq, error)) {
        return NULL;
    }
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select " SESSION_COLUMNS " from session s where opened_seq = ?",
                    "i",
                    (int64_t)opened_seq);
    const int got = stmt == NULL ? -1 : pd_db_step(self->db, stmt, error);
    if (got <= 0) {
        if (got == 0) {
            g_set_error(error, PD_ERROR, PD_ERROR_NOT_FOUND, "there is no session %s", id);
        }
        return NULL;
    }
    g_autoptr(PdSession) session = take_row(self, stmt);
    g_autoptr(GArray) anchors = pd_verdict_load_anchors(
        self->db, session->log_id, session->fold.boot, session->fold.start_us, error);
    if (anchors == NULL || !load_passes(self, session, anchors, error) ||
        !load_notes(self, session, anchors, error) || !load_zones(self, session, error) ||
        !load_mark(self, session, error)) {
        return NULL;
    }
    return g_steal_pointer(&session);
}

typedef struct {
    GByteArray *out;
    uint64_t log_id;
    uint32_t last;
} RawPage;

static void
append_varint(GByteArray *out, size_t value)
{
    while (value >= 0x80) {
        const uint8_t byte = (uint8_t)(value | 0x80);
        g_byte_array_append(out, &byte, 1);
        value >>= 7;
    }
    const uint8_t byte = (uint8_t)value;
    g_byte_array_append(out, &byte, 1);
}

static bool
append_raw(void *user_data, uint32_t number, const uint8_t *record, size_t n_record)
{
    RawPage *page = user_data;
    Pentel__V1__RawRecord message;

    pentel__v1__raw_record__init(&message);
    message.log_id = page->log_id;
    message.record = (ProtobufCBinaryData){ n_record, (uint8_t *)(uintptr_t)record };
    const size_t n_message = pentel__v1__raw_record__get_packed_size(&message);
    append_varint(page->out, n_message);
    const guint at = page->out->len;
    g_byte_array_set_size(page->out, at + (guint)n_message);
    pentel__v1__raw_record__pack(&message, page->out->data + at);
    page->last = number;
    return page->out->len + PEN_RECORD_MAX + 2 * VARINT_MAX + LOG_ID_FIELD_BYTES <= PAGE_BYTES;
}

GBytes *
pd_query_read_raw(PdQuery *self, const char *id, uint32_t after, uint32_t *last_out, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_auto(PdRecordPlace) where = { 0 };
    uint64_t opened_seq = 0;
    char uuid[37];

    if (!pd_find_session(self->db, id, uuid, &opened_seq, error) ||
        !pd_record_place_load(self->db, opened_seq, &where, error)) {
        return NULL;
    }
    RawPage page = { .out = out, .log_id = where.log_id, .last = after };
    if (!pd_records_walk(
            self->db, self->raw_directory, &where, after, PAGE_RECORDS, append_raw, &page, error)) {
        return NULL;
    }
    *last_out = page.last;
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

static bool
load_tick_unit(PdQuery *self, uint64_t log_id, uint32_t *tick_unit_out, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(
        self->db, error, "select tick_unit from log where log_id = ?", "i", (int64_t)log_id);
    const int got = stmt == NULL ? -1 : pd_db_step(self->db, stmt, error);

    *tick_unit_out = got > 0 ? (uint32_t)sqlite3_column_int64(stmt, 0) : 0;
    return got >= 0;
}

GArray *
pd_query_get_anchors(PdQuery *self, uint64_t log_id, uint32_t *tick_unit_out, GError **error)
{
    g_autoptr(GArray) anchors = g_array_new(FALSE, FALSE, sizeof(PenAnchor));

    if (!load_tick_unit(self, log_id, tick_unit_out, error)) {
        return NULL;
    }
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select boot, tick_us, wall_us, synced, error_us from anchor where log_id = ?"
                    " order by rowid desc limit 1024",
                    "i",
                    (int64_t)log_id);
    int got = 0;
    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        const PenAnchor anchor = {
            .boot = (uint32_t)sqlite3_column_int64(stmt, 0),
            .tick_us = (uint64_t)sqlite3_column_int64(stmt, 1),
            .wall_us = sqlite3_column_int64(stmt, 2),
            .wall_synced = sqlite3_column_int64(stmt, 3) != 0,
            .error_us = (uint32_t)sqlite3_column_int64(stmt, 4),
        };
        g_array_append_val(anchors, anchor);
    }
    return stmt != NULL && got == 0 ? g_steal_pointer(&anchors) : NULL;
}

/* What is stored, and behind it what only the chain knows: fields of the same message. */
static void
append_entry(GByteArray *out, PdStmt *stmt)
{
    static const uint8_t erased[] = { 8 << 3, 1 };
    const size_t n_entry = (size_t)sqlite3_column_bytes(stmt, 1);
    const size_t n_hash = MIN((size_t)sqlite3_column_bytes(stmt, 2), HASH_SIZE);
    const bool is_erased = sqlite3_column_int(stmt, 3) == 0;
    const uint8_t hash_tag[] = { 7 << 3 | 2, (uint8_t)n_hash };

    append_varint(out, n_entry + sizeof hash_tag + n_hash + (is_erased ? sizeof erased : 0));
    g_byte_array_append(out, sqlite3_column_blob(stmt, 1), (guint)n_entry);
    g_byte_array_append(out, hash_tag, sizeof hash_tag);
    g_byte_array_append(out, sqlite3_column_blob(stmt, 2), (guint)n_hash);
    if (is_erased) {
        g_byte_array_append(out, erased, sizeof erased);
    }
}

GBytes *
pd_query_read_journal(
    PdQuery *self, uint64_t after, uint64_t upto, uint64_t *last_out, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(PdStmt) stmt = pd_db_query(self->db,
                                         error,
                                         "select seq, entry, hash, length(salt) from journal"
                                         " where seq > ? and seq <= ? and entry is not null"
                                         " order by seq",
                                         "ii",
                                         (int64_t)MIN(after, (uint64_t)INT64_MAX),
                                         (int64_t)MIN(upto, (uint64_t)INT64_MAX));
    int got = 0;

    *last_out = after;
    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        const size_t n_entry = (size_t)sqlite3_column_bytes(stmt, 1);
        if (out->len > 0 && out->len + n_entry + CHAIN_FIELDS_MAX + VARINT_MAX > PAGE_BYTES) {
            break;
        }
        const uint64_t seq = (uint64_t)sqlite3_column_int64(stmt, 0);
        if (seq <= *last_out) {
            g_set_error(error, PD_ERROR, PD_ERROR_STORE, "the journal's rows are out of order");
            return NULL;
        }
        append_entry(out, stmt);
        *last_out = seq;
    }
    if (stmt == NULL || got < 0) {
        return NULL;
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

static PdPenInfo *
take_pen(PdStmt *stmt)
{
    PdPenInfo *pen = g_new0(PdPenInfo, 1);
    const char *adapters = pd_stmt_get_text(stmt, 4);

    pen->serial = pd_stmt_dup_text(stmt, 0);
    pen->address = pd_stmt_dup_text(stmt, 1);
    pen->name = pd_stmt_dup_text(stmt, 2);
    pen->firmware = pd_stmt_dup_text(stmt, 3);
    pen->adapters = adapters[0] == '\0' ? g_new0(char *, 1) : g_strsplit(adapters, ",", -1);
    pen->log_id = (uint64_t)sqlite3_column_int64(stmt, 5);
    pen->last_seen_us = sqlite3_column_int64(stmt, 6);
    pen->overwritten = (uint32_t)sqlite3_column_int64(stmt, 7);
    pen->tick_unit = (uint32_t)sqlite3_column_int64(stmt, 8);
    pen->marked = (uint32_t)sqlite3_column_int64(stmt, 9);
    return pen;
}

GPtrArray *
pd_query_load_pens(PdQuery *self, GError **error)
{
    g_autoptr(GPtrArray) pens = g_ptr_array_new_with_free_func((GDestroyNotify)pd_pen_info_free);
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->db,
                    error,
                    "select p.serial, p.address, p.name, p.firmware, p.adapters, p.log_id,"
                    " p.last_seen_us, p.overwritten, l.tick_unit, l.marked from pen p"
                    " left join log l on l.log_id = p.log_id order by p.serial",
                    "");
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->db, stmt, error)) > 0) {
        g_ptr_array_add(pens, take_pen(stmt));
    }
    return stmt != NULL && got == 0 ? g_steal_pointer(&pens) : NULL;
}
