/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * Device1: one pen seen by one adapter. Connect waits for an absent pen and gives up with
 * the same words as for everything else (F11); reading something encrypted bonds silently
 * when the pen is in pairing mode (F10); a bond belongs to the adapter (F6).
 */
#include "bluez_internal.h"

#include <string.h>

#define ABORT_BY_LOCAL  "le-connection-abort-by-local"
#define LINK_US         60000
#define FORGET_US       30000000
#define AFTER_ABSENT_US 1000000

static SimBus *
bus_of(const SimDevice *self)
{
    return self->adapter->bluez->bus;
}

static void
set_bool(SimDevice *self, const char *property, bool value)
{
    sim_bus_set(bus_of(self), self->path, SIM_DEVICE_IFACE, property, g_variant_new_boolean(value));
}

static void
op_free(gpointer data)
{
    SimOp *op = data;
    g_clear_object(&op->invocation);
    g_clear_pointer(&op->payload, g_bytes_unref);
    g_free(op);
}

void
sim_device_later(SimDevice *self,
                 SimOpKind kind,
                 uint32_t delay_ms,
                 SimChrc chrc,
                 GDBusMethodInvocation *invocation,
                 GBytes *payload)
{
    SimOp *op = g_new0(SimOp, 1);
    op->kind = kind;
    op->due_us = g_get_monotonic_time() + (int64_t)delay_ms * 1000;
    op->chrc = chrc;
    op->invocation = invocation;
    op->payload = payload != NULL ? g_bytes_ref(payload) : NULL;
    g_ptr_array_add(self->ops, op);
}

static bool
is_encrypted(const SimDevice *self)
{
    return self->bonded && sim_pen_has_bond(self->pen, self->adapter->address);
}

static void
bond(SimDevice *self)
{
    sim_pen_add_bond(self->pen, self->adapter->address);
    self->bonded = true;
    set_bool(self, "Paired", true);
    set_bool(self, "Bonded", true);
}

bool
sim_device_secure(SimDevice *self)
{
    if (!is_encrypted(self) && !self->bonded &&
        sim_pen_is_pairing(self->pen, g_get_monotonic_time())) {
        sim_bluez_say(self->adapter->bluez, "%s bonds silently", self->path);
        bond(self);
    }
    return is_encrypted(self);
}

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

static void
on_notify(void *user_data, SimChrc chrc, const uint8_t *bytes, size_t n_bytes)
{
    sim_gatt_notify(user_data, chrc, bytes, n_bytes);
}

static void
on_closed(void *user_data)
{
    sim_device_lost(user_data);
}

static void
cancel_op(SimDevice *self, SimOp *op)
{
    switch (op->kind) {
    case SIM_OP_READ:
    case SIM_OP_WRITE:
    case SIM_OP_START_NOTIFY:
    case SIM_OP_ACQUIRE_SENT:
    case SIM_OP_ACQUIRE:
        sim_gatt_cancel(self, op);
        return;
    case SIM_OP_PAIR:
        sim_bluez_fail(
            g_steal_pointer(&op->invocation), "AuthenticationCanceled", "Authentication Canceled");
        return;
    case SIM_OP_CONNECT_FAILS:
        sim_bluez_fail(g_steal_pointer(&op->invocation), "Failed", ABORT_BY_LOCAL);
        return;
    case SIM_OP_RESOLVED:
    case SIM_OP_BOND_LOST:
        return;
    }
}

void
sim_device_lost(SimDevice *self)
{
    if (!self->connected) {
        return;
    }
    self->connected = false;
    self->resolved = false;
    sim_bluez_say(self->adapter->bluez, "%s link lost", self->path);
    while (self->ops->len > 0) {
        SimOp *op = g_ptr_array_steal_index(self->ops, 0);
        cancel_op(self, op);
        op_free(op);
    }
    sim_gatt_pause(self);
    sim_bus_remove(bus_of(self), self->path, SIM_BATTERY_IFACE);
    set_bool(self, "ServicesResolved", false);
    set_bool(self, "Connected", false);
    self->forget_at_us = g_get_monotonic_time() + FORGET_US;
}

void
sim_device_disconnect(SimDevice *self)
{
    if (!self->connected) {
        return;
    }
    sim_pen_link_down(self->pen);
    sim_device_lost(self);
}

static void
show_battery(SimDevice *self)
{
    SimBus *bus = bus_of(self);
    const uint8_t pct = sim_pen_get_battery_pct(self->pen);
    sim_bus_add(bus, self->path, SIM_BATTERY_IFACE, NULL, NULL, self);
    sim_bus_set(bus, self->path, SIM_BATTERY_IFACE, "Percentage", g_variant_new_byte(pct));
    sim_bus_show(bus, self->path);
}

static void
finish_resolved(SimDevice *self)
{
    self->resolved = true;
    sim_gatt_export(self);
    show_battery(self);
    sim_gatt_resume(self);
    set_bool(self, "ServicesResolved", true);
}

static void
finish_pair(SimDevice *self, SimOp *op)
{
    if (!sim_pen_is_pairing(self->pen, g_get_monotonic_time())) {
        sim_bluez_fail(
            g_steal_pointer(&op->invocation), "AuthenticationFailed", "Authentication Failed");
        sim_device_disconnect(self);
        return;
    }
    bond(self);
    g_dbus_method_invocation_return_value(g_steal_pointer(&op->invocation), NULL);
}

