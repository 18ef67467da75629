/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/intake.h"

#include <gio/gunixfdlist.h>

/* Sync1.Import between the bus and what takes sets over. */

/**
 * The set that a caller handed over. @files: a{sh}.
 *
 * Owns: the caller's, with descriptors of its own. Errors: SYNC_ERROR_USAGE: what to pass.
 */
CliSet *sync_import_set_new(const char *name,
                            const char *before,
                            const char *after,
                            GVariant *files,
                            GUnixFDList *fds,
                            GError **error);

/** What Import returns. Owns: floating. */
GVariant *sync_import_describe(const SyncIntake *intake);
