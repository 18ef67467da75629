/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * How the skin answered, as an Observation of its own. Decides that it is no AdverseEvent,
 * which R4 servers cannot find again by an identifier, and that a clinician's word is final
 * whatever the pen has still to give.
 */
#include "sync/fhir_id.h"
#include "sync/fhir_json.h"
#include "sync/fhir_map.h"

#include <string.h>

/* Until when a word counts as said at no known time, see FhirWord. */
#define UNKNOWN_US INT64_C(1000)

char *
fhir_map_reaction_id(const char *session)
{
    return fhir_id_new(session, "reaction", NULL);
}

FhirResource *
fhir_map_reaction(const FhirMapping *mapping, const char *session, const FhirTold *told)
{
    g_autofree char *id = fhir_map_reaction_id(session);

    if (told->reaction.value == NULL) {
        return NULL;
    }
    JsonObject *json = fhir_map_begin(mapping, "Observation", id, false);
    fhir_json_append(json, "identifier", fhir_uuid_identifier_new(id));
    fhir_json_append(json, "partOf", fhir_reference_new("Procedure", session));
    fhir_json_add_text(json, "status", "final");
    fhir_json_append(json,
                     "category",
                     fhir_concept_new("http://terminology.hl7.org/CodeSystem/observation-category",
                                      "exam",
                                      "Exam"));
    fhir_json_add(json, "code", fhir_codes_concept(mapping->codes, "reaction"));
    fhir_json_add(json, "subject", json_object_ref(told->subject));
    if (told->reaction.wall_us > UNKNOWN_US) {
        fhir_json_add_time(json, "effectiveDateTime", told->reaction.wall_us);
    }
    fhir_json_add_text(json, "valueString", told->reaction.value);
    return fhir_resource_new("Observation", id, json);
}
