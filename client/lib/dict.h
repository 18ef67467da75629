/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Dictionaries (a{sv}) from the bus. A key that is absent, or has another type than the
 * contract says, is unknown.
 */

/** True and the number when @key is an unsigned or non-negative integer of any width. */
bool cli_dict_get_uint(GVariant *dict, const char *key, uint64_t *value_out);

/** True and the number when @key is a double or an integer. */
bool cli_dict_get_double(GVariant *dict, const char *key, double *value_out);

bool cli_dict_get_bool(GVariant *dict, const char *key, bool *value_out);

/** Text of @key, NULL when unknown or empty. Owns: borrowed from @dict. */
const char *cli_dict_get_text(GVariant *dict, const char *key);

/** Value of @key when it has @type, else NULL. Owns: the caller's. */
GVariant *cli_dict_get(GVariant *dict, const char *key, const char *type);
