/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What json-glib leaves open: how deep an answer may nest, how decimals are written, and
 * that a path into a server's answer may lead nowhere.
 */
#include "sync/fhir_json.h"

#include "lib/json.h"
#include "lib/time.h"

#include <gio/gio.h>

#include <string.h>

/* A Bundle in a Bundle with contained resources stays under 30. */
#define DEPTH_MAX 64

/* Outside of texts. The parser would take texts in ' and comments, in which a bracket or a "
 * counts otherwise than here: JSON has neither. */
static bool
is_stray(char c)
{
    return c == '\'' || c == '/' || c == '#';
}

static int
nesting_of(char c)
{
    return (c == '{' || c == '[') - (c == '}' || c == ']');
}

static bool
is_shallow(const char *text, gsize n_bytes)
{
    int depth = 0;
    bool in_text = false;

    for (gsize i = 0; i < n_bytes; i++) {
        const char c = text[i];
        if (in_text) {
            in_text = c != '"';
            i += c == '\\' ? 1u : 0u;
        } else if (c == '"') {
            in_text = true;
        } else if (is_stray(c)) {
            return false;
        } else {
            depth += nesting_of(c);
        }
        if (depth > DEPTH_MAX) {
            return false;
        }
    }
    return true;
}

JsonObject *
fhir_json_parse(const char *text, gsize n_bytes, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();

    if (n_bytes > G_MAXINT32 || !is_shallow(text, n_bytes)) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "JSON nested too deep");
        return NULL;
    }
    if (!g_utf8_validate_len(text, n_bytes, NULL)) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not UTF-8");
        return NULL;
    }
    if (!json_parser_load_from_data(parser, text, (gssize)n_bytes, NULL)) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not JSON");
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "no JSON object");
        return NULL;
    }
    return json_node_dup_object(root);
}

static void
print_value(CliJson *out, const char *key, JsonNode *node)
{
    const GType type = json_node_get_value_type(node);

    if (type == G_TYPE_INT64 && json_node_get_int(node) >= 0) {
        cli_json_uint(out, key, (uint64_t)json_node_get_int(node));
    } else if (type == G_TYPE_INT64 || type == G_TYPE_DOUBLE) {
        cli_json_double(out, key, json_node_get_double(node));
    } else if (type == G_TYPE_BOOLEAN) {
        cli_json_bool(out, key, json_node_get_boolean(node));
    } else {
        cli_json_text(out, key, json_node_get_string(node));
    }
}

static void
print_node(CliJson *out, const char *key, JsonNode *node)
{
    if (JSON_NODE_HOLDS_OBJECT(node)) {
        JsonObjectIter iter;
        const char *name = NULL;
        JsonNode *member = NULL;

        cli_json_open(out, key, '{');
        json_object_iter_init_ordered(&iter, json_node_get_object(node));
        while (json_object_iter_next_ordered(&iter, &name, &member)) {
            print_node(out, name, member);
        }
        cli_json_close(out, '}');
    } else if (JSON_NODE_HOLDS_ARRAY(node)) {
        JsonArray *array = json_node_get_array(node);

        cli_json_open(out, key, '[');
        for (guint i = 0; i < json_array_get_length(array); i++) {
            print_node(out, NULL, json_array_get_element(array, i));
        }
        cli_json_close(out, ']');
    } else if (JSON_NODE_HOLDS_NULL(node)) {
        cli_json_null(out, key);
    } else {
        print_value(out, key, node);
    }
}

char *
fhir_json_print(JsonObject *object)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), object);
    CliJson out = CLI_JSON_INIT(text);

    print_node(&out, NULL, node);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static JsonNode *
find_step(JsonNode *node, const char *step)
{
    if (JSON_NODE_HOLDS_OBJECT(node)) {
        return json_object_get_member(json_node_get_object(node), step);
    }
    if (JSON_NODE_HOLDS_ARRAY(node) && g_ascii_isdigit(step[0])) {
        JsonArray *array = json_node_get_array(node);
        const guint64 index = g_ascii_strtoull(step, NULL, 10);
        return index < json_array_get_length(array) ? json_array_get_element(array, (guint)index)
                                                    : NULL;
    }
    return NULL;
}

JsonNode *
fhir_json_find(JsonObject *object, const char *path)
{
    g_auto(GStrv) steps = g_strsplit(path, ".", -1);
    JsonNode *node = object == NULL ? NULL : json_object_get_member(object, steps[0]);

    for (char **step = steps + 1; node != NULL && *step != NULL; step++) {
        node = find_step(node, *step);
    }
    return node;
}

