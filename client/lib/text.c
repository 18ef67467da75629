/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides how text looks on a terminal: what is escaped, how wide it is, where it is cut.
 */
#include "lib/text.h"

#include <string.h>

/* Longer than any verb or option: what is further away was not meant. */
#define DISTANCE_MAX_LENGTH 32

/* Line and paragraph separators print, but as line breaks on some terminals. */
static bool
is_safe(gunichar c)
{
    const GUnicodeType type = g_unichar_type(c);

    return g_unichar_isprint(c) && type != G_UNICODE_LINE_SEPARATOR &&
           type != G_UNICODE_PARAGRAPH_SEPARATOR && type != G_UNICODE_PRIVATE_USE;
}

static void
append_escape(GString *out, gunichar c)
{
    if (c == '\n') {
        g_string_append(out, "\\n");
    } else if (c == '\t') {
        g_string_append(out, "\\t");
    } else if (c < 0x80) {
        g_string_append_printf(out, "\\x%02x", c);
    } else {
        g_string_append_printf(out, "\\u{%x}", c);
    }
}

const char *
cli_text_next(const char *text)
{
    return text + g_utf8_skip[(unsigned char)*text];
}

char *
cli_text_escape(const char *text, bool utf8)
{
    GString *out = g_string_sized_new(strlen(text));

    while (*text != '\0') {
        const gunichar c = g_utf8_get_char_validated(text, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_printf(out, "\\x%02x", (unsigned char)*text);
            text++;
            continue;
        }
        if (is_safe(c) && (utf8 || c < 0x80)) {
            g_string_append_unichar(out, c);
        } else {
            append_escape(out, c);
        }
        text = cli_text_next(text);
    }
    return g_string_free(out, FALSE);
}

static int
char_width(gunichar c)
{
    if (g_unichar_iszerowidth(c)) {
        return 0;
    }
    return g_unichar_iswide(c) ? 2 : 1;
}

int
cli_text_width(const char *text)
{
    int width = 0;

    for (; *text != '\0'; text = cli_text_next(text)) {
        width += char_width(g_utf8_get_char(text));
    }
    return width;
}

char *
cli_text_fit(const char *text, int width, bool utf8)
{
    if (cli_text_width(text) <= width) {
        return g_strdup(text);
    }
    const char *ellipsis = utf8 ? "…" : "~";
    const char *end = text;
    for (int used = 0; *end != '\0'; end = cli_text_next(end)) {
        used += char_width(g_utf8_get_char(end));
        if (used > width - 1) {
            break;
        }
    }
    g_autofree char *head = g_strndup(text, (gsize)(end - text));

    return g_strconcat(head, width > 0 ? ellipsis : "", NULL);
}

typedef unsigned Costs[DISTANCE_MAX_LENGTH + 1][DISTANCE_MAX_LENGTH + 1];

/* Cheapest way from the first i characters of a to the first j of b. */
static unsigned
edit_cost(Costs cost, const char *a, gsize i, const char *b, gsize j)
{
    if (i == 0 || j == 0) {
        return (unsigned)(i + j);
    }
    const unsigned kept = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
    const unsigned best = MIN(kept, MIN(cost[i - 1][j], cost[i][j - 1]) + 1);
    if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        return MIN(best, cost[i - 2][j - 2] + 1);
    }
    return best;
}

unsigned
cli_text_distance(const char *a, const char *b)
{
    const gsize n_a = strlen(a);
    const gsize n_b = strlen(b);
    Costs cost;

    if (n_a > DISTANCE_MAX_LENGTH || n_b > DISTANCE_MAX_LENGTH) {
        return G_MAXUINT;
    }
    for (gsize i = 0; i <= n_a; i++) {
        for (gsize j = 0; j <= n_b; j++) {
            cost[i][j] = edit_cost(cost, a, i, b, j);
        }
    }
    return cost[n_a][n_b];
}

const char *
cli_text_nearest(const char *typed, const char *const *words)
{
    const char *nearest = NULL;
    unsigned best = G_MAXUINT;

    for (gsize i = 0; words[i] != NULL; i++) {
        const unsigned distance = g_str_has_prefix(words[i], typed) && typed[0] != '\0'
                                      ? 1
                                      : cli_text_distance(typed, words[i]);
        if (distance < best) {
            best = distance;
            nearest = words[i];
        }
    }
    /* At most half of the word is wrong. */
    return best <= 3 && best <= strlen(typed) / 2 ? nearest : NULL;
}

void
cli_text_append_wrapped(GString *out, const char *text, int width, int indent, int hang, bool utf8)
{
    g_autofree char *escaped = cli_text_escape(text, utf8);
    g_auto(GStrv) words = g_strsplit(escaped, " ", -1);
    int used = 0;

    for (gsize i = 0; words[i] != NULL; i++) {
        const int needed = cli_text_width(words[i]);
        if (used > 0 && used + 1 + needed <= width) {
            g_string_append_c(out, ' ');
            used += 1 + needed;
        } else {
            const int margin = used > 0 ? hang : indent;
            g_string_append_printf(out, "%s%*s", used > 0 ? "\n" : "", margin, "");
            used = margin + needed;
        }
        g_string_append(out, words[i]);
    }
    g_string_append_c(out, '\n');
}
