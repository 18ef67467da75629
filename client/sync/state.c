/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what is durable before what: the cursor moves on in the transaction in which a
 * session begins to wait, and a session stops waiting only if no entry about it came while
 * it was delivered.
 */
#include "sync/state.h"

#include "sync/sink.h"
#include "sync/state_file.h"

#include <unistd.h>

/* No try is put off for longer: what is due later than this was put off by a wrong clock. */
#define FAR_US ((int64_t)7200 * G_USEC_PER_SEC)

/* All but '' sort behind it. */
#define FIRST_GATEWAY "\x01"

struct SyncState {
    SyncDb *db;      /* owned */
    char *directory; /* owned */
    int lock_fd;     /* owned; -1 when read only */
};

SyncState *
sync_state_open(const char *directory, bool is_read_only, GError **error)
{
    int lock_fd = -1;
    SyncDb *db = sync_state_file_open(directory, is_read_only, &lock_fd, error);

    if (db == NULL) {
        return NULL;
    }
    SyncState *self = g_new0(SyncState, 1);
    *self = (SyncState){ .db = db, .directory = g_strdup(directory), .lock_fd = lock_fd };
    return self;
}

void
sync_state_close(SyncState *self)
{
    if (self == NULL) {
        return;
    }
    sync_db_close(self->db);
    if (self->lock_fd >= 0) {
        close(self->lock_fd);
    }
    g_free(self->directory);
    g_free(self);
}

const char *
sync_state_get_directory(const SyncState *self)
{
    return self->directory;
}

SyncDb *
sync_state_get_db(SyncState *self)
{
    return self->db;
}

void
sync_cursor_clear(SyncCursor *self)
{
    g_clear_pointer(&self->store_id, g_free);
    g_clear_pointer(&self->hash, g_bytes_unref);
}

bool
sync_state_get_cursor(SyncState *self, SyncCursor *cursor_out, GError **error)
{
    g_autoptr(SyncRow) stmt =
        sync_db_query(self->db, error, "select store_id, seq, hash from cursor", "");

    if (stmt == NULL || sync_db_step(self->db, stmt, error) < 0) {
        return false;
    }
    cursor_out->store_id = sync_row_dup_text(stmt, 0);
    cursor_out->seq = (uint64_t)sync_row_get_int(stmt, 1);
    cursor_out->hash = sync_row_dup_bytes(stmt, 2);
    return true;
}

bool
sync_state_restart(SyncState *self, const char *store_id, GError **error)
{
    const bool is_good =
        sync_db_script(self->db,
                       "begin immediate; delete from pending where gateway = '';"
                       "delete from said where gateway = '';"
                       "update session set seq = 0, may_be_erased = 0 where gateway = ''",
                       error) &&
        sync_db_run(self->db,
                    sync_db_query(self->db,
                                  error,
                                  "update cursor set store_id = ?, seq = 0, hash = null",
                                  "t",
                                  store_id),
                    error);

    return sync_db_end(self->db, is_good, error);
}

static bool
scan_session(SyncState *self, const SyncEntry *entry, int64_t now_us, GError **error)
{
    return sync_db_run(
               self->db,
               sync_db_query(
                   self->db,
                   error,
                   "insert into session(session, gateway, store_id, seq, wall_us, fold_wall_us,"
                   " may_be_erased) values(?1, '', '', ?2, ?3, ?4, ?5) on conflict do update set "
                   "seq = excluded.seq,"
                   " wall_us = excluded.wall_us,"
                   " fold_wall_us = max(fold_wall_us, excluded.fold_wall_us),"
                   " may_be_erased = max(may_be_erased, excluded.may_be_erased)",
                   "tiiii",
                   entry->session,
                   (int64_t)entry->seq,
                   entry->wall_us,
                   entry->is_fold ? entry->wall_us : (int64_t)0,
                   (int64_t)entry->is_erased),
               error) &&
           sync_db_run(
               self->db,
               sync_db_query(
                   self->db,
                   error,
                   "insert into pending(session, gateway, since_us, wait, next_us, attempts)"
                   " values(?1, '', ?2, 0, ?2, 0) on conflict do update set wait = 0, attempts = 0,"
                   " reason = null, next_us = min(ifnull(next_us, ?2), ?2)",
                   "ti",
                   entry->session,
                   now_us),
               error);
}

static bool
scan_said(SyncState *self, const SyncEntry *entry, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(entry->fields) && entry->fields[i] != NULL; i++) {
        if (!sync_db_run(self->db,
                         sync_db_query(self->db,
                                       error,
                                       "insert or replace into said values(?, '', ?, ?, ?, ?)",
                                       "ttiii",
                                       entry->session,
                                       entry->fields[i],
                                       entry->wall_us,
                                       (int64_t)entry->seq,
                                       (int64_t)entry->uid),
                         error)) {
            return false;
        }
    }
    return true;
}