const char *
fhir_json_find_text(JsonObject *object, const char *path)
{
    JsonNode *node = fhir_json_find(object, path);

    return node != NULL && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
}

JsonObject *
fhir_json_find_object(JsonObject *object, const char *path)
{
    JsonNode *node = fhir_json_find(object, path);

    return node != NULL && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *
fhir_json_find_array(JsonObject *object, const char *path)
{
    JsonNode *node = fhir_json_find(object, path);

    return node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

int64_t
fhir_json_find_int(JsonObject *object, const char *path, int64_t fallback)
{
    JsonNode *node = fhir_json_find(object, path);

    if (node == NULL || !JSON_NODE_HOLDS_VALUE(node) ||
        json_node_get_value_type(node) != G_TYPE_INT64) {
        return fallback;
    }
    return json_node_get_int(node);
}

JsonObject *
fhir_json_at(JsonArray *array, guint index)
{
    JsonNode *node = json_array_get_element(array, index);

    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonObject *
fhir_json_copy(JsonObject *object)
{
    g_autofree char *text = fhir_json_print(object);

    /* What was printed parses again. */
    return fhir_json_parse(text, strlen(text), NULL);
}

static bool
objects_equal(JsonObject *a, JsonObject *b)
{
    JsonObjectIter iter;
    const char *name = NULL;
    JsonNode *member = NULL;

    if (json_object_get_size(a) != json_object_get_size(b)) {
        return false;
    }
    json_object_iter_init(&iter, a);
    while (json_object_iter_next(&iter, &name, &member)) {
        JsonNode *other = json_object_get_member(b, name);
        if (other == NULL || !fhir_json_equal(member, other)) {
            return false;
        }
    }
    return true;
}

static bool
arrays_equal(JsonArray *a, JsonArray *b)
{
    if (json_array_get_length(a) != json_array_get_length(b)) {
        return false;
    }
    for (guint i = 0; i < json_array_get_length(a); i++) {
        if (!fhir_json_equal(json_array_get_element(a, i), json_array_get_element(b, i))) {
            return false;
        }
    }
    return true;
}

bool
fhir_json_equal(JsonNode *a, JsonNode *b)
{
    if (json_node_get_node_type(a) != json_node_get_node_type(b)) {
        return false;
    }
    if (JSON_NODE_HOLDS_OBJECT(a)) {
        return objects_equal(json_node_get_object(a), json_node_get_object(b));
    }
    if (JSON_NODE_HOLDS_ARRAY(a)) {
        return arrays_equal(json_node_get_array(a), json_node_get_array(b));
    }
    if (JSON_NODE_HOLDS_NULL(a)) {
        return true;
    }
    const char *text = json_node_get_string(a);
    if (text != NULL || json_node_get_string(b) != NULL) {
        return g_strcmp0(text, json_node_get_string(b)) == 0;
    }
    if (json_node_get_value_type(a) == G_TYPE_BOOLEAN ||
        json_node_get_value_type(b) == G_TYPE_BOOLEAN) {
        return json_node_get_value_type(a) == json_node_get_value_type(b) &&
               json_node_get_boolean(a) == json_node_get_boolean(b);
    }
    const double difference = json_node_get_double(a) - json_node_get_double(b);
    return difference < 1e-9 && difference > -1e-9;
}

void
fhir_json_add_text(JsonObject *object, const char *key, const char *text)
{
    if (text == NULL) {
        return;
    }
    g_autofree char *clean = g_utf8_make_valid(text, -1);
    for (char *c = clean; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 && *c != '\n' && *c != '\t') {
            *c = ' ';
        }
    }
    g_strstrip(clean);
    if (clean[0] != '\0') {
        json_object_set_string_member(object, key, clean);
    }
}

void
fhir_json_add_time(JsonObject *object, const char *key, int64_t wall_us)
{
    g_autofree char *text = wall_us == 0 ? NULL : cli_time_to_rfc3339(wall_us);

    fhir_json_add_text(object, key, text);
}

void
fhir_json_add(JsonObject *object, const char *key, JsonObject *member)
{
    if (member != NULL) {
        json_object_set_object_member(object, key, member);
    }
}

void
fhir_json_add_alone(JsonObject *object, const char *key, JsonObject *member)
{
    if (member != NULL) {
        JsonArray *array = json_array_new();
        json_array_add_object_element(array, member);
        json_object_set_array_member(object, key, array);
    }
}

void
fhir_json_append(JsonObject *object, const char *key, JsonObject *member)
{
    JsonArray *array = fhir_json_find_array(object, key);

    if (array == NULL) {
        fhir_json_add_alone(object, key, member);
    } else {
        json_array_add_object_element(array, member);
    }
}
