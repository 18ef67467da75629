/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * One HTTP request at a time, to its end or its deadline, with an answer of bounded size. No
 * redirect is followed: a server that moved is a configuration to correct, and a token must
 * not wander.
 */
typedef struct FhirHttp FhirHttp;

typedef struct {
    const char *ca_file; /* PEM of who vouches for the server; NULL for the system's */
    const char *proxy;   /* http://HOST:PORT, NULL for none; what a desktop has set is not asked */
    uint32_t timeout_s;  /* of a whole request with its answer */
    gsize answer_max_bytes;
} FhirHttpSetup;

/** Owns: the caller's. Errors: G_TLS_ERROR, G_FILE_ERROR of @ca_file. */
FhirHttp *fhir_http_new(const FhirHttpSetup *setup, GError **error);
void fhir_http_free(FhirHttp *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FhirHttp, fhir_http_free)

typedef struct {
    const char *method;
    const char *url;
    const char *type;          /* of @body; NULL without one */
    const char *body;          /* borrowed */
    const char *authorization; /* whole header, or NULL; never shown */
    const char *if_match;
    const char *if_none_exist;
} FhirHttpRequest;

typedef struct {
    guint status;
    char *body; /* owned; ended by a zero byte that is not counted */
    gsize n_bytes;
    char *etag;     /* owned; NULL when there is none */
    char *location; /* owned */
    uint32_t retry_after_ms;
} FhirHttpReply;

void fhir_http_reply_clear(FhirHttpReply *self);

/**
 * Send and read the whole answer, whatever its status. Blocks.
 *
 * Owns: @reply_out is to be cleared in every case. Errors: G_TLS_ERROR_BAD_CERTIFICATE when
 * the server is not who it should be; G_IO_ERROR_CANCELLED when @cancellable was;
 * G_IO_ERROR_TIMED_OUT; G_IO_ERROR_MESSAGE_TOO_LARGE; others of the connection.
 */
bool fhir_http_send(FhirHttp *self,
                    const FhirHttpRequest *request,
                    FhirHttpReply *reply_out,
                    GCancellable *cancellable,
                    GError **error);

/** Milliseconds of a Retry-After header: seconds or a date; 0 when it says nothing. Capped. */
uint32_t fhir_http_retry_after_ms(const char *header, int64_t now_us);
