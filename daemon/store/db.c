/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The one way to SQLite: pragmas per role, a statement cache, errors with words.
 */
#include "store/db.h"

#include "util/error.h"

#include <glib/gstdio.h>

#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

struct PdDb {
    sqlite3 *handle;
    GHashTable *statements; /* owned; address of the SQL to sqlite3_stmt */
    int last_code;
};

static bool
fail(PdDb *self, const char *what, GError **error)
{
    self->last_code = sqlite3_errcode(self->handle);
    g_set_error(error,
                PD_ERROR,
                PD_ERROR_STORE,
                "%s: %s (%d)",
                what,
                sqlite3_errmsg(self->handle),
                sqlite3_extended_errcode(self->handle));
    return false;
}

static void
finalize(gpointer stmt)
{
    sqlite3_finalize(stmt);
}

bool
pd_db_script(PdDb *self, const char *sql, GError **error)
{
    if (sqlite3_exec(self->handle, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return fail(self, "store", error);
    }
    return true;
}

static const char *
pragmas_of(PdDbRole role)
{
    switch (role) {
    case PD_DB_WRITER:
        return "pragma journal_mode=wal; pragma synchronous=full; pragma wal_autocheckpoint=0;"
               "pragma secure_delete=fast; pragma cache_size=-1024; pragma "
               "busy_timeout=" G_STRINGIFY(PD_DB_BUSY_MS);
    case PD_DB_READER:
        return "pragma query_only=on; pragma cache_size=-256; pragma busy_timeout=1000";
    case PD_DB_VERIFIER:
        return "pragma temp_store=memory; pragma cache_size=-1024; pragma busy_timeout=1000";
    case PD_DB_CHECKPOINTER:
        return "pragma wal_autocheckpoint=0; pragma cache_size=-64; pragma busy_timeout=300";
    }
    return "";
}

int
pd_db_last_code(const PdDb *self)
{
    return self->last_code & 0xff;
}

bool
pd_db_is_damaged(const PdDb *self)
{
    const int code = pd_db_last_code(self);

    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

bool
pd_db_is_hindered(const PdDb *self)
{
    static const int codes[] = { SQLITE_PERM,  SQLITE_BUSY,     SQLITE_LOCKED,
                                 SQLITE_NOMEM, SQLITE_READONLY, SQLITE_INTERRUPT,
                                 SQLITE_IOERR, SQLITE_FULL,     SQLITE_CANTOPEN };

    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (pd_db_last_code(self) == codes[i]) {
            return true;
        }
    }
    return false;
}

void
pd_db_clear_code(PdDb *self)
{
    self->last_code = SQLITE_OK;
}

void
pd_db_keep_wal(PdDb *self, bool keep)
{
    sqlite3_db_config(self->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep ? 1 : 0, NULL);
}

sqlite3 *
pd_db_handle(PdDb *self)
{
    return self->handle;
}

static PdStmt *
prepare(PdDb *self, const char *sql, GError **error)
{
    PdStmt *stmt = g_hash_table_lookup(self->statements, sql);

    if (stmt != NULL) {
        sqlite3_reset(stmt);
        sqlite3_clear_bindings(stmt);
        return stmt;
    }
    if (sqlite3_prepare_v3(self->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) !=
        SQLITE_OK) {
        fail(self, sql, error);
        return NULL;
    }
    g_hash_table_insert(self->statements, (gpointer)(uintptr_t)sql, stmt);
    return stmt;
}

static bool
bind_all(PdDb *self, PdStmt *stmt, const char *types, va_list args, GError **error)
{
    for (int i = 0; types[i] != '\0'; i++) {
        int rc = SQLITE_OK;
        if (types[i] == 'i') {
            rc = sqlite3_bind_int64(stmt, i + 1, va_arg(args, int64_t));
        } else if (types[i] == 't') {
            rc = sqlite3_bind_text(stmt, i + 1, va_arg(args, const char *), -1, SQLITE_STATIC);
        } else if (types[i] == 'b') {
            const void *bytes = va_arg(args, const void *);
            const size_t n_bytes = va_arg(args, size_t);
            rc = sqlite3_bind_blob64(stmt, i + 1, bytes, n_bytes, SQLITE_STATIC);
        }
        if (rc != SQLITE_OK) {
            return fail(self, sqlite3_sql(stmt), error);
        }
    }
    return true;
}

PdStmt *
pd_db_query(PdDb *self, GError **error, const char *sql, const char *types, ...)
{
    PdStmt *stmt = prepare(self, sql, error);
    va_list args;

    if (stmt == NULL) {
        return NULL;
    }
    va_start(args, types);
    const bool ok = bind_all(self, stmt, types, args, error);
    va_end(args);
    return ok ? stmt : NULL;
}

int
pd_db_step(PdDb *self, PdStmt *stmt, GError **error)
{
    const int rc = sqlite3_step(stmt);

    if (rc == SQLITE_ROW) {
        return 1;
    }
    if (rc == SQLITE_DONE) {
        return 0;
    }
    fail(self, sqlite3_sql(stmt), error);
    return -1;
}

bool
pd_db_run(PdDb *self, GError **error, const char *sql, const char *types, ...)
{
    g_autoptr(PdStmt) stmt = prepare(self, sql, error);
    va_list args;

    if (stmt == NULL) {
        return false;
    }
    va_start(args, types);
    const bool bound = bind_all(self, stmt, types, args, error);
    va_end(args);
    if (!bound) {
        return false;
    }
    int got = 1;
    while (got > 0) {
        got = pd_db_step(self, stmt, error);
    }
    return got == 0;
}

bool
pd_db_get_int(PdDb *self, int64_t fallback, int64_t *out, GError **error, const char *sql)
{
    g_autoptr(PdStmt) stmt = pd_db_query(self, error, sql, "");
    const int got = stmt == NULL ? -1 : pd_db_step(self, stmt, error);

    if (got < 0) {
        return false;
    }
    *out = fallback;
    if (got > 0 && sqlite3_column_type(stmt, 0) != SQLITE_NULL) {
        *out = sqlite3_column_int64(stmt, 0);
    }
    return true;
}

bool
pd_db_check_pages(PdDb *self, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(self, error, "pragma integrity_check(1)", "");
    const int got = stmt == NULL ? -1 : pd_db_step(self, stmt, error);

    if (got <= 0) {
        return false;
    }
    const char *answer = (const char *)sqlite3_column_text(stmt, 0);
    if (g_strcmp0(answer, "ok") != 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "index.db: %s", answer);
        return false;
    }
    return true;
}

