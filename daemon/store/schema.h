/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"

#define PD_SCHEMA_VERSION 3

/* One step from the version of its place in the table (from 1) to the next. */
typedef struct {
    const char *sql;
    bool (*run)(PdDb *db, GError **error); /* what SQL cannot say; may be NULL */
} PdMigration;

/**
 * Create the tables in an empty database, or check that it is of this version.
 *
 * Errors: PD_ERROR_STORE_NEWER: written by a later version. PD_ERROR_STORE.
 */
bool pd_schema_ensure(PdDb *db, GError **error);

/** Version of the file at @path; 0 when it is new or absent. */
bool pd_schema_read_version(const char *path, int64_t *version_out, GError **error);

/** Migrate an older file to PD_SCHEMA_VERSION; @done_out: whether there was a need. */
bool pd_schema_upgrade(const char *path, bool *done_out, GError **error);

/** Delete what migrations kept, once a start went well without one. */
void pd_schema_drop_old(const char *path);

/**
 * Bring the file at @path to @target by steps run in one transaction on a copy, which
 * then takes its name; the original stays beside it as <path>.v<version>.
 *
 * Interrupted at any instant it leaves either file whole under @path.
 * Source: F13.
 */
bool pd_schema_migrate(const char *path, const PdMigration *steps, int64_t target, GError **error);
