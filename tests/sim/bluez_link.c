/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * The link under a Device1: how it comes up, what is on the air, and what a lost link
 * leaves behind. Connect waits for an absent pen and gives up with the same words as for
 * everything else (F11).
 */
#include "bluez_internal.h"

#define LINK_US 60000

SimBus *
sim_device_bus(const SimDevice *self)
{
    return self->adapter->bluez->bus;
}

void
sim_device_set_bool(SimDevice *self, const char *property, bool value)
{
    SimBus *bus = sim_device_bus(self);
    sim_bus_set(bus, self->path, SIM_DEVICE_IFACE, property, g_variant_new_boolean(value));
}

void
sim_op_free(gpointer data)
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
    sim_device_set_bool(self, "Paired", true);
    sim_device_set_bool(self, "Bonded", true);
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
        sim_bluez_fail(g_steal_pointer(&op->invocation), "Failed", SIM_ABORT_BY_LOCAL);
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
        sim_op_free(op);
    }
    sim_gatt_pause(self);
    sim_bus_remove(sim_device_bus(self), self->path, SIM_BATTERY_IFACE);
    sim_device_set_bool(self, "ServicesResolved", false);
    sim_device_set_bool(self, "Connected", false);
    self->forget_at_us = g_get_monotonic_time() + SIM_FORGET_US;
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
    SimBus *bus = sim_device_bus(self);
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
    sim_device_set_bool(self, "ServicesResolved", true);
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
    sim_device_set_bool(self, "Connected", true);
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

void
sim_device_give_up(SimDevice *self, const char *name, const char *message)
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
        sim_device_give_up(self, "Failed", SIM_ABORT_BY_LOCAL);
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
        sim_bluez_fail(g_steal_pointer(&op->invocation), "Failed", SIM_ABORT_BY_LOCAL);
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
        sim_op_free(due);
        i = 0;
    }
}

void
sim_link_tick(SimDevice *self, int64_t mono_us)
{
    tick_connecting(self, mono_us);
    tick_ops(self, mono_us);
}
