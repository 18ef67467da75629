/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/fhir_client.h"
#include "sync/fhir_write.h"

/* What a server has already. */

/**
 * One resource of ours by its id, or by its identifier where the server gives ids; its id
 * goes to @ids then.
 *
 * @found_out: NULL when there is none. Owns: the caller's. Errors: as fhir_client_get();
 * FHIR_ERROR_REJECTED when there are two.
 */
bool fhir_find(FhirClient *client,
               FhirIds *ids,
               const char *type,
               const char *id,
               JsonObject **found_out,
               GCancellable *cancellable,
               GError **error);

/**
 * Observations of ours that are part of a Procedure, by search.
 *
 * Owns: array of JsonObject, the caller's; empty when the server cannot search for them.
 */
GPtrArray *fhir_find_observations(FhirClient *client,
                                  FhirIds *ids,
                                  const char *session,
                                  GCancellable *cancellable,
                                  GError **error);

/** True in @found_out when the Provenance is there; where ids are the server's it is known by its
 * gateway and receipt. */
bool fhir_find_provenance(FhirClient *client,
                          FhirIds *ids,
                          const FhirResource *provenance,
                          const char *session,
                          bool *found_out,
                          GCancellable *cancellable,
                          GError **error);

/**
 * Reference to the one Patient with that identifier.
 *
 * Owns: the caller's. Errors: FHIR_ERROR_REJECTED: none, or several.
 */
JsonObject *fhir_find_patient(FhirClient *client,
                              const char *system,
                              const char *patient,
                              GCancellable *cancellable,
                              GError **error);

/** UUID that one of ours has as its identifier, NULL when it has none. Owns: the caller's. */
char *fhir_find_uuid(JsonObject *resource);

/** If-Match of what was read, NULL when it has no version. Owns: the caller's. */
char *fhir_find_version(JsonObject *resource);
