/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * The GATT objects of a pen: which there are, when they are shown, who is subscribed, and
 * what of it outlives a link (P6) or a bluetoothd.
 */
#include "bluez_internal.h"

#include <glib-unix.h>

#include <unistd.h>

typedef struct {
    const char *uuid;
    const char *const flags[3];
    uint16_t handle;
} ChrcInfo;

static const ChrcInfo chrc_infos[SIM_CHRC_N] = {
    [SIM_CHRC_FEATURE] = { "52797f01-bc08-4935-9e95-12fdb4ca7483", { "read" }, 0x0011 },
    [SIM_CHRC_LIVE] = { "52797f02-bc08-4935-9e95-12fdb4ca7483", { "notify" }, 0x0013 },
    [SIM_CHRC_STORED] = { "52797f03-bc08-4935-9e95-12fdb4ca7483", { "notify" }, 0x0016 },
    [SIM_CHRC_RACP] = { "00002a52-0000-1000-8000-00805f9b34fb", { "write", "indicate" }, 0x0019 },
    [SIM_CHRC_CLOCK] = { "00002bf2-0000-1000-8000-00805f9b34fb", { "read", "write" }, 0x001c },
};

bool
sim_attr_has_flag(SimChrc chrc, const char *flag)
{
    return g_strv_contains(chrc_infos[chrc].flags, flag);
}

static void
notify_client_free(gpointer data)
{
    SimNotifyClient *client = data;
    g_bus_unwatch_name(client->watch);
    g_free(client->sender);
    g_free(client);
}

void
sim_attr_subscribe(SimAttr *attr)
{
    bool any = attr->fd >= 0 || attr->acquiring;
    for (guint i = 0; i < attr->clients->len; i++) {
        const SimNotifyClient *client = g_ptr_array_index(attr->clients, i);
        any = any || client->active;
    }
    if (attr->device->connected) {
        sim_pen_set_subscribed(attr->device->pen, attr->chrc, any);
    }
}

void
sim_attr_close_fd(SimAttr *attr)
{
    if (attr->fd < 0) {
        return;
    }
    g_clear_handle_id(&attr->hup, g_source_remove);
    close(attr->fd);
    attr->fd = -1;
    if (sim_device_bus(attr->device) != NULL) {
        sim_bus_set(sim_device_bus(attr->device),
                    attr->path,
                    SIM_CHRC_IFACE,
                    "NotifyAcquired",
                    g_variant_new_boolean(FALSE));
    }
    sim_attr_subscribe(attr);
}

static void
export_chrc(SimDevice *device, const char *service, SimChrc chrc)
{
    SimBus *bus = sim_device_bus(device);
    SimAttr *attr = &device->attrs[chrc];
    const ChrcInfo *info = &chrc_infos[chrc];
    sim_bus_add(bus, attr->path, SIM_CHRC_IFACE, sim_attr_on_method, NULL, attr);
    sim_bus_set(bus, attr->path, SIM_CHRC_IFACE, "UUID", g_variant_new_string(info->uuid));
    sim_bus_set(bus, attr->path, SIM_CHRC_IFACE, "Service", g_variant_new_object_path(service));
    sim_bus_set(bus, attr->path, SIM_CHRC_IFACE, "Flags", g_variant_new_strv(info->flags, -1));
    const uint16_t mtu = (uint16_t)device->adapter->bluez->options->mtu;
    sim_bus_set(bus, attr->path, SIM_CHRC_IFACE, "MTU", g_variant_new_uint16(mtu));
    if (sim_attr_has_flag(chrc, "notify")) {
        sim_bus_set(
            bus, attr->path, SIM_CHRC_IFACE, "NotifyAcquired", g_variant_new_boolean(FALSE));
    }
    if (sim_attr_has_flag(chrc, "notify") || sim_attr_has_flag(chrc, "indicate")) {
        sim_bus_set(bus, attr->path, SIM_CHRC_IFACE, "Notifying", g_variant_new_boolean(FALSE));
    }
    sim_bus_show(bus, attr->path);
}

void
sim_gatt_init(SimDevice *device)
{
    for (uint32_t i = 0; i < SIM_CHRC_N; i++) {
        SimAttr *attr = &device->attrs[i];
        attr->device = device;
        attr->chrc = (SimChrc)i;
        attr->fd = -1;
        attr->clients = g_ptr_array_new_with_free_func(notify_client_free);
    }
}

void
sim_gatt_clear(SimDevice *device)
{
    for (uint32_t i = 0; i < SIM_CHRC_N; i++) {
        g_free(device->attrs[i].path);
        g_ptr_array_unref(device->attrs[i].clients);
    }
}

void
sim_gatt_export(SimDevice *device)
{
    if (device->exported_gatt) {
        return;
    }
    SimBus *bus = sim_device_bus(device);
    g_autofree char *service = g_strdup_printf("%s/service0010", device->path);
    sim_bus_add(bus, service, SIM_SERVICE_IFACE, NULL, NULL, device);
    sim_bus_set(bus, service, SIM_SERVICE_IFACE, "UUID", g_variant_new_string(SIM_SERVICE_UUID));
    sim_bus_set(bus, service, SIM_SERVICE_IFACE, "Primary", g_variant_new_boolean(TRUE));
    sim_bus_set(bus, service, SIM_SERVICE_IFACE, "Device", g_variant_new_object_path(device->path));
    sim_bus_show(bus, service);
    for (uint32_t i = 0; i < SIM_CHRC_N; i++) {
        SimAttr *attr = &device->attrs[i];
        g_free(attr->path);
        attr->path = g_strdup_printf("%s/char%04x", service, chrc_infos[i].handle);
        export_chrc(device, service, (SimChrc)i);
    }
    device->exported_gatt = true;
}

void
sim_gatt_unexport(SimDevice *device)
{
    if (!device->exported_gatt) {
        return;
    }
    for (uint32_t i = 0; i < SIM_CHRC_N; i++) {
        sim_bus_remove(sim_device_bus(device), device->attrs[i].path, NULL);
        g_ptr_array_set_size(device->attrs[i].clients, 0);
        device->attrs[i].debris = false;
    }
    g_autofree char *service = g_strdup_printf("%s/service0010", device->path);
    sim_bus_remove(sim_device_bus(device), service, NULL);
    device->exported_gatt = false;
}

void
sim_gatt_resume(SimDevice *device)
{
    for (uint32_t i = 0; i < SIM_CHRC_N; i++) {
        SimAttr *attr = &device->attrs[i];
        for (guint j = 0; j < attr->clients->len; j++) {
            SimNotifyClient *client = g_ptr_array_index(attr->clients, j);
            client->active = sim_device_secure(device);
        }
        sim_attr_subscribe(attr);
    }
}

void
sim_gatt_pause(SimDevice *device)
{
    for (uint32_t i = 0; i < SIM_CHRC_N; i++) {
        SimAttr *attr = &device->attrs[i];
        sim_attr_close_fd(attr);
        for (guint j = 0; j < attr->clients->len; j++) {
            SimNotifyClient *client = g_ptr_array_index(attr->clients, j);
            client->active = false;
        }
    }
}

void
sim_gatt_forget(SimDevice *device)
{
    for (uint32_t i = 0; i < SIM_CHRC_N; i++) {
        SimAttr *attr = &device->attrs[i];
        sim_attr_close_fd(attr);
        g_ptr_array_set_size(attr->clients, 0);
        attr->debris = false;
        attr->acquiring = false;
    }
    device->exported_gatt = false;
}
