/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides from /metadata how a server is written to. A server that does not say that it can
 * do something is taken not to.
 */
#include "sync/fhir_capability.h"

#include "sync/error.h"
#include "sync/fhir_json.h"

#include <string.h>

static const char *const types[] = { "Procedure", "Device", "Observation", "Provenance" };

static JsonObject *
find_named(JsonArray *array, const char *key, const char *name)
{
    for (guint i = 0; array != NULL && i < json_array_get_length(array); i++) {
        JsonObject *item = fhir_json_at(array, i);
        if (item != NULL && g_strcmp0(fhir_json_find_text(item, key), name) == 0) {
            return item;
        }
    }
    return NULL;
}

static bool
is_true(JsonObject *object, const char *path)
{
    JsonNode *node = fhir_json_find(object, path);

    return node != NULL && JSON_NODE_HOLDS_VALUE(node) &&
           json_node_get_value_type(node) == G_TYPE_BOOLEAN && json_node_get_boolean(node);
}

static bool
can(JsonObject *resource, const char *interaction)
{
    return find_named(fhir_json_find_array(resource, "interaction"), "code", interaction) != NULL;
}

static bool
searches(JsonArray *resources, const char *type, const char *parameter)
{
    JsonObject *resource = find_named(resources, "type", type);
    JsonArray *parameters = resource == NULL ? NULL : fhir_json_find_array(resource, "searchParam");

    return find_named(parameters, "name", parameter) != NULL;
}

typedef struct {
    bool puts;
    bool creates_once;
    bool finds;
    bool has_versions;
} Means;

static bool
read_types(JsonArray *resources, Means *means, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        JsonObject *resource = find_named(resources, "type", types[i]);
        /* Provenance has no identifier to search by (clinic-domain.md D3). */
        const bool is_origin = strcmp(types[i], "Provenance") == 0;
        if (resource == NULL || !can(resource, "read") ||
            (!can(resource, "create") && !can(resource, "update"))) {
            g_set_error(
                error, SYNC_ERROR, SYNC_ERROR_FOREIGN, "the server does not take a %s", types[i]);
            return false;
        }
        means->puts = means->puts && can(resource, "update") && is_true(resource, "updateCreate");
        means->creates_once = means->creates_once && can(resource, "create") &&
                              (is_origin || is_true(resource, "conditionalCreate"));
        means->finds = means->finds && can(resource, "create") &&
                       searches(resources, types[i], is_origin ? "target" : "identifier");
        means->has_versions =
            means->has_versions &&
            g_strcmp0(fhir_json_find_text(resource, "versioning"), "no-version") != 0;
    }
    return true;
}

static bool
check_version(JsonObject *statement, GError **error)
{
    const char *version = fhir_json_find_text(statement, "fhirVersion");

    if (version == NULL || !g_str_has_prefix(version, "4.0")) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_FOREIGN,
                    "the server speaks FHIR %.20s, not R4 (4.0.1); give the base URL of its R4 "
                    "endpoint",
                    version == NULL ? "of no version" : version);
        return false;
    }
    return true;
}

bool
fhir_capability_read(JsonObject *statement, FhirCapability *out, GError **error)
{
    if (!check_version(statement, error)) {
        return false;
    }
    JsonArray *resources = fhir_json_find_array(statement, "rest.0.resource");
    Means means = { .puts = true, .creates_once = true, .finds = true, .has_versions = true };
    if (!read_types(resources, &means, error)) {
        return false;
    }
    /* Even with conditional creates what exists is found by search, to be updated. */
    if (!means.puts && !means.finds) {
        g_set_error_literal(error,
                            SYNC_ERROR,
                            SYNC_ERROR_FOREIGN,
                            "the server neither takes our ids (updateCreate) nor finds resources "
                            "by identifier; ask its operator for one of the two");
        return false;
    }
    out->mode = means.puts           ? FHIR_MODE_PUT
                : means.creates_once ? FHIR_MODE_CONDITIONAL
                                     : FHIR_MODE_SEARCH;
    out->has_versions = means.has_versions;
    out->has_transaction =
        find_named(fhir_json_find_array(statement, "rest.0.interaction"), "code", "transaction") !=
        NULL;
    out->searches_parts = searches(resources, "Observation", "part-of");
    out->searches_origin = searches(resources, "Provenance", "target");
    return true;
}

const char *
fhir_capability_describe(const FhirCapability *self)
{
    switch (self->mode) {
    case FHIR_MODE_PUT:
        return self->has_transaction ? "PUT by id in transactions" : "PUT by id";
    case FHIR_MODE_CONDITIONAL:
        return "conditional create";
    case FHIR_MODE_SEARCH:
        return "search, then create";
    }
    return "";
}
