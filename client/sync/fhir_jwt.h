/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdint.h>

/* What a client says of itself to a token endpoint. */
typedef struct {
    const char *client_id; /* issuer and subject */
    const char *audience;  /* URL of the token endpoint */
    const char *key_id;    /* kid, NULL for none */
    const char *jwt_id;    /* used once */
    int64_t expires_s;     /* seconds since 1970 UTC; at most 5 min ahead */
} FhirJwtClaims;

/**
 * Signed assertion of SMART backend services (private_key_jwt): RS384 of an RSA key, ES384 of
 * one on P-384.
 *
 * @key_pem: private key, PKCS#8 or the older forms. Owns: the caller's.
 * Errors: G_IO_ERROR_INVALID_DATA: no such key, in words that do not show it.
 * Source: RFC 7515, 7518, 7523; SMART App Launch 2, "Asymmetric authentication".
 */
char *fhir_jwt_new(const char *key_pem, const FhirJwtClaims *claims, GError **error);