static bool
scan_all(SyncState *self, const GPtrArray *entries, int64_t now_us, GError **error)
{
    for (guint i = 0; i < entries->len; i++) {
        const SyncEntry *entry = entries->pdata[i];
        if (entry->session[0] != '\0' &&
            (!scan_session(self, entry, now_us, error) || !scan_said(self, entry, error))) {
            return false;
        }
    }
    const SyncEntry *last = entries->pdata[entries->len - 1];
    return sync_db_run(self->db,
                       sync_db_query(self->db,
                                     error,
                                     "update cursor set seq = ?, hash = ?",
                                     "ib",
                                     (int64_t)last->seq,
                                     last->hash),
                       error);
}

bool
sync_state_scan(SyncState *self, const GPtrArray *entries, int64_t now_us, GError **error)
{
    if (entries->len == 0) {
        return true;
    }
    return sync_db_script(self->db, "begin immediate", error) &&
           sync_db_end(self->db, scan_all(self, entries, now_us, error), error);
}

void
sync_pending_free(SyncPending *self)
{
    if (self == NULL) {
        return;
    }
    g_free(self->session);
    g_free(self->gateway);
    g_free(self->store_id);
    g_free(self->reason);
    g_free(self->note);
    g_free(self);
}

static void
free_pending(gpointer data)
{
    sync_pending_free(data);
}

static SyncPending *
read_pending(SyncRow *stmt)
{
    SyncPending *self = g_new0(SyncPending, 1);

    self->session = sync_row_dup_text(stmt, 0);
    self->seq = (uint64_t)sync_row_get_int(stmt, 1);
    self->wall_us = sync_row_get_int(stmt, 2);
    self->fold_wall_us = sync_row_get_int(stmt, 3);
    self->may_be_erased = sync_row_get_int(stmt, 4) != 0;
    self->note = sync_row_dup_text(stmt, 5);
    self->since_us = sync_row_get_int(stmt, 6);
    self->wait = (SyncWait)CLAMP(sync_row_get_int(stmt, 7), 0, SYNC_WAIT_SECOND);
    self->reason = sync_row_dup_text(stmt, 8);
    self->next_us = sync_row_get_int(stmt, 9);
    self->attempts = (uint32_t)sync_row_get_int(stmt, 10);
    self->gateway = sync_row_dup_text(stmt, 11);
    self->store_id = sync_row_dup_text(stmt, 12);
    self->n_bytes = (uint64_t)sync_row_get_int(stmt, 13);
    return self;
}

static GPtrArray *
read_all_pending(SyncState *self, SyncRow *stmt, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(free_pending);
    g_autoptr(SyncRow) owned = stmt;
    int code = owned != NULL ? 1 : -1;

    while (code == 1 && (code = sync_db_step(self->db, owned, error)) == 1) {
        g_ptr_array_add(list, read_pending(owned));
    }
    return code == 0 ? g_steal_pointer(&list) : NULL;
}

#define PENDING                                                                                    \
    "select s.session, s.seq, s.wall_us, s.fold_wall_us, s.may_be_erased, n.note, p.since_us,"     \
    " p.wait, p.reason, p.next_us, p.attempts, p.gateway, iif(p.gateway = '',"                     \
    " (select store_id from cursor), s.store_id),"                                                 \
    " ifnull(length(cast(c.state as blob)), 0) + ifnull(length(c.records), 0)"                     \
    " from pending p join session s using(session, gateway) left join note n using(session)"       \
    " left join carried c using(session, gateway) "

GPtrArray *
sync_state_list_due(
    SyncState *self, int64_t now_us, bool is_carried_only, guint limit, GError **error)
{
    return read_all_pending(self,
                            sync_db_query(self->db,
                                          error,
                                          PENDING "where p.next_us <= ? and p.gateway >= ?"
                                                  " order by p.next_us limit ?",
                                          "iti",
                                          now_us,
                                          is_carried_only ? FIRST_GATEWAY : "",
                                          (int64_t)limit),
                            error);
}

GPtrArray *
sync_state_list_waiting(SyncState *self, guint limit, GError **error)
{
    return read_all_pending(self,
                            sync_db_query(self->db,
                                          error,
                                          PENDING "where p.wait < ? order by p.since_us limit ?",
                                          "ii",
                                          (int64_t)SYNC_WAIT_N,
                                          (int64_t)limit),
                            error);
}

bool
sync_state_count_due(
    SyncState *self, int64_t now_us, bool is_carried_only, uint64_t *n_out, GError **error)
{
    int64_t n = 0;
    const bool is_good =
        sync_db_read_int(self->db,
                         sync_db_query(self->db,
                                       error,
                                       "select count(*) from pending where next_us <= ?"
                                       " and gateway >= ?",
                                       "it",
                                       now_us,
                                       is_carried_only ? FIRST_GATEWAY : ""),
                         &n,
                         error);

    *n_out = (uint64_t)n;
    return is_good;
}

