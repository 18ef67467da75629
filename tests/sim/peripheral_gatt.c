/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * A pen's GATT application as GattManager1 wants it: an object manager, the pen's service
 * and the battery's, and their characteristics, whose methods end in the pen. Security is
 * bluetoothd's, by flags; every characteristic of the pen needs an encrypted link.
 */
#include "peripheral_internal.h"

#include <string.h>

#define SERVICE_IFACE    "org.bluez.GattService1"
#define CHRC_IFACE       "org.bluez.GattCharacteristic1"
#define MANAGER_IFACE    "org.freedesktop.DBus.ObjectManager"
#define PROPERTIES_IFACE "org.freedesktop.DBus.Properties"
#define BATTERY_INDEX    SIM_CHRC_N

typedef struct {
    const char *uuid;
    const char *flags[4];
} AttrInfo;

/* pen-telemetry-service.md, 2. */
static const AttrInfo attr_infos[SIM_SITE_N_ATTRS] = {
    [SIM_CHRC_FEATURE] = { "52797f01-bc08-4935-9e95-12fdb4ca7483", { "encrypt-read" } },
    [SIM_CHRC_LIVE] = { "52797f02-bc08-4935-9e95-12fdb4ca7483", { "notify", "encrypt-notify" } },
    [SIM_CHRC_STORED] = { "52797f03-bc08-4935-9e95-12fdb4ca7483", { "notify", "encrypt-notify" } },
    [SIM_CHRC_RACP] = { "00002a52-0000-1000-8000-00805f9b34fb",
                        { "encrypt-write", "indicate", "encrypt-indicate" } },
    [SIM_CHRC_CLOCK] = { "00002bf2-0000-1000-8000-00805f9b34fb",
                         { "encrypt-read", "encrypt-write" } },
    [BATTERY_INDEX] = { "00002a19-0000-1000-8000-00805f9b34fb", { "read", "notify" } },
};

static char *
dup_service_path(const SimSite *self, uint32_t index)
{
    return g_strconcat(self->root, index == BATTERY_INDEX ? "/battery" : "/pen", NULL);
}

static GVariant *
describe_service(const char *uuid)
{
    GVariantBuilder properties;
    g_variant_builder_init(&properties, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&properties, "{sv}", "UUID", g_variant_new_string(uuid));
    g_variant_builder_add(&properties, "{sv}", "Primary", g_variant_new_boolean(TRUE));
    return g_variant_new_parsed("{%s: %@a{sv}}", SERVICE_IFACE, g_variant_builder_end(&properties));
}

static GVariant *
describe_attr(const SimSiteAttr *attr)
{
    const AttrInfo *info = &attr_infos[attr->index];
    g_autofree char *service = dup_service_path(attr->site, attr->index);
    GVariantBuilder flags;
    g_variant_builder_init(&flags, G_VARIANT_TYPE("as"));
    for (uint32_t i = 0; i < G_N_ELEMENTS(info->flags) && info->flags[i] != NULL; i++) {
        g_variant_builder_add(&flags, "s", info->flags[i]);
    }
    GVariantBuilder properties;
    g_variant_builder_init(&properties, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&properties, "{sv}", "UUID", g_variant_new_string(info->uuid));
    g_variant_builder_add(&properties, "{sv}", "Service", g_variant_new_object_path(service));
    g_variant_builder_add(&properties, "{sv}", "Flags", g_variant_builder_end(&flags));
    return g_variant_new_parsed("{%s: %@a{sv}}", CHRC_IFACE, g_variant_builder_end(&properties));
}

