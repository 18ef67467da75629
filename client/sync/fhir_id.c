/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what an id of a resource is made of.
 */
#include "sync/fhir_id.h"

#include <stdarg.h>
#include <string.h>

/* Made once for devices, which belong to no session. */
#define DEVICE_SPACE "6f0c6a0e-41d7-4f5e-9d0a-5b1f6d0b7a52"

static int
hex_value(char c)
{
    return g_ascii_xdigit_value(c);
}

static void
parse_uuid(const char *text, guint8 out[16])
{
    gsize n = 0;

    for (; *text != '\0' && n < 16; text++) {
        if (*text != '-') {
            out[n++] = (guint8)(hex_value(text[0]) << 4 | hex_value(text[1]));
            text++;
        }
    }
}

static char *
format_uuid(const guint8 bytes[16])
{
    GString *text = g_string_sized_new(36);

    for (gsize i = 0; i < 16; i++) {
        g_string_append_printf(
            text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    }
    return g_string_free(text, FALSE);
}

char *
fhir_id_new(const char *space, ...)
{
    guint8 digest[20] = { 0 };
    gsize n_digest = sizeof digest;
    va_list words;

    if (!g_uuid_string_is_valid(space)) {
        return NULL;
    }
    parse_uuid(space, digest);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    g_checksum_update(sum, digest, 16);
    va_start(words, space);
    for (const char *word = va_arg(words, const char *); word != NULL;
         word = va_arg(words, const char *)) {
        g_checksum_update(sum, (const guchar *)word, (gssize)strlen(word) + 1);
    }
    va_end(words);
    g_checksum_get_digest(sum, digest, &n_digest);
    digest[6] = (guint8)((digest[6] & 0x0fu) | 0x50u);
    digest[8] = (guint8)((digest[8] & 0x3fu) | 0x80u);
    return format_uuid(digest);
}

bool
fhir_id_is_valid(const char *text)
{
    gsize n = 0;

    while (g_ascii_isalnum(text[n]) || text[n] == '-' || text[n] == '.') {
        n++;
    }
    return n > 0 && n <= 64 && text[n] == '\0';
}

char *
fhir_id_pen(const char *serial)
{
    return fhir_id_new(DEVICE_SPACE, "pen", serial, NULL);
}

char *
fhir_id_cartridge(const char *cartridge)
{
    return fhir_id_new(DEVICE_SPACE, "cartridge", cartridge, NULL);
}
