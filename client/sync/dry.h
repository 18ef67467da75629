/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/setup.h"

/*
 * Stands before a sink in a dry run: opens the real one, says what it would get, and changes
 * nothing, neither there nor in the state, of which it works on a copy.
 */
extern const SyncSinkFuncs sync_dry_funcs;

/** Wrap the sink of an instance. Owns: borrows @instance. */
SyncSink *sync_dry_new(SyncInstance *instance);

/** A copy of the state in a directory of its own. Owns: the path is the caller's, see
 * sync_dry_remove_state(). Errors: SYNC_ERROR_STATE. */
char *sync_dry_copy_state(const char *directory, GError **error);

/** Remove it. */
void sync_dry_remove_state(const char *path);
