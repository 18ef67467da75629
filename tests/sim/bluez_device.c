/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * Device1: one pen seen by one adapter. Connect waits for an absent pen and gives up with
 * the same words as for everything else (F11); reading something encrypted bonds silently
 * when the pen is in pairing mode (F10); a bond belongs to the adapter (F6).
 */
#include "bluez_internal.h"

#include <string.h>

#define AFTER_ABSENT_US 1000000

bool
sim_device_has_debris(const SimDevice *self)
{
    for (uint32_t i = 0; i < SIM_CHRC_N; i++) {
        if (self->attrs[i].debris) {
            return true;
        }
    }
    return false;
}

void
sim_device_hear(SimDevice *self, int64_t mono_us)
{
    if (mono_us < self->heard_at_us || !sim_pen_is_reachable(self->pen, mono_us)) {
        return;
    }
    SimBluez *bluez = self->adapter->bluez;
    const int16_t rssi = (int16_t)(-60 + (int)sim_rng_range(&bluez->rng, 0, 20));
    self->heard_at_us = mono_us + 1000000;
    sim_device_export(self);
    sim_bus_set(bluez->bus, self->path, SIM_DEVICE_IFACE, "RSSI", g_variant_new_int16(rssi));
    self->forget_at_us = mono_us + SIM_FORGET_US;
}

void
sim_device_tick(SimDevice *self, int64_t mono_us)
{
    sim_link_tick(self, mono_us);
    const bool wanted = self->bonded || self->connected || self->connecting != NULL ||
                        self->pairing != NULL || sim_adapter_is_discovering(self->adapter);
    if (self->exported && !wanted && mono_us >= self->forget_at_us) {
        sim_device_unexport(self);
    }
}

static void
do_connect(SimDevice *self, GDBusMethodInvocation *invocation)
{
    const int64_t now = g_get_monotonic_time();
    if (!self->adapter->powered) {
        sim_bluez_fail(invocation, "NotReady", "Resource Not Ready");
    } else if (self->connected) {
        g_dbus_method_invocation_return_value(invocation, NULL);
    } else if (self->connecting != NULL || self->pairing != NULL) {
        sim_bluez_fail(invocation, "InProgress", "In Progress");
    } else if (self->absent_at_us != 0 && now - self->absent_at_us < AFTER_ABSENT_US) {
        sim_device_later(self, SIM_OP_CONNECT_FAILS, 30, SIM_CHRC_N, invocation, NULL);
    } else {
        const SimOptions *options = self->adapter->bluez->options;
        self->connecting = invocation;
        self->connect_until_us = now + (int64_t)options->absent_connect_ms * 1000;
    }
}

static void
do_pair(SimDevice *self, GDBusMethodInvocation *invocation)
{
    const SimOptions *options = self->adapter->bluez->options;
    if (self->bonded) {
        sim_bluez_fail(invocation, "AlreadyExists", "Already Exists");
    } else if (!self->adapter->powered) {
        sim_bluez_fail(invocation, "NotReady", "Resource Not Ready");
    } else if (self->pairing != NULL) {
        sim_bluez_fail(invocation, "InProgress", "In Progress");
    } else if (self->connected) {
        sim_device_later(self, SIM_OP_PAIR, 6 * options->att_ms, SIM_CHRC_N, invocation, NULL);
    } else {
        self->pairing = invocation;
        if (self->connecting == NULL) {
            self->connect_until_us =
                g_get_monotonic_time() + (int64_t)options->absent_connect_ms * 1000;
        }
    }
}

static void
do_disconnect(SimDevice *self, GDBusMethodInvocation *invocation)
{
    if (self->connecting != NULL || self->pairing != NULL) {
        sim_device_give_up(self, "Failed", SIM_ABORT_BY_LOCAL);
    } else if (!self->connected) {
        sim_bluez_fail(invocation, "NotConnected", "Not Connected");
        return;
    }
    sim_device_disconnect(self);
    g_dbus_method_invocation_return_value(invocation, NULL);
}

