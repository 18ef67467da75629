/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/ledger.h"

/**
 * Throw away everything derived and make it again from raw records and the journal, in one
 * transaction. What comes out is what was there, or an entry says how it differs.
 *
 * Only on the thread that owns the ledger, between transactions. Errors: PD_ERROR_STORE.
 */
bool pd_rebuild_all(PdLedger *ledger, GError **error);

/** What the journal says of one session, made again beside its row; in a transaction. */
bool pd_rebuild_head(PdLedger *ledger, uint64_t opened_seq, GError **error);
