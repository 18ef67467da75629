/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/fhir_codes.h"
#include "sync/fhir_told.h"
#include "sync/sink.h"

#include <json-glib/json-glib.h>

/*
 * A session as FHIR R4 resources: pure functions of the session's state, so that every try
 * and every gateway makes the same. Procedure, a Device for the pen and for each cartridge,
 * an Observation per zone and one of the skin's reaction, Provenance (clinic-domain.md D1).
 * There is no report in a session yet, hence no DocumentReference.
 */

/* What does not change from session to session. Borrowed for as long as it is used. */
typedef struct {
    const FhirCodes *codes;
    const char *order_system; /* URI of the clinic's order numbers, or NULL */
    bool is_test;             /* tag everything as test data (HTEST) */
} FhirMapping;

/* A resource on its way. References in it and @id are ours, also where a server has others. */
typedef struct {
    const char *type; /* static */
    char *id;         /* owned; UUID */
    JsonObject *json; /* owned */
} FhirResource;

FhirResource *fhir_resource_new(const char *type, const char *id, JsonObject *json);
void fhir_resource_free(FhirResource *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FhirResource, fhir_resource_free)

/* What decides between two gateways: more records, then the later journal, then the id. */
typedef struct {
    int64_t n_settled;
    int64_t wall_us;
    char *gateway;   /* owned */
    bool may_be_old; /* carried in files: that gateway may have delivered later ones itself */
} FhirMerit;

void fhir_merit_clear(FhirMerit *self);
FhirMerit fhir_merit_of_delivery(const SyncDelivery *delivery);

/** Of a Procedure on the server; nothing in it when it is not one of ours. */
FhirMerit fhir_merit_of_procedure(JsonObject *procedure);

/** True when ours is to replace theirs; a gateway's own later state with no fewer records does
 * whatever its clock says, unless it was carried and may be an earlier one. */
bool fhir_merit_wins(const FhirMerit *ours, const FhirMerit *theirs);

/** Empty resource with its type, our id and our tags. Owns: the caller's. */
JsonObject *fhir_map_begin(const FhirMapping *mapping,
                           const char *type,
                           const char *id,
                           bool is_erased);

/** The pen, then the cartridges. Owns: array of FhirResource, the caller's. */
GPtrArray *fhir_map_devices(const FhirMapping *mapping, const SyncDelivery *delivery);

/** @told: merged; must have a subject. @devices: as fhir_map_devices() made them. */
FhirResource *fhir_map_procedure(const FhirMapping *mapping,
                                 const SyncDelivery *delivery,
                                 const FhirTold *told,
                                 const GPtrArray *devices);

/** An Observation per zone, passes of no zone together, then that of the reaction, if any.
 * Owns: array of FhirResource. */
GPtrArray *fhir_map_observations(const FhirMapping *mapping,
                                 const SyncDelivery *delivery,
                                 const FhirTold *told,
                                 const GPtrArray *devices);

/** The Observation of the reaction; NULL when there is none. @told: as for the Procedure.
 * Owns: the caller's. */
FhirResource *fhir_map_reaction(const FhirMapping *mapping,
                                const char *session,
                                const FhirTold *told);

/** Its id. Owns: the caller's. */
char *fhir_map_reaction_id(const char *session);

/** Where the record comes from; NULL while no receipt says what it is. Owns: the caller's. */
FhirResource *fhir_map_provenance(const FhirMapping *mapping, const SyncDelivery *delivery);

/** What is left of a session that was erased, or of which nobody knows the patient any more:
 * that there was one. Owns: the caller's. */
FhirResource *fhir_map_withdrawn_procedure(const FhirMapping *mapping,
                                           const char *session,
                                           bool is_erased);

/** What an Observation that no longer holds becomes. @id: ours. */
FhirResource *fhir_map_withdrawn_observation(const FhirMapping *mapping,
                                             const char *session,
                                             const char *id,
                                             JsonObject *subject,
                                             bool is_erased);

/** True when somebody erased it. */
bool fhir_map_is_erased(JsonObject *resource);

/** Procedure.status while its parts are still on their way. */
#define FHIR_STATUS_BEGUN "in-progress"
