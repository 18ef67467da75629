/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * Follows the real bluetoothd: which adapters are there, which central is linked and
 * bonded, and tells the pens. When bluetoothd or an adapter comes back, the pen on it is
 * registered again; a pen serves one link at a time (F33).
 */
#include "peripheral_internal.h"

#include <string.h>

#define BLUEZ            "org.bluez"
#define ADAPTER_IFACE    "org.bluez.Adapter1"
#define DEVICE_IFACE     "org.bluez.Device1"
#define MANAGER_IFACE    "org.freedesktop.DBus.ObjectManager"
#define PROPERTIES_IFACE "org.freedesktop.DBus.Properties"
#define RETRY_US         500000
#define HANG_UP_MS       5000

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
                           BLUEZ,
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
on_link_notify(void *user_data, SimChrc chrc, const uint8_t *bytes, size_t n_bytes)
{
    sim_site_notify(user_data, chrc, bytes, n_bytes);
}

/* The way out of a link for a peripheral, too; its end is then told like any other. */
static void
disconnect(SimSite *self, const char *device)
{
    g_dbus_connection_call(self->peripheral->connection,
                           BLUEZ,
                           device,
                           DEVICE_IFACE,
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

static void
link_down(SimSite *self, const char *device)
{
    if (self->device == NULL || (device != NULL && !g_str_equal(self->device, device))) {
        return;
    }
    sim_site_say(self, "link is down");
    g_clear_pointer(&self->device, g_free);
    g_clear_pointer(&self->value, g_byte_array_unref);
    sim_pen_link_down(self->pen);
}

/* Pairing mode ends with a bond (pen-telemetry-service.md, 2.2), unless it is for ever. */
static void
bonded(SimSite *self, const char *device)
{
    g_autofree char *address = g_strdup(strrchr(device, '/') + strlen("/dev_"));
    g_strdelimit(address, "_", ':');
    if (sim_pen_has_bond(self->pen, address)) {
        return;
    }
    sim_pen_add_bond(self->pen, address);
    if (self->peripheral->options->pairing_s >= 0) {
        sim_pen_set_pairing(self->pen, 0);
    }
}

static void
device_changed(SimSite *self, const char *path, GVariant *properties)
{
    gboolean value = FALSE;
    if (g_variant_lookup(properties, "Connected", "b", &value)) {
        if (value) {
            link_up(self, path);
        } else {
            link_down(self, path);
        }
    }
    if (g_variant_lookup(properties, "Paired", "b", &value) && value) {
        bonded(self, path);
    }
}

static void
adapter_changed(SimSite *self, GVariant *properties)
{
    const char *address = NULL;
    gboolean powered = FALSE;
    if (g_variant_lookup(properties, "Address", "&s", &address)) {
        sim_pen_set_address(self->pen, address);
    }
    if (g_variant_lookup(properties, "Powered", "b", &powered)) {
        self->powered = powered;
        if (!powered) {
            link_down(self, NULL);
        }
    }
}

static void
site_forget(SimSite *self)
{
    link_down(self, NULL);
    self->has_gatt = self->has_adverts = self->powered = false;
    self->registered = self->advertising = false;
    self->pairable = -1;
    self->retry_at_us = 0;
}

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
    SimSite *site = find_site(self, path, g_str_equal(interface, DEVICE_IFACE));
    if (site == NULL) {
        return;
    }
    if (g_str_equal(interface, DEVICE_IFACE)) {
        device_changed(site, path, properties);
    } else if (g_str_equal(interface, ADAPTER_IFACE)) {
        adapter_changed(site, properties);
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
    if (site != NULL && g_strv_contains(names, ADAPTER_IFACE)) {
        site_forget(site);
        return;
    }
    site = find_site(user_data, path, true);
    if (site != NULL && g_strv_contains(names, DEVICE_IFACE)) {
        link_down(site, path);
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
                           BLUEZ,
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
        site_forget(g_ptr_array_index(self->sites, i));
    }
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
                                                  BLUEZ,
                                                  self->device,
                                                  DEVICE_IFACE,
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

static guint
subscribe(SimPeripheral *self,
          const char *interface,
          const char *signal,
          GDBusSignalCallback callback)
{
    return g_dbus_connection_signal_subscribe(self->connection,
                                              BLUEZ,
                                              interface,
                                              signal,
                                              NULL,
                                              NULL,
                                              G_DBUS_SIGNAL_FLAGS_NONE,
                                              callback,
                                              self,
                                              NULL);
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
    self->signals[0] = subscribe(self, MANAGER_IFACE, "InterfacesAdded", on_added);
    self->signals[1] = subscribe(self, MANAGER_IFACE, "InterfacesRemoved", on_removed);
    self->signals[2] = subscribe(self, PROPERTIES_IFACE, "PropertiesChanged", on_changed);
    self->name_watch = g_bus_watch_name_on_connection(connection,
                                                      BLUEZ,
                                                      G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                      on_bluez_appeared,
                                                      on_bluez_vanished,
                                                      self,
                                                      NULL);
    return g_steal_pointer(&self);
}

void
sim_peripheral_free(SimPeripheral *self)
{
    if (self == NULL) {
        return;
    }
    g_cancellable_cancel(self->cancellable);
    for (guint i = 0; i < G_N_ELEMENTS(self->signals); i++) {
        if (self->signals[i] != 0) {
            g_dbus_connection_signal_unsubscribe(self->connection, self->signals[i]);
        }
    }
    g_clear_handle_id(&self->name_watch, g_bus_unwatch_name);
    if (self->agent != 0) {
        g_dbus_connection_unregister_object(self->connection, self->agent);
    }
    g_ptr_array_unref(self->sites);
    g_clear_pointer(&self->info, g_dbus_node_info_unref);
    g_object_unref(self->cancellable);
    g_object_unref(self->connection);
    g_free(self);
}
