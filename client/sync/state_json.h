/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

/*
 * A session's state between the bus and files: Log1.GetSession's dictionary, and the same as
 * JSON with keys as there.
 */

/** Owns: the caller's; "null" for NULL. */
char *sync_state_to_json(GVariant *state);

/**
 * Read what sync_state_to_json() wrote, from a file that anybody may have written. Keys that
 * are not known are taken over as they are; numbers are t, x or d.
 *
 * Owns: the caller's, not floating. Errors: SYNC_ERROR_DATA: what is wrong with it.
 */
GVariant *sync_state_of_json(const char *text, GError **error);
