/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/fhir_job.h"

/* What is to be written of a session, and how it is written in steps. */

/** Array of FhirWrite. Owns: the caller's. */
GPtrArray *fhir_plan_writes_new(void);
void fhir_plan_add(GPtrArray *writes, const FhirResource *resource, const char *if_match);

/** If-Match of what was read; NULL when it or the server has no versions. Owns: the caller's. */
char *fhir_plan_version(FhirJob *job, JsonObject *has);

/** Add the Observation of the reaction, or withdraw the one that is there when there is none any
 * more. Errors: as fhir_client_get(). */
bool fhir_plan_add_reaction(FhirJob *job, const FhirTold *told, GPtrArray *writes, GError **error);

/** Add where the record comes from, unless the server has it. Errors: as fhir_client_get(). */
bool fhir_plan_add_provenance(FhirJob *job, GPtrArray *writes, GError **error);

/** Write in order, in bundles of as many as the server takes. Errors: as fhir_client_call(). */
bool fhir_plan_write(FhirJob *job, const GPtrArray *writes, GError **error);

/**
 * Write the whole session as it is here and read back that it is there: at once where that is
 * possible, else the Procedure begun, its zones, and the Procedure completed.
 *
 * Errors: as fhir_client_call().
 */
bool fhir_plan_deliver(FhirJob *job, const FhirTold *told, GError **error);
