/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * Pens on adapters of the real bluetoothd: what they export, how it is called, and what a
 * pen does next. When bluetoothd or an adapter comes back, the pen on it is registered
 * again.
 */
#include "peripheral_internal.h"

#include <string.h>

#define RETRY_US   500000
#define HANG_UP_MS 5000

static const char exported_xml[] =
    "<node>"
    "<interface name='org.freedesktop.DBus.ObjectManager'>"
    "<method name='GetManagedObjects'>"
    "<arg type='a{oa{sa{sv}}}' direction='out'/></method></interface>"
    "<interface name='org.bluez.GattCharacteristic1'>"
    "<method name='ReadValue'><arg type='a{sv}' direction='in'/>"
    "<arg type='ay' direction='out'/></method>"
    "<method name='WriteValue'><arg type='ay' direction='in'/>"
    "<arg type='a{sv}' direction='in'/></method>"
    "<method name='StartNotify'/><method name='StopNotify'/><method name='Confirm'/>"
    "</interface>"
    "<interface name='org.bluez.LEAdvertisement1'><method name='Release'/>"
    "<property name='Type' type='s' access='read'/>"
    "<property name='LocalName' type='s' access='read'/>"
    "<property name='ServiceUUIDs' type='as' access='read'/>"
    "<property name='Discoverable' type='b' access='read'/></interface>"
    "<interface name='org.bluez.Agent1'><method name='Release'/><method name='Cancel'/>"
    "<method name='RequestConfirmation'><arg type='o' direction='in'/>"
    "<arg type='u' direction='in'/></method>"
    "<method name='RequestAuthorization'><arg type='o' direction='in'/></method>"
    "<method name='AuthorizeService'><arg type='o' direction='in'/>"
    "<arg type='s' direction='in'/></method></interface>"
    "</node>";

GDBusInterfaceInfo *
sim_peripheral_interface(const SimPeripheral *self, const char *name)
{
    return g_dbus_node_info_lookup_interface(self->info, name);
}

void
sim_site_say(const SimSite *self, const char *what)
{
    if (self->peripheral->options->verbose) {
        g_print("%s %s\n", sim_pen_get_serial(self->pen), what);
    }
}

void
sim_site_call(SimSite *self,
              const char *path,
              const char *interface,
              const char *method,
              GVariant *args,
              GAsyncReadyCallback done)
{
    self->busy = true;
    g_dbus_connection_call(self->peripheral->connection,
                           SIM_BLUEZ_NAME,
                           path,
                           interface,
                           method,
                           args,
                           NULL,
                           G_DBUS_CALL_FLAGS_NO_AUTO_START,
                           -1,
                           self->peripheral->cancellable,
                           done,
                           self);
}

SimReply
sim_site_finish(SimSite *self, GObject *source, GAsyncResult *result)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        return SIM_REPLY_GONE;
    }
    self->busy = false;
    if (reply == NULL) {
        sim_site_say(self, error->message);
        self->retry_at_us = g_get_monotonic_time() + RETRY_US;
    }
    return reply != NULL ? SIM_REPLY_OK : SIM_REPLY_REFUSED;
}

static void
site_tick(SimSite *self, int64_t mono_us)
{
    if (!self->has_gatt || !self->powered || self->busy || mono_us < self->retry_at_us) {
        return;
    }
    if (!self->registered) {
        sim_site_register(self);
        return;
    }
    sim_site_tune(self, mono_us);
}

void
sim_peripheral_tick(SimPeripheral *self, int64_t mono_us)
{
    for (guint i = 0; i < self->sites->len; i++) {
        site_tick(g_ptr_array_index(self->sites, i), mono_us);
    }
}

bool
sim_peripheral_is_ready(const SimPeripheral *self)
{
    for (guint i = 0; i < self->sites->len; i++) {
        const SimSite *site = g_ptr_array_index(self->sites, i);
        if (!site->registered || !(site->advertising || site->device != NULL)) {
            return false;
        }
    }
    return true;
}

/* A pen that is switched off takes its link with it. */
static void
hang_up(const SimSite *self)
{
    GVariant *reply = g_dbus_connection_call_sync(self->peripheral->connection,
                                                  SIM_BLUEZ_NAME,
                                                  self->device,
                                                  SIM_REAL_DEVICE_IFACE,
                                                  "Disconnect",
                                                  NULL,
                                                  NULL,
                                                  G_DBUS_CALL_FLAGS_NO_AUTO_START,
                                                  HANG_UP_MS,
                                                  NULL,
                                                  NULL);
    g_clear_pointer(&reply, g_variant_unref);
}

static void
site_free(gpointer data)
{
    SimSite *self = data;
    if (self->device != NULL) {
        hang_up(self);
    }
    sim_pen_link_down(self->pen);
    sim_site_unexport(self);
    g_clear_pointer(&self->value, g_byte_array_unref);
    g_free(self->device);
    g_free(self->adapter);
    g_free(self->root);
    g_free(self->advert);
    g_free(self);
}

static bool
add_sites(SimPeripheral *self, GPtrArray *pens, GError **error)
{
    g_auto(GStrv) names = g_strsplit(self->options->peripheral, ",", -1);
    if (g_strv_length(names) < pens->len) {
        g_set_error(error,
                    G_OPTION_ERROR,
                    G_OPTION_ERROR_BAD_VALUE,
                    "%u pens need as many adapters",
                    pens->len);
        return false;
    }
    for (guint i = 0; i < pens->len; i++) {
        SimSite *site = g_new0(SimSite, 1);
        site->peripheral = self;
        site->pen = g_ptr_array_index(pens, i);
        site->adapter = g_strconcat("/org/bluez/", names[i], NULL);
        site->root = g_strdup_printf("%s/pen%u", SIM_PERIPHERAL_ROOT, i);
        site->advert = g_strdup_printf("%s/advert%u", SIM_PERIPHERAL_ROOT, i);
        site->pairable = -1;
        g_ptr_array_add(self->sites, site);
        if (!g_variant_is_object_path(site->adapter)) {
            g_set_error(
                error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "\"%s\" is no adapter", names[i]);
            return false;
        }
        if (!sim_site_export(site, error)) {
            return false;
        }
    }
    return true;
}

SimPeripheral *
sim_peripheral_new(const SimOptions *options,
                   GDBusConnection *connection,
                   GPtrArray *pens,
                   GError **error)
{
    g_autoptr(SimPeripheral) self = g_new0(SimPeripheral, 1);
    self->options = options;
    self->connection = g_object_ref(connection);
    self->cancellable = g_cancellable_new();
    self->sites = g_ptr_array_new_with_free_func(site_free);
    self->info = g_dbus_node_info_new_for_xml(exported_xml, error);
    if (self->info == NULL || !add_sites(self, pens, error) || !sim_agent_export(self, error)) {
        return NULL;
    }
    sim_peripheral_follow(self);
    return g_steal_pointer(&self);
}

void
sim_peripheral_free(SimPeripheral *self)
{
    if (self == NULL) {
        return;
    }
    g_cancellable_cancel(self->cancellable);
    sim_peripheral_unfollow(self);
    if (self->agent != 0) {
        g_dbus_connection_unregister_object(self->connection, self->agent);
    }
    g_ptr_array_unref(self->sites);
    g_clear_pointer(&self->info, g_dbus_node_info_unref);
    g_object_unref(self->cancellable);
    g_object_unref(self->connection);
    g_free(self);
}
