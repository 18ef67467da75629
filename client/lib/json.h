/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Writes JSON in one pass: every member of an object has a key, every member of an array
 * NULL for one. What is not known is null, never 0. Besides what JSON demands, the control
 * characters that terminals obey (U+007F to U+009F) are escaped.
 */
typedef struct {
    GString *out; /* borrowed */
    bool is_first;
} CliJson;

#define CLI_JSON_INIT(string)                                                                      \
    {                                                                                              \
        .out = (string), .is_first = true                                                          \
    }

void cli_json_open(CliJson *self, const char *key, char bracket);
void cli_json_close(CliJson *self, char bracket);
void cli_json_null(CliJson *self, const char *key);
void cli_json_bool(CliJson *self, const char *key, bool value);
void cli_json_uint(CliJson *self, const char *key, uint64_t value);

/** A number with up to 15 digits; null when it is not finite. */
void cli_json_double(CliJson *self, const char *key, double value);

/** Text, or null when @text is NULL. */
void cli_json_text(CliJson *self, const char *key, const char *text);

/* Members of a dictionary of the bus under the same key; null when unknown there. */
void cli_json_dict_uint(CliJson *self, GVariant *dict, const char *key);
void cli_json_dict_double(CliJson *self, GVariant *dict, const char *key);
void cli_json_dict_bool(CliJson *self, GVariant *dict, const char *key);
void cli_json_dict_text(CliJson *self, GVariant *dict, const char *key);
