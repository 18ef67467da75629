/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides how resources reach the server so that a repeat changes nothing: by our id, by a
 * condition on our identifier, or, where neither works, only after a search found none.
 */
#include "sync/fhir_write.h"

#include "sync/fhir_json.h"
#include "sync/fhir_outcome.h"

#include <string.h>

FhirIds *
fhir_ids_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

const char *
fhir_ids_find(FhirIds *self, const char *type, const char *id)
{
    g_autofree char *key = g_strconcat(type, "/", id, NULL);
    const char *found = g_hash_table_lookup(self, key);

    return found == NULL ? NULL : found + strlen(type) + 1;
}

void
fhir_ids_set(FhirIds *self, const char *type, const char *id, const char *server_id)
{
    g_hash_table_replace(
        self, g_strconcat(type, "/", id, NULL), g_strconcat(type, "/", server_id, NULL));
}

static bool
is_id_char(char c)
{
    return g_ascii_isalnum(c) || c == '-' || c == '.';
}

char *
fhir_ids_parse(const char *location, const char *type)
{
    g_autofree char *key = g_strconcat(type, "/", NULL);
    gsize n = 0;

    if (location == NULL) {
        return NULL;
    }
    const char *place = g_strrstr(location, key);
    if (place == NULL || (place != location && place[-1] != '/')) {
        return NULL;
    }
    const char *id = place + strlen(key);
    while (is_id_char(id[n])) {
        n++;
    }
    return n == 0 || n > 64 || (id[n] != '\0' && id[n] != '/') ? NULL : g_strndup(id, n);
}

static void rewrite_node(FhirIds *ids, JsonNode *node);

static void
rewrite_object(FhirIds *ids, JsonObject *object)
{
    const char *reference = fhir_json_find_text(object, "reference");
    const char *known = reference == NULL ? NULL : g_hash_table_lookup(ids, reference);

    if (known != NULL) {
        json_object_set_string_member(object, "reference", known);
    }
    /* Only now: names of members do not outlive a change. */
    g_autoptr(GList) values = json_object_get_values(object);
    for (GList *item = values; item != NULL; item = item->next) {
        rewrite_node(ids, item->data);
    }
}

static void
rewrite_node(FhirIds *ids, JsonNode *node)
{
    if (JSON_NODE_HOLDS_OBJECT(node)) {
        rewrite_object(ids, json_node_get_object(node));
    } else if (JSON_NODE_HOLDS_ARRAY(node)) {
        JsonArray *array = json_node_get_array(node);
        for (guint i = 0; i < json_array_get_length(array); i++) {
            rewrite_node(ids, json_array_get_element(array, i));
        }
    }
}

JsonObject *
fhir_write_body(FhirIds *ids, const FhirResource *resource)
{
    JsonObject *body = fhir_json_copy(resource->json);
    const char *server_id = fhir_ids_find(ids, resource->type, resource->id);

    if (server_id != NULL) {
        json_object_set_string_member(body, "id", server_id);
    }
    rewrite_object(ids, body);
    return body;
}

FhirWrite *
fhir_write_new(const FhirResource *resource, const char *if_match)
{
    FhirWrite *self = g_new0(FhirWrite, 1);

    self->resource = resource;
    self->if_match = g_strdup(if_match);
    return self;
}

void
fhir_write_free(FhirWrite *self)
{
    g_free(self->if_match);
    g_free(self);
}

static char *
path_of(FhirIds *ids, const FhirResource *resource)
{
    const char *server_id = fhir_ids_find(ids, resource->type, resource->id);

    return g_strconcat(resource->type, "/", server_id != NULL ? server_id : resource->id, NULL);
}

static JsonObject *
entry_new(FhirIds *ids, const FhirWrite *write)
{
    JsonObject *entry = json_object_new();
    JsonObject *request = json_object_new();
    g_autofree char *path = path_of(ids, write->resource);

    fhir_json_add(entry, "resource", fhir_write_body(ids, write->resource));
    fhir_json_add_text(request, "method", "PUT");
    fhir_json_add_text(request, "url", path);
    fhir_json_add_text(request, "ifMatch", write->if_match);
    fhir_json_add(entry, "request", request);
    return entry;
}

