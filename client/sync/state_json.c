/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what of a file is a session's state: the keys that sinks read must have the types
 * of the bus, so that no sink meets one that penteld could not have sent.
 */
#include "sync/state_json.h"

#include "sync/error.h"
#include "sync/fhir_json.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

/* A session of a day has some ten thousand passes of twenty values. */
#define N_VALUES_MAX 500000u

static const struct {
    const char *key;
    /* That of the bus; ? for a whole number that is not negative, d also for one with decimals,
     * # for a whole one or a dictionary. */
    const char *type;
} known[] = {
    { "id", "s" },
    { "pen", "s" },
    { "started_at", "s" },
    { "ended_at", "s" },
    { "state", "s" },
    { "definition", "s" },
    { "end_cause", "s" },
    { "closed_reason", "s" },
    { "patient", "s" },
    { "operator", "s" },
    { "note", "s" },
    { "reaction", "s" },
    { "order", "s" },
    { "zone", "s" },
    { "log", "s" },
    { "at", "s" },
    { "lot", "s" },
    { "expiry", "s" },
    { "text", "s" },
    { "sha256", "s" },
    { "elapsed_ms", "?" },
    { "contact_ms", "?" },
    { "time_error_ms", "?" },
    { "pass_count", "?" },
    { "seq", "?" },
    { "index", "?" },
    { "first", "?" },
    { "last", "?" },
    { "min", "?" },
    { "median", "?" },
    { "p95", "?" },
    { "max", "?" },
    { "mean", "?" },
    { "needles", "?" },
    { "code", "?" },
    { "incomplete", "b" },
    { "depth_um", "#" },
    { "records", "a{sv}" },
    { "receipt", "a{sv}" },
    { "passes", "aa{sv}" },
    { "settings", "aa{sv}" },
    { "cartridges", "aa{sv}" },
    { "faults", "aa{sv}" },
    { "zones", "as" },
    { "missing", "a(uus)" },
    { "rate_hz", "d" },
    { "punctures_estimate", "?" },
    { "marked", "?" },
    { "marked_at", "s" },
    { "hold", "s" },
    { "continues", "?" },
};

char *
sync_state_to_json(GVariant *state)
{
    gsize length = 0;

    return state != NULL ? json_gvariant_serialize_data(state, &length) : g_strdup("null");
}

static const char *
find_type(const char *key)
{
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
        if (strcmp(known[i].key, key) == 0) {
            return known[i].type;
        }
    }
    return NULL;
}

static GVariant *
refuse(GError **error, const char *key, const char *why)
{
    g_set_error(error, SYNC_ERROR, SYNC_ERROR_DATA, "its state is damaged: %.40s %s", key, why);
    return NULL;
}

static GVariant *
read_scalar(JsonNode *node, const char *key, GError **error)
{
    const GType type = json_node_get_value_type(node);

    if (type == G_TYPE_STRING) {
        const char *text = json_node_get_string(node);
        return g_utf8_validate(text, -1, NULL) ? g_variant_new_string(text)
                                               : refuse(error, key, "is not UTF-8");
    }
    if (type == G_TYPE_BOOLEAN) {
        return g_variant_new_boolean(json_node_get_boolean(node));
    }
    if (type == G_TYPE_INT64) {
        const gint64 value = json_node_get_int(node);
        return value >= 0 ? g_variant_new_uint64((guint64)value) : g_variant_new_int64(value);
    }
    const double value = json_node_get_double(node);
    return isfinite(value) ? g_variant_new_double(value) : refuse(error, key, "is no number");
}

/* Of "missing": first, last, cause. */
static GVariant *
read_range(JsonNode *node, const char *key, GError **error)
{
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    gint64 numbers[2] = { 0 };

    if (array == NULL || json_array_get_length(array) != 3) {
        return refuse(error, key, "holds something else than ranges");
    }
    for (guint i = 0; i < 2; i++) {
        JsonNode *number = json_array_get_element(array, i);
        numbers[i] =
            json_node_get_value_type(number) == G_TYPE_INT64 ? json_node_get_int(number) : -1;
    }
    JsonNode *cause = json_array_get_element(array, 2);
    if (numbers[0] < 0 || numbers[0] > G_MAXUINT32 || numbers[1] < 0 || numbers[1] > G_MAXUINT32 ||
        json_node_get_value_type(cause) != G_TYPE_STRING ||
        !g_utf8_validate(json_node_get_string(cause), -1, NULL)) {
        return refuse(error, key, "holds something else than ranges");
    }
    return g_variant_new(
        "(uus)", (guint32)numbers[0], (guint32)numbers[1], json_node_get_string(cause));
}