bool
sync_state_mend_clock(SyncState *self, int64_t now_us, GError **error)
{
    return sync_db_run(self->db,
                       sync_db_query(self->db,
                                     error,
                                     "update pending set next_us = ?1 where next_us > ?1 + ?2",
                                     "ii",
                                     now_us,
                                     FAR_US),
                       error);
}

bool
sync_state_get_next_due(SyncState *self, int64_t *wall_us_out, GError **error)
{
    return sync_db_read_int(
        self->db,
        sync_db_query(self->db, error, "select ifnull(min(next_us), 0) from pending", ""),
        wall_us_out,
        error);
}

static void
clear_said(gpointer data)
{
    SyncSaid *self = data;

    g_free(self->field);
}

GArray *
sync_state_list_said(SyncState *self, const SyncPending *pending, GError **error)
{
    g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(SyncSaid));
    g_autoptr(SyncRow) stmt = sync_db_query(self->db,
                                            error,
                                            "select field, wall_us, seq, uid from said"
                                            " where session = ? and gateway = ?",
                                            "tt",
                                            pending->session,
                                            pending->gateway);
    int code = stmt != NULL ? 1 : -1;

    g_array_set_clear_func(list, clear_said);
    while (code == 1 && (code = sync_db_step(self->db, stmt, error)) == 1) {
        const SyncSaid said = { .field = sync_row_dup_text(stmt, 0),
                                .wall_us = sync_row_get_int(stmt, 1),
                                .seq = (uint64_t)sync_row_get_int(stmt, 2),
                                .uid = (uint32_t)sync_row_get_int(stmt, 3) };
        g_array_append_val(list, said);
    }
    return code == 0 ? g_steal_pointer(&list) : NULL;
}

static bool
store_note(SyncState *self, const SyncResult *result, GError **error)
{
    return result->note == NULL ||
           sync_db_run(self->db,
                       sync_db_query(self->db,
                                     error,
                                     "insert or replace into note values(?, ?)",
                                     "tt",
                                     result->pending->session,
                                     result->note),
                       error);
}

bool
sync_state_bury(SyncState *self, const char *session, GError **error)
{
    return sync_db_run(
               self->db,
               sync_db_query(
                   self->db, error, "insert or ignore into tombstone values(?)", "t", session),
               error) &&
           sync_db_run(self->db,
                       sync_db_query(
                           self->db, error, "delete from carried where session = ?", "t", session),
                       error) &&
           sync_db_run(self->db,
                       sync_db_query(self->db,
                                     error,
                                     "delete from pending where session = ? and gateway <> ''",
                                     "t",
                                     session),
                       error);
}

/* What was carried is kept only until it has arrived. */
static bool
drop_carried(SyncState *self, const SyncResult *result, GError **error)
{
    const SyncPending *pending = result->pending;

    if (result->is_erased) {
        return sync_state_bury(self, pending->session, error);
    }
    return pending->gateway[0] == '\0' ||
           sync_db_run(self->db,
                       sync_db_query(self->db,
                                     error,
                                     "delete from carried where session = ?1 and gateway = ?2 and"
                                     " not exists (select 1 from pending where session = ?1 and"
                                     " gateway = ?2)",
                                     "tt",
                                     pending->session,
                                     pending->gateway),
                       error);
}

/* An entry that came meanwhile has queued the session anew, which must stand. */
#define UNCHANGED                                                                                  \
    " where session = ?1 and gateway = ?2 and"                                                     \
    " (select seq from session where session = ?1 and gateway = ?2) = ?3"

/* It waits no more, or only to be looked at once more. */
static bool
store_end(SyncState *self, const SyncResult *result, GError **error)
{
    const SyncPending *pending = result->pending;

    if (result->next_us == 0) {
        return sync_db_run(self->db,
                           sync_db_query(self->db,
                                         error,
                                         "delete from pending" UNCHANGED,
                                         "tti",
                                         pending->session,
                                         pending->gateway,
                                         (int64_t)pending->seq),
                           error);
    }
    return sync_db_run(self->db,
                       sync_db_query(self->db,
                                     error,
                                     "update pending set wait = ?4, reason = null, attempts = 0,"
                                     " next_us = ?5" UNCHANGED,
                                     "ttiii",
                                     pending->session,
                                     pending->gateway,
                                     (int64_t)pending->seq,
                                     (int64_t)SYNC_WAIT_SECOND,
                                     result->next_us),
                       error);
}

