/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"

/*
 * A count and a sum of hashes for each table of facts that no entry of the journal hashes:
 * the sum over its rows of SHA-256(every column), modulo 2^256, kept up to date by what
 * writes the rows. It finds rows that rotted, came or went by themselves; who can write the
 * file can also write the sum.
 */

/** Make the row of every table from what is in it, in the caller's transaction. */
bool pd_witness_begin(PdDb *db, GError **error);

/** Make the row of the schema alone, for who changed it and knew it to be sound before. */
bool pd_witness_renew_schema(PdDb *db, GError **error);

/** Let the writes of this connection keep the sums up to date from here on. */
bool pd_witness_attach(PdDb *db, GError **error);

/** Add a row of raw that lies outside any session; what lies inside, receipts cover. */
bool pd_witness_add_outside(PdDb *db, int64_t rowid, GError **error);

/** Names of the tables. Owns: static, NULL-terminated. */
const char *const *pd_witness_list(void);

/** Whether the rows of a table are those that its witness saw. */
bool pd_witness_check(PdDb *db, const char *name, bool *fits_out, GError **error);

/** Whether the text of the schema is what it was when it was made. */
bool pd_witness_check_schema(PdDb *db, bool *fits_out, GError **error);
