/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what an error at the server is to the person who configured it: a key to correct
 * when the server was reached and is not what it should be, patience when it was not.
 */
#include "sync/fhir_client.h"

#include "sync/error.h"
#include "sync/fhir_http.h"
#include "sync/fhir_json.h"
#include "sync/fhir_outcome.h"
#include "sync/fhir_token.h"

#include <string.h>

/* CapabilityStatements of large servers have a few MB. */
#define ANSWER_MAX_BYTES ((gsize)16 * 1024 * 1024)

struct FhirClient {
    const FhirSettings *settings; /* borrowed */
    SyncConfig *config;           /* borrowed */
    FhirHttp *http;               /* owned */
    FhirToken *token;             /* owned */
    FhirCapability capability;
    bool is_open;
    uint32_t retry_after_ms;
};

FhirClient *
fhir_client_new(const FhirSettings *settings, SyncConfig *config, GError **error)
{
    const FhirHttpSetup setup = {
        .ca_file = settings->ca,
        .proxy = settings->proxy,
        .timeout_s = settings->timeout_s,
        .answer_max_bytes = ANSWER_MAX_BYTES,
    };
    g_autoptr(FhirClient) self = g_new0(FhirClient, 1);
    g_autoptr(GError) failure = NULL;

    self->settings = settings;
    self->config = config;
    self->http = fhir_http_new(&setup, &failure);
    if (self->http == NULL) {
        sync_config_fail(config, error, FHIR_GROUP, "ca", "%s", failure->message);
        return NULL;
    }
    self->token = fhir_token_new(settings, config);
    return g_steal_pointer(&self);
}

void
fhir_client_free(FhirClient *self)
{
    if (self == NULL) {
        return;
    }
    g_clear_pointer(&self->token, fhir_token_free);
    g_clear_pointer(&self->http, fhir_http_free);
    g_free(self);
}

const FhirCapability *
fhir_client_get_capability(const FhirClient *self)
{
    return &self->capability;
}

uint32_t
fhir_client_get_retry_after_ms(const FhirClient *self)
{
    return self->retry_after_ms;
}

void
fhir_client_close(FhirClient *self)
{
    self->is_open = false;
    (void)fhir_token_drop(self->token);
}

void
fhir_answer_clear(FhirAnswer *self)
{
    g_clear_pointer(&self->body, json_object_unref);
    g_clear_pointer(&self->location, g_free);
    self->status = 0;
}

/* One try: with the token there is, and one more with a new token when it was refused. */
static bool
exchange(FhirClient *self,
         FhirHttpRequest *request,
         FhirHttpReply *reply,
         GCancellable *cancellable,
         GError **error)
{
    for (int i = 0; i < 2; i++) {
        if (!fhir_token_get(self->token, self->http, &request->authorization, cancellable, error)) {
            return false;
        }
        fhir_http_reply_clear(reply);
        if (!fhir_http_send(self->http, request, reply, cancellable, error)) {
            return false;
        }
        if (reply->status != 401 || !fhir_token_drop(self->token)) {
            return true;
        }
    }
    return true;
}

static char *
doing_new(const char *method, const char *path)
{
    /* A query may hold a patient's number. */
    const gsize n = strcspn(path, "?");

    return g_strdup_printf("%s %.*s", method, n == 0 ? 6 : (int)n, n == 0 ? "bundle" : path);
}

