/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * Adapter1: power, discovery that ends with its caller, and removing devices, which ends
 * bluetoothd itself where AcquireNotify left debris (F1).
 */
#include "bluez_internal.h"

static SimBus *
bus_of(const SimAdapter *self)
{
    return self->bluez->bus;
}

bool
sim_adapter_is_discovering(const SimAdapter *self)
{
    return self->scanners->len > 0 && self->bluez->deaf == 0;
}

/* What is dead up to @level is alive again (P13). */
static void
revive(SimAdapter *self, uint32_t level)
{
    if (self->bluez->deaf <= level) {
        self->bluez->deaf = 0;
    }
}

static void
set_discovering(SimAdapter *self)
{
    const bool discovering = sim_adapter_is_discovering(self);
    sim_bus_set(bus_of(self),
                self->path,
                SIM_ADAPTER_IFACE,
                "Discovering",
                g_variant_new_boolean(discovering));
    for (guint i = 0; i < self->devices->len; i++) {
        SimDevice *device = g_ptr_array_index(self->devices, i);
        if (!discovering) {
            sim_bus_set(bus_of(self), device->path, SIM_DEVICE_IFACE, "RSSI", NULL);
        } else if (device->heard_at_us == 0) {
            const int64_t after_us = (int64_t)sim_rng_range(&self->bluez->rng, 50000, 600000);
            device->heard_at_us = g_get_monotonic_time() + after_us;
        }
    }
}

static bool
remove_scanner(SimAdapter *self, const char *sender)
{
    guint index = 0;
    if (!g_ptr_array_find_with_equal_func(self->scanners, sender, g_str_equal, &index)) {
        return false;
    }
    const guint watch = GPOINTER_TO_UINT(g_hash_table_lookup(self->watches, sender));
    g_bus_unwatch_name(watch);
    g_hash_table_remove(self->watches, sender);
    g_ptr_array_remove_index(self->scanners, index);
    revive(self, 1);
    set_discovering(self);
    return true;
}

static void
on_scanner_vanished(GDBusConnection *connection, const char *name, gpointer user_data)
{
    (void)remove_scanner(user_data, name);
}

static void
do_start(SimAdapter *self, GDBusMethodInvocation *invocation)
{
    const char *sender = g_dbus_method_invocation_get_sender(invocation);
    if (!self->powered) {
        sim_bluez_fail(invocation, "NotReady", "Resource Not Ready");
        return;
    }
    if (g_ptr_array_find_with_equal_func(self->scanners, sender, g_str_equal, NULL)) {
        sim_bluez_fail(invocation, "InProgress", "Operation already in progress");
        return;
    }
    g_ptr_array_add(self->scanners, g_strdup(sender));
    const guint watch = g_bus_watch_name_on_connection(self->bluez->connection,
                                                       sender,
                                                       G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                       NULL,
                                                       on_scanner_vanished,
                                                       self,
                                                       NULL);
    g_hash_table_insert(self->watches, g_strdup(sender), GUINT_TO_POINTER(watch));
    set_discovering(self);
    g_dbus_method_invocation_return_value(invocation, NULL);
}

static void
do_remove(SimAdapter *self, GVariant *args, GDBusMethodInvocation *invocation)
{
    const char *path = NULL;
    g_variant_get(args, "(&o)", &path);
    for (guint i = 0; i < self->devices->len; i++) {
        SimDevice *device = g_ptr_array_index(self->devices, i);
        if (!device->exported || !g_str_equal(device->path, path)) {
            continue;
        }
        if (sim_device_has_debris(device)) {
            sim_bluez_say(self->bluez, "bluetoothd: segmentation fault in RemoveDevice");
            self->bluez->crash = true;
            g_object_unref(invocation);
            return;
        }
        sim_device_unexport(device);
        device->bonded = false;
        device->heard_at_us = 0;
        g_dbus_method_invocation_return_value(invocation, NULL);
        return;
    }
    sim_bluez_fail(invocation, "DoesNotExist", "Does Not Exist");
}

static void
on_method(void *user_data,
          const char *interface,
          const char *method,
          GVariant *args,
          GDBusMethodInvocation *invocation)
{
    SimAdapter *self = user_data;
    sim_bluez_say(self->bluez, "%s %s", self->path, method);
    if (g_str_equal(method, "StartDiscovery")) {
        do_start(self, invocation);
    } else if (g_str_equal(method, "StopDiscovery")) {
        if (!remove_scanner(self, g_dbus_method_invocation_get_sender(invocation))) {
            sim_bluez_fail(invocation, "Failed", "No discovery started");
            return;
        }
        g_dbus_method_invocation_return_value(invocation, NULL);
    } else if (g_str_equal(method, "RemoveDevice")) {
        do_remove(self, args, invocation);
    } else {
        g_dbus_method_invocation_return_value(invocation, NULL);
    }
}