static bool
store_delivered(SyncState *self, const SyncResult *result, int64_t now_us, GError **error)
{
    const SyncPending *pending = result->pending;

    return sync_db_run(self->db,
                       sync_db_query(self->db,
                                     error,
                                     "update session set delivered_seq = ?1, delivered_us ="
                                     " iif(?5, delivered_us, ?2) where session = ?3 and"
                                     " gateway = ?4",
                                     "iitti",
                                     (int64_t)pending->seq,
                                     now_us,
                                     pending->session,
                                     pending->gateway,
                                     (int64_t)(pending->wait == SYNC_WAIT_SECOND)),
                       error) &&
           store_end(self, result, error) && drop_carried(self, result, error);
}

static bool
store_one(SyncState *self, const SyncResult *result, int64_t now_us, GError **error)
{
    const SyncPending *pending = result->pending;

    if (!store_note(self, result, error)) {
        return false;
    }
    if (result->is_delivered) {
        return store_delivered(self, result, now_us, error);
    }
    return sync_db_run(self->db,
                       sync_db_query(self->db,
                                     error,
                                     "update pending set wait = ?4, reason = ?5, next_us = "
                                     "nullif(?6, 0), attempts = attempts + 1" UNCHANGED,
                                     "ttiiti",
                                     pending->session,
                                     pending->gateway,
                                     (int64_t)pending->seq,
                                     (int64_t)result->wait,
                                     result->reason,
                                     result->next_us),
                       error);
}

/* Once all that was carried has arrived, no copy of it stays behind in the log of the file. */
static bool
empty_wal(SyncState *self, GError **error)
{
    int64_t n = 0;

    return sync_db_read_int(self->db,
                            sync_db_query(self->db, error, "select count(*) from carried", ""),
                            &n,
                            error) &&
           (n > 0 || sync_db_script(self->db, "pragma wal_checkpoint(truncate)", error));
}

bool
sync_state_store(
    SyncState *self, const SyncResult *results, guint n_results, int64_t now_us, GError **error)
{
    bool is_good = sync_db_script(self->db, "begin immediate", error);
    bool had_carried = false;

    if (!is_good) {
        return false;
    }
    for (guint i = 0; is_good && i < n_results; i++) {
        is_good = store_one(self, &results[i], now_us, error);
        had_carried = had_carried || results[i].pending->gateway[0] != '\0';
    }
    return sync_db_end(self->db, is_good, error) && (!had_carried || empty_wal(self, error));
}

bool
sync_state_retry(SyncState *self, const char *session, uint64_t *n_out, GError **error)
{
    if (!sync_db_run(self->db,
                     sync_db_query(self->db,
                                   error,
                                   "update pending set next_us = 1, wait = 0, attempts = 0"
                                   " where wait < ?2 and (?1 is null or session = ?1)",
                                   "ti",
                                   session,
                                   (int64_t)SYNC_WAIT_N),
                     error)) {
        return false;
    }
    *n_out = sync_db_count_changes(self->db);
    return true;
}

static bool
count_waiting(SyncState *self, SyncCounts *counts, GError **error)
{
    g_autoptr(SyncRow) stmt = sync_db_query(
        self->db,
        error,
        "select wait, count(*), min(since_us) from pending where wait < ? group by wait",
        "i",
        (int64_t)SYNC_WAIT_N);
    int code = stmt != NULL ? 1 : -1;

    while (code == 1 && (code = sync_db_step(self->db, stmt, error)) == 1) {
        const int64_t since_us = sync_row_get_int(stmt, 2);
        counts->n_waiting[CLAMP(sync_row_get_int(stmt, 0), 0, SYNC_WAIT_N - 1)] =
            (uint64_t)sync_row_get_int(stmt, 1);
        if (counts->oldest_us == 0 || since_us < counts->oldest_us) {
            counts->oldest_us = since_us;
        }
    }
    return code == 0;
}

bool
sync_state_count(SyncState *self, SyncCounts *counts_out, GError **error)
{
    int64_t n = 0;

    if (!count_waiting(self, counts_out, error) ||
        !sync_db_read_int(
            self->db,
            sync_db_query(
                self->db,
                error,
                "select count(distinct session) from session where delivered_us is not null",
                ""),
            &n,
            error)) {
        return false;
    }
    counts_out->n_delivered = (uint64_t)n;
    g_autoptr(SyncRow) stmt = sync_db_query(self->db,
                                            error,
                                            "select session, delivered_us from session"
                                            " where delivered_us is not null"
                                            " order by delivered_us desc limit 1",
                                            "");
    const int code = stmt != NULL ? sync_db_step(self->db, stmt, error) : -1;
    if (code == 1) {
        counts_out->last_session = sync_row_dup_text(stmt, 0);
        counts_out->last_us = sync_row_get_int(stmt, 1);
    }
    return code >= 0;
}

void
sync_counts_clear(SyncCounts *self)
{
    g_clear_pointer(&self->last_session, g_free);
}
