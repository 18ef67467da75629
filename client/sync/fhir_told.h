/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"

#include <json-glib/json-glib.h>

/*
 * What people said about a session, on any gateway, each with when and where. On the server
 * a Procedure carries it (the extension "said"), so that two gateways merge it field by field
 * instead of one wiping out the other's (F21).
 */
typedef struct {
    char *value;           /* owned; NULL: nothing, or taken back */
    char *gateway;         /* owned; where it was said; NULL when it never was */
    int64_t wall_us;       /* when; 0: never said */
    int64_t start_wall_us; /* of a zone: when its pass began, 0 when unknown */
} FhirWord;

typedef struct {
    JsonObject *subject; /* owned; NULL while the patient is not known */
    FhirWord patient;    /* its value stays in @subject */
    FhirWord operator_name;
    FhirWord note;
    FhirWord reaction; /* of the skin */
    FhirWord order;    /* what the treatment was part of */
    GPtrArray *zones;  /* of FhirWord: ours one a pass in order; a server's only those said */
    GPtrArray
        *later;      /* of JsonObject: what a server has of words that this version does not know */
    bool may_be_old; /* carried in files: that gateway may have said more since */
} FhirTold;

/**
 * What the delivery's gateway was told. @subject: of the patient reference, or NULL.
 *
 * Owns: the caller's; refers to @subject.
 */
FhirTold *fhir_told_of_delivery(const SyncDelivery *delivery, JsonObject *subject);

/** What a Procedure on the server says. Owns: the caller's. */
FhirTold *fhir_told_of_procedure(JsonObject *procedure);

void fhir_told_free(FhirTold *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FhirTold, fhir_told_free)

/**
 * Take over what another gateway said later. What this gateway said wins over what it said
 * before, whatever its clock did, unless ours was carried; nothing taken back clears what another
 * gateway set; a zone belongs to the pass that began within a second.
 *
 * Returns true when ours was newer in something that is no zone.
 */
bool fhir_told_merge(FhirTold *self, const FhirTold *theirs, const char *gateway);

/**
 * Set subject, performer, note, basedOn and the extension on a Procedure, replacing what it had.
 *
 * @order_system: URI of the clinic's order numbers, or NULL. An order of the form ServiceRequest/ID
 * or CarePlan/ID refers to that resource, any other is the number of a ServiceRequest.
 */
void fhir_told_write(const FhirTold *self, const char *order_system, JsonObject *procedure);
