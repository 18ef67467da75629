/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/fhir_http.h"
#include "sync/fhir_settings.h"

/*
 * The Authorization header: none, a fixed bearer token, or one by OAuth2 client credentials
 * (a secret, or a signed assertion as in SMART backend services) that is renewed before it
 * ends and whenever the server no longer takes it.
 */
typedef struct FhirToken FhirToken;

/** @settings and @config are borrowed for the token's life. Owns: the caller's. */
FhirToken *fhir_token_new(const FhirSettings *settings, SyncConfig *config);
void fhir_token_free(FhirToken *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FhirToken, fhir_token_free)

/**
 * The header, fetched when there is none that holds.
 *
 * @header_out: NULL without authentication. Owns: borrowed until the next call.
 * Errors: SYNC_ERROR_CONFIG: the credential, or the token endpoint refused it;
 * SYNC_ERROR_UNAVAILABLE: the endpoint cannot be reached now.
 */
bool fhir_token_get(FhirToken *self,
                    FhirHttp *http,
                    const char **header_out,
                    GCancellable *cancellable,
                    GError **error);

/** The server did not take it: forget it. Returns true when a new one may be worth a try. */
bool fhir_token_drop(FhirToken *self);
