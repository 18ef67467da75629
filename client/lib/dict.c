/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Reads dictionaries of the bus by key; decides that a value of the wrong type is unknown.
 */
#include "lib/dict.h"

GVariant *
cli_dict_get(GVariant *dict, const char *key, const char *type)
{
    return g_variant_lookup_value(dict, key, G_VARIANT_TYPE(type));
}

static bool
value_to_int(GVariant *value, bool *is_negative, uint64_t *out)
{
    int64_t number = 0;

    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_BYTE:
        *out = g_variant_get_byte(value);
        return true;
    case G_VARIANT_CLASS_UINT16:
        *out = g_variant_get_uint16(value);
        return true;
    case G_VARIANT_CLASS_UINT32:
        *out = g_variant_get_uint32(value);
        return true;
    case G_VARIANT_CLASS_UINT64:
        *out = g_variant_get_uint64(value);
        return true;
    case G_VARIANT_CLASS_INT16:
        number = g_variant_get_int16(value);
        break;
    case G_VARIANT_CLASS_INT32:
        number = g_variant_get_int32(value);
        break;
    case G_VARIANT_CLASS_INT64:
        number = g_variant_get_int64(value);
        break;
    case G_VARIANT_CLASS_BOOLEAN:
    case G_VARIANT_CLASS_HANDLE:
    case G_VARIANT_CLASS_DOUBLE:
    case G_VARIANT_CLASS_STRING:
    case G_VARIANT_CLASS_OBJECT_PATH:
    case G_VARIANT_CLASS_SIGNATURE:
    case G_VARIANT_CLASS_VARIANT:
    case G_VARIANT_CLASS_MAYBE:
    case G_VARIANT_CLASS_ARRAY:
    case G_VARIANT_CLASS_TUPLE:
    case G_VARIANT_CLASS_DICT_ENTRY:
    default:
        return false;
    }
    *is_negative = number < 0;
    *out = (uint64_t)number;
    return true;
}

bool
cli_dict_get_uint(GVariant *dict, const char *key, uint64_t *value_out)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(dict, key, NULL);
    bool is_negative = false;
    uint64_t number = 0;

    if (value == NULL || !value_to_int(value, &is_negative, &number) || is_negative) {
        return false;
    }
    *value_out = number;
    return true;
}

bool
cli_dict_get_double(GVariant *dict, const char *key, double *value_out)
{
    uint64_t number = 0;

    if (g_variant_lookup(dict, key, "d", value_out)) {
        return true;
    }
    if (!cli_dict_get_uint(dict, key, &number)) {
        return false;
    }
    *value_out = (double)number;
    return true;
}

bool
cli_dict_get_bool(GVariant *dict, const char *key, bool *value_out)
{
    gboolean value = FALSE;

    if (!g_variant_lookup(dict, key, "b", &value)) {
        return false;
    }
    *value_out = value;
    return true;
}

const char *
cli_dict_get_text(GVariant *dict, const char *key)
{
    const char *text = NULL;

    if (!g_variant_lookup(dict, key, "&s", &text) || text[0] == '\0') {
        return NULL;
    }
    return text;
}
