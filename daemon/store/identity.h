/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"

/**
 * Id of the store in @db. A new one is made for a fresh store and on another machine, so
 * that no two journals share an identity; the former id is kept with its head (F7).
 *
 * @machine: what tells this machine from a clone of its disk. Empty: not known, keep the id.
 * Owns: @id_out is the caller's. Errors: PD_ERROR_STORE.
 */
bool pd_identity_ensure(PdDb *db, const char *machine, char **id_out, GError **error);

/** A digest of this machine's id, "" when there is none. Owns: the caller. */
char *pd_identity_dup_machine(void);
