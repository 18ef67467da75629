/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"

/* Bytes of one line about a delivery. */
#define SYNC_WORDS_MAX 600u

/**
 * What a server said, so that it can be shown: without any word that people said about these
 * deliveries, then escaped, then cut at a character.
 *
 * @text: the server's, whole and as it stands: what was escaped or cut before hides words from
 * being found. Owns: the caller's; at most @n_bytes_max bytes.
 */
char *sync_clean_words(const SyncDelivery *const *deliveries,
                       guint n_deliveries,
                       const char *text,
                       gsize n_bytes_max);

/** The same for an error that is about no delivery; for the end of open. Returns @is_good. */
bool sync_clean_error(bool is_good, GError **error);
