/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Finds out what a server has. Only what carries our identifiers and codes is ours.
 */
#include "sync/fhir_find.h"

#include "sync/fhir_json.h"
#include "sync/fhir_outcome.h"

#include <string.h>

#define UUID_URN "urn:uuid:"

char *
fhir_find_uuid(JsonObject *resource)
{
    JsonArray *identifiers = fhir_json_find_array(resource, "identifier");

    for (guint i = 0; identifiers != NULL && i < json_array_get_length(identifiers); i++) {
        JsonObject *identifier = fhir_json_at(identifiers, i);
        const char *system = fhir_json_find_text(identifier, "system");
        const char *value = fhir_json_find_text(identifier, "value");
        if (g_strcmp0(system, FHIR_URI_SYSTEM) == 0 && value != NULL &&
            g_str_has_prefix(value, UUID_URN) && g_uuid_string_is_valid(value + strlen(UUID_URN))) {
            return g_strdup(value + strlen(UUID_URN));
        }
    }
    return NULL;
}

char *
fhir_find_version(JsonObject *resource)
{
    const char *version = fhir_json_find_text(resource, "meta.versionId");

    /* It goes into a header: an id and nothing else. */
    if (version == NULL || version[0] == '\0' ||
        version[strspn(version, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-._")] != '\0') {
        return NULL;
    }
    return g_strdup_printf("W/\"%s\"", version);
}

/* Matches of a searchset, without outcomes and included resources. */
static GPtrArray *
matches_of(JsonObject *bundle, const char *type)
{
    GPtrArray *matches = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
    JsonArray *entries = fhir_json_find_array(bundle, "entry");

    for (guint i = 0; entries != NULL && i < json_array_get_length(entries); i++) {
        JsonObject *resource = fhir_json_find_object(fhir_json_at(entries, i), "resource");
        if (resource != NULL && fhir_json_find_text(resource, "id") != NULL &&
            g_strcmp0(fhir_json_find_text(resource, "resourceType"), type) == 0) {
            g_ptr_array_add(matches, json_object_ref(resource));
        }
    }
    return matches;
}

static GPtrArray *
search(FhirClient *client,
       const char *type,
       const char *query,
       GCancellable *cancellable,
       GError **error)
{
    g_autofree char *path = g_strdup_printf("%s?%s&_count=200", type, query);
    g_autoptr(JsonObject) bundle = fhir_client_get(client, path, cancellable, error);

    if (bundle == NULL) {
        return NULL;
    }
    if (g_strcmp0(fhir_json_find_text(bundle, "resourceType"), "Bundle") != 0) {
        g_set_error_literal(
            error, FHIR_ERROR, FHIR_ERROR_LATER, "the server answered a search with no Bundle");
        return NULL;
    }
    return matches_of(bundle, type);
}

static bool
has_identifier(JsonObject *resource, const char *system, const char *value)
{
    JsonArray *identifiers = fhir_json_find_array(resource, "identifier");

    for (guint i = 0; identifiers != NULL && i < json_array_get_length(identifiers); i++) {
        JsonObject *identifier = fhir_json_at(identifiers, i);
        if (g_strcmp0(fhir_json_find_text(identifier, "system"), system) == 0 &&
            g_strcmp0(fhir_json_find_text(identifier, "value"), value) == 0) {
            return true;
        }
    }
    return false;
}

/* A server may ignore what it does not know of a query, and answer with whatever it has: only
 * what carries the identifier is a match. */
static GPtrArray *
search_identifier(FhirClient *client,
                  const char *type,
                  const char *system,
                  const char *value,
                  GCancellable *cancellable,
                  GError **error)
{
    g_autofree char *escaped_system = g_uri_escape_string(system, NULL, FALSE);
    g_autofree char *escaped_value = g_uri_escape_string(value, NULL, FALSE);
    g_autofree char *query = g_strdup_printf("identifier=%s%%7C%s", escaped_system, escaped_value);

    GPtrArray *matches = search(client, type, query, cancellable, error);
    for (guint i = matches == NULL ? 0 : matches->len; i > 0; i--) {
        if (!has_identifier(matches->pdata[i - 1], system, value)) {
            g_ptr_array_remove_index(matches, i - 1);
        }
    }
    return matches;
}

static bool
find_by_id(FhirClient *client,
           const char *type,
           const char *id,
           JsonObject **found_out,
           GCancellable *cancellable,
           GError **error)
{
    g_autofree char *path = g_strconcat(type, "/", id, NULL);
    g_autoptr(GError) failure = NULL;

    *found_out = fhir_client_get(client, path, cancellable, &failure);
    if (*found_out != NULL || g_error_matches(failure, FHIR_ERROR, FHIR_ERROR_ABSENT)) {
        return true;
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}

bool
fhir_find(FhirClient *client,
          FhirIds *ids,
          const char *type,
          const char *id,
          JsonObject **found_out,
          GCancellable *cancellable,
          GError **error)
{
    const char *server_id = fhir_ids_find(ids, type, id);

    *found_out = NULL;
    if (fhir_client_get_capability(client)->mode == FHIR_MODE_PUT || server_id != NULL) {
        return find_by_id(
            client, type, server_id != NULL ? server_id : id, found_out, cancellable, error);
    }
    g_autofree char *urn = g_strconcat(UUID_URN, id, NULL);
    g_autoptr(GPtrArray) matches =
        search_identifier(client, type, FHIR_URI_SYSTEM, urn, cancellable, error);
    if (matches == NULL) {
        return false;
    }
    if (matches->len > 1) {
        g_set_error(error,
                    FHIR_ERROR,
                    FHIR_ERROR_REJECTED,
                    "the server has %u resources %s with the identifier %s; merge them there",
                    matches->len,
                    type,
                    urn);
        return false;
    }
    if (matches->len == 1) {
        *found_out = json_object_ref(matches->pdata[0]);
        fhir_ids_set(ids, type, id, fhir_json_find_text(*found_out, "id"));
    }
    return true;
}

GPtrArray *
fhir_find_observations(FhirClient *client,
                       FhirIds *ids,
                       const char *session,
                       GCancellable *cancellable,
                       GError **error)
{
    const char *server_id = fhir_ids_find(ids, "Procedure", session);
    g_autofree char *query =
        g_strdup_printf("part-of=Procedure/%s", server_id != NULL ? server_id : session);
    GPtrArray *observations = NULL;

    if (!fhir_client_get_capability(client)->searches_parts) {
        return g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
    }
    observations = search(client, "Observation", query, cancellable, error);
    for (guint i = observations == NULL ? 0 : observations->len; i > 0; i--) {
        JsonObject *observation = observations->pdata[i - 1];
        g_autofree char *uuid = fhir_find_uuid(observation);
        if (uuid == NULL || !fhir_codes_is_ours(observation)) {
            g_ptr_array_remove_index(observations, i - 1);
        } else if (fhir_client_get_capability(client)->mode != FHIR_MODE_PUT) {
            fhir_ids_set(ids, "Observation", uuid, fhir_json_find_text(observation, "id"));
        }
    }
    return observations;
}

static bool
is_same_origin(JsonObject *a, JsonObject *b)
{
    const char *const paths[] = { "agent.0.who.identifier.value",
                                  "entity.0.what.identifier.value" };

    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        const char *text = fhir_json_find_text(a, paths[i]);
        if (text == NULL || g_strcmp0(text, fhir_json_find_text(b, paths[i])) != 0) {
            return false;
        }
    }
    return true;
}

bool
fhir_find_provenance(FhirClient *client,
                     FhirIds *ids,
                     const FhirResource *provenance,
                     const char *session,
                     bool *found_out,
                     GCancellable *cancellable,
                     GError **error)
{
    const FhirCapability *capability = fhir_client_get_capability(client);
    const char *server_id = fhir_ids_find(ids, "Procedure", session);
    g_autofree char *query =
        g_strdup_printf("target=Procedure/%s", server_id != NULL ? server_id : session);

    *found_out = false;
    if (capability->mode == FHIR_MODE_PUT) {
        g_autoptr(JsonObject) found = NULL;
        const bool is_good =
            find_by_id(client, provenance->type, provenance->id, &found, cancellable, error);
        *found_out = found != NULL;
        return is_good;
    }
    g_autoptr(GPtrArray) all = search(client, "Provenance", query, cancellable, error);
    for (guint i = 0; all != NULL && i < all->len; i++) {
        *found_out = *found_out || is_same_origin(all->pdata[i], provenance->json);
    }
    return all != NULL;
}

JsonObject *
fhir_find_patient(FhirClient *client,
                  const char *system,
                  const char *patient,
                  GCancellable *cancellable,
                  GError **error)
{
    g_autoptr(GPtrArray) matches =
        search_identifier(client, "Patient", system, patient, cancellable, error);

    if (matches == NULL) {
        return NULL;
    }
    if (matches->len != 1) {
        g_set_error(error,
                    FHIR_ERROR,
                    FHIR_ERROR_REJECTED,
                    "%s has this session's patient reference as its identifier of %s; correct the "
                    "reference with: pentelctl annotate, or the patient on the server",
                    matches->len == 0 ? "no Patient" : "more than one Patient",
                    system);
        return NULL;
    }
    return fhir_reference_new("Patient", fhir_json_find_text(matches->pdata[0], "id"));
}
