/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides how things are called on a FHIR server, and reads what a clinic calls them.
 */
#include "sync/fhir_codes.h"

#include "sync/fhir_json.h"

#include <string.h>

struct FhirCodes {
    GKeyFile *map; /* owned; [code] and [zone] */
};

static const struct {
    const char *code;
    const char *text;
} own_codes[] = {
    { "microneedling", "Microneedling" },
    { "zone", "Microneedling of a zone" },
    { "passes", "Passes" },
    { "contact-time", "Time with the needles in contact" },
    { "elapsed-time", "Time that the passes took" },
    { "depth-min", "Least needle depth" },
    { "depth-mean", "Mean needle depth, weighted by time" },
    { "depth-max", "Greatest needle depth" },
    { "stroke-rate", "Mean stroke rate in contact" },
    { "punctures", "Punctures, estimated" },
    { "cartridge", "Needle cartridge" },
    { "needles", "Number of needles" },
    { "reaction", "Reaction of the skin" },
};

static const char *
text_of(const char *code)
{
    for (gsize i = 0; i < G_N_ELEMENTS(own_codes); i++) {
        if (strcmp(own_codes[i].code, code) == 0) {
            return own_codes[i].text;
        }
    }
    return NULL;
}

static bool
check_value(const char *group, const char *key, const char *value, GError **error)
{
    g_auto(GStrv) codes = g_strsplit(value, ";", -1);

    for (char **code = codes; *code != NULL; code++) {
        g_auto(GStrv) parts = g_strsplit(*code, "|", 3);
        if (g_strv_length(parts) != 3 || strchr(g_strstrip(parts[0]), ':') == NULL ||
            *g_strstrip(parts[1]) == '\0' || strpbrk(parts[1], " \t") != NULL) {
            g_set_error(error,
                        G_KEY_FILE_ERROR,
                        G_KEY_FILE_ERROR_INVALID_VALUE,
                        "[%s] %s: not SYSTEM|CODE|DISPLAY with the URI of a code system",
                        group,
                        key);
            return false;
        }
    }
    return true;
}

static bool
check_group(GKeyFile *map, const char *group, GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(map, group, NULL, NULL);

    for (char **key = keys; key != NULL && *key != NULL; key++) {
        g_autofree char *value = g_key_file_get_string(map, group, *key, NULL);
        if (strcmp(group, "code") == 0 && text_of(*key) == NULL) {
            g_set_error(error,
                        G_KEY_FILE_ERROR,
                        G_KEY_FILE_ERROR_KEY_NOT_FOUND,
                        "[code] %s: no code of ours; see pentel-sync-fhir(5)",
                        *key);
            return false;
        }
        if (value == NULL || !check_value(group, *key, value, error)) {
            return false;
        }
    }
    return true;
}

static bool
check_map(GKeyFile *map, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(map, NULL);

    for (char **group = groups; *group != NULL; group++) {
        if (strcmp(*group, "code") != 0 && strcmp(*group, "zone") != 0) {
            g_set_error(error,
                        G_KEY_FILE_ERROR,
                        G_KEY_FILE_ERROR_GROUP_NOT_FOUND,
                        "[%s]: no such group; there are [code] and [zone]",
                        *group);
            return false;
        }
        if (!check_group(map, *group, error)) {
            return false;
        }
    }
    return true;
}

FhirCodes *
fhir_codes_load(const char *path, GError **error)
{
    g_autoptr(FhirCodes) self = g_new0(FhirCodes, 1);

    self->map = g_key_file_new();
    if (path != NULL && (!g_key_file_load_from_file(self->map, path, G_KEY_FILE_NONE, error) ||
                         !check_map(self->map, error))) {
        return NULL;
    }
    return g_steal_pointer(&self);
}

void
fhir_codes_free(FhirCodes *self)
{
    if (self != NULL) {
        g_key_file_unref(self->map);
        g_free(self);
    }
}

JsonObject *
fhir_coding_new(const char *system, const char *code, const char *display)
{
    JsonObject *coding = json_object_new();

    fhir_json_add_text(coding, "system", system);
    fhir_json_add_text(coding, "code", code);
    fhir_json_add_text(coding, "display", display);
    return coding;
}

