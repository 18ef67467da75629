/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides the form of a signed assertion; GnuTLS does the cryptography.
 */
#include "sync/fhir_jwt.h"

#include "sync/fhir_json.h"

#include <gio/gio.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

/* Bytes of r and of s on P-384. */
#define ES384_PART_BYTES 48u

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_privkey_t, gnutls_privkey_deinit, NULL)

static bool
fail(GError **error, const char *what, int code)
{
    g_set_error(error,
                G_IO_ERROR,
                G_IO_ERROR_INVALID_DATA,
                "%s%s%s",
                what,
                code < 0 ? ": " : "",
                code < 0 ? gnutls_strerror(code) : "");
    return false;
}

static char *
encode(const void *bytes, gsize n_bytes)
{
    char *text = g_base64_encode(bytes, n_bytes);

    for (char *c = text; *c != '\0'; c++) {
        if (*c == '+') {
            *c = '-';
        } else if (*c == '/') {
            *c = '_';
        } else if (*c == '=') {
            *c = '\0';
            break;
        }
    }
    return text;
}

static char *
encode_object(JsonObject *object)
{
    g_autofree char *text = fhir_json_print(object);

    json_object_unref(object);
    return encode(text, strlen(text));
}

static char *
body_new(const FhirJwtClaims *claims, bool is_ec)
{
    JsonObject *header = json_object_new();
    JsonObject *payload = json_object_new();

    json_object_set_string_member(header, "alg", is_ec ? "ES384" : "RS384");
    json_object_set_string_member(header, "typ", "JWT");
    if (claims->key_id != NULL) {
        json_object_set_string_member(header, "kid", claims->key_id);
    }
    json_object_set_string_member(payload, "iss", claims->client_id);
    json_object_set_string_member(payload, "sub", claims->client_id);
    json_object_set_string_member(payload, "aud", claims->audience);
    json_object_set_string_member(payload, "jti", claims->jwt_id);
    json_object_set_int_member(payload, "exp", claims->expires_s);
    g_autofree char *first = encode_object(header);
    g_autofree char *second = encode_object(payload);
    return g_strdup_printf("%s.%s", first, second);
}

/* A number of DER, which may have a zero in front or lack one, as exactly so many bytes. */
static bool
put_fixed(guint8 *out, const gnutls_datum_t *number)
{
    const guint8 *data = number->data;
    guint size = number->size;

    while (size > ES384_PART_BYTES && data[0] == 0) {
        data++;
        size--;
    }
    if (size > ES384_PART_BYTES) {
        return false;
    }
    memcpy(out + (ES384_PART_BYTES - size), data, size);
    return true;
}

static char *
encode_ecdsa(const gnutls_datum_t *der, GError **error)
{
    guint8 raw[2 * ES384_PART_BYTES] = { 0 };
    gnutls_datum_t r = { 0 };
    gnutls_datum_t s = { 0 };
    const int code = gnutls_decode_rs_value(der, &r, &s);

    if (code < 0) {
        fail(error, "the signature cannot be taken apart", code);
        return NULL;
    }
    const bool fits = put_fixed(raw, &r) && put_fixed(raw + ES384_PART_BYTES, &s);
    gnutls_free(r.data);
    gnutls_free(s.data);
    if (!fits) {
        fail(error, "the signature is too long", 0);
        return NULL;
    }
    return encode(raw, sizeof raw);
}

static bool
load_key(gnutls_privkey_t *key, const char *key_pem, bool *is_ec_out, GError **error)
{
    const gnutls_datum_t pem = {
        .data = (guint8 *)(uintptr_t)key_pem,
        .size = (unsigned)strlen(key_pem),
    };
    unsigned n_bits = 0;
    int code = gnutls_privkey_init(key);

    if (code == 0) {
        code = gnutls_privkey_import_x509_raw(*key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    if (code < 0) {
        return fail(error, "not a private key in PEM", code);
    }
    const int algorithm = gnutls_privkey_get_pk_algorithm(*key, &n_bits);
    if (algorithm == GNUTLS_PK_RSA && n_bits >= 2048) {
        *is_ec_out = false;
        return true;
    }
    if (algorithm == GNUTLS_PK_ECDSA && n_bits == 384) {
        *is_ec_out = true;
        return true;
    }
    return fail(error, "the key is neither RSA of 2048 bits or more nor one on P-384", 0);
}

char *
fhir_jwt_new(const char *key_pem, const FhirJwtClaims *claims, GError **error)
{
    g_auto(gnutls_privkey_t) key = NULL;
    gnutls_datum_t signature = { 0 };
    bool is_ec = false;

    if (!load_key(&key, key_pem, &is_ec, error)) {
        return NULL;
    }
    g_autofree char *body = body_new(claims, is_ec);
    const gnutls_datum_t signed_text = { .data = (guint8 *)body, .size = (unsigned)strlen(body) };
    const int code = gnutls_privkey_sign_data2(key,
                                               is_ec ? GNUTLS_SIGN_ECDSA_SECP384R1_SHA384
                                                     : GNUTLS_SIGN_RSA_SHA384,
                                               0,
                                               &signed_text,
                                               &signature);
    if (code < 0) {
        fail(error, "the key does not sign", code);
        return NULL;
    }
    g_autofree char *last =
        is_ec ? encode_ecdsa(&signature, error) : encode(signature.data, signature.size);
    gnutls_free(signature.data);
    return last == NULL ? NULL : g_strdup_printf("%s.%s", body, last);
}