static void
set_powered(SimAdapter *self, bool powered)
{
    self->powered = powered;
    if (!powered) {
        revive(self, 2);
        while (self->scanners->len > 0) {
            (void)remove_scanner(self, g_ptr_array_index(self->scanners, 0));
        }
        for (guint i = 0; i < self->devices->len; i++) {
            sim_device_disconnect(g_ptr_array_index(self->devices, i));
        }
    }
    sim_bus_set(
        bus_of(self), self->path, SIM_ADAPTER_IFACE, "Powered", g_variant_new_boolean(powered));
}

static bool
on_set(void *user_data, const char *property, GVariant *value)
{
    SimAdapter *self = user_data;
    if (g_str_equal(property, "Powered")) {
        set_powered(self, g_variant_get_boolean(value));
        return true;
    }
    sim_bus_set(bus_of(self), self->path, SIM_ADAPTER_IFACE, property, value);
    return true;
}

void
sim_adapter_export(SimAdapter *self)
{
    static const char *const roles[] = { "central", "peripheral", NULL };
    static const char *const none[] = { NULL };
    SimBus *bus = bus_of(self);
    const char *iface = SIM_ADAPTER_IFACE;
    if (!self->plugged) {
        return;
    }
    sim_bus_add(bus, self->path, iface, on_method, on_set, self);
    sim_bus_set(bus, self->path, iface, "Address", g_variant_new_string(self->address));
    sim_bus_set(bus, self->path, iface, "AddressType", g_variant_new_string("public"));
    sim_bus_set(bus, self->path, iface, "Name", g_variant_new_string("pensim"));
    sim_bus_set(bus, self->path, iface, "Alias", g_variant_new_string("pensim"));
    sim_bus_set(bus, self->path, iface, "Powered", g_variant_new_boolean(self->powered));
    sim_bus_set(bus, self->path, iface, "Discovering", g_variant_new_boolean(FALSE));
    sim_bus_set(bus, self->path, iface, "Roles", g_variant_new_strv(roles, -1));
    sim_bus_set(bus, self->path, iface, "UUIDs", g_variant_new_strv(none, -1));
    sim_bus_show(bus, self->path);
    for (guint i = 0; i < self->devices->len; i++) {
        SimDevice *device = g_ptr_array_index(self->devices, i);
        if (device->bonded) {
            sim_device_export(device);
        }
    }
}

void
sim_adapter_unexport(SimAdapter *self)
{
    set_powered(self, false);
    for (guint i = 0; i < self->devices->len; i++) {
        sim_device_unexport(g_ptr_array_index(self->devices, i));
    }
    sim_bus_remove(bus_of(self), self->path, NULL);
}

void
sim_adapter_forget(SimAdapter *self)
{
    GHashTableIter iter;
    gpointer watch = NULL;
    g_hash_table_iter_init(&iter, self->watches);
    while (g_hash_table_iter_next(&iter, NULL, &watch)) {
        g_bus_unwatch_name(GPOINTER_TO_UINT(watch));
    }
    g_hash_table_remove_all(self->watches);
    g_ptr_array_set_size(self->scanners, 0);
    for (guint i = 0; i < self->devices->len; i++) {
        sim_device_forget(g_ptr_array_index(self->devices, i));
    }
}

void
sim_adapter_tick(SimAdapter *self, int64_t mono_us)
{
    if (!self->plugged) {
        return;
    }
    for (guint i = 0; i < self->devices->len; i++) {
        SimDevice *device = g_ptr_array_index(self->devices, i);
        if (sim_adapter_is_discovering(self)) {
            sim_device_hear(device, mono_us);
        }
        sim_device_tick(device, mono_us);
    }
}

SimAdapter *
sim_adapter_new(SimBluez *bluez, uint32_t index)
{
    SimAdapter *self = g_new0(SimAdapter, 1);
    self->bluez = bluez;
    self->plugged = true;
    self->powered = true;
    self->path = g_strdup_printf("/org/bluez/hci%u", index);
    g_snprintf(self->address, sizeof self->address, "00:AA:01:00:00:%02X", index & 0xFFu);
    self->scanners = g_ptr_array_new_with_free_func(g_free);
    self->watches = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    self->devices = g_ptr_array_new_with_free_func(sim_device_free);
    for (guint i = 0; i < bluez->pens->len; i++) {
        g_ptr_array_add(self->devices, sim_device_new(self, g_ptr_array_index(bluez->pens, i)));
    }
    return self;
}

void
sim_adapter_free(gpointer adapter)
{
    SimAdapter *self = adapter;
    g_ptr_array_unref(self->scanners);
    g_hash_table_unref(self->watches);
    g_ptr_array_unref(self->devices);
    g_free(self->path);
    g_free(self);
}
