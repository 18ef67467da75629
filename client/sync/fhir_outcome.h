/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>

/* What an answer of a FHIR server means for the delivery. */
#define FHIR_ERROR (fhir_error_quark())

typedef enum {
    FHIR_ERROR_LATER = 0, /* 408, 425, 429, 5xx, no connection, an answer that cannot be read */
    FHIR_ERROR_ACCESS,    /* 401, 403: the credential */
    FHIR_ERROR_CONFLICT,  /* 409, 412: somebody else wrote; read again and merge */
    FHIR_ERROR_REJECTED,  /* other 4xx: this resource, for good */
    FHIR_ERROR_TOO_LARGE, /* 413: split more */
    FHIR_ERROR_ABSENT,    /* 404, 410 */
    FHIR_ERROR_MOVED,     /* 3xx: the URL is not right */
    FHIR_ERROR_UNBOUND,   /* no gateway knows the patient; never an answer of a server */
} FhirError;

GQuark fhir_error_quark(void);

/** True for 2xx. Errors: FHIR_ERROR by status, with the server's own words, as they stand, after
 * @doing. */
bool fhir_outcome_check_status(
    const char *doing, guint status, const char *body, gsize n_bytes, GError **error);

/**
 * Every entry of the answer to a Bundle of @n_entries must have gone well (P37).
 *
 * Errors: FHIR_ERROR; the worst entry is named by its place. An answer with another number of
 * entries, or none of their outcomes, is FHIR_ERROR_LATER.
 */
bool fhir_outcome_check_bundle(JsonObject *bundle, guint n_entries, GError **error);

/** What an OperationOutcome says, whole and as it stands: see sync_clean_words(); NULL when it is
 * none. Owns: the caller's. */
char *fhir_outcome_text(JsonObject *outcome);
