/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Reads flat JSON objects. Decides that anything nested or unfinished is no sample; what
 * the daemon sends it cannot make this read outside the line.
 */
#include "lib/flat.h"

#include <glib.h>

#include <string.h>

static char *
skip_blanks(char *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\r') {
        at++;
    }
    return at;
}

/* Four hex digits, or -1. */
static int
read_hex4(const char *at)
{
    int value = 0;

    for (int i = 0; i < 4; i++) {
        const int digit = g_ascii_xdigit_value(at[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* Reads \uXXXX (and its second half) at @at, which stands behind the u; NULL when wrong. */
static char *
read_unicode(char *at, char **write)
{
    const int high = read_hex4(at);
    gunichar c = (gunichar)high;

    if (high <= 0) {
        return NULL;
    }
    at += 4;
    if (high >= 0xd800 && high < 0xdc00) {
        const int low = at[0] == '\\' && at[1] == 'u' ? read_hex4(at + 2) : -1;
        if (low < 0xdc00 || low > 0xdfff) {
            return NULL;
        }
        c = 0x10000u + (((gunichar)high - 0xd800u) << 10) + ((gunichar)low - 0xdc00u);
        at += 6;
    }
    *write += g_unichar_to_utf8(c, *write);
    return at;
}

/* Reads the escape at the backslash @at; NULL when it is none. */
static char *
read_escape(char *at, char **write)
{
    static const char escapes[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *escape = at[1] != '\0' ? strchr(escapes, at[1]) : NULL;

    if (at[1] == 'u') {
        return read_unicode(at + 2, write);
    }
    if (escape == NULL) {
        return NULL;
    }
    *(*write)++ = meanings[escape - escapes];
    return at + 2;
}

/* Reads the text that begins behind a quote, in place; NULL when it does not end. */
static char *
read_text(char *at, const char **text_out)
{
    char *write = at;

    *text_out = at;
    while (at != NULL && *at != '"') {
        if (*at == '\0') {
            return NULL;
        }
        if (*at == '\\') {
            at = read_escape(at, &write);
        } else {
            *write++ = *at++;
        }
    }
    if (at == NULL) {
        return NULL;
    }
    *write = '\0';
    return at + 1;
}

/* Reads a number or a word; *end_out takes the character behind it, which is ended by 0. */
static char *
read_word(char *at, const char **word_out, char *after_out)
{
    const size_t n = strcspn(at, ",} \t\r");

    if (n == 0 || strpbrk(at, "{[\"") == at || at[n] == '\0') {
        return NULL;
    }
    *word_out = at;
    *after_out = at[n];
    at[n] = '\0';
    return at + n;
}

/* Reads "key": value and what follows it; the separator comes back in *after_out. */
static char *
read_member(char *at, CliFlatMember *member, char *after_out)
{
    at = skip_blanks(at);
    at = *at == '"' ? read_text(at + 1, &member->key) : NULL;
    if (at == NULL) {
        return NULL;
    }
    at = skip_blanks(at);
    if (*at != ':') {
        return NULL;
    }
    at = skip_blanks(at + 1);
    member->is_text = *at == '"';
    if (member->is_text) {
        at = read_text(at + 1, &member->value);
        if (at == NULL) {
            return NULL;
        }
        *after_out = *at;
    } else {
        at = read_word(at, &member->value, after_out);
        if (at == NULL) {
            return NULL;
        }
    }
    while (*after_out == ' ' || *after_out == '\t' || *after_out == '\r') {
        *after_out = *++at;
    }
    return at + 1;
}

bool
cli_flat_parse(char *line, CliFlat *out)
{
    char *at = skip_blanks(line);
    char after = ',';

    out->n_members = 0;
    if (*at != '{') {
        return false;
    }
    at = skip_blanks(at + 1);
    if (*at == '}') {
        return *skip_blanks(at + 1) == '\0';
    }
    while (after == ',') {
        if (out->n_members == CLI_FLAT_MEMBERS_MAX) {
            return false;
        }
        at = read_member(at, &out->members[out->n_members], &after);
        if (at == NULL) {
            return false;
        }
        out->n_members++;
    }
    return after == '}' && *skip_blanks(at) == '\0';
}

static const CliFlatMember *
find(const CliFlat *self, const char *key)
{
    for (unsigned i = 0; i < self->n_members; i++) {
        if (strcmp(self->members[i].key, key) == 0) {
            return &self->members[i];
        }
    }
    return NULL;
}

bool
cli_flat_get_int(const CliFlat *self, const char *key, int64_t *value_out)
{
    const CliFlatMember *member = find(self, key);
    gint64 value = 0;

    if (member == NULL || member->is_text ||
        !g_ascii_string_to_signed(member->value, 10, G_MININT64, G_MAXINT64, &value, NULL)) {
        return false;
    }
    *value_out = value;
    return true;
}

bool
cli_flat_get_bool(const CliFlat *self, const char *key, bool *value_out)
{
    const CliFlatMember *member = find(self, key);

    if (member == NULL || member->is_text) {
        return false;
    }
    const bool is_true = strcmp(member->value, "true") == 0;
    if (!is_true && strcmp(member->value, "false") != 0) {
        return false;
    }
    *value_out = is_true;
    return true;
}

const char *
cli_flat_get_text(const CliFlat *self, const char *key)
{
    const CliFlatMember *member = find(self, key);

    return member != NULL && member->is_text ? member->value : NULL;
}