/* The link comes up: Connected first, the answers, then the services. */
static void
link_up(SimDevice *self, int64_t mono_us)
{
    static const SimLinkOps ops = { .notify = on_notify, .closed = on_closed };
    const uint32_t att_ms = self->adapter->bluez->options->att_ms;
    self->link_at_us = 0;
    self->connected = true;
    sim_pen_link_up(self->pen, &ops, self, mono_us);
    set_bool(self, "Connected", true);
    if (self->bonded && !is_encrypted(self)) {
        sim_device_later(self, SIM_OP_BOND_LOST, 30, SIM_CHRC_N, NULL, NULL);
    } else {
        sim_device_later(self, SIM_OP_RESOLVED, 3 * att_ms, SIM_CHRC_N, NULL, NULL);
    }
    if (self->connecting != NULL) {
        g_dbus_method_invocation_return_value(g_steal_pointer(&self->connecting), NULL);
    }
    if (self->pairing != NULL) {
        sim_device_later(
            self, SIM_OP_PAIR, 6 * att_ms, SIM_CHRC_N, g_steal_pointer(&self->pairing), NULL);
    }
}

static void
give_up(SimDevice *self, const char *name, const char *message)
{
    self->link_at_us = 0;
    self->connect_until_us = 0;
    if (self->connecting != NULL) {
        sim_bluez_fail(g_steal_pointer(&self->connecting), name, message);
    }
    if (self->pairing != NULL) {
        sim_bluez_fail(g_steal_pointer(&self->pairing), "ConnectionAttemptFailed", "Page Timeout");
    }
}

static void
tick_connecting(SimDevice *self, int64_t mono_us)
{
    if (self->connecting == NULL && self->pairing == NULL) {
        return;
    }
    const bool reachable = sim_pen_is_reachable(self->pen, mono_us);
    if (reachable && self->link_at_us == 0) {
        self->link_at_us = mono_us + LINK_US;
    }
    if (!reachable) {
        self->link_at_us = 0;
    }
    if (self->link_at_us != 0 && mono_us >= self->link_at_us) {
        link_up(self, mono_us);
        return;
    }
    if (mono_us >= self->connect_until_us) {
        self->absent_at_us = mono_us;
        give_up(self, "Failed", ABORT_BY_LOCAL);
    }
}

static void
finish_op(SimDevice *self, SimOp *op)
{
    switch (op->kind) {
    case SIM_OP_READ:
    case SIM_OP_WRITE:
    case SIM_OP_START_NOTIFY:
    case SIM_OP_ACQUIRE_SENT:
    case SIM_OP_ACQUIRE:
        sim_gatt_finish(self, op);
        return;
    case SIM_OP_RESOLVED:
        finish_resolved(self);
        return;
    case SIM_OP_PAIR:
        finish_pair(self, op);
        return;
    case SIM_OP_BOND_LOST:
        sim_device_disconnect(self);
        return;
    case SIM_OP_CONNECT_FAILS:
        sim_bluez_fail(g_steal_pointer(&op->invocation), "Failed", ABORT_BY_LOCAL);
        return;
    }
}

/* An operation may end the link and with it all others, so look again after each. */
static void
tick_ops(SimDevice *self, int64_t mono_us)
{
    for (guint i = 0; i < self->ops->len;) {
        const SimOp *op = g_ptr_array_index(self->ops, i);
        if (op->due_us > mono_us) {
            i++;
            continue;
        }
        SimOp *due = g_ptr_array_steal_index(self->ops, i);
        finish_op(self, due);
        op_free(due);
        i = 0;
    }
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
    self->forget_at_us = mono_us + FORGET_US;
}

void
sim_device_tick(SimDevice *self, int64_t mono_us)
{
    tick_connecting(self, mono_us);
    tick_ops(self, mono_us);
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
        give_up(self, "Failed", ABORT_BY_LOCAL);
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
    sim_bus_set(bus_of(self), self->path, SIM_DEVICE_IFACE, property, value);
    return true;
}

void
sim_device_export(SimDevice *self)
{
    static const char *const uuids[] = { SIM_BATTERY_UUID, SIM_SERVICE_UUID, NULL };
    if (self->exported) {
        return;
    }
    SimBus *bus = bus_of(self);
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
    set_bool(self, "Paired", self->bonded);
    set_bool(self, "Bonded", self->bonded);
    set_bool(self, "Trusted", false);
    set_bool(self, "Blocked", false);
    set_bool(self, "Connected", false);
    set_bool(self, "ServicesResolved", false);
    sim_bus_show(bus, path);
    self->exported = true;
    self->forget_at_us = g_get_monotonic_time() + FORGET_US;
}

void
sim_device_unexport(SimDevice *self)
{
    if (!self->exported) {
        return;
    }
    give_up(self, "Failed", ABORT_BY_LOCAL);
    sim_device_disconnect(self);
    sim_gatt_unexport(self);
    sim_bus_remove(bus_of(self), self->path, NULL);
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
    self->ops = g_ptr_array_new_with_free_func(op_free);
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
