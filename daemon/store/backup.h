/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/home.h"
#include "store/store.h"

/* The last member: the hash of each of the others, after a line that names the format. */
#define PD_BACKUP_MANIFEST       "manifest"
#define PD_BACKUP_MANIFEST_BEGIN "pentel-backup 1\n"

/**
 * Take a consistent copy of index.db and hold on to every segment it names, below
 * <state>/backup.tmp. Worker thread; one at a time.
 *
 * Errors: PD_ERROR_STORE: no room, or it cannot be read.
 */
PdBackup *pd_backup_begin(const char *state, const char *index, const char *raw, GError **error);

/** Next bytes of the archive, about 64 KiB; empty at its end. One thread at a time. */
GBytes *pd_backup_read(PdBackup *self, GError **error);

/** Called in pd_backup_free(), in whatever thread that is. */
void pd_backup_on_free(PdBackup *self, GDestroyNotify func, gpointer data);

/** Delete a directory of plain files, and its subdirectory raw. */
void pd_backup_remove_tree(const char *path);
