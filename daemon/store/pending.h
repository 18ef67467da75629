/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>

/*
 * Stores that went aside and are not salvaged yet, by their name in the state directory: what
 * a start that was killed leaves to the next one.
 */

/** Add one, durably, before it goes aside. Errors: PD_ERROR_STORE. */
bool pd_pending_add(const char *state, const char *name, GError **error);

/** Paths of those that are there, oldest first. Owns: the caller. */
char **pd_pending_list(const char *state);

/** All are salvaged, or nobody wants them any more. */
void pd_pending_clear(const char *state);
