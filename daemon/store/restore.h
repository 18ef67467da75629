/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/ledger.h"

/**
 * Unpack a backup into an empty directory and compare it with its manifest.
 *
 * Errors: PD_ERROR_INVALID_ARGUMENT: cut, altered or no backup. PD_ERROR_STORE: the disk.
 */
bool pd_unpack_backup(const char *path, const char *directory, GError **error);

/**
 * Erase in the store of @ledger what the tombstones of another journal say, in the caller's
 * transaction: length-delimited entries of @bytes. What is erased here already is passed over.
 */
bool pd_apply_tombstones(PdLedger *ledger, GBytes *bytes, GError **error);

/**
 * The tombstones of another store's journal, length-delimited; none when there is no store.
 *
 * Errors: PD_ERROR_STORE, and what could be read is returned nevertheless.
 */
GBytes *pd_read_tombstones(const char *index, GError **error);