static void
on_manager_method(GDBusConnection *connection,
                  const char *sender,
                  const char *path,
                  const char *interface,
                  const char *method,
                  GVariant *args,
                  GDBusMethodInvocation *invocation,
                  gpointer user_data)
{
    SimSite *self = user_data;
    g_autofree char *pen = dup_service_path(self, 0);
    g_autofree char *battery = dup_service_path(self, BATTERY_INDEX);
    GVariantBuilder objects;
    g_variant_builder_init(&objects, G_VARIANT_TYPE("a{oa{sa{sv}}}"));
    g_variant_builder_add(&objects, "{o@a{sa{sv}}}", pen, describe_service(SIM_PERIPHERAL_SERVICE));
    g_variant_builder_add(&objects,
                          "{o@a{sa{sv}}}",
                          battery,
                          describe_service("0000180f-0000-1000-8000-00805f9b34fb"));
    for (uint32_t i = 0; i < SIM_SITE_N_ATTRS; i++) {
        const SimSiteAttr *attr = &self->attrs[i];
        g_variant_builder_add(&objects, "{o@a{sa{sv}}}", attr->path, describe_attr(attr));
    }
    g_dbus_method_invocation_return_value(invocation, g_variant_new("(a{oa{sa{sv}}})", &objects));
}

/* bluetoothd makes an ATT error of the name; the pen's other codes have none (before 5.76
 * not even 0xFD), and the gateway then sees 0x80 or 0x0E. */
static void
fail(GDBusMethodInvocation *invocation, uint8_t code)
{
    const char *name = "org.bluez.Error.Failed";
    g_autofree char *message = g_strdup_printf("0x%02x", code);
    if (code == SIM_ATT_INVALID_LENGTH) {
        name = "org.bluez.Error.InvalidValueLength";
    } else if (code == SIM_ATT_PROCEDURE_RUNS) {
        name = "org.bluez.Error.InProgress";
    } else if (code == SIM_ATT_CCC_IMPROPER) {
        name = "org.bluez.Error.ImproperlyConfigured";
    }
    g_dbus_method_invocation_return_dbus_error(invocation, name, message);
}

static GByteArray *
read_value(const SimSiteAttr *attr)
{
    SimPen *pen = attr->site->pen;
    const int64_t now = g_get_monotonic_time();
    if (attr->index == SIM_CHRC_FEATURE) {
        return sim_pen_read_feature(pen, now);
    }
    if (attr->index == SIM_CHRC_CLOCK) {
        return sim_pen_read_clock(pen, now);
    }
    GByteArray *value = g_byte_array_new();
    const uint8_t battery_pct = sim_pen_get_battery_pct(pen);
    g_byte_array_append(value, &battery_pct, 1);
    return value;
}

/* A long read comes in pieces, all of the value that was there at its beginning. */
static void
do_read(SimSiteAttr *attr, GVariant *args, GDBusMethodInvocation *invocation)
{
    SimSite *site = attr->site;
    uint16_t offset = 0;
    g_autoptr(GVariant) options = g_variant_get_child_value(args, 0);
    (void)g_variant_lookup(options, "offset", "q", &offset);
    if (offset == 0 || site->value == NULL) {
        g_clear_pointer(&site->value, g_byte_array_unref);
        site->value = read_value(attr);
    }
    const gsize from = MIN(offset, site->value->len);
    GVariant *bytes = g_variant_new_fixed_array(
        G_VARIANT_TYPE_BYTE, site->value->data + from, site->value->len - from, 1);
    g_dbus_method_invocation_return_value(invocation, g_variant_new("(@ay)", bytes));
}

static void
do_write(SimSiteAttr *attr, GVariant *args, GDBusMethodInvocation *invocation)
{
    SimPen *pen = attr->site->pen;
    const int64_t now = g_get_monotonic_time();
    gsize n_bytes = 0;
    g_autoptr(GVariant) value = g_variant_get_child_value(args, 0);
    const uint8_t *bytes = g_variant_get_fixed_array(value, &n_bytes, 1);
    const uint8_t code = attr->index == SIM_CHRC_RACP
                             ? sim_pen_write_racp(pen, bytes, n_bytes, now)
                             : sim_pen_write_clock(pen, bytes, n_bytes, now);
    if (code != SIM_ATT_OK) {
        fail(invocation, code);
        return;
    }
    g_dbus_method_invocation_return_value(invocation, NULL);
}

