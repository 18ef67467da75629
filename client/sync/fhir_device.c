/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Pens and cartridges as Devices. Decides that a cartridge without an id of its own is known
 * only within its session: two sessions must not share one by the chance of an equal lot.
 */
#include "lib/dict.h"
#include "sync/fhir_id.h"
#include "sync/fhir_json.h"
#include "sync/fhir_map.h"

#include <stdio.h>
#include <string.h>

static FhirResource *
pen_new(const FhirMapping *mapping, const char *serial)
{
    g_autofree char *id = fhir_id_pen(serial);
    JsonObject *json = fhir_map_begin(mapping, "Device", id, false);
    JsonObject *name = json_object_new();

    fhir_json_append(json, "identifier", fhir_uuid_identifier_new(id));
    fhir_json_append(json, "identifier", fhir_identifier_new(FHIR_SERIAL, serial));
    fhir_json_add_text(json, "serialNumber", serial);
    fhir_json_add_text(name, "name", "Microneedling pen");
    fhir_json_add_text(name, "type", "user-friendly-name");
    fhir_json_append(json, "deviceName", name);
    /* MDC_MOC_VMS_MDS_SIMP, the type of a personal health device (clinic-domain.md C5). */
    fhir_json_add(json,
                  "type",
                  fhir_concept_new("urn:iso:std:iso:11073:10101", "65573", "Microneedling pen"));
    return fhir_resource_new("Device", id, json);
}

/* YYYY-MM-DD as a pen says it; anything else is no date. */
static bool
is_date(const char *text)
{
    /* As long as a date are only YYYY-MM-DD and YYYY-Www-D. */
    if (text == NULL || strlen(text) != 10 || text[5] == 'W') {
        return false;
    }
    g_autofree char *midnight = g_strconcat(text, "T00:00:00Z", NULL);
    g_autoptr(GDateTime) date = g_date_time_new_from_iso8601(midnight, NULL);
    return date != NULL;
}

static JsonObject *
needles_new(const FhirMapping *mapping, uint64_t n_needles)
{
    JsonObject *property = json_object_new();

    fhir_json_add(property, "type", fhir_codes_concept(mapping->codes, "needles"));
    fhir_json_append(
        property, "valueQuantity", fhir_quantity_new((double)n_needles, "needles", "{needle}"));
    return property;
}

static FhirResource *
cartridge_new(const FhirMapping *mapping, const char *session, guint index, GVariant *cartridge)
{
    const char *own_id = cli_dict_get_text(cartridge, "id");
    const char *lot = cli_dict_get_text(cartridge, "lot");
    const char *expiry = cli_dict_get_text(cartridge, "expiry");
    g_autofree char *place = g_strdup_printf("%u", index);
    g_autofree char *id =
        own_id != NULL ? fhir_id_cartridge(own_id) : fhir_id_new(session, "cartridge", place, NULL);
    JsonObject *json = fhir_map_begin(mapping, "Device", id, false);
    uint64_t n_needles = 0;

    fhir_json_append(json, "identifier", fhir_uuid_identifier_new(id));
    if (own_id != NULL) {
        fhir_json_append(json, "identifier", fhir_identifier_new(FHIR_CARTRIDGE, own_id));
    }
    fhir_json_add_text(json, "expirationDate", is_date(expiry) ? expiry : NULL);
    fhir_json_add_text(json, "lotNumber", lot);
    fhir_json_add_text(json, "serialNumber", own_id);
    fhir_json_add(json, "type", fhir_codes_concept(mapping->codes, "cartridge"));
    if (cli_dict_get_uint(cartridge, "needles", &n_needles)) {
        fhir_json_append(json, "property", needles_new(mapping, n_needles));
    }
    return fhir_resource_new("Device", id, json);
}

static bool
has_device(const GPtrArray *devices, const char *id)
{
    for (guint i = 0; i < devices->len; i++) {
        const FhirResource *device = devices->pdata[i];
        if (g_str_equal(device->id, id)) {
            return true;
        }
    }
    return false;
}

GPtrArray *
fhir_map_devices(const FhirMapping *mapping, const SyncDelivery *delivery)
{
    GPtrArray *devices = g_ptr_array_new_with_free_func((GDestroyNotify)fhir_resource_free);
    const char *serial = cli_dict_get_text(delivery->state, "pen");
    g_autoptr(GVariant) cartridges = cli_dict_get(delivery->state, "cartridges", "aa{sv}");

    if (serial != NULL) {
        g_ptr_array_add(devices, pen_new(mapping, serial));
    }
    for (gsize i = 0; cartridges != NULL && i < g_variant_n_children(cartridges); i++) {
        g_autoptr(GVariant) cartridge = g_variant_get_child_value(cartridges, i);
        g_autoptr(FhirResource) device =
            cartridge_new(mapping, delivery->session, (guint)i, cartridge);
        if (!has_device(devices, device->id)) {
            g_ptr_array_add(devices, g_steal_pointer(&device));
        }
    }
    return devices;
}
