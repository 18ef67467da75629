/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides whether what a client passed means something, and if not, what to tell its
 * user. Whether the thing meant exists is for the store and the pens to say.
 */
#include "service/arguments.h"

#include "util/error.h"

#include <string.h>

#define UUID_LENGTH   36u
#define ID_DIGITS_MIN 4u
#define CURSOR_PREFIX "s"

static const struct {
    const char *type;
    const char *words;
} type_words[] = {
    { "s", "a string" },
    { "b", "a boolean" },
    { "u", "an unsigned 32-bit integer" },
    { "x", "a signed 64-bit integer, microseconds since 1970 UTC" },
};

static const char *
words_of_type(const char *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(type_words); i++) {
        if (g_str_equal(type_words[i].type, type)) {
            return type_words[i].words;
        }
    }
    return type;
}

static const PdServiceOption *
find_option(const PdServiceOption *known, size_t n_known, const char *key)
{
    for (size_t i = 0; i < n_known; i++) {
        if (g_str_equal(known[i].key, key)) {
            return &known[i];
        }
    }
    return NULL;
}

static void
refuse_key(const char *key, const PdServiceOption *known, size_t n_known, GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);
    g_autofree char *shown = g_strndup(key, 64);
    g_autofree char *valid = g_utf8_make_valid(shown, -1);

    for (size_t i = 0; i < n_known; i++) {
        g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", known[i].key);
    }
    g_set_error(error,
                PD_ERROR,
                PD_ERROR_INVALID_ARGUMENT,
                "unknown key '%s'; pass any of: %s",
                valid,
                names->str);
}

bool
pd_service_arguments_check_text(const char *name, const char *text, GError **error)
{
    if (strlen(text) > PD_SERVICE_TEXT_MAX) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "'%s' is too long; pass at most %u bytes",
                    name,
                    PD_SERVICE_TEXT_MAX);
        return false;
    }
    return true;
}

bool
pd_service_arguments_check_options(GVariant *options,
                                   const PdServiceOption *known,
                                   size_t n_known,
                                   GError **error)
{
    GVariantIter iter;
    const char *key = NULL;
    GVariant *next = NULL;

    g_variant_iter_init(&iter, options);
    while (g_variant_iter_next(&iter, "{&sv}", &key, &next)) {
        g_autoptr(GVariant) value = next;
        const PdServiceOption *option = find_option(known, n_known, key);

        if (option == NULL) {
            refuse_key(key, known, n_known, error);
            return false;
        }
        if (!g_str_equal(g_variant_get_type_string(value), option->type)) {
            g_set_error(error,
                        PD_ERROR,
                        PD_ERROR_INVALID_ARGUMENT,
                        "'%s' is of type '%s'; pass %s ('%s')",
                        key,
                        g_variant_get_type_string(value),
                        words_of_type(option->type),
                        option->type);
            return false;
        }
        if (option->type[0] == 's' &&
            !pd_service_arguments_check_text(key, g_variant_get_string(value, NULL), error)) {
            return false;
        }
    }
    return true;
}

/* Hyphens where a UUID has them, so that a prefix compares as text. */
static bool
is_id_prefix(const char *text, size_t n_chars)
{
    for (size_t i = 0; i < n_chars; i++) {
        const bool wants_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (wants_hyphen ? text[i] != '-' : !g_ascii_isxdigit(text[i])) {
            return false;
        }
    }
    return true;
}

char *
pd_service_arguments_dup_session_id(const char *text, GError **error)
{
    const size_t n_chars = strlen(text);

    if (n_chars < ID_DIGITS_MIN || n_chars > UUID_LENGTH || !is_id_prefix(text, n_chars)) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "not a session id; pass a UUID or at least %u leading digits of one",
                    ID_DIGITS_MIN);
        return NULL;
    }
    return g_ascii_strdown(text, -1);
}

bool
pd_service_arguments_parse_cursor(const char *cursor, uint64_t *before_seq_out, GError **error)
{
    guint64 seq = 0;

    if (cursor[0] == '\0') {
        *before_seq_out = 0;
        return true;
    }
    if (!g_str_has_prefix(cursor, CURSOR_PREFIX) ||
        !g_ascii_string_to_unsigned(
            cursor + strlen(CURSOR_PREFIX), 10, 1, G_MAXINT64, &seq, NULL)) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "not a cursor; pass \"\" to begin, else 'next' of the last reply");
        return false;
    }
    *before_seq_out = seq;
    return true;
}

char *
pd_service_arguments_dup_cursor(uint64_t seq)
{
    return g_strdup_printf(CURSOR_PREFIX "%" G_GUINT64_FORMAT, seq);
}

bool
pd_service_arguments_check_state(const char *state, GError **error)
{
    static const char *const states[] = { "live",  "open",      "partial", "complete",
                                          "lossy", "closed-by", "erased",  NULL };

    if (!g_strv_contains(states, state)) {
        g_set_error(
            error,
            PD_ERROR,
            PD_ERROR_INVALID_ARGUMENT,
            "no such state; pass live, open, partial, complete, lossy, closed-by or erased");
        return false;
    }
    return true;
}
