/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * One flat JSON object a line, as penteld's pipes carry it: members are numbers, texts,
 * true, false and null. Taken apart in place, without allocation.
 */
#define CLI_FLAT_MEMBERS_MAX 24

typedef struct {
    const char *key;   /* borrowed from the line */
    const char *value; /* borrowed from the line: the text, or the word as it stands */
    bool is_text;
} CliFlatMember;

typedef struct {
    unsigned n_members;
    CliFlatMember members[CLI_FLAT_MEMBERS_MAX];
} CliFlat;

/** Take @line apart, changing it. Returns false when it is no flat object. */
bool cli_flat_parse(char *line, CliFlat *out);

/** True and the value when @key is an integer. */
bool cli_flat_get_int(const CliFlat *self, const char *key, int64_t *value_out);

/** True and the value when @key is true or false. */
bool cli_flat_get_bool(const CliFlat *self, const char *key, bool *value_out);

/** Text of @key, NULL when it is none. Owns: borrowed from the line. */
const char *cli_flat_get_text(const CliFlat *self, const char *key);