static void
explain_failure(FhirClient *self, const char *doing, GError *failure, GError **error)
{
    if (failure->domain == SYNC_ERROR ||
        g_error_matches(failure, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        g_propagate_error(error, g_error_copy(failure));
    } else if (g_error_matches(failure, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE)) {
        sync_config_fail(self->config,
                         error,
                         FHIR_GROUP,
                         "ca",
                         "the certificate of %s is not vouched for (%s); give the CA of the "
                         "server as ca=FILE",
                         self->settings->url,
                         failure->message);
    } else {
        g_set_error(error, FHIR_ERROR, FHIR_ERROR_LATER, "%s: %s", doing, failure->message);
    }
}

static bool
send_request(FhirClient *self,
             const FhirCall *call,
             FhirHttpReply *reply,
             GCancellable *cancellable,
             GError **error)
{
    g_autofree char *url = call->path[0] == '\0'
                               ? g_strdup(self->settings->url)
                               : g_strdup_printf("%s/%s", self->settings->url, call->path);
    g_autofree char *body = call->body == NULL ? NULL : fhir_json_print(call->body);
    g_autofree char *doing = doing_new(call->method, call->path);
    g_autoptr(GError) failure = NULL;
    FhirHttpRequest request = {
        .method = call->method,
        .url = url,
        .type = "application/fhir+json",
        .body = body,
        .if_match = call->if_match,
        .if_none_exist = call->if_none_exist,
    };

    self->retry_after_ms = 0;
    if (!exchange(self, &request, reply, cancellable, &failure)) {
        explain_failure(self, doing, failure, error);
        return false;
    }
    self->retry_after_ms = reply->retry_after_ms;
    return fhir_outcome_check_status(doing, reply->status, reply->body, reply->n_bytes, error);
}

bool
fhir_client_call(FhirClient *self,
                 const FhirCall *call,
                 FhirAnswer *answer_out,
                 GCancellable *cancellable,
                 GError **error)
{
    FhirHttpReply reply = { 0 };
    bool is_good = send_request(self, call, &reply, cancellable, error);

    answer_out->status = reply.status;
    if (is_good && reply.n_bytes > 0) {
        g_autoptr(GError) failure = NULL;
        answer_out->body = fhir_json_parse(reply.body, reply.n_bytes, &failure);
        if (answer_out->body == NULL) {
            g_set_error(error,
                        FHIR_ERROR,
                        FHIR_ERROR_LATER,
                        "the server's answer cannot be read: %s",
                        failure->message);
            is_good = false;
        }
    }
    answer_out->location = g_steal_pointer(&reply.location);
    fhir_http_reply_clear(&reply);
    return is_good;
}

JsonObject *
fhir_client_get(FhirClient *self, const char *path, GCancellable *cancellable, GError **error)
{
    const FhirCall call = { .method = "GET", .path = path };
    FhirAnswer answer = { 0 };
    JsonObject *body = NULL;

    if (fhir_client_call(self, &call, &answer, cancellable, error)) {
        body = g_steal_pointer(&answer.body);
        if (body == NULL) {
            g_set_error_literal(
                error, FHIR_ERROR, FHIR_ERROR_LATER, "the server answered with nothing");
        }
    }
    fhir_answer_clear(&answer);
    return body;
}

/* What an error of the first requests says about the configuration. */
static void
explain_open(FhirClient *self, const GError *failure, GError **error)
{
    if (failure->domain == SYNC_ERROR ||
        g_error_matches(failure, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        g_propagate_error(error, g_error_copy(failure));
    } else if (g_error_matches(failure, FHIR_ERROR, FHIR_ERROR_ACCESS)) {
        sync_config_fail(self->config,
                         error,
                         FHIR_GROUP,
                         self->settings->auth == FHIR_AUTH_NONE ? "auth" : "credential",
                         "%s; give a credential that may read and write Procedure, Device, "
                         "Observation and Provenance",
                         failure->message);
    } else if (g_error_matches(failure, FHIR_ERROR, FHIR_ERROR_LATER)) {
        g_autofree char *url = g_strdup(self->settings->url);
        g_set_error(
            error, SYNC_ERROR, SYNC_ERROR_UNAVAILABLE, "[fhir] url: %s: %s", url, failure->message);
    } else {
        sync_config_fail(self->config,
                         error,
                         FHIR_GROUP,
                         "url",
                         "%s: %s; give the base URL of a FHIR server, the one below which "
                         "/metadata is",
                         self->settings->url,
                         failure->message);
    }
}

static bool
read_capability(FhirClient *self, GCancellable *cancellable, GError **error)
{
    FhirHttpReply reply = { 0 };
    const FhirCall call = { .method = "GET", .path = "metadata" };
    g_autoptr(GError) failure = NULL;

    if (!send_request(self, &call, &reply, cancellable, error)) {
        fhir_http_reply_clear(&reply);
        return false;
    }
    g_autoptr(JsonObject) statement = fhir_json_parse(reply.body, reply.n_bytes, NULL);
    fhir_http_reply_clear(&reply);
    const char *type = statement == NULL ? NULL : fhir_json_find_text(statement, "resourceType");
    if (g_strcmp0(type, "CapabilityStatement") != 0) {
        g_set_error_literal(error,
                            FHIR_ERROR,
                            FHIR_ERROR_MOVED,
                            "/metadata is no CapabilityStatement, so this is no FHIR server");
        return false;
    }
    if (!fhir_capability_read(statement, &self->capability, &failure)) {
        g_autoptr(GError) named = NULL;
        sync_config_fail(self->config, &named, FHIR_GROUP, "url", "%s", failure->message);
        g_set_error_literal(error, SYNC_ERROR, SYNC_ERROR_FOREIGN, named->message);
        return false;
    }
    return true;
}

bool
fhir_client_open(FhirClient *self, GCancellable *cancellable, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (self->is_open) {
        return true;
    }
    if (!read_capability(self, cancellable, &failure)) {
        explain_open(self, failure, error);
        return false;
    }
    /* /metadata is public on most servers: a search shows whether the credential holds. */
    g_autoptr(JsonObject) found =
        fhir_client_get(self, "Procedure?_summary=count&_count=1", cancellable, &failure);
    if (found == NULL) {
        explain_open(self, failure, error);
        return false;
    }
    self->is_open = true;
    g_info("%s: %s", self->settings->url, fhir_capability_describe(&self->capability));
    return true;
}
