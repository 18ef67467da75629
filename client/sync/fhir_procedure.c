/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A session as a Procedure. Decides that it is completed only when no more records of it are
 * waited for, and that what FHIR has no place for goes into extensions of ours.
 */
#include "lib/dict.h"
#include "sync/fhir_json.h"
#include "sync/fhir_map.h"

#include <string.h>

static const char *
status_of(const char *state)
{
    const bool is_over = g_strcmp0(state, "complete") == 0 || g_strcmp0(state, "lossy") == 0 ||
                         g_strcmp0(state, "closed-by") == 0;

    return is_over ? "completed" : FHIR_STATUS_BEGUN;
}

/* The order of merit, and how much of the session is there. */
static JsonObject *
record_new(const SyncDelivery *delivery)
{
    JsonObject *record = fhir_extension_new(FHIR_EXTENSION "record");
    JsonObject *settled = fhir_extension_new("settled");
    JsonObject *journal = fhir_extension_new("journal-time");
    const char *state = cli_dict_get_text(delivery->state, "state");
    const char *cause = cli_dict_get_text(delivery->state, "end_cause");

    json_object_set_int_member(settled, "valueUnsignedInt", delivery->n_settled);
    fhir_json_add_time(journal, "valueInstant", delivery->wall_us);
    fhir_json_append(record, "extension", settled);
    fhir_json_append(record, "extension", journal);
    fhir_json_append(
        record, "extension", fhir_extension_new_text("gateway", "valueString", delivery->gateway));
    if (state != NULL) {
        fhir_json_append(
            record, "extension", fhir_extension_new_text("state", "valueString", state));
    }
    if (cause != NULL) {
        fhir_json_append(
            record, "extension", fhir_extension_new_text("end-cause", "valueString", cause));
    }
    return record;
}

static void
add_period(JsonObject *json, GVariant *state)
{
    const char *start = cli_dict_get_text(state, "started_at");
    const char *end = cli_dict_get_text(state, "ended_at");
    JsonObject *period = json_object_new();

    if (start == NULL) {
        /* A time that is not known is not made up. */
        json_object_unref(period);
        fhir_json_add_text(json, "performedString", "at a time that is not known");
        return;
    }
    fhir_json_add_text(period, "start", start);
    /* Times are RFC 3339 in UTC, which compare as text. */
    fhir_json_add_text(period, "end", end != NULL && strcmp(end, start) >= 0 ? end : NULL);
    fhir_json_add(json, "performedPeriod", period);
}

static void
add_body_sites(JsonObject *json, const FhirMapping *mapping, const FhirTold *told)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < told->zones->len; i++) {
        const FhirWord *zone = told->zones->pdata[i];
        if (zone->value != NULL && g_hash_table_add(seen, zone->value)) {
            fhir_json_append(json, "bodySite", fhir_codes_zone(mapping->codes, zone->value));
        }
    }
}

FhirResource *
fhir_map_procedure(const FhirMapping *mapping,
                   const SyncDelivery *delivery,
                   const FhirTold *told,
                   const GPtrArray *devices)
{
    JsonObject *json = fhir_map_begin(mapping, "Procedure", delivery->session, false);

    fhir_json_append(json, "extension", record_new(delivery));
    fhir_json_append(json, "identifier", fhir_uuid_identifier_new(delivery->session));
    fhir_json_add_text(json, "status", status_of(cli_dict_get_text(delivery->state, "state")));
    fhir_json_add(json, "code", fhir_codes_concept(mapping->codes, "microneedling"));
    add_period(json, delivery->state);
    add_body_sites(json, mapping, told);
    for (guint i = 0; i < devices->len; i++) {
        const FhirResource *device = devices->pdata[i];
        fhir_json_append(json, "usedReference", fhir_reference_new("Device", device->id));
    }
    fhir_told_write(told, mapping->order_system, json);
    return fhir_resource_new("Procedure", delivery->session, json);
}
