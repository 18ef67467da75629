/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/fhir_deliver.h"
#include "sync/fhir_write.h"

/* One try of one delivery. */
typedef struct {
    FhirDesk *desk;                 /* borrowed */
    const SyncDelivery *delivery;   /* borrowed */
    GCancellable *cancellable;      /* borrowed */
    FhirIds *ids;                   /* owned */
    GHashTable *known_observations; /* owned; UUIDs of Observations that there may be */
    GHashTable *found_observations; /* owned; UUID to JsonObject as the server has it */
    JsonObject *theirs;   /* owned; the Procedure on the server, NULL when there is none */
    GPtrArray *resources; /* owned; of FhirResource: what the server is to have */
    GPtrArray *written;   /* borrows from resources */
    bool has_written;
} FhirJob;

void fhir_job_init(FhirJob *self,
                   FhirDesk *desk,
                   const SyncDelivery *delivery,
                   GCancellable *cancellable);
void fhir_job_clear(FhirJob *self);

/** Read the Procedure, and the Observations where they can be searched for. Errors: as
 * fhir_client_get(). */
bool fhir_job_look(FhirJob *self, GError **error);

/** What to remember of it for the next time (SyncOutcome.note). Owns: the caller's. */
char *fhir_job_note(const FhirJob *self);

/** Keep a resource. Owns: takes it; the result is borrowed. */
const FhirResource *fhir_job_keep(FhirJob *self, FhirResource *resource);

/** Add one Observation, withdrawn, unless the server has none or it is erased.
 * @uuid: ours. @subject: NULL masks it. Errors: as fhir_client_get(). */
bool fhir_job_withdraw_one(FhirJob *self,
                           const char *uuid,
                           JsonObject *subject,
                           bool is_erased,
                           GPtrArray *out,
                           GError **error);

/** Observations that the server may have and @observations does not: withdrawn ones of them are
 * added to @out as FhirWrite. @subject: NULL masks it. Errors: as fhir_client_get(). */
bool fhir_job_withdraw(FhirJob *self,
                       const GPtrArray *observations,
                       JsonObject *subject,
                       bool is_erased,
                       GPtrArray *out,
                       GError **error);

/** True when the server has @resource as it is to be. @has: what it has, or NULL. */
bool fhir_job_is_same(FhirJob *self, const FhirResource *resource, JsonObject *has);

/** Copy of what a server has, to be changed and written back. Owns: the caller's. */
JsonObject *fhir_job_unversioned(JsonObject *has);

/** Write and remember what was written. Errors: as fhir_client_call(). */
bool fhir_job_write(FhirJob *self, const GPtrArray *writes, GError **error);

/** Read back what was written; a server that confirmed and has not is FHIR_ERROR_LATER. */
bool fhir_job_verify(FhirJob *self, GError **error);
