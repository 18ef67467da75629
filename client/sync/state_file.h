/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/database.h"

/**
 * Open @directory/state.db in the schema of this version, locked against other processes.
 *
 * @is_read_only: neither locked nor created. @lock_fd_out: to be closed after the database;
 * -1 when read only. Owns: the caller's. Errors: SYNC_ERROR_STATE.
 */
SyncDb *sync_state_file_open(const char *directory,
                             bool is_read_only,
                             int *lock_fd_out,
                             GError **error);
