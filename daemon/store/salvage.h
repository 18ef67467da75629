/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/ledger.h"

/**
 * Take what can be read of a store that was moved aside into the fresh one of @ledger: raw
 * records whose CRC is right, sealed blocks whose hash is right, pens, anchors, what was
 * settled, erased and said. The old store is read from a copy and stays as it is (F12).
 *
 * @state: where the copy is made. What cannot be read stays with the pens, or in the
 * directory that the store was moved to. One that was begun and killed goes on; one that came
 * to its end does nothing. Returns false when it did not come to its end: a later attempt may.
 */
bool pd_salvage(PdLedger *ledger, const char *state, const char *moved_to);

/** Copy the index of a store that was moved aside into @directory, made anew. Errors:
 * PD_ERROR_STORE. */
bool pd_salvage_copy_index(const char *moved_to, const char *directory, GError **error);

/** Whether the index names a segment, or cannot say. */
bool pd_has_segment_row(PdDb *db, const char *name);

/** Delete segments that no row names and of which nothing is only there; warn of others. */
void pd_drop_orphans(PdDb *db, const char *raw_directory);
