/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/ledger.h"

/**
 * Write the rows of every session that changed, the journal entries that follow from it and
 * how far the fold came: in the caller's one transaction (F16).
 *
 * @journaled_out: whether an entry was written.
 */
bool pd_derive_all(PdLedger *ledger, bool *journaled_out, GError **error);

/** One session's rows and entry. An unreadable one stays as it is. */
bool pd_derive_session(PdLedger *ledger,
                       PdSessionFold *session,
                       bool *journaled_out,
                       GError **error);

/** Whether a session waits for its row, and whether one of them begun or ended. */
void pd_derive_pending(PdLedger *ledger, bool *any_out, bool *urgent_out);
