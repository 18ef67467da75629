/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/pg_connection.h"

/** Statements of pg/NAME.sql, in order, NULL-terminated. Owns: the caller's. */
char **sync_pg_load(const char *name);

/**
 * See that the schema is ours, of our major version, and that we may write to it.
 *
 * Errors: as sync_pg_run(); SYNC_ERROR_FOREIGN names the remedy.
 */
bool sync_pg_check_schema(SyncPg *pg, const char *sink, GCancellable *cancellable, GError **error);

/** Create it, or upgrade it. Errors: as above. */
bool sync_pg_migrate(SyncPg *pg, GCancellable *cancellable, GError **error);
