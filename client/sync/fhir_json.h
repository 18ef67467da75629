/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

/* JSON as FHIR wants it, and JSON of a server that may be anything. */

/**
 * Parse one object.
 *
 * Owns: the caller's. Errors: G_IO_ERROR_INVALID_DATA: no JSON, no object, or nested deeper
 * than any FHIR resource (the parser recurses, so that is checked before).
 */
JsonObject *fhir_json_parse(const char *text, gsize n_bytes, GError **error);

/** Compact text with decimals as short as they are exact. Owns: the caller's. */
char *fhir_json_print(JsonObject *object);

/**
 * Value at a path such as "code.coding.0.system"; NULL when anything on the way is not there
 * or of another shape. Owns: borrowed from @object.
 */
JsonNode *fhir_json_find(JsonObject *object, const char *path);

/** Text at a path, NULL when there is none. Owns: borrowed. */
const char *fhir_json_find_text(JsonObject *object, const char *path);

/** Object or array at a path, NULL when there is none. Owns: borrowed. */
JsonObject *fhir_json_find_object(JsonObject *object, const char *path);
JsonArray *fhir_json_find_array(JsonObject *object, const char *path);

/** Integer at a path, @fallback when there is none. */
int64_t fhir_json_find_int(JsonObject *object, const char *path, int64_t fallback);

/** Element of an array when it is an object, else NULL. Owns: borrowed. */
JsonObject *fhir_json_at(JsonArray *array, guint index);

/** Deep copy. Owns: the caller's. */
JsonObject *fhir_json_copy(JsonObject *object);

/** True when both say the same, whatever the order of members or form of numbers. */
bool fhir_json_equal(JsonNode *a, JsonNode *b);

/**
 * Add text as a FHIR string: control characters become spaces, the ends are trimmed; nothing
 * is added when @text is NULL or blank, as FHIR has no empty string.
 */
void fhir_json_add_text(JsonObject *object, const char *key, const char *text);

/** Add a time with milliseconds, nothing when it has none. */
void fhir_json_add_time(JsonObject *object, const char *key, int64_t wall_us);

/** Add @member, or an array of it alone. Owns: takes @member; NULL adds nothing. */
void fhir_json_add(JsonObject *object, const char *key, JsonObject *member);
void fhir_json_add_alone(JsonObject *object, const char *key, JsonObject *member);

/** Append to the array @key, which is made when it is not there. Owns: takes @member. */
void fhir_json_append(JsonObject *object, const char *key, JsonObject *member);
