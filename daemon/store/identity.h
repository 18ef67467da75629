/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"

/**
 * Id of the store in @db. A new one is made for a fresh store, on another machine, and for one
 * that is older than what was seen here, so that no two journals share an identity; the former
 * id is kept with its head (F7).
 *
 * @state: directory of the witness, which no backup of the store carries.
 * @machine: what tells this machine from a clone of its disk. Empty: not known.
 * Owns: @id_out is the caller's. Errors: PD_ERROR_STORE.
 */
bool pd_identity_ensure(
    PdDb *db, const char *state, const char *machine, char **id_out, GError **error);

/** Remember outside the store how far its journal came. What fails is only said. */
void pd_identity_write_witness(const char *state, const char *id, uint64_t head);

/** A digest of this machine's id, "" when there is none. Owns: the caller. */
char *pd_identity_dup_machine(void);

/**
 * Give the store of @db another id, whatever its machine says: it was restored (F7).
 *
 * @old: the store it replaces, NULL when there is none to read. Owns: @id_out is the caller's.
 */
bool pd_identity_renew(PdDb *db, PdDb *old, const char *machine, char **id_out, GError **error);
