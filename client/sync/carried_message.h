/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/carried.h"
#include "sync/set_check.h"

/**
 * Read one pentel.v1.Delivery out of a set, which may hold anything.
 *
 * Owns: the caller's. Errors: SYNC_ERROR_DATA: which session, and what is wrong with it.
 */
SyncCarried *sync_carried_decode(const SyncSet *set,
                                 const uint8_t *bytes,
                                 size_t n_bytes,
                                 GError **error);

/** Get its records, when the set has them. Errors: as sync_carried_decode(). */
bool sync_carried_read_records(SyncCarried *self, const SyncSet *set, GError **error);