static void
do_subscribe(SimSiteAttr *attr, bool subscribed)
{
    SimSite *site = attr->site;
    if (attr->index >= SIM_CHRC_N) {
        return;
    }
    site->subscribed[attr->index] = subscribed;
    sim_pen_set_subscribed(site->pen, (SimChrc)attr->index, subscribed);
}

static void
on_attr_method(GDBusConnection *connection,
               const char *sender,
               const char *path,
               const char *interface,
               const char *method,
               GVariant *args,
               GDBusMethodInvocation *invocation,
               gpointer user_data)
{
    SimSiteAttr *attr = user_data;
    if (g_str_equal(method, "ReadValue")) {
        do_read(attr, args, invocation);
        return;
    }
    if (g_str_equal(method, "WriteValue")) {
        do_write(attr, args, invocation);
        return;
    }
    if (!g_str_equal(method, "Confirm")) {
        do_subscribe(attr, g_str_equal(method, "StartNotify"));
    }
    g_dbus_method_invocation_return_value(invocation, NULL);
}

static guint export(SimSite *self,
                    const char *path,
                    const char *interface,
                    const GDBusInterfaceVTable *vtable,
                    gpointer user_data,
                    GError **error)
{
    return g_dbus_connection_register_object(self->peripheral->connection,
                                             path,
                                             sim_peripheral_interface(self->peripheral, interface),
                                             vtable,
                                             user_data,
                                             NULL,
                                             error);
}

bool
sim_site_export(SimSite *self, GError **error)
{
    static const GDBusInterfaceVTable manager = { .method_call = on_manager_method };
    static const GDBusInterfaceVTable attr_vtable = { .method_call = on_attr_method };
    self->registrations[0] = export(self, self->root, MANAGER_IFACE, &manager, self, error);
    if (self->registrations[0] == 0) {
        return false;
    }
    for (uint32_t i = 0; i < SIM_SITE_N_ATTRS; i++) {
        SimSiteAttr *attr = &self->attrs[i];
        g_autofree char *service = dup_service_path(self, i);
        attr->site = self;
        attr->index = i;
        attr->path = g_strdup_printf("%s/c%u", service, i);
        attr->registration = export(self, attr->path, CHRC_IFACE, &attr_vtable, attr, error);
        if (attr->registration == 0) {
            return false;
        }
    }
    return sim_site_export_advert(self, error);
}

void
sim_site_unexport(SimSite *self)
{
    GDBusConnection *connection = self->peripheral->connection;
    for (uint32_t i = 0; i < G_N_ELEMENTS(self->registrations); i++) {
        if (self->registrations[i] != 0) {
            g_dbus_connection_unregister_object(connection, self->registrations[i]);
        }
    }
    for (uint32_t i = 0; i < SIM_SITE_N_ATTRS; i++) {
        if (self->attrs[i].registration != 0) {
            g_dbus_connection_unregister_object(connection, self->attrs[i].registration);
        }
        g_free(self->attrs[i].path);
    }
}

static void
on_registered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    SimSite *self = user_data;
    if (sim_site_finish(self, source, result) == SIM_REPLY_OK) {
        self->registered = true;
        sim_site_say(self, "registered");
    }
}

void
sim_site_register(SimSite *self)
{
    memset(self->subscribed, 0, sizeof self->subscribed);
    sim_site_call(self,
                  self->adapter,
                  SIM_GATT_MANAGER_IFACE,
                  "RegisterApplication",
                  g_variant_new("(oa{sv})", self->root, NULL),
                  on_registered);
}

void
sim_site_notify(SimSite *self, SimChrc chrc, const uint8_t *bytes, size_t n_bytes)
{
    GVariant *value = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes, n_bytes, 1);
    GVariantBuilder changed;
    g_variant_builder_init(&changed, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&changed, "{sv}", "Value", value);
    g_dbus_connection_emit_signal(self->peripheral->connection,
                                  NULL,
                                  self->attrs[chrc].path,
                                  PROPERTIES_IFACE,
                                  "PropertiesChanged",
                                  g_variant_new("(sa{sv}as)", CHRC_IFACE, &changed, NULL),
                                  NULL);
}
