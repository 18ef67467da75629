/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What a delivery knows of the server, and the proof that it arrived: what was confirmed is
 * read back, as servers have been seen to confirm what they dropped (P36).
 */
#include "sync/fhir_job.h"

#include "sync/fhir_find.h"
#include "sync/fhir_json.h"
#include "sync/fhir_outcome.h"

#include <string.h>

static void
read_observation(FhirJob *self, const char *id, const char *server_id)
{
    g_hash_table_add(self->known_observations, g_strdup(id));
    if (fhir_client_get_capability(self->desk->client)->mode != FHIR_MODE_PUT) {
        fhir_ids_set(self->ids, "Observation", id, server_id);
    }
}

/* One line per Observation: UUID, and the server's id. */
static void
read_note(FhirJob *self, const char *note)
{
    g_auto(GStrv) lines = g_strsplit(note == NULL ? "" : note, "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", 2);
        if (g_strv_length(words) == 2 && g_uuid_string_is_valid(words[0])) {
            read_observation(self, words[0], words[1]);
        }
    }
}

void
fhir_job_init(FhirJob *self,
              FhirDesk *desk,
              const SyncDelivery *delivery,
              GCancellable *cancellable)
{
    self->desk = desk;
    self->delivery = delivery;
    self->cancellable = cancellable;
    self->ids = fhir_ids_new();
    self->known_observations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    self->found_observations =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_object_unref);
    self->resources = g_ptr_array_new_with_free_func((GDestroyNotify)fhir_resource_free);
    self->written = g_ptr_array_new();
    self->theirs = NULL;
    read_note(self, delivery->note);
}

void
fhir_job_clear(FhirJob *self)
{
    g_clear_pointer(&self->ids, g_hash_table_unref);
    g_clear_pointer(&self->known_observations, g_hash_table_unref);
    g_clear_pointer(&self->found_observations, g_hash_table_unref);
    g_clear_pointer(&self->theirs, json_object_unref);
    g_clear_pointer(&self->written, g_ptr_array_unref);
    g_clear_pointer(&self->resources, g_ptr_array_unref);
}

bool
fhir_job_look(FhirJob *self, GError **error)
{
    FhirClient *client = self->desk->client;
    const char *session = self->delivery->session;

    if (!fhir_find(
            client, self->ids, "Procedure", session, &self->theirs, self->cancellable, error)) {
        return false;
    }
    if (self->theirs == NULL) {
        return true;
    }
    g_autoptr(GPtrArray) observations =
        fhir_find_observations(client, self->ids, session, self->cancellable, error);
    for (guint i = 0; observations != NULL && i < observations->len; i++) {
        char *uuid = fhir_find_uuid(observations->pdata[i]);
        g_hash_table_add(self->known_observations, g_strdup(uuid));
        g_hash_table_replace(
            self->found_observations, uuid, json_object_ref(observations->pdata[i]));
    }
    return observations != NULL;
}

char *
fhir_job_note(const FhirJob *self)
{
    GString *note = g_string_new(NULL);
    GHashTableIter iter;
    gpointer uuid = NULL;

    g_hash_table_iter_init(&iter, self->known_observations);
    while (g_hash_table_iter_next(&iter, &uuid, NULL)) {
        const char *server_id = fhir_ids_find(self->ids, "Observation", uuid);
        g_string_append_printf(note,
                               "%s %s\n",
                               (const char *)uuid,
                               server_id != NULL ? server_id : (const char *)uuid);
    }
    return g_string_free(note, FALSE);
}

const FhirResource *
fhir_job_keep(FhirJob *self, FhirResource *resource)
{
    g_ptr_array_add(self->resources, resource);
    return resource;
}