static void
add_mapped(const FhirCodes *self, JsonObject *concept, const char *group, const char *key)
{
    g_autofree char *value = g_key_file_get_string(self->map, group, key, NULL);

    if (value == NULL) {
        return;
    }
    g_auto(GStrv) codes = g_strsplit(value, ";", -1);
    for (char **code = codes; *code != NULL; code++) {
        g_auto(GStrv) parts = g_strsplit(*code, "|", 3);
        fhir_json_append(concept, "coding", fhir_coding_new(parts[0], parts[1], parts[2]));
    }
}

JsonObject *
fhir_concept_new(const char *system, const char *code, const char *display)
{
    JsonObject *concept = json_object_new();

    fhir_json_append(concept, "coding", fhir_coding_new(system, code, display));
    fhir_json_add_text(concept, "text", display);
    return concept;
}

JsonObject *
fhir_codes_concept(const FhirCodes *self, const char *code)
{
    JsonObject *concept = json_object_new();

    fhir_json_append(concept, "coding", fhir_coding_new(FHIR_CODE_SYSTEM, code, text_of(code)));
    add_mapped(self, concept, "code", code);
    fhir_json_add_text(concept, "text", text_of(code));
    return concept;
}

JsonObject *
fhir_codes_zone(const FhirCodes *self, const char *zone)
{
    JsonObject *concept = json_object_new();
    g_autofree char *key = g_utf8_strdown(zone, -1);

    /* A key file has no key with these; such a zone has no code. */
    if (strpbrk(key, "=[]\n") == NULL) {
        add_mapped(self, concept, "zone", key);
    }
    fhir_json_add_text(concept, "text", zone);
    return concept;
}

JsonObject *
fhir_quantity_new(double value, const char *unit, const char *ucum)
{
    JsonObject *quantity = json_object_new();

    json_object_set_double_member(quantity, "value", value);
    fhir_json_add_text(quantity, "unit", unit);
    fhir_json_add_text(quantity, "system", "http://unitsofmeasure.org");
    fhir_json_add_text(quantity, "code", ucum);
    return quantity;
}

JsonObject *
fhir_identifier_new(const char *system, const char *value)
{
    JsonObject *identifier = json_object_new();

    fhir_json_add_text(identifier, "system", system);
    fhir_json_add_text(identifier, "value", value);
    return identifier;
}

JsonObject *
fhir_uuid_identifier_new(const char *uuid)
{
    g_autofree char *urn = g_strconcat("urn:uuid:", uuid, NULL);

    return fhir_identifier_new(FHIR_URI_SYSTEM, urn);
}

JsonObject *
fhir_reference_new(const char *type, const char *id)
{
    JsonObject *reference = json_object_new();
    g_autofree char *text = g_strconcat(type, "/", id, NULL);

    fhir_json_add_text(reference, "reference", text);
    return reference;
}

JsonObject *
fhir_extension_new(const char *name)
{
    JsonObject *extension = json_object_new();

    fhir_json_add_text(extension, "url", name);
    return extension;
}

JsonObject *
fhir_extension_new_text(const char *name, const char *key, const char *text)
{
    JsonObject *extension = fhir_extension_new(name);

    fhir_json_add_text(extension, key, text);
    return extension;
}

JsonObject *
fhir_extension_find(JsonObject *resource, const char *name)
{
    JsonArray *extensions = fhir_json_find_array(resource, "extension");

    for (guint i = 0; extensions != NULL && i < json_array_get_length(extensions); i++) {
        JsonObject *extension = fhir_json_at(extensions, i);
        if (g_strcmp0(fhir_json_find_text(extension, "url"), name) == 0) {
            return extension;
        }
    }
    return NULL;
}

bool
fhir_codes_is_ours(JsonObject *resource)
{
    JsonArray *codings = fhir_json_find_array(resource, "code.coding");

    for (guint i = 0; codings != NULL && i < json_array_get_length(codings); i++) {
        const char *system = fhir_json_find_text(fhir_json_at(codings, i), "system");
        if (g_strcmp0(system, FHIR_CODE_SYSTEM) == 0) {
            return true;
        }
    }
    return false;
}
