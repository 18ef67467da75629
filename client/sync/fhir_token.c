/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides how a token is got and how long it is used. No secret and no token leaves this file
 * but in a header or a form.
 */
#include "sync/fhir_token.h"

#include "sync/clean.h"
#include "sync/error.h"
#include "sync/fhir_json.h"
#include "sync/fhir_jwt.h"
#include "sync/fhir_outcome.h"

#include <string.h>

#define ASSERTION_LIFE_S 240
/* A token that ends while a request is on its way is as good as none. */
#define MARGIN_S   30
#define LIFE_MAX_S 86400

#define WORD_MAX_BYTES 64u /* of the endpoint's error, a word such as invalid_client */

struct FhirToken {
    const FhirSettings *settings; /* borrowed */
    SyncConfig *config;           /* borrowed */
    char *header;                 /* owned; NULL: to be got */
    gint64 ends_mono_us;          /* 0: it does not end */
};

FhirToken *
fhir_token_new(const FhirSettings *settings, SyncConfig *config)
{
    FhirToken *self = g_new0(FhirToken, 1);

    self->settings = settings;
    self->config = config;
    return self;
}

void
fhir_token_free(FhirToken *self)
{
    if (self != NULL) {
        sync_secret_free(self->header);
        g_free(self);
    }
}

static bool
is_header_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (!g_ascii_isgraph(*text)) {
            return false;
        }
    }
    return true;
}

static bool
take_token(FhirToken *self, const char *token, GError **error)
{
    if (token[0] == '\0' || !is_header_text(token)) {
        sync_config_fail(self->config,
                         error,
                         FHIR_GROUP,
                         "credential",
                         "the token has blanks or characters that no header takes; put the token "
                         "alone into the file");
        return false;
    }
    sync_secret_free(self->header);
    self->header = g_strconcat("Bearer ", token, NULL);
    return true;
}

static char *
assertion_new(FhirToken *self, const char *secret, GError **error)
{
    g_autofree char *jwt_id = g_uuid_string_random();
    g_autoptr(GError) failure = NULL;
    const FhirJwtClaims claims = {
        .client_id = self->settings->client_id,
        .audience = self->settings->token_url,
        .key_id = self->settings->key_id,
        .jwt_id = jwt_id,
        .expires_s = g_get_real_time() / G_USEC_PER_SEC + ASSERTION_LIFE_S,
    };
    char *assertion = fhir_jwt_new(secret, &claims, &failure);

    if (assertion == NULL) {
        sync_config_fail(self->config,
                         error,
                         FHIR_GROUP,
                         "credential",
                         "%s; give the private key whose public half is registered for client_id",
                         failure->message);
    }
    return assertion;
}

static void
append_field(GString *form, const char *name, const char *value)
{
    g_autofree char *escaped = g_uri_escape_string(value, NULL, FALSE);

    g_string_append_printf(form, "%s%s=%s", form->len > 0 ? "&" : "", name, escaped);
}

static char *
form_new(FhirToken *self, const char *secret, GError **error)
{
    g_autoptr(GString) form = g_string_new(NULL);

    append_field(form, "grant_type", "client_credentials");
    if (self->settings->scope != NULL) {
        append_field(form, "scope", self->settings->scope);
    }
    if (self->settings->auth == FHIR_AUTH_CLIENT_SECRET) {
        return g_string_free(g_steal_pointer(&form), FALSE);
    }
    g_autofree char *assertion = assertion_new(self, secret, error);
    if (assertion == NULL) {
        return NULL;
    }
    append_field(
        form, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    append_field(form, "client_assertion", assertion);
    return g_string_free(g_steal_pointer(&form), FALSE);
}

/* Both halves are form-encoded before they are joined (RFC 6749, 2.3.1). */
static char *
basic_new(const char *client_id, const char *secret)
{
    g_autofree char *user = g_uri_escape_string(client_id, NULL, FALSE);
    g_autofree char *word = g_uri_escape_string(secret, NULL, FALSE);
    g_autofree char *pair = g_strdup_printf("%s:%s", user, word);
    g_autofree char *encoded = g_base64_encode((const guchar *)pair, strlen(pair));

    return g_strconcat("Basic ", encoded, NULL);
}

static bool
take_answer(FhirToken *self, const FhirHttpReply *reply, GError **error)
{
    g_autoptr(JsonObject) answer = fhir_json_parse(reply->body, reply->n_bytes, NULL);
    const char *token = answer == NULL ? NULL : fhir_json_find_text(answer, "access_token");
    const char *type = answer == NULL ? NULL : fhir_json_find_text(answer, "token_type");

    if (token == NULL || (type != NULL && g_ascii_strcasecmp(type, "bearer") != 0)) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "%s gave no bearer token",
                    self->settings->token_url);
        return false;
    }
    const int64_t life_s = CLAMP(fhir_json_find_int(answer, "expires_in", 300), 1, LIFE_MAX_S);
    self->ends_mono_us =
        g_get_monotonic_time() + MAX(life_s - MARGIN_S, life_s / 2) * G_USEC_PER_SEC;
    return take_token(self, token, error);
}

