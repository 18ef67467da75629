/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what the configuration of a FHIR sink may say: among it that health data crosses a
 * network only encrypted, and that no secret stands in the file.
 */
#include "sync/fhir_settings.h"

#include "sync/fhir_id.h"
#include "sync/fhir_json.h"

#include <gio/gio.h>

#include <string.h>

void
fhir_settings_free(FhirSettings *self)
{
    if (self == NULL) {
        return;
    }
    g_free(self->url);
    g_free(self->ca);
    g_free(self->proxy);
    g_free(self->patient_system);
    g_free(self->order_system);
    g_free(self->secret_path);
    g_free(self->token_url);
    g_free(self->client_id);
    g_free(self->scope);
    g_free(self->key_id);
    g_clear_pointer(&self->codes, fhir_codes_free);
    g_free(self);
}

static bool
is_loopback(const char *host)
{
    g_autoptr(GInetAddress) address = g_inet_address_new_from_string(host);

    return g_ascii_strcasecmp(host, "localhost") == 0 ||
           (address != NULL && g_inet_address_get_is_loopback(address));
}

/* Base URL at @key, its slashes at the end taken off; NULL with an error. */
static char *
read_url(SyncConfig *config, const char *key, GError **error)
{
    g_autofree char *text = sync_config_dup_text(config, FHIR_GROUP, key, NULL, error);

    if (text == NULL) {
        return NULL;
    }
    g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_HAS_PASSWORD, NULL);
    const char *scheme = uri == NULL ? NULL : g_uri_get_scheme(uri);
    const char *host = uri == NULL ? NULL : g_uri_get_host(uri);
    if (host == NULL || host[0] == '\0' ||
        (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)) {
        sync_config_fail(
            config, error, FHIR_GROUP, key, "not a URL; give it as https://fhir.example.org/r4");
        return NULL;
    }
    if (g_uri_get_userinfo(uri) != NULL || g_uri_get_query(uri) != NULL ||
        g_uri_get_fragment(uri) != NULL) {
        sync_config_fail(config,
                         error,
                         FHIR_GROUP,
                         key,
                         "has a user, a query or a fragment; give the base alone, and the "
                         "credential by auth=");
        return NULL;
    }
    if (strcmp(scheme, "http") == 0 && !is_loopback(host)) {
        sync_config_fail(
            config, error, FHIR_GROUP, key, "http would send health data in the clear; use https");
        return NULL;
    }
    for (gsize n = strlen(text); n > 0 && text[n - 1] == '/'; n--) {
        text[n - 1] = '\0';
    }
    return g_steal_pointer(&text);
}

static bool
read_patient(FhirSettings *self, SyncConfig *config, GError **error)
{
    g_autofree char *text = sync_config_dup_text(config, FHIR_GROUP, "patient", NULL, error);

    if (text == NULL) {
        return false;
    }
    g_auto(GStrv) words = g_strsplit_set(text, " \t", 2);
    const char *system = words[1] == NULL ? NULL : g_strstrip(words[1]);
    const bool has_system =
        system != NULL && strchr(system, ':') != NULL && strpbrk(system, " \t|") == NULL;
    if (strcmp(words[0], "literal") == 0 && system == NULL) {
        self->patient = FHIR_PATIENT_LITERAL;
        return true;
    }
    if (strcmp(words[0], "identifier") == 0 && has_system) {
        self->patient = FHIR_PATIENT_IDENTIFIER;
    } else if (strcmp(words[0], "search") == 0 && has_system) {
        self->patient = FHIR_PATIENT_SEARCH;
    } else {
        sync_config_fail(config,
                         error,
                         FHIR_GROUP,
                         "patient",
                         "is none of: identifier SYSTEM, search SYSTEM, literal; SYSTEM is the "
                         "URI of the clinic's patient numbers");
        return false;
    }
    self->patient_system = g_strdup(system);
    return true;
}

static bool
read_orders(FhirSettings *self, SyncConfig *config, GError **error)
{
    self->order_system = sync_config_dup_optional(config, FHIR_GROUP, "orders");
    if (self->order_system == NULL ||
        (strchr(self->order_system, ':') != NULL && strpbrk(self->order_system, " \t|") == NULL)) {
        return true;
    }
    sync_config_fail(
        config, error, FHIR_GROUP, "orders", "not the URI of the clinic's order numbers");
    return false;
}

static bool
read_oauth(FhirSettings *self, SyncConfig *config, GError **error)
{
    if (self->auth != FHIR_AUTH_CLIENT_SECRET && self->auth != FHIR_AUTH_PRIVATE_KEY_JWT) {
        return true;
    }
    self->token_url = read_url(config, "token_url", error);
    if (self->token_url == NULL) {
        return false;
    }
    self->client_id = sync_config_dup_text(config, FHIR_GROUP, "client_id", NULL, error);
    if (self->client_id == NULL) {
        return false;
    }
    self->scope = sync_config_dup_optional(config, FHIR_GROUP, "scope");
    if (self->auth == FHIR_AUTH_PRIVATE_KEY_JWT) {
        self->key_id = sync_config_dup_optional(config, FHIR_GROUP, "key_id");
    }
    return true;
}

static bool
read_auth(FhirSettings *self, SyncConfig *config, GError **error)
{
    static const char *const words[] = {
        "none", "bearer", "client-secret", "private-key-jwt", NULL,
    };
    static const char *const credentials[] = {
        NULL,
        "fhir-token",
        "fhir-client-secret",
        "fhir-private-key",
    };
    guint index = 0;

    if (!sync_config_get_choice(config, FHIR_GROUP, "auth", words, 0, &index, error)) {
        return false;
    }
    self->auth = (FhirAuth)index;
    if (self->auth == FHIR_AUTH_NONE) {
        return true;
    }
    self->secret_path = sync_config_dup_credential_path(
        config, FHIR_GROUP, "credential", credentials[index], error);
    return self->secret_path != NULL && read_oauth(self, config, error);
}

