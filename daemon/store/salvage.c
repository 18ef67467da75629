/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * From a damaged store into a fresh one. Every row is read by itself, so that a page that
 * cannot be read costs what was on it and no more.
 */
#include "store/salvage.h"

#include "core/record.h"
#include "core/wire.h"
#include "journal.pb-c.h"
#include "store/backup.h"
#include "store/derive.h"
#include "store/erase.h"
#include "store/rebuild.h"
#include "store/segment.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <string.h>

#define CHUNK      4096
#define PROBE_EACH 16
#define FAIL_MAX   1000000 /* keys in a row that cannot be read before the rest is given up */

typedef struct {
    PdLedger *ledger; /* borrowed; of the fresh store */
    PdDb *old;        /* borrowed; NULL: only segments */
    char *key;        /* borrowed; of meta: 'begun' or 'done' */
    uint64_t n_records;
    uint32_t n_pending;
} Salvage;

/* One transaction for facts and what follows from them: nobody else is there yet. */
static bool
commit(Salvage *self, GError **error)
{
    bool journaled = false;

    self->n_pending = 0;
    if (!pd_derive_all(self->ledger, &journaled, error) ||
        !pd_db_script(self->ledger->db, "commit", error)) {
        return false;
    }
    /* Nobody else does it before the store is open, and years would fill the disk. */
    (void)sqlite3_wal_checkpoint_v2(
        pd_db_handle(self->ledger->db), NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return pd_db_script(self->ledger->db, "begin immediate", error);
}

static bool
take_record(Salvage *self, uint64_t log_id, const uint8_t *record, size_t n_record, GError **error)
{
    PenRecordHeader header;

    if (record == NULL || pen_record_check(record, n_record, &header) != PEN_STATUS_OK ||
        header.number == 0 || header.guard != (uint32_t)log_id) {
        return true;
    }
    self->n_records++;
    return pd_ledger_take_record(self->ledger, log_id, record, n_record, error) &&
           (++self->n_pending < CHUNK || commit(self, error));
}

typedef struct {
    const char *first; /* query of the lowest key; null when there is none */
    const char *last;
    const char *next; /* query of the row after a key, which is its first column */
    bool (*take)(Salvage *self, PdStmt *stmt, GError **error);
} Walk;

/* @key_inout: of the row that was taken. @got_out: whether there was one; negative when it
 * cannot be read. */
static bool
take_next(Salvage *self, const Walk *walk, int64_t *key_inout, int *got_out, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(self->old, NULL, walk->next, "i", *key_inout);
    const int got = stmt == NULL ? -1 : pd_db_step(self->old, stmt, NULL);
    const int64_t key = got > 0 ? sqlite3_column_int64(stmt, 0) : 0;

    *got_out = got > 0 && key <= *key_inout ? -1 : got;
    if (*got_out <= 0) {
        return true;
    }
    *key_inout = key;
    return walk->take(self, stmt, error);
}

/* Where the end cannot be read, perhaps nothing can: that is not asked for each key, as a
 * start waits for it. Returns a key from which on something can be read, negative for none. */
static int64_t
find_readable(Salvage *self, const Walk *walk, int64_t from)
{
    for (int64_t key = from; key - from < FAIL_MAX; key += PROBE_EACH) {
        g_autoptr(PdStmt) stmt = pd_db_query(self->old, NULL, walk->next, "i", key);
        if (stmt != NULL && pd_db_step(self->old, stmt, NULL) >= 0) {
            return MAX(key - PROBE_EACH, from);
        }
    }
    return -1;
}

/* From row to row; where one cannot be read, from key to key until one can. */
static bool
take_rows(Salvage *self, const Walk *walk, GError **error)
{
    int64_t n_failed = 0;
    int64_t first = 1;
    int64_t last = 0;
    int got = 1;

    (void)pd_db_get_int(self->old, 1, &first, NULL, walk->first);
    const bool has_last = pd_db_get_int(self->old, 0, &last, NULL, walk->last);
    int64_t key = MAX(first, 1) - 1;
    key = has_last ? key : find_readable(self, walk, key);
    if (key < 0) {
        return true;
    }
    while (n_failed <= FAIL_MAX && key < INT64_MAX && (got != 0 || key < last)) {
        if (!take_next(self, walk, &key, &got, error)) {
            return false;
        }
        n_failed = got > 0 ? 0 : n_failed + 1;
        key += got > 0 ? 0 : 1;
    }
    return true;
}

static bool
take_raw_row(Salvage *self, PdStmt *stmt, GError **error)
{
    return take_record(self,
                       (uint64_t)sqlite3_column_int64(stmt, 1),
                       sqlite3_column_blob(stmt, 2),
                       (size_t)sqlite3_column_bytes(stmt, 2),
                       error);
}

/* Where it begins is known twice: sealing takes rows away, and no rowid is used again. */
static bool
take_tail(Salvage *self, GError **error)
{
    Walk walk = {
        .first = "select min(rowid) from raw",
        .last = "select max(rowid) from raw",
        .next = "select rowid, log_id, bytes from raw where rowid > ? order by rowid limit 1",
        .take = take_raw_row,
    };
    int64_t first = 0;

    if (!pd_db_get_int(self->old, 0, &first, NULL, walk.first)) {
        walk.first = "select min(raw_min) from session where raw_min > 0";
    }
    return take_rows(self, &walk, error);
}

static bool
take_block(Salvage *self, uint64_t log_id, GBytes *block, GError **error)
{
    gsize n_bytes = 0;
    const uint8_t *bytes = g_bytes_get_data(block, &n_bytes);
    size_t at = 0;

    while (at + PEN_RECORD_HEADER_SIZE <= n_bytes) {
        const size_t n_record = pen_wire_get(bytes + at, 2);
        if (n_record < PEN_RECORD_HEADER_SIZE || n_record > n_bytes - at) {
            return true;
        }
        if (!take_record(self, log_id, bytes + at, n_record, error)) {
            return false;
        }
        at += n_record;
    }
    return true;
}

static bool
take_segment(Salvage *self, const char *raw, const char *name, GError **error)
{
    g_autoptr(GArray) places = pd_segment_list(raw, name);

    for (guint i = 0; places != NULL && i < places->len; i++) {
        const PdRecordPlace *place = &g_array_index(places, PdRecordPlace, i);
        g_autoptr(GBytes) block = pd_segment_read_block(raw, place, NULL);
        if (block != NULL && !take_block(self, place->log_id, block, error)) {
            return false;
        }
    }
    return true;
}

static bool
take_segments(Salvage *self, const char *moved_to, GError **error)
{
    g_autofree char *raw = g_build_filename(moved_to, "raw", NULL);
    g_autoptr(GDir) directory = g_dir_open(raw, 0, NULL);
    const char *name = NULL;

    while (directory != NULL && (name = g_dir_read_name(directory)) != NULL) {
        if (g_str_has_suffix(name, ".seg") && !take_segment(self, raw, name, error)) {
            return false;
        }
    }
    return true;
}

static void
copy_row(sqlite3_stmt *from, sqlite3_stmt *to)
{
    for (int i = 0; i < sqlite3_column_count(from); i++) {
        (void)sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
    }
    (void)sqlite3_step(to);
    (void)sqlite3_reset(to);
}

/* Rows of a table that both have, as far as they can be read. */
static void
copy_rows(Salvage *self, const char *query, const char *insert)
{
    sqlite3_stmt *from = NULL;
    sqlite3_stmt *to = NULL;

    if (sqlite3_prepare_v2(pd_db_handle(self->old), query, -1, &from, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(pd_db_handle(self->ledger->db), insert, -1, &to, NULL) == SQLITE_OK) {
        while (sqlite3_step(from) == SQLITE_ROW) {
            copy_row(from, to);
        }
    }
    (void)sqlite3_finalize(from);
    (void)sqlite3_finalize(to);
}

static bool
copy_facts(Salvage *self, GError **error)
{
    copy_rows(self,
              "select serial, address, name, firmware, adapters, log_id, last_seen_us,"
              " overwritten from pen",
              "insert or ignore into pen (serial, address, name, firmware, adapters, log_id,"
              " last_seen_us, overwritten) values (?, ?, ?, ?, ?, ?, ?, ?)");
    copy_rows(self,
              "select log_id, serial, tick_unit, marked, marked_wall_us from log",
              "insert or ignore into log (log_id, serial, tick_unit, marked, marked_wall_us)"
              " values (?, ?, ?, ?, ?)");
    /* Whose a log is stands in more than one place. */
    copy_rows(self,
              "select log_id, serial, tick_unit from session where serial != ''"
              " and state != 'erased'",
              "insert or ignore into log (log_id, serial, tick_unit, marked, marked_wall_us)"
              " values (?, ?, ?, 0, 0)");
    copy_rows(self,
              "select log_id, serial from pen where log_id != 0",
              "insert or ignore into log (log_id, serial, tick_unit, marked, marked_wall_us)"
              " values (?, ?, 0, 0, 0)");
    copy_rows(self,
              "select log_id, boot, tick_us, wall_us, synced, error_us from anchor",
              "insert into anchor (log_id, boot, tick_us, wall_us, synced, error_us)"
              " values (?, ?, ?, ?, ?, ?)");
    copy_rows(self,
              "select log_id, number, bytes from damaged",
              "insert or ignore into damaged (log_id, number, bytes) values (?, ?, ?)");
    copy_rows(self,
              "select log_id, first, last, cause from settled",
              "insert or ignore into settled (log_id, first, last, cause) values (?, ?, ?, ?)");
    copy_rows(self,
              "select log_id, session, first, last from erased",
              "insert or ignore into erased (log_id, session, first, last) values (?, ?, ?, ?)");
    copy_rows(self,
              "select value, coalesce((select max(seq) from journal), 0), 0 from meta"
              " where key = 'store_id'",
              "insert or ignore into former_store (store_id, head, wall_us) values (?, ?, ?)");
    return pd_ledger_reload(self->ledger, error);
}

static bool
is_said(const Pentel__V1__JournalEntry *entry)
{
    return entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_ANNOTATION ||
           entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_CLOSED_BY ||
           entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_HOLD;
}

static Pentel__V1__JournalEntry *
unpack_entry(PdStmt *stmt)
{
    return pentel__v1__journal_entry__unpack(
        NULL, (size_t)sqlite3_column_bytes(stmt, 1), sqlite3_column_blob(stmt, 1));
}

static uint64_t
find_session(Salvage *self, const char *id)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->ledger->db, NULL, "select opened_seq from session where id = ?", "t", id);

    return stmt != NULL && pd_db_step(self->ledger->db, stmt, NULL) > 0
               ? (uint64_t)sqlite3_column_int64(stmt, 0)
               : 0;
}

