/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/options.h"
#include "sync/setup.h"

/** Carry the journal until told to end (or, with --once, until nothing is due). Errors: any; the
 * exit code says which. */
SyncExit sync_run(const SyncOptions *options, SyncInstance *instance, GError **error);

/** Create or upgrade the other side. */
SyncExit sync_run_migrate(SyncInstance *instance, GError **error);
