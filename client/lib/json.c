/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides how JSON leaves the clients: compact, in the order it is written, escaped so that
 * a terminal may show it.
 */
#include "lib/json.h"

#include "lib/dict.h"
#include "lib/text.h"

#include <math.h>

static void
append_quoted(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (; *text != '\0'; text = cli_text_next(text)) {
        const gunichar c = g_utf8_get_char(text);
        if (c == '"' || c == '\\') {
            g_string_append_c(out, '\\');
            g_string_append_unichar(out, c);
        } else if (c == '\n') {
            g_string_append(out, "\\n");
        } else if (c < 0x20 || (c >= 0x7f && c <= 0x9f)) {
            g_string_append_printf(out, "\\u%04x", c);
        } else {
            g_string_append_unichar(out, c);
        }
    }
    g_string_append_c(out, '"');
}

static void
begin_member(CliJson *self, const char *key)
{
    if (!self->is_first) {
        g_string_append_c(self->out, ',');
    }
    self->is_first = false;
    if (key != NULL) {
        append_quoted(self->out, key);
        g_string_append_c(self->out, ':');
    }
}

void
cli_json_open(CliJson *self, const char *key, char bracket)
{
    begin_member(self, key);
    g_string_append_c(self->out, bracket);
    self->is_first = true;
}

void
cli_json_close(CliJson *self, char bracket)
{
    g_string_append_c(self->out, bracket);
    self->is_first = false;
}

void
cli_json_null(CliJson *self, const char *key)
{
    begin_member(self, key);
    g_string_append(self->out, "null");
}

void
cli_json_bool(CliJson *self, const char *key, bool value)
{
    begin_member(self, key);
    g_string_append(self->out, value ? "true" : "false");
}

void
cli_json_uint(CliJson *self, const char *key, uint64_t value)
{
    begin_member(self, key);
    g_string_append_printf(self->out, "%" G_GUINT64_FORMAT, value);
}

void
cli_json_double(CliJson *self, const char *key, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (!isfinite(value)) {
        cli_json_null(self, key);
        return;
    }
    begin_member(self, key);
    g_string_append(self->out, g_ascii_formatd(text, sizeof text, "%.15g", value));
}

void
cli_json_text(CliJson *self, const char *key, const char *text)
{
    if (text == NULL || !g_utf8_validate(text, -1, NULL)) {
        cli_json_null(self, key);
        return;
    }
    begin_member(self, key);
    append_quoted(self->out, text);
}

void
cli_json_dict_uint(CliJson *self, GVariant *dict, const char *key)
{
    uint64_t value = 0;

    if (cli_dict_get_uint(dict, key, &value)) {
        cli_json_uint(self, key, value);
    } else {
        cli_json_null(self, key);
    }
}

void
cli_json_dict_double(CliJson *self, GVariant *dict, const char *key)
{
    double value = 0;

    if (cli_dict_get_double(dict, key, &value)) {
        cli_json_double(self, key, value);
    } else {
        cli_json_null(self, key);
    }
}

void
cli_json_dict_bool(CliJson *self, GVariant *dict, const char *key)
{
    bool value = false;

    if (cli_dict_get_bool(dict, key, &value)) {
        cli_json_bool(self, key, value);
    } else {
        cli_json_null(self, key);
    }
}

void
cli_json_dict_text(CliJson *self, GVariant *dict, const char *key)
{
    cli_json_text(self, key, cli_dict_get_text(dict, key));
}