/* What people said of what is there, once more, under their uid. */
static bool
say_again(Salvage *self, PdStmt *stmt, GError **error)
{
    uint64_t new_seq = 0;
    bool ok = true;

    /* An erased one says nothing. */
    if (sqlite3_column_bytes(stmt, 2) == 0) {
        return true;
    }
    Pentel__V1__JournalEntry *entry = unpack_entry(stmt);
    if (entry == NULL) {
        return true;
    }
    const uint64_t opened_seq = is_said(entry) ? find_session(self, entry->session) : 0;
    if (opened_seq != 0) {
        /* The unpacked entry owns its own; ours is borrowed for the while. */
        char *const store_id = entry->store_id;
        ok = pd_journal_append(self->ledger->db, &self->ledger->stamp, entry, &new_seq, error) &&
             pd_rebuild_head(self->ledger, opened_seq, error);
        entry->store_id = store_id;
    }
    pentel__v1__journal_entry__free_unpacked(entry, NULL);
    return ok;
}

static bool
take_journal(Salvage *self, bool (*take)(Salvage *, PdStmt *, GError **), GError **error)
{
    const Walk walk = {
        .first = "select min(seq) from journal",
        .last = "select max(seq) from journal",
        .next = "select seq, entry, salt from journal where seq > ? order by seq limit 1",
        .take = take,
    };

    return take_rows(self, &walk, error);
}

