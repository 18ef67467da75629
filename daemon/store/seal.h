/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/ledger.h"

/**
 * Move the raw records of settled sessions from the tail into a sealed segment, when there
 * is enough of them or they are old enough; at most 32 sessions at a time.
 *
 * Only on the writer thread, between transactions. A failure is said and tried later.
 * @sealed_us: CLOCK_MONOTONIC time of the last look, kept by the caller.
 */
void pd_seal_if_due(PdLedger *ledger, int64_t *sealed_us);

/** As above, whatever their age and size. For tests and tools. */
bool pd_seal_now(PdLedger *ledger, GError **error);
