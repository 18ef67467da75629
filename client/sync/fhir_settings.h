/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/config.h"
#include "sync/fhir_codes.h"

#include <json-glib/json-glib.h>

/* The group [fhir] of a configuration. */
#define FHIR_GROUP "fhir"

typedef enum {
    FHIR_PATIENT_IDENTIFIER = 0, /* a logical reference: SYSTEM and the reference */
    FHIR_PATIENT_SEARCH,         /* the one Patient that has it as an identifier */
    FHIR_PATIENT_LITERAL,        /* it is the id of a Patient */
} FhirPatient;

typedef enum {
    FHIR_AUTH_NONE = 0,
    FHIR_AUTH_BEARER,
    FHIR_AUTH_CLIENT_SECRET,
    FHIR_AUTH_PRIVATE_KEY_JWT,
} FhirAuth;

typedef struct {
    char *url;            /* owned; base without a slash at its end */
    char *ca;             /* owned; NULL: the system's */
    char *proxy;          /* owned; NULL: none */
    char *patient_system; /* owned; NULL for literal */
    char *order_system;   /* owned; NULL: orders have no system */
    char *secret_path;    /* owned; NULL without authentication */
    char *token_url;      /* owned; of OAuth2 */
    char *client_id;      /* owned */
    char *scope;          /* owned; NULL: none is asked for */
    char *key_id;         /* owned */
    FhirCodes *codes;     /* owned */
    FhirPatient patient;
    FhirAuth auth;
    uint32_t timeout_s;
    uint32_t max_entries;
    bool is_test;
} FhirSettings;

/** Read the group. Owns: the caller's. Errors: SYNC_ERROR_CONFIG. */
FhirSettings *fhir_settings_new(SyncConfig *config, GError **error);
/** Only what files need, which no server is asked for: patient (not search), orders, code_map
 * and test_data. Owns: the caller's. Errors: SYNC_ERROR_CONFIG. */
FhirSettings *fhir_settings_new_for_files(SyncConfig *config, GError **error);
void fhir_settings_free(FhirSettings *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FhirSettings, fhir_settings_free)

/**
 * Procedure.subject for a patient reference when no search is needed for it.
 *
 * Owns: the caller's; NULL when the reference cannot be an id (literal) or must be searched.
 */
JsonObject *fhir_settings_subject(const FhirSettings *self, const char *patient);
