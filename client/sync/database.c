/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The one place of pentel-sync that speaks SQLite.
 */
#include "sync/database.h"

#include "sync/error.h"

#include <sqlite3.h>

#include <stdarg.h>

struct SyncDb {
    sqlite3 *handle;        /* owned */
    GHashTable *statements; /* owned; address of the SQL to sqlite3_stmt */
    char *path;             /* owned */
};

static sqlite3_stmt *
stmt_of(SyncRow *row)
{
    return (sqlite3_stmt *)row;
}

static bool
fail(SyncDb *self, GError **error)
{
    g_set_error(error,
                SYNC_ERROR,
                SYNC_ERROR_STATE,
                "%s: %s; see that the disk has room and is sound",
                self->path,
                sqlite3_errmsg(self->handle));
    return false;
}

static void
finalize(gpointer stmt)
{
    sqlite3_finalize(stmt);
}

static bool
open_handle(SyncDb *self, bool is_read_only, GError **error)
{
    const int flags =
        is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;

    if (sqlite3_open_v2(self->path, &self->handle, flags, NULL) != SQLITE_OK) {
        return fail(self, error);
    }
    return sync_db_script(self, "pragma busy_timeout = 5000; select * from sqlite_schema", error) &&
           (is_read_only || sync_db_script(self,
                                           "pragma journal_mode = wal; pragma synchronous = full;"
                                           "pragma secure_delete = on",
                                           error));
}

SyncDb *
sync_db_open(const char *path, bool is_read_only, bool *is_damaged_out, GError **error)
{
    g_autoptr(SyncDb) self = g_new0(SyncDb, 1);

    self->path = g_strdup(path);
    self->statements = g_hash_table_new_full(NULL, NULL, NULL, finalize);
    *is_damaged_out = false;
    if (!open_handle(self, is_read_only, error)) {
        const int code = sqlite3_errcode(self->handle) & 0xff;
        *is_damaged_out = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
        return NULL;
    }
    return g_steal_pointer(&self);
}

void
sync_db_close(SyncDb *self)
{
    if (self == NULL) {
        return;
    }
    g_hash_table_unref(self->statements);
    sqlite3_close_v2(self->handle);
    g_free(self->path);
    g_free(self);
}

bool
sync_db_script(SyncDb *self, const char *sql, GError **error)
{
    return sqlite3_exec(self->handle, sql, NULL, NULL, NULL) == SQLITE_OK || fail(self, error);
}

static void
bind_bytes(sqlite3_stmt *stmt, int index, GBytes *bytes)
{
    gsize length = 0;
    const void *data = bytes != NULL ? g_bytes_get_data(bytes, &length) : NULL;

    sqlite3_bind_blob64(stmt, index, data, length, SQLITE_TRANSIENT);
}

static void
bind_all(sqlite3_stmt *stmt, const char *types, va_list args)
{
    for (int i = 0; types[i] != '\0'; i++) {
        if (types[i] == 'i') {
            sqlite3_bind_int64(stmt, i + 1, va_arg(args, int64_t));
        } else if (types[i] == 't') {
            sqlite3_bind_text(stmt, i + 1, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
        } else {
            bind_bytes(stmt, i + 1, va_arg(args, GBytes *));
        }
    }
}

SyncRow *
sync_db_query(SyncDb *self, GError **error, const char *sql, const char *types, ...)
{
    sqlite3_stmt *stmt = g_hash_table_lookup(self->statements, sql);
    va_list args;

    if (stmt == NULL) {
        if (sqlite3_prepare_v2(self->handle, sql, -1, &stmt, NULL) != SQLITE_OK) {
            fail(self, error);
            return NULL;
        }
        g_hash_table_insert(self->statements, (gpointer)(uintptr_t)sql, stmt);
    }
    sqlite3_reset(stmt);
    va_start(args, types);
    bind_all(stmt, types, args);
    va_end(args);
    return (SyncRow *)stmt;
}

int
sync_db_step(SyncDb *self, SyncRow *row, GError **error)
{
    const int code = sqlite3_step(stmt_of(row));

    if (code == SQLITE_ROW) {
        return 1;
    }
    if (code == SQLITE_DONE) {
        return 0;
    }
    fail(self, error);
    return -1;
}

bool
sync_db_run(SyncDb *self, SyncRow *row, GError **error)
{
    g_autoptr(SyncRow) owned = row;

    return owned != NULL && sync_db_step(self, owned, error) == 0;
}

bool
sync_db_read_int(SyncDb *self, SyncRow *row, int64_t *out, GError **error)
{
    g_autoptr(SyncRow) owned = row;

    if (owned == NULL || sync_db_step(self, owned, error) != 1) {
        return false;
    }
    *out = sync_row_get_int(owned, 0);
    return true;
}

bool
sync_db_end(SyncDb *self, bool is_good, GError **error)
{
    if (is_good && sync_db_script(self, "commit", error)) {
        return true;
    }
    sqlite3_exec(self->handle, "rollback", NULL, NULL, NULL);
    return false;
}

uint64_t
sync_db_count_changes(const SyncDb *self)
{
    return (uint64_t)sqlite3_changes64(self->handle);
}

int64_t
sync_row_get_int(SyncRow *self, int column)
{
    return sqlite3_column_int64(stmt_of(self), column);
}

char *
sync_row_dup_text(SyncRow *self, int column)
{
    return g_strdup((const char *)sqlite3_column_text(stmt_of(self), column));
}

GBytes *
sync_row_dup_bytes(SyncRow *self, int column)
{
    const int n_bytes = sqlite3_column_bytes(stmt_of(self), column);

    return n_bytes > 0 ? g_bytes_new(sqlite3_column_blob(stmt_of(self), column), (gsize)n_bytes)
                       : NULL;
}

void
sync_row_reset(SyncRow *self)
{
    sqlite3_reset(stmt_of(self));
}