/* Before any record is taken, so that none of an erased session comes back. Entries alone that
 * were erased say nothing by themselves. */
static bool
bury_again(Salvage *self, PdStmt *stmt, GError **error)
{
    Pentel__V1__JournalEntry *entry = unpack_entry(stmt);

    if (entry == NULL) {
        return true;
    }
    const bool ok = entry->kind_case != PENTEL__V1__JOURNAL_ENTRY__KIND_ERASURE ||
                    entry->erasure->first == 0 ||
                    pd_erase_absent(self->ledger, entry->erasure, entry->uid, error);
    pentel__v1__journal_entry__free_unpacked(entry, NULL);
    return ok;
}

static bool
copy_file(const char *from_path, const char *to_path, GError **error)
{
    g_autoptr(GFile) from = g_file_new_for_path(from_path);
    g_autoptr(GFile) to = g_file_new_for_path(to_path);
    g_autoptr(GError) local = NULL;

    if (g_file_copy(from, to, G_FILE_COPY_NONE, NULL, NULL, NULL, &local) ||
        g_error_matches(local, G_IO_ERROR, G_IO_ERROR_NOT_FOUND)) {
        return true;
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return false;
}

bool
pd_salvage_copy_index(const char *moved_to, const char *directory, GError **error)
{
    static const char *const names[] = { "index.db", "index.db-wal" };

    pd_backup_remove_tree(directory);
    if (g_mkdir_with_parents(directory, 0700) != 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", directory, g_strerror(errno));
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *from = g_build_filename(moved_to, names[i], NULL);
        g_autofree char *to = g_build_filename(directory, names[i], NULL);
        if (!copy_file(from, to, error)) {
            return false;
        }
    }
    return true;
}

/* NULL when there is none, or none that SQLite knows for one. */
static PdDb *
open_copy(const char *directory)
{
    g_autofree char *index = g_build_filename(directory, "index.db", NULL);

    return g_file_test(index, G_FILE_TEST_EXISTS) ? pd_db_open(index, PD_DB_VERIFIER, NULL, NULL)
                                                  : NULL;
}

static bool
set_progress(Salvage *self, const char *value, GError **error)
{
    return pd_db_run(self->ledger->db,
                     error,
                     "insert or replace into meta (key, value) values (?, ?)",
                     "tt",
                     self->key,
                     value);
}

/* NULL when it was not begun. */
static bool
get_progress(Salvage *self, char **value_out, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(
        self->ledger->db, error, "select value from meta where key = ?", "t", self->key);
    const int got = stmt == NULL ? -1 : pd_db_step(self->ledger->db, stmt, error);

    *value_out = got > 0 ? pd_stmt_dup_text(stmt, 0) : NULL;
    return got >= 0;
}

/* Facts are copied once; records and tombstones know those that are there already. */
static bool
take_facts(Salvage *self, bool is_begun, GError **error)
{
    return is_begun || (copy_facts(self, error) && set_progress(self, "begun", error));
}

static bool
take_all(Salvage *self, const char *moved_to, bool is_begun, GError **error)
{
    /* The fresh store may hold what was taken before, by us or of another directory. */
    if (!pd_db_script(self->ledger->db, "begin immediate", error) ||
        !pd_ledger_reload(self->ledger, error)) {
        return false;
    }
    if (self->old != NULL &&
        (!take_facts(self, is_begun, error) || !take_journal(self, bury_again, error) ||
         !take_tail(self, error) || !commit(self, error))) {
        return false;
    }
    return take_segments(self, moved_to, error) && commit(self, error) &&
           (self->old == NULL || take_journal(self, say_again, error)) &&
           set_progress(self, "done", error) && pd_db_script(self->ledger->db, "commit", error);
}

static bool
salvage(Salvage *self, const char *moved_to, const char *directory, GError **error)
{
    g_autofree char *progress = NULL;

    if (!get_progress(self, &progress, error)) {
        return false;
    }
    if (g_strcmp0(progress, "done") == 0) {
        return true;
    }
    if (!pd_salvage_copy_index(moved_to, directory, error)) {
        return false;
    }
    g_autoptr(PdDb) old = open_copy(directory);
    self->old = old;
    if (!take_all(self, moved_to, progress != NULL, error)) {
        (void)sqlite3_exec(pd_db_handle(self->ledger->db), "rollback", NULL, NULL, NULL);
        return false;
    }
    g_message("%" G_GUINT64_FORMAT " records were salvaged", self->n_records);
    return true;
}

bool
pd_salvage(PdLedger *ledger, const char *state, const char *moved_to)
{
    g_autofree char *directory = g_build_filename(state, "salvage.tmp", NULL);
    g_autofree char *name = g_path_get_basename(moved_to);
    g_autofree char *key = g_strconcat("salvage ", name, NULL);
    Salvage self = { .ledger = ledger, .key = key };
    g_autoptr(GError) error = NULL;

    const bool ok = salvage(&self, moved_to, directory, &error);
    if (!ok) {
        g_warning("salvage stopped after %" G_GUINT64_FORMAT " records, the next start goes on: %s",
                  self.n_records,
                  error != NULL ? error->message : "unknown error");
    }
    pd_backup_remove_tree(directory);
    return ok;
}
