/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/fhir_client.h"
#include "sync/fhir_map.h"

/* Our "TYPE/UUID" to the server's "TYPE/ID"; what is not in it has our id. */
typedef GHashTable FhirIds;

FhirIds *fhir_ids_new(void);

/** Server's id of one of ours, NULL when it has none yet. Owns: borrowed. */
const char *fhir_ids_find(FhirIds *self, const char *type, const char *id);
void fhir_ids_set(FhirIds *self, const char *type, const char *id, const char *server_id);

/** Id out of "https://.../TYPE/ID/_history/1" or "TYPE/ID"; NULL when it is none. Owns: the
 * caller's. */
char *fhir_ids_parse(const char *location, const char *type);

/** What is sent of a resource: its id and its references as the server has them. Owns: the
 * caller's. */
JsonObject *fhir_write_body(FhirIds *ids, const FhirResource *resource);

/** One resource to write. */
typedef struct {
    const FhirResource *resource; /* borrowed */
    char *if_match;               /* owned; NULL for none */
} FhirWrite;

/** Owns: takes nothing, copies @if_match. */
FhirWrite *fhir_write_new(const FhirResource *resource, const char *if_match);
void fhir_write_free(FhirWrite *self);

/**
 * Write all, in order: in one transaction where the server takes ids of ours and
 * transactions, else one by one, the server's ids going to @ids.
 *
 * @writes: of FhirWrite. Errors: as fhir_client_call().
 */
bool fhir_write_all(FhirClient *client,
                    FhirIds *ids,
                    const GPtrArray *writes,
                    GCancellable *cancellable,
                    GError **error);
