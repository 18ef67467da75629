/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What all resources of a session have in common, and which gateway's state of it counts.
 */
#include "sync/fhir_map.h"

#include "lib/dict.h"
#include "lib/time.h"
#include "sync/fhir_id.h"
#include "sync/fhir_json.h"

#include <string.h>

FhirResource *
fhir_resource_new(const char *type, const char *id, JsonObject *json)
{
    FhirResource *self = g_new0(FhirResource, 1);

    self->type = type;
    self->id = g_strdup(id);
    self->json = json;
    return self;
}

void
fhir_resource_free(FhirResource *self)
{
    if (self != NULL) {
        g_free(self->id);
        json_object_unref(self->json);
        g_free(self);
    }
}

void
fhir_merit_clear(FhirMerit *self)
{
    g_clear_pointer(&self->gateway, g_free);
}

FhirMerit
fhir_merit_of_delivery(const SyncDelivery *delivery)
{
    return (FhirMerit){
        .n_settled = delivery->n_settled,
        .wall_us = delivery->wall_us / 1000 * 1000,
        .gateway = g_strdup(delivery->gateway),
        .may_be_old = delivery->is_carried,
    };
}

FhirMerit
fhir_merit_of_procedure(JsonObject *procedure)
{
    FhirMerit merit = { .n_settled = -1 };
    JsonObject *record = fhir_extension_find(procedure, FHIR_EXTENSION "record");

    if (record == NULL) {
        return merit;
    }
    JsonObject *settled = fhir_extension_find(record, "settled");
    JsonObject *journal = fhir_extension_find(record, "journal-time");
    JsonObject *gateway = fhir_extension_find(record, "gateway");
    const char *time = journal == NULL ? NULL : fhir_json_find_text(journal, "valueInstant");
    merit.n_settled = settled == NULL ? -1 : fhir_json_find_int(settled, "valueUnsignedInt", -1);
    if (time != NULL) {
        (void)cli_time_from_rfc3339(time, &merit.wall_us);
    }
    merit.gateway = gateway == NULL ? NULL : g_strdup(fhir_json_find_text(gateway, "valueString"));
    return merit;
}

bool
fhir_merit_wins(const FhirMerit *ours, const FhirMerit *theirs)
{
    if (ours->n_settled != theirs->n_settled) {
        return ours->n_settled > theirs->n_settled;
    }
    if (g_strcmp0(ours->gateway, theirs->gateway) == 0) {
        return !ours->may_be_old || ours->wall_us >= theirs->wall_us;
    }
    if (ours->wall_us != theirs->wall_us) {
        return ours->wall_us > theirs->wall_us;
    }
    return g_strcmp0(ours->gateway, theirs->gateway) > 0;
}

JsonObject *
fhir_map_begin(const FhirMapping *mapping, const char *type, const char *id, bool is_erased)
{
    JsonObject *resource = json_object_new();
    JsonObject *meta = json_object_new();

    fhir_json_add_text(resource, "resourceType", type);
    fhir_json_add_text(resource, "id", id);
    if (mapping->is_test) {
        fhir_json_append(meta,
                         "tag",
                         fhir_coding_new("http://terminology.hl7.org/CodeSystem/v3-ActReason",
                                         "HTEST",
                                         "test health data"));
    }
    if (is_erased) {
        fhir_json_append(meta, "tag", fhir_coding_new(FHIR_CODE_SYSTEM, FHIR_TAG_ERASED, "erased"));
    }
    if (json_object_get_size(meta) > 0) {
        json_object_set_object_member(resource, "meta", json_object_ref(meta));
    }
    json_object_unref(meta);
    return resource;
}

bool
fhir_map_is_erased(JsonObject *resource)
{
    JsonArray *tags = fhir_json_find_array(resource, "meta.tag");

    for (guint i = 0; tags != NULL && i < json_array_get_length(tags); i++) {
        JsonObject *tag = fhir_json_at(tags, i);
        if (g_strcmp0(fhir_json_find_text(tag, "system"), FHIR_CODE_SYSTEM) == 0 &&
            g_strcmp0(fhir_json_find_text(tag, "code"), FHIR_TAG_ERASED) == 0) {
            return true;
        }
    }
    return false;
}