static bool
read_ca(FhirSettings *self, SyncConfig *config, GError **error)
{
    g_autoptr(GError) failure = NULL;

    self->ca = sync_config_dup_optional(config, FHIR_GROUP, "ca");
    if (self->ca == NULL) {
        return true;
    }
    g_autoptr(GTlsDatabase) database =
        g_path_is_absolute(self->ca) ? g_tls_file_database_new(self->ca, &failure) : NULL;
    g_autolist(GTlsCertificate) certificates =
        database == NULL ? NULL : g_tls_certificate_list_new_from_file(self->ca, &failure);
    if (certificates == NULL) {
        sync_config_fail(config,
                         error,
                         FHIR_GROUP,
                         "ca",
                         "%s holds no certificate%s%s; give the absolute path of the CA of the "
                         "server as PEM",
                         self->ca,
                         failure == NULL ? "" : ": ",
                         failure == NULL ? "" : failure->message);
        return false;
    }
    return true;
}

static bool
read_proxy(FhirSettings *self, SyncConfig *config, GError **error)
{
    self->proxy = sync_config_dup_optional(config, FHIR_GROUP, "proxy");
    if (self->proxy == NULL) {
        return true;
    }
    g_autoptr(GUri) uri = g_uri_parse(self->proxy, G_URI_FLAGS_NONE, NULL);
    const char *host = uri == NULL ? NULL : g_uri_get_host(uri);
    if (host == NULL || host[0] == '\0' || strcmp(g_uri_get_scheme(uri), "http") != 0 ||
        g_uri_get_userinfo(uri) != NULL) {
        sync_config_fail(config,
                         error,
                         FHIR_GROUP,
                         "proxy",
                         "not an HTTP proxy; give it as http://proxy.example.org:3128");
        return false;
    }
    return true;
}

static bool
read_codes(FhirSettings *self, SyncConfig *config, GError **error)
{
    g_autofree char *path = sync_config_dup_optional(config, FHIR_GROUP, "code_map");
    g_autoptr(GError) failure = NULL;

    self->codes = fhir_codes_load(path, &failure);
    if (self->codes == NULL) {
        sync_config_fail(config,
                         error,
                         FHIR_GROUP,
                         "code_map",
                         "%s: %s; correct it, see pentel-sync-fhir(5)",
                         path,
                         failure->message);
        return false;
    }
    return true;
}

static bool
read_test(FhirSettings *self, SyncConfig *config, GError **error)
{
    static const char *const words[] = { "no", "yes", NULL };
    guint is_test = 0;

    if (!sync_config_get_choice(config, FHIR_GROUP, "test_data", words, 0, &is_test, error)) {
        return false;
    }
    self->is_test = is_test == 1;
    return true;
}

static bool
read_rest(FhirSettings *self, SyncConfig *config, GError **error)
{
    const SyncRange timeout = { .min = 1, .max = 600, .fallback = 30 };
    const SyncRange entries = { .min = 3, .max = 500, .fallback = 30 };
    uint64_t timeout_s = 0;
    uint64_t n_entries = 0;

    if (!read_test(self, config, error) ||
        !sync_config_get_number(config, FHIR_GROUP, "timeout_s", &timeout, &timeout_s, error) ||
        !sync_config_get_number(config, FHIR_GROUP, "max_entries", &entries, &n_entries, error)) {
        return false;
    }
    self->timeout_s = (uint32_t)timeout_s;
    self->max_entries = (uint32_t)n_entries;
    return true;
}

FhirSettings *
fhir_settings_new(SyncConfig *config, GError **error)
{
    g_autoptr(FhirSettings) self = g_new0(FhirSettings, 1);

    self->url = read_url(config, "url", error);
    if (self->url == NULL || !read_patient(self, config, error) ||
        !read_orders(self, config, error) || !read_proxy(self, config, error) ||
        !read_ca(self, config, error) || !read_auth(self, config, error) ||
        !read_codes(self, config, error) || !read_rest(self, config, error)) {
        return NULL;
    }
    return g_steal_pointer(&self);
}

FhirSettings *
fhir_settings_new_for_files(SyncConfig *config, GError **error)
{
    g_autoptr(FhirSettings) self = g_new0(FhirSettings, 1);

    if (!read_patient(self, config, error) || !read_orders(self, config, error) ||
        !read_codes(self, config, error) || !read_test(self, config, error)) {
        return NULL;
    }
    if (self->patient == FHIR_PATIENT_SEARCH) {
        sync_config_fail(config,
                         error,
                         FHIR_GROUP,
                         "patient",
                         "search needs a server to ask; use identifier SYSTEM or literal");
        return NULL;
    }
    return g_steal_pointer(&self);
}

JsonObject *
fhir_settings_subject(const FhirSettings *self, const char *patient)
{
    JsonObject *subject = NULL;

    switch (self->patient) {
    case FHIR_PATIENT_SEARCH:
        return NULL;
    case FHIR_PATIENT_LITERAL:
        return fhir_id_is_valid(patient) ? fhir_reference_new("Patient", patient) : NULL;
    case FHIR_PATIENT_IDENTIFIER:
        subject = json_object_new();
        fhir_json_add_text(subject, "type", "Patient");
        fhir_json_add(subject, "identifier", fhir_identifier_new(self->patient_system, patient));
        return subject;
    }
    return NULL;
}
