/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides who may have a sink's state and what becomes of one that cannot be read: one
 * process at a time, and a damaged one is moved aside and named, never deleted.
 */
#include "sync/state_file.h"

#include "sync/error.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define SCHEMA 2

typedef struct {
    const char *directory;
    SyncDb *db;  /* owned until handed over */
    int lock_fd; /* owned until handed over */
} Opening;

/* gateway: '' for what the journal here tells, else whose record was carried here. next_us:
 * null when only a change or a person brings it back. Only carried holds what a session is,
 * until it is delivered. */
#define TABLES                                                                                     \
    "create table session(session text not null, gateway text not null, store_id text not null,"   \
    " seq integer not null, wall_us integer not null, fold_wall_us integer not null,"              \
    " may_be_erased integer not null, delivered_seq integer, delivered_us integer,"                \
    " primary key(session, gateway));"                                                             \
    "create index session_delivered on session(delivered_us);"                                     \
    "create table note(session text primary key, note text not null);"                             \
    "create table pending(session text not null, gateway text not null, since_us integer not "     \
    "null, wait integer not null, reason text, next_us integer, attempts integer not null,"        \
    " primary key(session, gateway));"                                                             \
    "create index pending_next on pending(next_us);"                                               \
    "create index pending_since on pending(since_us);"                                             \
    "create table said(session text not null, gateway text not null, field text not null,"         \
    " wall_us integer not null, seq integer not null, uid integer not null,"                       \
    " primary key(session, gateway, field)) without rowid;"                                        \
    "create table carried(session text not null, gateway text not null, state text,"               \
    " records blob, primary key(session, gateway));"                                               \
    "create table tombstone(session text primary key) without rowid;"                              \
    "create table carried_set(sums text primary key, name text not null, n_refused integer not "   \
    "null) without rowid;"                                                                         \
    "pragma user_version = 2;"

static const char schema[] =
    "create table cursor(id integer primary key check(id = 1), store_id text not null,"
    " seq integer not null, hash blob);"
    "insert into cursor values(1, '', 0, null);" TABLES;

static const char upgrade[] =
    "alter table session rename to session_1; alter table pending rename to pending_1;"
    "alter table said rename to said_1; drop index session_delivered; drop index pending_next;"
    "drop index pending_since;" TABLES
    "insert into session select session, '', '', seq, wall_us, fold_wall_us, may_be_erased,"
    " delivered_seq, delivered_us from session_1;"
    "insert into note select session, note from session_1 where note is not null;"
    "insert into pending select session, '', since_us, wait, reason, next_us, attempts from "
    "pending_1;"
    "insert into said select session, '', field, wall_us, seq, uid from said_1;"
    "drop table session_1; drop table pending_1; drop table said_1;";

/* One process per sink: two would deliver the same twice, at the same time. */
static bool
take_lock(Opening *self, GError **error)
{
    g_autofree char *path = g_build_filename(self->directory, "lock", NULL);

    self->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock_fd < 0) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_STATE,
                    "%s: %s; run it as user pentel-sync, or give it a directory with --state-dir",
                    path,
                    g_strerror(errno));
        return false;
    }
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_STATE,
                    "%s: another pentel-sync works on this sink; stop it first: systemctl stop "
                    "pentel-sync@NAME",
                    path);
        return false;
    }
    return true;
}

static bool
prepare_schema(Opening *self, bool is_read_only, GError **error)
{
    SyncRow *stmt = sync_db_query(self->db, error, "pragma user_version", "");

    if (stmt == NULL || sync_db_step(self->db, stmt, error) < 0) {
        return false;
    }
    const int64_t version = sync_row_get_int(stmt, 0);
    sync_row_reset(stmt);
    if (version > SCHEMA) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_STATE,
                    "%s/state.db: a later pentel-sync wrote it; install that one again",
                    self->directory);
        return false;
    }
    if (version == SCHEMA || is_read_only) {
        return true;
    }
    if (version == 1) {
        g_message("%s/state.db: brought to the form of this version", self->directory);
    }
    return sync_db_end(self->db,
                       sync_db_script(self->db, "begin immediate", error) &&
                           sync_db_script(self->db, version == 1 ? upgrade : schema, error),
                       error);
}

/* All of it can be had again from the journal; only what sinks noted is lost. */
static bool
move_aside(Opening *self, GError **error)
{
    static const char *const names[] = { "state.db", "state.db-wal", "state.db-shm" };
    g_autofree char *aside = g_strdup_printf(
        "%s/damaged-%" G_GINT64_FORMAT, self->directory, g_get_real_time() / G_USEC_PER_SEC);

    if (g_mkdir(aside, 0700) != 0) {
        g_set_error(error, SYNC_ERROR, SYNC_ERROR_STATE, "%s: %s", aside, g_strerror(errno));
        return false;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *from = g_build_filename(self->directory, names[i], NULL);
        g_autofree char *to = g_build_filename(aside, names[i], NULL);
        if (g_rename(from, to) != 0 && errno != ENOENT) {
            g_set_error(error, SYNC_ERROR, SYNC_ERROR_STATE, "%s: %s", from, g_strerror(errno));
            return false;
        }
    }
    g_warning("the state was damaged and is now in %s; everything is delivered again", aside);
    return true;
}

static bool
open_all(Opening *self, bool is_read_only, GError **error)
{
    g_autofree char *path = g_build_filename(self->directory, "state.db", NULL);
    g_autoptr(GError) failure = NULL;
    bool is_damaged = false;

    self->db = sync_db_open(path, is_read_only, &is_damaged, &failure);
    if (self->db == NULL && is_damaged && !is_read_only) {
        if (!move_aside(self, error)) {
            return false;
        }
        g_clear_error(&failure);
        self->db = sync_db_open(path, is_read_only, &is_damaged, &failure);
    }
    if (self->db == NULL) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    return prepare_schema(self, is_read_only, error);
}

static bool
make_directory(const char *path, GError **error)
{
    if (g_mkdir_with_parents(path, 0700) == 0) {
        return true;
    }
    g_set_error(error,
                SYNC_ERROR,
                SYNC_ERROR_STATE,
                "%s: %s; run it as user pentel-sync, or give it a directory with --state-dir",
                path,
                g_strerror(errno));
    return false;
}

SyncDb *
sync_state_file_open(const char *directory, bool is_read_only, int *lock_fd_out, GError **error)
{
    Opening self = { .directory = directory, .lock_fd = -1 };
    const bool is_good =
        (is_read_only || (make_directory(directory, error) && take_lock(&self, error))) &&
        open_all(&self, is_read_only, error);

    if (!is_good) {
        sync_db_close(self.db);
        if (self.lock_fd >= 0) {
            close(self.lock_fd);
        }
        return NULL;
    }
    *lock_fd_out = self.lock_fd;
    return self.db;
}
