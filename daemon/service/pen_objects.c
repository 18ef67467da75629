/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Shows pens as objects. Any local process reads these, so they hold what is printed on
 * a pen and how its link does, and nothing of whom it treats.
 */
#include "service/pen_objects.h"

#include "pentel-dbus.h"

#define PENS_PATH "/org/pentel/pens/"

struct PdServicePenObjects {
    GDBusObjectManagerServer *server; /* ref */
    GHashTable *pens;                 /* owned; serial to PdDbusPen1, ref */
};

char *
pd_service_pen_path(const char *serial)
{
    GString *path = g_string_new(PENS_PATH);

    for (const char *at = serial; *at != '\0'; at++) {
        if (g_ascii_isalnum(*at)) {
            g_string_append_c(path, *at);
        } else {
            g_string_append_printf(path, "_%02x", (unsigned char)*at);
        }
    }
    if (serial[0] == '\0') {
        g_string_append_c(path, '_');
    }
    return g_string_free(path, FALSE);
}

static const char *
or_empty(const char *text)
{
    return text != NULL ? text : "";
}

GVariant *
pd_service_pen_to_variant(const PdPenStatus *status)
{
    GVariantBuilder pen;

    g_variant_builder_init(&pen, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&pen, "{sv}", "Serial", g_variant_new_string(status->serial));
    g_variant_builder_add(&pen, "{sv}", "Address", g_variant_new_string(or_empty(status->address)));
    g_variant_builder_add(&pen, "{sv}", "Name", g_variant_new_string(or_empty(status->name)));
    g_variant_builder_add(&pen, "{sv}", "State", g_variant_new_string(or_empty(status->state)));
    g_variant_builder_add(&pen, "{sv}", "Reason", g_variant_new_string(or_empty(status->reason)));
    g_variant_builder_add(&pen, "{sv}", "Battery", g_variant_new_byte(status->battery_pct));
    g_variant_builder_add(
        &pen, "{sv}", "Firmware", g_variant_new_string(or_empty(status->firmware)));
    g_variant_builder_add(&pen, "{sv}", "Adapter", g_variant_new_string(or_empty(status->adapter)));
    g_variant_builder_add(&pen, "{sv}", "LastSeen", g_variant_new_int64(status->last_seen_us));
    g_variant_builder_add(&pen, "{sv}", "Overwritten", g_variant_new_uint32(status->overwritten));
    g_variant_builder_add(&pen, "{sv}", "Malformed", g_variant_new_uint32(status->n_malformed));
    return g_variant_builder_end(&pen);
}

/* The one place that writes Pen1's properties; the skeleton signals those that differ. */
static void
set_properties(PdDbusPen1 *pen, const PdPenStatus *status)
{
    pd_dbus_pen1_set_serial(pen, status->serial);
    pd_dbus_pen1_set_address(pen, or_empty(status->address));
    pd_dbus_pen1_set_name(pen, or_empty(status->name));
    pd_dbus_pen1_set_state(pen, or_empty(status->state));
    pd_dbus_pen1_set_reason(pen, or_empty(status->reason));
    pd_dbus_pen1_set_battery(pen, status->battery_pct);
    pd_dbus_pen1_set_firmware(pen, or_empty(status->firmware));
    pd_dbus_pen1_set_adapter(pen, or_empty(status->adapter));
    pd_dbus_pen1_set_last_seen(pen, status->last_seen_us);
    pd_dbus_pen1_set_overwritten(pen, status->overwritten);
    pd_dbus_pen1_set_malformed(pen, status->n_malformed);
}

PdServicePenObjects *
pd_service_pen_objects_new(GDBusObjectManagerServer *server)
{
    PdServicePenObjects *self = g_new0(PdServicePenObjects, 1);

    self->server = g_object_ref(server);
    self->pens = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_object_unref);
    return self;
}

void
pd_service_pen_objects_free(PdServicePenObjects *self)
{
    if (self == NULL) {
        return;
    }
    g_hash_table_unref(self->pens);
    g_object_unref(self->server);
    g_free(self);
}

void
pd_service_pen_objects_update(PdServicePenObjects *self, const PdPenStatus *status)
{
    PdDbusPen1 *known = g_hash_table_lookup(self->pens, status->serial);

    if (known != NULL) {
        set_properties(known, status);
        return;
    }
    g_autofree char *path = pd_service_pen_path(status->serial);
    g_autoptr(GDBusObjectSkeleton) object = g_dbus_object_skeleton_new(path);
    PdDbusPen1 *pen = pd_dbus_pen1_skeleton_new();

    set_properties(pen, status);
    g_dbus_object_skeleton_add_interface(object, G_DBUS_INTERFACE_SKELETON(pen));
    g_dbus_object_manager_server_export(self->server, object);
    g_hash_table_insert(self->pens, g_strdup(status->serial), pen);
}

void
pd_service_pen_objects_remove(PdServicePenObjects *self, const char *serial)
{
    g_autofree char *path = pd_service_pen_path(serial);

    if (g_hash_table_remove(self->pens, serial)) {
        g_dbus_object_manager_server_unexport(self->server, path);
    }
}