static void
on_method(void *user_data,
          const char *interface,
          const char *method,
          GVariant *args,
          GDBusMethodInvocation *invocation)
{
    SimDevice *self = user_data;
    sim_bluez_say(self->adapter->bluez, "%s %s", self->path, method);
    if (g_str_equal(method, "Connect")) {
        do_connect(self, invocation);
    } else if (g_str_equal(method, "Disconnect")) {
        do_disconnect(self, invocation);
    } else if (g_str_equal(method, "Pair")) {
        do_pair(self, invocation);
    } else if (self->pairing != NULL) {
        sim_bluez_fail(
            g_steal_pointer(&self->pairing), "AuthenticationCanceled", "Authentication Canceled");
        g_dbus_method_invocation_return_value(invocation, NULL);
    } else {
        sim_bluez_fail(invocation, "DoesNotExist", "Does Not Exist");
    }
}

static bool
on_set(void *user_data, const char *property, GVariant *value)
{
    const SimDevice *self = user_data;
    sim_bus_set(sim_device_bus(self), self->path, SIM_DEVICE_IFACE, property, value);
    return true;
}

void
sim_device_export(SimDevice *self)
{
    static const char *const uuids[] = { SIM_BATTERY_UUID, SIM_SERVICE_UUID, NULL };
    if (self->exported) {
        return;
    }
    SimBus *bus = sim_device_bus(self);
    const char *path = self->path;
    const char *iface = SIM_DEVICE_IFACE;
    const char *name = sim_pen_get_name(self->pen);
    sim_bus_add(bus, path, iface, on_method, on_set, self);
    sim_bus_set(bus, path, iface, "Address", g_variant_new_string(sim_pen_get_address(self->pen)));
    sim_bus_set(bus, path, iface, "AddressType", g_variant_new_string("random"));
    sim_bus_set(bus, path, iface, "Name", g_variant_new_string(name));
    sim_bus_set(bus, path, iface, "Alias", g_variant_new_string(name));
    sim_bus_set(bus, path, iface, "Adapter", g_variant_new_object_path(self->adapter->path));
    sim_bus_set(bus, path, iface, "UUIDs", g_variant_new_strv(uuids, -1));
    sim_device_set_bool(self, "Paired", self->bonded);
    sim_device_set_bool(self, "Bonded", self->bonded);
    sim_device_set_bool(self, "Trusted", false);
    sim_device_set_bool(self, "Blocked", false);
    sim_device_set_bool(self, "Connected", false);
    sim_device_set_bool(self, "ServicesResolved", false);
    sim_bus_show(bus, path);
    self->exported = true;
    self->forget_at_us = g_get_monotonic_time() + SIM_FORGET_US;
}

void
sim_device_unexport(SimDevice *self)
{
    if (!self->exported) {
        return;
    }
    sim_device_give_up(self, "Failed", SIM_ABORT_BY_LOCAL);
    sim_device_disconnect(self);
    sim_gatt_unexport(self);
    sim_bus_remove(sim_device_bus(self), self->path, NULL);
    self->exported = false;
}

void
sim_device_forget(SimDevice *self)
{
    if (self->connected) {
        self->connected = false;
        sim_pen_link_down(self->pen);
    }
    self->resolved = false;
    self->exported = false;
    self->link_at_us = 0;
    self->absent_at_us = 0;
    self->heard_at_us = 0;
    g_clear_object(&self->connecting);
    g_clear_object(&self->pairing);
    g_ptr_array_set_size(self->ops, 0);
    sim_gatt_forget(self);
}

SimDevice *
sim_device_new(SimAdapter *adapter, SimPen *pen)
{
    SimDevice *self = g_new0(SimDevice, 1);
    self->adapter = adapter;
    self->pen = pen;
    g_autofree char *name = g_strdup_printf("dev_%s", sim_pen_get_address(pen));
    self->path = g_strdup_printf("%s/%s", adapter->path, g_strdelimit(name, ":", '_'));
    self->ops = g_ptr_array_new_with_free_func(sim_op_free);
    sim_gatt_init(self);
    if (adapter->bluez->options->bonded) {
        sim_pen_add_bond(pen, adapter->address);
        self->bonded = true;
    }
    return self;
}

void
sim_device_free(gpointer device)
{
    SimDevice *self = device;
    sim_gatt_clear(self);
    g_ptr_array_unref(self->ops);
    g_free(self->path);
    g_free(self);
}
