/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Arguments as any client may pass them: a dictionary of whatever variants, and texts. The
 * first byte says which. What is accepted has known keys of known types and lengths.
 */
#include "fuzz.h"
#include "service/arguments.h"
#include "util/error.h"

#include <string.h>

static const PdServiceOption known[] = {
    { "pen", "s" }, { "since", "x" }, { "text", "s" }, { "pass", "u" }, { "force", "b" },
};

static void
check_refusal(bool is_fine, GError *error)
{
    FUZZ_REQUIRE(is_fine == (error == NULL));
    if (error != NULL) {
        FUZZ_REQUIRE(error->domain == PD_ERROR && error->code == PD_ERROR_INVALID_ARGUMENT);
        FUZZ_REQUIRE(g_utf8_validate(error->message, -1, NULL));
        FUZZ_REQUIRE(strlen(error->message) < 4096);
        g_error_free(error);
    }
}

static void
check_value(const char *key, GVariant *value)
{
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (strcmp(known[i].key, key) == 0) {
            FUZZ_REQUIRE(strcmp(g_variant_get_type_string(value), known[i].type) == 0);
            FUZZ_REQUIRE(known[i].type[0] != 's' ||
                         strlen(g_variant_get_string(value, NULL)) <= PD_SERVICE_TEXT_MAX);
            return;
        }
    }
    FUZZ_REQUIRE(false);
}

/* GDBus hands out normal forms only. */
static void
try_options(const uint8_t *data, size_t n_data)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, n_data);
    g_autoptr(GVariant) raw =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE("a{sv}"), bytes, FALSE));
    g_autoptr(GVariant) options = g_variant_get_normal_form(raw);
    GError *error = NULL;
    const bool is_fine =
        pd_service_arguments_check_options(options, known, G_N_ELEMENTS(known), &error);
    GVariantIter iter;
    const char *key = NULL;
    GVariant *value = NULL;

    check_refusal(is_fine, error);
    g_variant_iter_init(&iter, options);
    while (is_fine && g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        check_value(key, value);
        g_variant_unref(value);
    }
}

static void
try_text(const char *text)
{
    GError *error = NULL;
    uint64_t before_seq = 0;

    g_autofree char *id = pd_service_arguments_dup_session_id(text, &error);
    check_refusal(id != NULL, error);
    FUZZ_REQUIRE(id == NULL || (strlen(id) >= 4 && strlen(id) <= 36 &&
                                strspn(id, "0123456789abcdef-") == strlen(id)));
    error = NULL;
    const bool is_cursor = pd_service_arguments_parse_cursor(text, &before_seq, &error);
    check_refusal(is_cursor, error);
    if (is_cursor && text[0] != '\0') {
        g_autofree char *again = pd_service_arguments_dup_cursor(before_seq);
        uint64_t back = 0;
        FUZZ_REQUIRE(pd_service_arguments_parse_cursor(again, &back, NULL) && back == before_seq);
    }
    error = NULL;
    const bool is_state = pd_service_arguments_check_state(text, &error);
    check_refusal(is_state, error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data)
{
    if (n_data == 0) {
        return 0;
    }
    if (data[0] % 2u == 0) {
        try_options(data + 1, n_data - 1);
        return 0;
    }
    g_autofree char *text = g_strndup((const char *)data + 1, n_data - 1);
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    try_text(valid);
    return 0;
}