/* SQLite goes on without a word where a file system has no shared memory. */
static bool
has_wal(PdDb *self, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(self, error, "pragma journal_mode", "");
    const int got = stmt == NULL ? -1 : pd_db_step(self, stmt, error);

    if (got > 0 && g_strcmp0((const char *)sqlite3_column_text(stmt, 0), "wal") != 0) {
        self->last_code = SQLITE_CANTOPEN;
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_STORE,
                    "this file system cannot hold the store: SQLite has no WAL on it");
        return false;
    }
    return got > 0;
}

/* SQLite gives the WAL the permissions that the file has, and the file those of the umask. */
static void
make_private(const char *path)
{
    const int fd = g_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
    }
}

PdDb *
pd_db_open(const char *path, PdDbRole role, int *code_out, GError **error)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                      (role == PD_DB_WRITER ? SQLITE_OPEN_CREATE : 0);
    g_autoptr(PdDb) self = g_new0(PdDb, 1);

    self->statements = g_hash_table_new_full(NULL, NULL, NULL, finalize);
    if (role == PD_DB_WRITER) {
        make_private(path);
    }
    bool ok = sqlite3_open_v2(path, &self->handle, flags, NULL) == SQLITE_OK;
    if (!ok) {
        fail(self, path, error);
    } else {
        pd_db_keep_wal(self, role == PD_DB_WRITER);
        sqlite3_extended_result_codes(self->handle, 1);
        ok = pd_db_script(self, pragmas_of(role), error) &&
             (role != PD_DB_WRITER || has_wal(self, error));
    }
    if (!ok && code_out != NULL) {
        *code_out = pd_db_last_code(self);
    }
    return ok ? g_steal_pointer(&self) : NULL;
}

void
pd_db_close(PdDb *self)
{
    if (self == NULL) {
        return;
    }
    g_hash_table_unref(self->statements);
    sqlite3_close(self->handle);
    g_free(self);
}

const char *
pd_stmt_get_text(PdStmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    return text != NULL ? text : "";
}

char *
pd_stmt_dup_text(PdStmt *stmt, int column)
{
    return g_strdup((const char *)sqlite3_column_text(stmt, column));
}
