/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "pen/manager.h"
#include "store/store.h"

#include <gio/gio.h>

#include <stdbool.h>

/* What penteld was told by its command line and its configuration file. */
typedef struct {
    bool show_version;
    char *state_directory; /* owned */
    char *restore;         /* owned; a backup to put in the store's place, then exit */
    char *tombstones;      /* owned; journal entries that erase in it, NULL none */
    PdStoreConfig store;   /* its directory borrows from state_directory */
    PdPenConfig pen;
} PdOptions;

/**
 * Take the command line, then the file it names or the usual one; --help prints and
 * exits.
 *
 * Errors: of G_OPTION_ERROR or PD_ERROR_INVALID_ARGUMENT, in words for one line. @self
 *         must be cleared either way.
 */
bool pd_options_init(PdOptions *self, int argc, char **argv, GError **error);
void pd_options_clear(PdOptions *self);

/**
 * Take the settings of one file; what it leaves out stays as it is.
 *
 * @must_exist: whether an absent file is an error.
 * Errors: PD_ERROR_INVALID_ARGUMENT: names file, group, key and what to write.
 */
bool pd_options_load(PdOptions *self, const char *file, bool must_exist, GError **error);
