/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * A pen's link as bluetoothd tells of it: which central is there, whether it is bonded, and
 * how the pen ends it. A pen serves one link at a time (F33).
 */
#include "peripheral_internal.h"

#include <string.h>

static void
on_link_notify(void *user_data, SimChrc chrc, const uint8_t *bytes, size_t n_bytes)
{
    sim_site_notify(user_data, chrc, bytes, n_bytes);
}

/* The way out of a link for a peripheral, too; its end is then told like any other. */
static void
disconnect(SimSite *self, const char *device)
{
    g_dbus_connection_call(self->peripheral->connection,
                           SIM_BLUEZ_NAME,
                           device,
                           SIM_REAL_DEVICE_IFACE,
                           "Disconnect",
                           NULL,
                           NULL,
                           G_DBUS_CALL_FLAGS_NO_AUTO_START,
                           -1,
                           NULL,
                           NULL,
                           NULL);
}

static void
on_link_closed(void *user_data)
{
    SimSite *self = user_data;
    sim_site_say(self, "ends its link");
    if (self->device != NULL) {
        disconnect(self, self->device);
    }
}

static void
link_up(SimSite *self, const char *device)
{
    static const SimLinkOps ops = { .notify = on_link_notify, .closed = on_link_closed };
    const int64_t now = g_get_monotonic_time();
    if (self->device != NULL && !g_str_equal(self->device, device)) {
        disconnect(self, device);
        return;
    }
    if (self->device != NULL) {
        return;
    }
    self->device = g_strdup(device);
    sim_pen_link_up(self->pen, &ops, self, now);
    for (uint32_t i = 0; i < SIM_CHRC_N; i++) {
        sim_pen_set_subscribed(self->pen, (SimChrc)i, self->subscribed[i]);
    }
}

void
sim_site_link_down(SimSite *self, const char *device)
{
    if (self->device == NULL || (device != NULL && !g_str_equal(self->device, device))) {
        return;
    }
    sim_site_say(self, "link is down");
    g_clear_pointer(&self->device, g_free);
    g_clear_pointer(&self->value, g_byte_array_unref);
    sim_pen_link_down(self->pen);
}

/* Pairing mode ends with a bond (pen-telemetry-service.md, 2.2), unless it is for ever; a
 * bond that bluetoothd had before is none of it. */
static void
bonded(SimSite *self, const char *device)
{
    g_autofree char *address = g_strdup(strrchr(device, '/') + strlen("/dev_"));
    g_strdelimit(address, "_", ':');
    if (sim_pen_has_bond(self->pen, address)) {
        return;
    }
    sim_pen_add_bond(self->pen, address);
    const bool is_new = self->device != NULL && g_str_equal(self->device, device);
    if (is_new && self->peripheral->options->pairing_s >= 0) {
        sim_pen_set_pairing(self->pen, 0);
    }
}

void
sim_site_device_changed(SimSite *self, const char *path, GVariant *properties)
{
    gboolean value = FALSE;
    if (g_variant_lookup(properties, "Connected", "b", &value)) {
        if (value) {
            link_up(self, path);
        } else {
            sim_site_link_down(self, path);
        }
    }
    if (g_variant_lookup(properties, "Paired", "b", &value) && value) {
        bonded(self, path);
    }
}

void
sim_site_adapter_changed(SimSite *self, GVariant *properties)
{
    const char *address = NULL;
    gboolean powered = FALSE;
    if (g_variant_lookup(properties, "Address", "&s", &address)) {
        sim_pen_set_address(self->pen, address);
    }
    if (g_variant_lookup(properties, "Powered", "b", &powered)) {
        self->powered = powered;
        if (!powered) {
            sim_site_link_down(self, NULL);
        }
    }
}

void
sim_site_forget(SimSite *self)
{
    sim_site_link_down(self, NULL);
    self->has_gatt = self->has_adverts = self->powered = false;
    self->registered = self->advertising = false;
    self->pairable = -1;
    self->retry_at_us = 0;
}