static bool
check_answer(FhirToken *self, const FhirHttpReply *reply, GError **error)
{
    g_autoptr(JsonObject) answer = fhir_json_parse(reply->body, reply->n_bytes, NULL);
    const char *error_word = answer == NULL ? NULL : fhir_json_find_text(answer, "error");

    if (reply->status == 200) {
        return true;
    }
    if (reply->status == 404 || reply->status == 405 || reply->status / 100 == 3) {
        sync_config_fail(self->config,
                         error,
                         FHIR_GROUP,
                         "token_url",
                         "%s answered %u; give the token endpoint of the authorization server",
                         self->settings->token_url,
                         reply->status);
    } else if (reply->status == 400 || reply->status == 401 || reply->status == 403) {
        g_autofree char *word =
            sync_clean_words(NULL, 0, error_word != NULL ? error_word : "", WORD_MAX_BYTES);
        sync_config_fail(self->config,
                         error,
                         FHIR_GROUP,
                         "credential",
                         "the token endpoint refused it with %u%s%s; see that client_id, scope and "
                         "the credential belong together",
                         reply->status,
                         word[0] == '\0' ? "" : " ",
                         word);
    } else {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "%s answered %u",
                    self->settings->token_url,
                    reply->status);
    }
    return false;
}

static bool
ask(FhirToken *self, FhirHttp *http, const char *secret, GCancellable *cancellable, GError **error)
{
    g_autofree char *form = form_new(self, secret, error);
    g_autofree char *basic = self->settings->auth == FHIR_AUTH_CLIENT_SECRET
                                 ? basic_new(self->settings->client_id, secret)
                                 : NULL;
    FhirHttpReply reply = { 0 };
    g_autoptr(GError) failure = NULL;

    if (form == NULL) {
        return false;
    }
    const FhirHttpRequest request = {
        .method = "POST",
        .url = self->settings->token_url,
        .type = "application/x-www-form-urlencoded",
        .body = form,
        .authorization = basic,
    };
    bool is_good = fhir_http_send(http, &request, &reply, cancellable, &failure);
    if (!is_good && g_error_matches(failure, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE)) {
        sync_config_fail(self->config,
                         error,
                         FHIR_GROUP,
                         "ca",
                         "the certificate of %s is not vouched for; give its CA",
                         self->settings->token_url);
    } else if (!is_good) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "%s: %s",
                    self->settings->token_url,
                    failure->message);
    } else {
        is_good = check_answer(self, &reply, error) && take_answer(self, &reply, error);
    }
    fhir_http_reply_clear(&reply);
    return is_good;
}

bool
fhir_token_get(FhirToken *self,
               FhirHttp *http,
               const char **header_out,
               GCancellable *cancellable,
               GError **error)
{
    *header_out = NULL;
    if (self->settings->auth == FHIR_AUTH_NONE) {
        return true;
    }
    const bool is_over = self->ends_mono_us != 0 && g_get_monotonic_time() >= self->ends_mono_us;
    if (self->header == NULL || is_over) {
        char *secret = sync_secret_read(self->settings->secret_path, error);
        if (secret == NULL) {
            return false;
        }
        const bool is_good = self->settings->auth == FHIR_AUTH_BEARER
                                 ? take_token(self, secret, error)
                                 : ask(self, http, secret, cancellable, error);
        sync_secret_free(secret);
        if (!is_good) {
            return false;
        }
    }
    *header_out = self->header;
    return true;
}

bool
fhir_token_drop(FhirToken *self)
{
    sync_secret_free(self->header);
    self->header = NULL;
    self->ends_mono_us = 0;
    /* A fixed one may have been renewed in its file. */
    return self->settings->auth != FHIR_AUTH_NONE;
}