static bool
write_transaction(FhirClient *client,
                  FhirIds *ids,
                  const GPtrArray *writes,
                  GCancellable *cancellable,
                  GError **error)
{
    g_autoptr(JsonObject) bundle = json_object_new();
    const FhirCall call = { .method = "POST", .path = "", .body = bundle };
    FhirAnswer answer = { 0 };

    fhir_json_add_text(bundle, "resourceType", "Bundle");
    fhir_json_add_text(bundle, "type", "transaction");
    for (guint i = 0; i < writes->len; i++) {
        fhir_json_append(bundle, "entry", entry_new(ids, writes->pdata[i]));
    }
    const bool is_good = fhir_client_call(client, &call, &answer, cancellable, error) &&
                         fhir_outcome_check_bundle(answer.body, writes->len, error);
    fhir_answer_clear(&answer);
    return is_good;
}

static bool
take_id(FhirIds *ids, const FhirResource *resource, const FhirAnswer *answer, GError **error)
{
    g_autofree char *id = fhir_ids_parse(answer->location, resource->type);
    const char *body_id = answer->body == NULL ? NULL : fhir_json_find_text(answer->body, "id");
    const char *type =
        answer->body == NULL ? NULL : fhir_json_find_text(answer->body, "resourceType");

    if (id == NULL && body_id != NULL && g_strcmp0(type, resource->type) == 0) {
        id = g_strdup(body_id);
    }
    if (id == NULL) {
        g_set_error(error,
                    FHIR_ERROR,
                    FHIR_ERROR_LATER,
                    "the server does not say under which id it has the %s",
                    resource->type);
        return false;
    }
    fhir_ids_set(ids, resource->type, resource->id, id);
    return true;
}

static bool
write_put(FhirClient *client,
          FhirIds *ids,
          const FhirWrite *write,
          GCancellable *cancellable,
          GError **error)
{
    g_autoptr(JsonObject) body = fhir_write_body(ids, write->resource);
    g_autofree char *path = path_of(ids, write->resource);
    const FhirCall call = {
        .method = "PUT",
        .path = path,
        .body = body,
        .if_match = write->if_match,
    };
    FhirAnswer answer = { 0 };
    const bool is_good = fhir_client_call(client, &call, &answer, cancellable, error);

    fhir_answer_clear(&answer);
    return is_good;
}

static bool
write_post(FhirClient *client,
           FhirIds *ids,
           const FhirWrite *write,
           GCancellable *cancellable,
           GError **error)
{
    const FhirResource *resource = write->resource;
    const bool is_conditional = fhir_client_get_capability(client)->mode == FHIR_MODE_CONDITIONAL &&
                                json_object_has_member(resource->json, "identifier");
    g_autoptr(JsonObject) body = fhir_write_body(ids, resource);
    g_autofree char *condition =
        g_strdup_printf("identifier=urn:ietf:rfc:3986|urn:uuid:%s", resource->id);
    const FhirCall call = {
        .method = "POST",
        .path = resource->type,
        .body = body,
        .if_none_exist = is_conditional ? condition : NULL,
    };
    FhirAnswer answer = { 0 };

    json_object_remove_member(body, "id");
    bool is_good = fhir_client_call(client, &call, &answer, cancellable, error) &&
                   take_id(ids, resource, &answer, error);
    /* 200: somebody made it since the search, and what we sent was not looked at. */
    if (is_good && is_conditional && answer.status == 200) {
        is_good = write_put(client, ids, write, cancellable, error);
    }
    fhir_answer_clear(&answer);
    return is_good;
}

bool
fhir_write_all(FhirClient *client,
               FhirIds *ids,
               const GPtrArray *writes,
               GCancellable *cancellable,
               GError **error)
{
    const FhirCapability *capability = fhir_client_get_capability(client);
    const bool puts = capability->mode == FHIR_MODE_PUT;

    if (writes->len == 0) {
        return true;
    }
    if (puts && capability->has_transaction) {
        return write_transaction(client, ids, writes, cancellable, error);
    }
    for (guint i = 0; i < writes->len; i++) {
        const FhirWrite *write = writes->pdata[i];
        const bool is_there =
            fhir_ids_find(ids, write->resource->type, write->resource->id) != NULL;
        const bool is_good = puts || is_there ? write_put(client, ids, write, cancellable, error)
                                              : write_post(client, ids, write, cancellable, error);
        if (!is_good) {
            return false;
        }
    }
    return true;
}
