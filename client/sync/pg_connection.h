/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"

#include <libpq-fe.h>

/*
 * One connection to PostgreSQL that never waits without a limit. Only what survives PgBouncer
 * in transaction mode: statements with parameters, nothing kept in the server's session.
 *
 * Errors: SYNC_ERROR_UNAVAILABLE: connection, server, lock or space; the connection may be
 * gone. SYNC_ERROR_CLASH: a deadlock or the like, the transaction may go at once when it is
 * run again. SYNC_ERROR_DATA: the server refuses these values. SYNC_ERROR_CONFIG: (of open) it
 * refuses the user, the password or the database. SYNC_ERROR_FOREIGN: tables or rights are
 * not what this version expects. Their text is the server's as it stands: clean it before it
 * is shown.
 */
typedef struct SyncPg SyncPg;

typedef PGresult SyncPgResult;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncPgResult, PQclear)

/** Read [postgresql] conninfo and the credential. Owns: free with sync_pg_free(). Errors:
 * SYNC_ERROR_CONFIG. */
SyncPg *sync_pg_new(const SyncSetup *setup, GError **error);
void sync_pg_free(SyncPg *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncPg, sync_pg_free)

/** Connect, unless it is connected. */
bool sync_pg_open(SyncPg *self, GCancellable *cancellable, GError **error);
void sync_pg_close(SyncPg *self);

bool sync_pg_is_open(const SyncPg *self);

/** Run a statement. @values: texts, NULL for null. Owns: the caller's. */
SyncPgResult *sync_pg_run(SyncPg *self,
                          const char *sql,
                          const char *const *values,
                          int n_values,
                          GCancellable *cancellable,
                          GError **error);

/** As sync_pg_run(), result dropped. */
bool sync_pg_do(SyncPg *self,
                const char *sql,
                const char *const *values,
                int n_values,
                GCancellable *cancellable,
                GError **error);

/** Run a script of several statements, as one transaction of its own. */
bool sync_pg_script(SyncPg *self, const char *sql, GCancellable *cancellable, GError **error);
