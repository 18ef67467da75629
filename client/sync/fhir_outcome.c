/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what a status means, and that an answer is believed only when each part of it says
 * that it went well.
 */
#include "sync/fhir_outcome.h"

#include "sync/fhir_json.h"

#include <string.h>

#define TEXT_ENOUGH_BYTES 300u /* of issues, before no more are added */

G_DEFINE_QUARK(fhir - error - quark, fhir_error)

static FhirError
error_of_status(guint status)
{
    switch (status) {
    case 401:
    case 403:
        return FHIR_ERROR_ACCESS;
    case 404:
    case 410:
        return FHIR_ERROR_ABSENT;
    case 409:
    case 412:
        return FHIR_ERROR_CONFLICT;
    case 413:
        return FHIR_ERROR_TOO_LARGE;
    case 408:
    case 425:
    case 429:
        return FHIR_ERROR_LATER;
    default:
        break;
    }
    if (status >= 300 && status < 400) {
        return FHIR_ERROR_MOVED;
    }
    return status >= 400 && status < 500 ? FHIR_ERROR_REJECTED : FHIR_ERROR_LATER;
}

static void
append_issue(GString *text, JsonObject *issue)
{
    const char *words = fhir_json_find_text(issue, "details.text");
    const char *place = fhir_json_find_text(issue, "expression.0");

    if (words == NULL) {
        words = fhir_json_find_text(issue, "diagnostics");
    }
    if (words == NULL) {
        words = fhir_json_find_text(issue, "code");
    }
    if (words == NULL) {
        return;
    }
    g_string_append_printf(text, "%s%s", text->len > 0 ? "; " : "", words);
    if (place != NULL) {
        g_string_append_printf(text, " (%s)", place);
    }
}

char *
fhir_outcome_text(JsonObject *outcome)
{
    JsonArray *issues = fhir_json_find_array(outcome, "issue");
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; issues != NULL && i < json_array_get_length(issues); i++) {
        JsonObject *issue = fhir_json_at(issues, i);
        const char *severity = fhir_json_find_text(issue, "severity");
        const bool is_hint =
            g_strcmp0(severity, "information") == 0 || g_strcmp0(severity, "warning") == 0;
        if (issue != NULL && !is_hint && text->len < TEXT_ENOUGH_BYTES) {
            append_issue(text, issue);
        }
    }
    if (text->len == 0) {
        return NULL;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

bool
fhir_outcome_check_status(
    const char *doing, guint status, const char *body, gsize n_bytes, GError **error)
{
    if (status >= 200 && status < 300) {
        return true;
    }
    g_autoptr(JsonObject) outcome = fhir_json_parse(body, n_bytes, NULL);
    g_autofree char *words = outcome == NULL ? NULL : fhir_outcome_text(outcome);
    g_set_error(error,
                FHIR_ERROR,
                (gint)error_of_status(status),
                "%s: the server said %u%s%s",
                doing,
                status,
                words != NULL ? ": " : "",
                words != NULL ? words : "");
    return false;
}

static guint
status_of_entry(JsonObject *entry)
{
    const char *text = fhir_json_find_text(entry, "response.status");

    return text == NULL ? 0 : (guint)g_ascii_strtoull(text, NULL, 10);
}

static bool
check_entry(JsonObject *entry, guint place, GError **error)
{
    const guint status = entry == NULL ? 0 : status_of_entry(entry);

    if (status >= 200 && status < 300) {
        return true;
    }
    JsonObject *outcome = fhir_json_find_object(entry, "response.outcome");
    if (outcome == NULL) {
        outcome = fhir_json_find_object(entry, "resource");
    }
    g_autofree char *words = outcome == NULL ? NULL : fhir_outcome_text(outcome);
    g_set_error(error,
                FHIR_ERROR,
                status == 0 ? FHIR_ERROR_LATER : (gint)error_of_status(status),
                "entry %u: the server said %u%s%s",
                place,
                status,
                words != NULL ? ": " : "",
                words != NULL ? words : "");
    return false;
}

/* What cannot be cured by trying again comes first. */
static bool
is_worse(const GError *a, const GError *b)
{
    return b == NULL || (a->code == FHIR_ERROR_REJECTED && b->code != FHIR_ERROR_REJECTED);
}

bool
fhir_outcome_check_bundle(JsonObject *bundle, guint n_entries, GError **error)
{
    JsonArray *entries = fhir_json_find_array(bundle, "entry");
    const char *type = fhir_json_find_text(bundle, "resourceType");
    const guint n_answers = entries == NULL ? 0 : json_array_get_length(entries);
    g_autoptr(GError) worst = NULL;

    if (g_strcmp0(type, "Bundle") != 0 || n_answers != n_entries) {
        g_set_error(error,
                    FHIR_ERROR,
                    FHIR_ERROR_LATER,
                    "the server answered %u of %u entries",
                    n_answers,
                    n_entries);
        return false;
    }
    for (guint i = 0; i < n_entries; i++) {
        g_autoptr(GError) found = NULL;
        if (!check_entry(fhir_json_at(entries, i), i + 1, &found) && is_worse(found, worst)) {
            g_clear_error(&worst);
            worst = g_steal_pointer(&found);
        }
    }
    if (worst != NULL) {
        g_propagate_error(error, g_steal_pointer(&worst));
        return false;
    }
    return true;
}
