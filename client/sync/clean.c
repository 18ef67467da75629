/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what of a server's words may be shown. Servers quote what they were sent, so that
 * whatever people said about a patient comes back in an error.
 */
#include "sync/clean.h"

#include "lib/dict.h"
#include "lib/text.h"

#include <string.h>

#define MARK "..."

#define N_INNER_MIN     4u /* bytes of a word that is found inside others */
#define N_CHARACTER_MAX 6u

static void
add_word(GPtrArray *words, const char *word)
{
    if (word != NULL && word[0] != '\0') {
        g_ptr_array_add(words, g_strdup(word));
    }
}

static void
add_zones(GPtrArray *words, GVariant *state)
{
    g_autoptr(GVariant) zones = cli_dict_get(state, "zones", "as");
    g_autoptr(GVariant) passes = cli_dict_get(state, "passes", "aa{sv}");
    const gsize n_zones = zones != NULL ? g_variant_n_children(zones) : 0;
    const gsize n_passes = passes != NULL ? g_variant_n_children(passes) : 0;

    for (gsize i = 0; i < n_zones; i++) {
        const char *zone = NULL;
        g_variant_get_child(zones, i, "&s", &zone);
        add_word(words, zone);
    }
    for (gsize i = 0; i < n_passes; i++) {
        g_autoptr(GVariant) pass = g_variant_get_child_value(passes, i);
        add_word(words, cli_dict_get_text(pass, "zone"));
    }
}

static int
compare_lengths(gconstpointer a, gconstpointer b)
{
    const gsize n_a = strlen(*(const char *const *)a);
    const gsize n_b = strlen(*(const char *const *)b);

    return n_a < n_b ? 1 : (n_a > n_b ? -1 : 0);
}

/* The longest first: one may hold another. */
static GPtrArray *
list_words(const SyncDelivery *const *deliveries, guint n_deliveries)
{
    static const char *const fields[] = {
        "patient", "operator", "note", "reaction", "order", "closed_reason",
    };
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < n_deliveries; i++) {
        GVariant *state = deliveries[i]->state;
        for (gsize k = 0; state != NULL && k < G_N_ELEMENTS(fields); k++) {
            add_word(words, cli_dict_get_text(state, fields[k]));
        }
        if (state != NULL) {
            add_zones(words, state);
        }
    }
    g_ptr_array_sort(words, compare_lengths);
    return words;
}

/* A short word of ASCII is a part of many others; elsewhere words need not be apart. */
static bool
stands_alone(const char *word, const char *text, const char *at)
{
    const gsize n = strlen(word);

    if (n >= N_INNER_MIN || !g_str_is_ascii(word)) {
        return true;
    }
    return (at == text || !g_ascii_isalnum(at[-1])) && !g_ascii_isalnum(at[n]);
}

/* Length of the word that stands at @at, 0 when none does. */
static gsize
match(const GPtrArray *words, const char *text, const char *at)
{
    for (guint i = 0; i < words->len; i++) {
        const char *word = words->pdata[i];
        if (g_str_has_prefix(at, word) && stands_alone(word, text, at)) {
            return strlen(word);
        }
    }
    return 0;
}

/* No more than will be shown: what is escaped does not become shorter. */
static char *
redact(const GPtrArray *words, const char *text, gsize n_bytes_max)
{
    GString *out = g_string_new(NULL);

    for (const char *at = text; *at != '\0' && out->len <= n_bytes_max + N_CHARACTER_MAX;) {
        const gsize n = match(words, text, at);
        if (n > 0) {
            g_string_append(out, MARK);
            at += n;
        } else {
            g_string_append_c(out, *at++);
        }
    }
    return g_string_free(out, FALSE);
}

static void
cut_at_character(char *text, gsize n_bytes_max)
{
    if (strlen(text) <= n_bytes_max) {
        return;
    }
    char *end = text + n_bytes_max - strlen(MARK);
    while (end > text && ((guchar)*end & 0xc0) == 0x80) {
        end--;
    }
    memcpy(end, MARK, sizeof MARK);
}

char *
sync_clean_words(const SyncDelivery *const *deliveries,
                 guint n_deliveries,
                 const char *text,
                 gsize n_bytes_max)
{
    g_autoptr(GPtrArray) words = list_words(deliveries, n_deliveries);
    g_autofree char *redacted = redact(words, text, n_bytes_max);
    char *escaped = cli_text_escape(redacted, true);

    cut_at_character(escaped, n_bytes_max);
    return escaped;
}

bool
sync_clean_error(bool is_good, GError **error)
{
    if (!is_good && error != NULL && *error != NULL) {
        char *words = sync_clean_words(NULL, 0, (*error)->message, SYNC_WORDS_MAX);
        g_free((*error)->message);
        (*error)->message = words;
    }
    return is_good;
}