static GVariant *read_object(JsonObject *object, GError **error);

static GVariant *
read_element(JsonNode *node, const char *key, const char *type, GError **error)
{
    if (strcmp(type, "(uus)") == 0) {
        return read_range(node, key, error);
    }
    if (strcmp(type, "a{sv}") == 0 && JSON_NODE_HOLDS_OBJECT(node)) {
        return read_object(json_node_get_object(node), error);
    }
    if (strcmp(type, "s") == 0 && JSON_NODE_HOLDS_VALUE(node) &&
        json_node_get_value_type(node) == G_TYPE_STRING) {
        return read_scalar(node, key, error);
    }
    return refuse(error, key, "holds elements of another kind");
}

/* Type of the elements of an array: as the bus has it, else as the first looks. */
static const char *
choose_type(JsonArray *array, const char *known_type)
{
    if (known_type != NULL && known_type[0] == 'a' && known_type[1] != '{') {
        return known_type + 1;
    }
    return json_array_get_length(array) > 0 &&
                   JSON_NODE_HOLDS_OBJECT(json_array_get_element(array, 0))
               ? "a{sv}"
               : "s";
}

static GVariant *
read_array(JsonArray *array, const char *key, const char *known_type, GError **error)
{
    const char *type = choose_type(array, known_type);
    g_autoptr(GPtrArray) children = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);

    for (guint i = 0; i < json_array_get_length(array); i++) {
        GVariant *child = read_element(json_array_get_element(array, i), key, type, error);
        if (child == NULL) {
            return NULL;
        }
        g_ptr_array_add(children, g_variant_ref_sink(child));
    }
    return g_variant_new_array(
        G_VARIANT_TYPE(type), (GVariant *const *)children->pdata, children->len);
}

static bool
fits(GVariant *value, const char *type)
{
    if (type[0] == 'd' && g_variant_is_of_type(value, G_VARIANT_TYPE_DOUBLE)) {
        return g_variant_get_double(value) >= 0;
    }
    if (type[0] == '?' || type[0] == '#' || type[0] == 'd') {
        return g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64) ||
               (type[0] == '#' && g_variant_is_of_type(value, G_VARIANT_TYPE_VARDICT));
    }
    return g_variant_is_of_type(value, G_VARIANT_TYPE(type));
}

static GVariant *
read_value(JsonNode *node, const char *key, GError **error)
{
    const char *type = find_type(key);
    GVariant *value = NULL;

    if (JSON_NODE_HOLDS_OBJECT(node)) {
        value = read_object(json_node_get_object(node), error);
    } else if (JSON_NODE_HOLDS_ARRAY(node)) {
        value = read_array(json_node_get_array(node), key, type, error);
    } else {
        value = read_scalar(node, key, error);
    }
    if (value == NULL || type == NULL || fits(value, type)) {
        return value;
    }
    g_variant_unref(g_variant_ref_sink(value));
    return refuse(error, key, "is of another kind");
}

static GVariant *
read_object(JsonObject *object, GError **error)
{
    g_autoptr(GVariantDict) dict = g_variant_dict_new(NULL);
    JsonObjectIter iter;
    const char *key = NULL;
    JsonNode *node = NULL;

    json_object_iter_init_ordered(&iter, object);
    while (json_object_iter_next_ordered(&iter, &key, &node)) {
        if (JSON_NODE_HOLDS_NULL(node)) {
            continue;
        }
        if (!g_utf8_validate(key, -1, NULL)) {
            return refuse(error, "a key", "is not UTF-8");
        }
        GVariant *value = read_value(node, key, error);
        if (value == NULL) {
            return NULL;
        }
        g_variant_dict_insert_value(dict, key, value);
    }
    return g_variant_dict_end(dict);
}

/* An upper bound, before anything is made of them. */
static guint
count_values(const char *text)
{
    guint n = 0;

    for (const char *c = text; *c != '\0'; c++) {
        n += *c == ',' || *c == '[' || *c == '{' ? 1 : 0;
    }
    return n;
}

GVariant *
sync_state_of_json(const char *text, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (count_values(text) > N_VALUES_MAX) {
        return refuse(error, "it", "holds more than a session can");
    }
    g_autoptr(JsonObject) object = fhir_json_parse(text, strlen(text), &failure);
    if (object == NULL) {
        return refuse(error, "it is", failure->message);
    }
    GVariant *state = read_object(object, error);
    return state != NULL ? g_variant_ref_sink(state) : NULL;
}
