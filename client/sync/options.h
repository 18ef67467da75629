/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>

/* The command line of pentel-sync. */
typedef struct {
    char *name;       /* owned; of the sink, NULL for --version */
    char *config;     /* owned; path of its configuration */
    char *state_dir;  /* owned */
    char *import_dir; /* owned; --import: take over the sets in it and deliver these; or NULL */
    bool is_once;     /* --once: end when nothing is due */
    bool is_dry_run;  /* --dry-run: say what would be delivered */
    bool is_migrate;  /* --migrate: create or upgrade the other side, then end */
    bool is_version;  /* --version */
} SyncOptions;

/**
 * Take the command line apart.
 *
 * Owns: fills @options_out, cleared by sync_options_clear() in every case.
 * Errors: SYNC_ERROR_USAGE with the remedy.
 */
bool sync_options_parse(int argc, char **argv, SyncOptions *options_out, GError **error);
void sync_options_clear(SyncOptions *self);

/** True when @name can be a sink's: it is part of a bus name, a path and a unit. */
bool sync_name_is_valid(const char *name);
