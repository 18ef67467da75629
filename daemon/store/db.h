/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>
#include <sqlite3.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * One SQLite connection and its statements, prepared once each. Used by one thread at a
 * time. Errors are PD_ERROR_STORE; the SQLite code of the last one is kept.
 */
typedef struct PdDb PdDb;

/* A prepared statement, owned by its PdDb; the autoptr resets it, ending its read. */
typedef sqlite3_stmt PdStmt;

#define PD_DB_BUSY_MS 10000 /* how long a writer waits for others */

typedef enum {
    PD_DB_WRITER = 0, /* synchronous=FULL, creates the file */
    PD_DB_READER,     /* read-only, 256 KiB of cache (F23) */
    PD_DB_CHECKPOINTER,
    PD_DB_VERIFIER, /* as a reader, with tables of its own in memory */
} PdDbRole;

/**
 * Open. Errors: PD_ERROR_STORE.
 *
 * @code_out: SQLite's primary result code when it fails; may be NULL.
 */
PdDb *pd_db_open(const char *path, PdDbRole role, int *code_out, GError **error);
void pd_db_close(PdDb *self);

/** Leave the WAL where it is when the last connection closes: it may be evidence (F12). */
void pd_db_keep_wal(PdDb *self, bool keep);

/** SQLite's primary result code of the last failure, SQLITE_OK when none since cleared. */
int pd_db_last_code(const PdDb *self);
void pd_db_clear_code(PdDb *self);

/** Whether the last failure was the machine's and says nothing of what the file holds: the disk,
 * memory, permissions, another process. */
bool pd_db_is_hindered(const PdDb *self);

/** Whether the last failure was that the file holds what SQLite never wrote. */
bool pd_db_is_damaged(const PdDb *self);

sqlite3 *pd_db_handle(PdDb *self);

/** Run several statements without parameters. */
bool pd_db_script(PdDb *self, const char *sql, GError **error);

/**
 * Bind a statement, not stepped yet.
 *
 * @sql: a string literal; statements are cached by its address.
 * @types: one letter per parameter: i int64_t, t const char * (NULL is null),
 * b const void * and size_t (NULL is null), n null (no argument). Text and bytes are
 * borrowed until the statement is reset.
 */
PdStmt *pd_db_query(PdDb *self, GError **error, const char *sql, const char *types, ...);

/** Step: 1 a row, 0 the end, -1 an error. */
int pd_db_step(PdDb *self, PdStmt *stmt, GError **error);

/** Bind and run to the end. */
bool pd_db_run(PdDb *self, GError **error, const char *sql, const char *types, ...);

/** First column of the first row as an integer; @fallback when there is no row or null. */
bool pd_db_get_int(PdDb *self, int64_t fallback, int64_t *out, GError **error, const char *sql);

/** Read every page, and each index against its table. Errors: PD_ERROR_STORE, with what SQLite says
 * is wrong with them. */
bool pd_db_check_pages(PdDb *self, GError **error);

/** Text column, "" for null: a damaged file has nulls where there should be none. Owns: borrowed
 * until the next step. */
const char *pd_stmt_get_text(PdStmt *stmt, int column);

/** Text column copied; NULL for null. */
char *pd_stmt_dup_text(PdStmt *stmt, int column);

static inline void
pd_stmt_reset(PdStmt *stmt)
{
    sqlite3_reset(stmt);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdStmt, pd_stmt_reset)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdDb, pd_db_close)
