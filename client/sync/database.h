/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * One SQLite file with its statements, prepared once each. One thread. Errors are
 * SYNC_ERROR_STATE and name the file.
 */
typedef struct SyncDb SyncDb;

/* A prepared statement, owned by its SyncDb; the autoptr resets it, ending its read. */
typedef struct SyncRow SyncRow;

/**
 * Open or create, durable at each commit.
 *
 * @is_damaged_out: whether it failed because the file is no sound database.
 */
SyncDb *sync_db_open(const char *path, bool is_read_only, bool *is_damaged_out, GError **error);
void sync_db_close(SyncDb *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncDb, sync_db_close)

/** Run several statements without parameters. */
bool sync_db_script(SyncDb *self, const char *sql, GError **error);

/**
 * Bind a statement, not stepped yet; NULL on an error.
 *
 * @sql: a string literal; statements are kept by its address. @types: i int64_t, t a text or
 * NULL, b a GBytes or NULL, one letter for each parameter. Owns: copies what it binds.
 */
SyncRow *sync_db_query(SyncDb *self, GError **error, const char *sql, const char *types, ...);

/** Step: 1 a row, 0 the end, -1 an error. */
int sync_db_step(SyncDb *self, SyncRow *row, GError **error);

/** Step to the end and reset. @row: NULL gives false. */
bool sync_db_run(SyncDb *self, SyncRow *row, GError **error);

/** First column of the first row, which must be there. @row: NULL gives false. */
bool sync_db_read_int(SyncDb *self, SyncRow *row, int64_t *out, GError **error);

/** Commit if @is_good, else roll back. Returns whether it is committed. */
bool sync_db_end(SyncDb *self, bool is_good, GError **error);

/** Rows that the last statement changed. */
uint64_t sync_db_count_changes(const SyncDb *self);

int64_t sync_row_get_int(SyncRow *self, int column);

/** Text, NULL for null. Owns: the caller's. */
char *sync_row_dup_text(SyncRow *self, int column);

/** Bytes, NULL for none. Owns: the caller's. */
GBytes *sync_row_dup_bytes(SyncRow *self, int column);

void sync_row_reset(SyncRow *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncRow, sync_row_reset)