static bool
has_resource(const GPtrArray *resources, const char *id)
{
    for (guint i = 0; resources != NULL && i < resources->len; i++) {
        const FhirResource *resource = resources->pdata[i];
        if (strcmp(resource->id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* Without what a server adds by itself. */
static JsonObject *
strip(JsonObject *has)
{
    JsonObject *copy = fhir_json_copy(has);
    JsonArray *tags = fhir_json_find_array(copy, "meta.tag");
    JsonObject *meta = json_object_new();

    if (tags != NULL) {
        json_object_set_array_member(meta, "tag", json_array_ref(tags));
    }
    json_object_remove_member(copy, "meta");
    json_object_remove_member(copy, "text");
    if (tags != NULL) {
        json_object_set_object_member(copy, "meta", json_object_ref(meta));
    }
    json_object_unref(meta);
    return copy;
}

bool
fhir_job_is_same(FhirJob *self, const FhirResource *resource, JsonObject *has)
{
    if (has == NULL) {
        return false;
    }
    g_autoptr(JsonNode) ours = json_node_alloc();
    g_autoptr(JsonNode) theirs = json_node_alloc();
    json_node_init_object(ours, NULL);
    json_node_init_object(theirs, NULL);
    json_node_take_object(ours, fhir_write_body(self->ids, resource));
    json_node_take_object(theirs, strip(has));
    return fhir_json_equal(ours, theirs);
}

bool
fhir_job_withdraw_one(FhirJob *self,
                      const char *uuid,
                      JsonObject *subject,
                      bool is_erased,
                      GPtrArray *out,
                      GError **error)
{
    g_autoptr(JsonObject) found = NULL;
    JsonObject *has = g_hash_table_lookup(self->found_observations, uuid);

    if (has == NULL) {
        if (!fhir_find(self->desk->client,
                       self->ids,
                       "Observation",
                       uuid,
                       &found,
                       self->cancellable,
                       error)) {
            return false;
        }
        has = found;
    }
    if (has == NULL || fhir_map_is_erased(has)) {
        return true;
    }
    FhirResource *resource = fhir_map_withdrawn_observation(
        &self->desk->mapping, self->delivery->session, uuid, subject, is_erased);
    fhir_job_keep(self, resource);
    if (!fhir_job_is_same(self, resource, has)) {
        g_ptr_array_add(out, fhir_write_new(resource, NULL));
    }
    return true;
}

bool
fhir_job_withdraw(FhirJob *self,
                  const GPtrArray *observations,
                  JsonObject *subject,
                  bool is_erased,
                  GPtrArray *out,
                  GError **error)
{
    GHashTableIter iter;
    gpointer uuid = NULL;

    g_hash_table_iter_init(&iter, self->known_observations);
    while (g_hash_table_iter_next(&iter, &uuid, NULL)) {
        if (!has_resource(observations, uuid) &&
            !fhir_job_withdraw_one(self, uuid, subject, is_erased, out, error)) {
            return false;
        }
    }
    return true;
}

JsonObject *
fhir_job_unversioned(JsonObject *has)
{
    JsonObject *copy = fhir_json_copy(has);
    JsonObject *meta = fhir_json_find_object(copy, "meta");

    if (meta != NULL) {
        json_object_remove_member(meta, "versionId");
        json_object_remove_member(meta, "lastUpdated");
    }
    if (meta != NULL && json_object_get_size(meta) == 0) {
        json_object_remove_member(copy, "meta");
    }
    return copy;
}

bool
fhir_job_write(FhirJob *self, const GPtrArray *writes, GError **error)
{
    for (guint i = 0; i < writes->len; i++) {
        const FhirWrite *write = writes->pdata[i];
        if (strcmp(write->resource->type, "Observation") == 0) {
            g_hash_table_add(self->known_observations, g_strdup(write->resource->id));
        }
    }
    if (!fhir_write_all(self->desk->client, self->ids, writes, self->cancellable, error)) {
        return false;
    }
    self->has_written = self->has_written || writes->len > 0;
    for (guint i = 0; i < writes->len; i++) {
        const FhirWrite *write = writes->pdata[i];
        g_ptr_array_add(self->written, (gpointer)(uintptr_t)write->resource);
    }
    return true;
}

/* The last version of each, as one may have been written twice. */
static bool
is_last(const FhirJob *self, guint index)
{
    const FhirResource *resource = self->written->pdata[index];

    for (guint i = index + 1; i < self->written->len; i++) {
        const FhirResource *later = self->written->pdata[i];
        if (strcmp(later->type, resource->type) == 0 && strcmp(later->id, resource->id) == 0) {
            return false;
        }
    }
    return true;
}

static bool
verify_one(FhirJob *self, const FhirResource *resource, GError **error)
{
    g_autoptr(JsonObject) found = NULL;
    FhirClient *client = self->desk->client;

    if (!fhir_find(
            client, self->ids, resource->type, resource->id, &found, self->cancellable, error)) {
        return false;
    }
    const char *status = fhir_json_find_text(resource->json, "status");
    if (found == NULL || g_strcmp0(status, fhir_json_find_text(found, "status")) != 0) {
        g_set_error(error,
                    FHIR_ERROR,
                    FHIR_ERROR_LATER,
                    "the server confirmed a %s and %s",
                    resource->type,
                    found == NULL ? "does not have it" : "has another state of it");
        return false;
    }
    if (strcmp(resource->type, "Procedure") == 0) {
        FhirMerit ours = fhir_merit_of_procedure(resource->json);
        FhirMerit theirs = fhir_merit_of_procedure(found);
        const bool is_ours =
            ours.n_settled == theirs.n_settled && g_strcmp0(ours.gateway, theirs.gateway) == 0;
        fhir_merit_clear(&ours);
        fhir_merit_clear(&theirs);
        if (!is_ours) {
            g_set_error_literal(error,
                                FHIR_ERROR,
                                FHIR_ERROR_CONFLICT,
                                "another gateway wrote the Procedure at the same time");
            return false;
        }
    }
    return true;
}

bool
fhir_job_verify(FhirJob *self, GError **error)
{
    for (guint i = 0; i < self->written->len; i++) {
        if (is_last(self, i) && !verify_one(self, self->written->pdata[i], error)) {
            return false;
        }
    }
    return true;
}
