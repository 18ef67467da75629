/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>

/*
 * A file that appears under its name only when it is whole. It grows under another name
 * beside it, which goes away when it is given up and when the program is ended by SIGINT,
 * SIGTERM or SIGHUP at any moment. A device or a pipe is written to as it is.
 */
typedef struct CliFile CliFile;

/**
 * Begin a file. Call it before any other thread runs: they must not take the signals.
 *
 * A new file can be read by its owner only, one that is replaced keeps its permissions.
 * Owns: end with cli_file_commit() or cli_file_free().
 * Errors: G_FILE_ERROR with the reason; a directory is refused.
 */
CliFile *cli_file_new(const char *path, GError **error);

/** Give the file up unless it was committed, and free. */
void cli_file_free(CliFile *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliFile, cli_file_free)

/** Where to write. */
int cli_file_get_fd(const CliFile *self);

/** Make it durable under its name, replacing what had that name. Errors: G_FILE_ERROR. Blocks. */
bool cli_file_commit(CliFile *self, GError **error);
