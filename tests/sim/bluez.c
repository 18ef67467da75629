/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * bluetoothd as a process: each life has a bus connection of its own, so that its end
 * looks to others as the end of a process does. Bonds outlive it, nothing else.
 */
#include "bluez_internal.h"

#include <stdarg.h>
#include <string.h>

#define RESTART_US 800000

void
sim_bluez_fail(GDBusMethodInvocation *invocation, const char *name, const char *message)
{
    g_autofree char *full = g_strdup_printf("org.bluez.Error.%s", name);
    g_dbus_method_invocation_return_dbus_error(invocation, full, message);
}

void
sim_bluez_say(const SimBluez *self, const char *format, ...)
{
    if (!self->options->verbose) {
        return;
    }
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_print("bluez %s\n", text);
}

static void
on_agents_method(void *user_data,
                 const char *interface,
                 const char *method,
                 GVariant *args,
                 GDBusMethodInvocation *invocation)
{
    /* Just Works on both sides never asks the central's agent (F10). */
    g_dbus_method_invocation_return_value(invocation, NULL);
}

bool
sim_bluez_start(SimBluez *self, GError **error)
{
    self->start_at_us = 0;
    self->connection =
        g_dbus_connection_new_for_address_sync(self->address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL,
                                               NULL,
                                               error);
    if (self->connection == NULL) {
        return false;
    }
    self->bus = sim_bus_new(self->connection, self->info, error);
    if (self->bus == NULL) {
        return false;
    }
    sim_bus_add(self->bus, "/org/bluez", SIM_AGENTS_IFACE, on_agents_method, NULL, self);
    sim_bus_show(self->bus, "/org/bluez");
    for (guint i = 0; i < self->adapters->len; i++) {
        sim_adapter_export(g_ptr_array_index(self->adapters, i));
    }
    return sim_bus_own_name(self->connection, "org.bluez", error);
}

void
sim_bluez_stop(SimBluez *self)
{
    if (self->connection == NULL) {
        return;
    }
    /* The socket first: what is forgotten below must not be told to anybody. */
    (void)g_dbus_connection_flush_sync(self->connection, NULL, NULL);
    (void)g_dbus_connection_close_sync(self->connection, NULL, NULL);
    for (guint i = 0; i < self->adapters->len; i++) {
        sim_adapter_forget(g_ptr_array_index(self->adapters, i));
    }
    g_clear_pointer(&self->bus, sim_bus_free);
    g_clear_object(&self->connection);
}

void
sim_bluez_restart(SimBluez *self)
{
    sim_bluez_say(self, "bluetoothd restarts");
    self->deaf = 0;
    self->crash = false;
    sim_bluez_stop(self);
    self->start_at_us = g_get_monotonic_time() + RESTART_US;
}

void
sim_bluez_tick(SimBluez *self, int64_t mono_us)
{
    if (self->crash) {
        sim_bluez_restart(self);
    }
    if (self->start_at_us != 0 && mono_us >= self->start_at_us) {
        g_autoptr(GError) error = NULL;
        if (!sim_bluez_start(self, &error)) {
            g_printerr("pensim: bluetoothd cannot start again: %s\n", error->message);
        }
    }
    for (guint i = 0; self->bus != NULL && i < self->adapters->len; i++) {
        sim_adapter_tick(g_ptr_array_index(self->adapters, i), mono_us);
    }
}

SimBluez *
sim_bluez_new(const SimOptions *options, const char *address, GPtrArray *pens)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) xml = g_resources_lookup_data(
        "/org/pentel/sim/org.bluez.xml", G_RESOURCE_LOOKUP_FLAGS_NONE, &error);
    SimBluez *self = g_new0(SimBluez, 1);
    self->options = options;
    self->deaf = options->deaf;
    self->address = g_strdup(address);
    self->pens = pens;
    self->rng.state = sim_rng_mix(options->seed ^ 0xB1E2);
    self->info = g_dbus_node_info_new_for_xml(g_bytes_get_data(xml, NULL), &error);
    g_assert(self->info != NULL); /* compiled in */
    self->adapters = g_ptr_array_new_with_free_func(sim_adapter_free);
    for (uint32_t i = 0; i < options->n_adapters; i++) {
        g_ptr_array_add(self->adapters, sim_adapter_new(self, i));
    }
    return self;
}

void
sim_bluez_free(SimBluez *self)
{
    if (self == NULL) {
        return;
    }
    sim_bluez_stop(self);
    g_ptr_array_unref(self->adapters);
    g_dbus_node_info_unref(self->info);
    g_free(self->address);
    g_free(self);
}

void
sim_bluez_unplug(SimBluez *self, uint32_t adapter)
{
    if (adapter >= self->adapters->len || self->bus == NULL) {
        return;
    }
    SimAdapter *gone = g_ptr_array_index(self->adapters, adapter);
    if (gone->plugged) {
        sim_adapter_unexport(gone);
        gone->plugged = false;
    }
}

void
sim_bluez_plug(SimBluez *self, uint32_t adapter, uint32_t index)
{
    if (adapter >= self->adapters->len || self->bus == NULL) {
        return;
    }
    SimAdapter *back = g_ptr_array_index(self->adapters, adapter);
    if (back->plugged) {
        return;
    }
    g_free(back->path);
    back->path = g_strdup_printf("/org/bluez/hci%u", index);
    for (guint i = 0; i < back->devices->len; i++) {
        SimDevice *device = g_ptr_array_index(back->devices, i);
        const char *name = strrchr(device->path, '/');
        char *path = g_strdup_printf("%s%s", back->path, name);
        g_free(device->path);
        device->path = path;
    }
    back->plugged = true;
    back->powered = true;
    sim_adapter_export(back);
}