static JsonObject *
masked_reference(void)
{
    JsonObject *subject = json_object_new();

    fhir_json_append(
        subject, "extension", fhir_extension_new_text(FHIR_ABSENT_REASON, "valueCode", "masked"));
    return subject;
}

FhirResource *
fhir_map_withdrawn_procedure(const FhirMapping *mapping, const char *session, bool is_erased)
{
    JsonObject *json = fhir_map_begin(mapping, "Procedure", session, is_erased);

    fhir_json_append(json, "identifier", fhir_uuid_identifier_new(session));
    fhir_json_add_text(json, "status", "entered-in-error");
    fhir_json_add(json, "code", fhir_codes_concept(mapping->codes, "microneedling"));
    fhir_json_add(json, "subject", masked_reference());
    return fhir_resource_new("Procedure", session, json);
}

FhirResource *
fhir_map_withdrawn_observation(const FhirMapping *mapping,
                               const char *session,
                               const char *id,
                               JsonObject *subject,
                               bool is_erased)
{
    JsonObject *json = fhir_map_begin(mapping, "Observation", id, is_erased);
    g_autofree char *reaction_id = fhir_map_reaction_id(session);
    const char *code = g_strcmp0(id, reaction_id) == 0 ? "reaction" : "zone";

    fhir_json_append(json, "identifier", fhir_uuid_identifier_new(id));
    fhir_json_append(json, "partOf", fhir_reference_new("Procedure", session));
    fhir_json_add_text(json, "status", "entered-in-error");
    fhir_json_add(json, "code", fhir_codes_concept(mapping->codes, code));
    fhir_json_add(json,
                  "subject",
                  is_erased || subject == NULL ? masked_reference() : json_object_ref(subject));
    if (is_erased) {
        fhir_json_add(json,
                      "dataAbsentReason",
                      fhir_concept_new("http://terminology.hl7.org/CodeSystem/data-absent-reason",
                                       "masked",
                                       "Masked"));
    }
    return fhir_resource_new("Observation", id, json);
}

FhirResource *
fhir_map_provenance(const FhirMapping *mapping, const SyncDelivery *delivery)
{
    g_autoptr(GVariant) receipt = cli_dict_get(delivery->state, "receipt", "a{sv}");
    const char *sha256 = receipt == NULL ? NULL : cli_dict_get_text(receipt, "sha256");

    if (sha256 == NULL) {
        return NULL;
    }
    g_autofree char *id =
        fhir_id_new(delivery->session, "provenance", delivery->gateway, sha256, NULL);
    JsonObject *json = fhir_map_begin(mapping, "Provenance", id, false);
    JsonObject *agent = json_object_new();
    JsonObject *who = json_object_new();
    JsonObject *entity = json_object_new();
    JsonObject *what = json_object_new();

    fhir_json_append(json, "target", fhir_reference_new("Procedure", delivery->session));
    /* When the record became what it is; the time of an upload would make every try differ. */
    fhir_json_add_time(
        json, "recorded", delivery->fold_wall_us > 0 ? delivery->fold_wall_us : delivery->wall_us);
    fhir_json_add(
        agent,
        "type",
        fhir_concept_new("http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                         "assembler",
                         "Assembler"));
    fhir_json_add(who, "identifier", fhir_identifier_new(FHIR_GATEWAY, delivery->gateway));
    fhir_json_add_text(who, "display", "penteld");
    fhir_json_add(agent, "who", who);
    fhir_json_append(json, "agent", agent);
    fhir_json_add_text(entity, "role", "source");
    fhir_json_add(what, "identifier", fhir_identifier_new(FHIR_RECEIPT, sha256));
    fhir_json_add(entity, "what", what);
    fhir_json_append(json, "entity", entity);
    return fhir_resource_new("Provenance", id, json);
}
