/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/fhir_capability.h"
#include "sync/fhir_settings.h"

#include <gio/gio.h>

/* A FHIR server: reads, searches and writes, each with its token and every answer checked. */
typedef struct FhirClient FhirClient;

/** @settings and @config are borrowed. Owns: the caller's. Errors: SYNC_ERROR_CONFIG. */
FhirClient *fhir_client_new(const FhirSettings *settings, SyncConfig *config, GError **error);
void fhir_client_free(FhirClient *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FhirClient, fhir_client_free)

/**
 * Read /metadata and see that the credential may search; harmless when that was done.
 *
 * Errors: SYNC_ERROR_CONFIG, SYNC_ERROR_FOREIGN, SYNC_ERROR_UNAVAILABLE.
 */
bool fhir_client_open(FhirClient *self, GCancellable *cancellable, GError **error);

/** What the server can do; after fhir_client_open(). Owns: borrowed. */
const FhirCapability *fhir_client_get_capability(const FhirClient *self);

/** Forget what /metadata said: it is read again. */
void fhir_client_close(FhirClient *self);

/** What the last answer asked for by Retry-After, 0 for nothing. */
uint32_t fhir_client_get_retry_after_ms(const FhirClient *self);

/**
 * GET of a path below the base; "" is the base.
 *
 * Owns: the caller's. Errors: FHIR_ERROR (ABSENT when there is none); G_IO_ERROR_CANCELLED;
 * SYNC_ERROR_CONFIG.
 */
JsonObject *fhir_client_get(FhirClient *self,
                            const char *path,
                            GCancellable *cancellable,
                            GError **error);

typedef struct {
    const char *method; /* PUT, POST */
    const char *path;
    JsonObject *body;
    const char *if_match;
    const char *if_none_exist;
} FhirCall;

typedef struct {
    JsonObject *body; /* owned; NULL when it had none */
    char *location;   /* owned; NULL when there was none */
    guint status;
} FhirAnswer;

void fhir_answer_clear(FhirAnswer *self);

/** Write. @answer_out: to be cleared in every case. Errors: as fhir_client_get(). */
bool fhir_client_call(FhirClient *self,
                      const FhirCall *call,
                      FhirAnswer *answer_out,
                      GCancellable *cancellable,
                      GError **error);
