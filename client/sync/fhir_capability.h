/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>

/* How to write so that a repeat changes nothing, best first (clinic-domain.md D3). */
typedef enum {
    FHIR_MODE_PUT = 0,     /* our ids, by PUT */
    FHIR_MODE_CONDITIONAL, /* the server's ids, If-None-Exist on our identifier */
    FHIR_MODE_SEARCH,      /* the server's ids, search before create */
} FhirMode;

/* What we use of a CapabilityStatement. */
typedef struct {
    FhirMode mode;
    bool has_transaction;
    bool has_versions;    /* If-Match is honoured */
    bool searches_parts;  /* Observation?part-of= */
    bool searches_origin; /* Provenance?target= */
} FhirCapability;

/**
 * Read a CapabilityStatement.
 *
 * Errors: SYNC_ERROR_FOREIGN: not R4, or it cannot be written to in any way of ours; the
 * message says what is missing, without the file and the key.
 */
bool fhir_capability_read(JsonObject *statement, FhirCapability *out, GError **error);

/** "PUT by id in transactions": for the log. Owns: static. */
const char *fhir_capability_describe(const FhirCapability *self);
