/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * Follows the real bluetoothd: what is there when it comes, and what changes. Everything is
 * handed to the site whose adapter it is about.
 */
#include "peripheral_internal.h"

#include <string.h>

#define MANAGER_IFACE    "org.freedesktop.DBus.ObjectManager"
#define PROPERTIES_IFACE "org.freedesktop.DBus.Properties"

/* The site of an adapter's path, or of one below it. */
static SimSite *
find_site(const SimPeripheral *self, const char *path, bool below)
{
    for (guint i = 0; i < self->sites->len; i++) {
        SimSite *site = g_ptr_array_index(self->sites, i);
        const size_t n = strlen(site->adapter);
        if (strncmp(path, site->adapter, n) == 0 && path[n] == (below ? '/' : '\0')) {
            return site;
        }
    }
    return NULL;
}

static void
object_changed(SimPeripheral *self, const char *path, const char *interface, GVariant *properties)
{
    SimSite *site = find_site(self, path, g_str_equal(interface, SIM_REAL_DEVICE_IFACE));
    if (site == NULL) {
        return;
    }
    if (g_str_equal(interface, SIM_REAL_DEVICE_IFACE)) {
        sim_site_device_changed(site, path, properties);
    } else if (g_str_equal(interface, SIM_REAL_ADAPTER_IFACE)) {
        sim_site_adapter_changed(site, properties);
    } else if (g_str_equal(interface, SIM_GATT_MANAGER_IFACE)) {
        site->has_gatt = true;
    } else if (g_str_equal(interface, SIM_ADVERT_MANAGER_IFACE)) {
        site->has_adverts = true;
    }
}

static void
object_added(SimPeripheral *self, const char *path, GVariant *interfaces)
{
    GVariantIter iter;
    const char *interface = NULL;
    GVariant *properties = NULL;
    g_variant_iter_init(&iter, interfaces);
    while (g_variant_iter_loop(&iter, "{&s@a{sv}}", &interface, &properties)) {
        object_changed(self, path, interface, properties);
    }
}

static void
on_added(GDBusConnection *connection,
         const char *sender,
         const char *object,
         const char *interface,
         const char *signal,
         GVariant *args,
         gpointer user_data)
{
    const char *path = NULL;
    g_autoptr(GVariant) interfaces = NULL;
    g_variant_get(args, "(&o@a{sa{sv}})", &path, &interfaces);
    object_added(user_data, path, interfaces);
}

static void
on_removed(GDBusConnection *connection,
           const char *sender,
           const char *object,
           const char *interface,
           const char *signal,
           GVariant *args,
           gpointer user_data)
{
    const char *path = NULL;
    g_autofree const char **names = NULL;
    g_variant_get(args, "(&o^a&s)", &path, &names);
    SimSite *site = find_site(user_data, path, false);
    if (site != NULL && g_strv_contains(names, SIM_REAL_ADAPTER_IFACE)) {
        sim_site_forget(site);
        return;
    }
    site = find_site(user_data, path, true);
    if (site != NULL && g_strv_contains(names, SIM_REAL_DEVICE_IFACE)) {
        sim_site_link_down(site, path);
    }
}

static void
on_changed(GDBusConnection *connection,
           const char *sender,
           const char *path,
           const char *signal_interface,
           const char *signal,
           GVariant *args,
           gpointer user_data)
{
    const char *interface = NULL;
    g_autoptr(GVariant) properties = NULL;
    g_variant_get(args, "(&s@a{sv}^a&s)", &interface, &properties, NULL);
    object_changed(user_data, path, interface, properties);
}

static void
on_objects(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    if (reply == NULL) {
        return; /* freed, or bluetoothd has gone: its return asks again */
    }
    g_autoptr(GVariant) objects = g_variant_get_child_value(reply, 0);
    GVariantIter iter;
    const char *path = NULL;
    GVariant *interfaces = NULL;
    g_variant_iter_init(&iter, objects);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &path, &interfaces)) {
        object_added(user_data, path, interfaces);
    }
}

static void
on_bluez_appeared(GDBusConnection *connection,
                  const char *name,
                  const char *owner,
                  gpointer user_data)
{
    SimPeripheral *self = user_data;
    sim_agent_register(self);
    g_dbus_connection_call(connection,
                           SIM_BLUEZ_NAME,
                           "/",
                           MANAGER_IFACE,
                           "GetManagedObjects",
                           NULL,
                           G_VARIANT_TYPE("(a{oa{sa{sv}}})"),
                           G_DBUS_CALL_FLAGS_NO_AUTO_START,
                           -1,
                           self->cancellable,
                           on_objects,
                           self);
}

static void
on_bluez_vanished(GDBusConnection *connection, const char *name, gpointer user_data)
{
    const SimPeripheral *self = user_data;
    for (guint i = 0; i < self->sites->len; i++) {
        sim_site_forget(g_ptr_array_index(self->sites, i));
    }
}

static guint
subscribe(SimPeripheral *self,
          const char *interface,
          const char *signal,
          GDBusSignalCallback callback)
{
    return g_dbus_connection_signal_subscribe(self->connection,
                                              SIM_BLUEZ_NAME,
                                              interface,
                                              signal,
                                              NULL,
                                              NULL,
                                              G_DBUS_SIGNAL_FLAGS_NONE,
                                              callback,
                                              self,
                                              NULL);
}

void
sim_peripheral_follow(SimPeripheral *self)
{
    self->signals[0] = subscribe(self, MANAGER_IFACE, "InterfacesAdded", on_added);
    self->signals[1] = subscribe(self, MANAGER_IFACE, "InterfacesRemoved", on_removed);
    self->signals[2] = subscribe(self, PROPERTIES_IFACE, "PropertiesChanged", on_changed);
    self->name_watch = g_bus_watch_name_on_connection(self->connection,
                                                      SIM_BLUEZ_NAME,
                                                      G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                      on_bluez_appeared,
                                                      on_bluez_vanished,
                                                      self,
                                                      NULL);
}

void
sim_peripheral_unfollow(SimPeripheral *self)
{
    for (guint i = 0; i < G_N_ELEMENTS(self->signals); i++) {
        if (self->signals[i] != 0) {
            g_dbus_connection_signal_unsubscribe(self->connection, self->signals[i]);
        }
    }
    g_clear_handle_id(&self->name_watch, g_bus_unwatch_name);
}
