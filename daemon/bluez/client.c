/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Follows org.bluez on the bus: one generation per owner, its signals scoped to that
 * owner and to the interfaces we read, one GetManagedObjects, everything dropped when
 * it goes (P24, P25). Signals before the reply of GetManagedObjects are ignored: one
 * sender's messages keep their order, so the reply already contains them.
 */
#include "bluez/client.h"

#include "bluez/table.h"

#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define PROPERTIES     "org.freedesktop.DBus.Properties"
#define RETRY_S        5 /* a mute bluetoothd is asked again (P11) */

PdBluezClient *
pd_bluez_client_ref(PdBluezClient *self)
{
    self->n_refs++;
    return self;
}

void
pd_bluez_client_unref(PdBluezClient *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    g_hash_table_unref(self->adapters);
    g_hash_table_unref(self->devices);
    g_hash_table_unref(self->services);
    g_hash_table_unref(self->chars);
    g_array_unref(self->signal_ids);
    g_free(self->owner);
    g_object_unref(self->bus);
    g_free(self);
}

static void
on_object_signal(GDBusConnection *bus,
                 const char *sender,
                 const char *path,
                 const char *interface,
                 const char *signal,
                 GVariant *parameters,
                 gpointer user_data)
{
    PdBluezClient *self = user_data;
    const char *object = NULL;

    if (!self->is_up) {
        return;
    }
    if (g_variant_is_of_type(parameters, G_VARIANT_TYPE("(oa{sa{sv}})"))) {
        g_autoptr(GVariant) interfaces = NULL;
        g_variant_get(parameters, "(&o@a{sa{sv}})", &object, &interfaces);
        pd_bluez_table_add(self, object, interfaces);
    } else if (g_variant_is_of_type(parameters, G_VARIANT_TYPE("(oas)"))) {
        g_autofree const char **interfaces = NULL;
        g_variant_get(parameters, "(&o^a&s)", &object, &interfaces);
        pd_bluez_table_remove(self, object, interfaces);
    }
}

static void
on_properties_changed(GDBusConnection *bus,
                      const char *sender,
                      const char *path,
                      const char *interface,
                      const char *signal,
                      GVariant *parameters,
                      gpointer user_data)
{
    PdBluezClient *self = user_data;
    const char *changed_interface = NULL;
    g_autoptr(GVariant) properties = NULL;
    g_autofree const char **invalidated = NULL;

    if (!self->is_up || !g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)"))) {
        return;
    }
    g_variant_get(parameters, "(&s@a{sv}^a&s)", &changed_interface, &properties, &invalidated);
    pd_bluez_table_change(self, path, changed_interface, properties, invalidated);
}

/* The owner's unique name in the match keeps other senders and generations out. */
static void
subscribe(PdBluezClient *self,
          const char *interface,
          const char *member,
          const char *path,
          const char *arg0,
          GDBusSignalCallback callback)
{
    const guint id = g_dbus_connection_signal_subscribe(self->bus,
                                                        self->owner,
                                                        interface,
                                                        member,
                                                        path,
                                                        arg0,
                                                        G_DBUS_SIGNAL_FLAGS_NONE,
                                                        callback,
                                                        self,
                                                        NULL);
    g_array_append_val(self->signal_ids, id);
}

static void
tell_all(PdBluezClient *self)
{
    g_autoptr(GPtrArray) adapters = pd_bluez_client_list_adapters(self);
    g_autoptr(GPtrArray) devices = pd_bluez_client_list_devices(self, NULL);

    if (self->listener.service_up != NULL) {
        self->listener.service_up(self->user_data, self->generation);
    }
    for (guint i = 0; i < adapters->len && self->listener.adapter_added != NULL; i++) {
        self->listener.adapter_added(self->user_data, adapters->pdata[i]);
    }
    for (guint i = 0; i < devices->len && self->listener.device_added != NULL; i++) {
        self->listener.device_added(self->user_data, devices->pdata[i]);
    }
}

static void fetch_objects(PdBluezClient *self);

static gboolean
on_retry(gpointer user_data)
{
    PdBluezClient *self = user_data;

    self->retry_id = 0;
    fetch_objects(self);
    return G_SOURCE_REMOVE;
}

static void
on_objects(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdBluezClient) self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        return;
    }
    if (reply == NULL) {
        g_warning("%s; asking again in %d s", error->message, RETRY_S);
        self->retry_id = g_timeout_add_seconds(RETRY_S, on_retry, self);
        if (pd_bluez_error_get_hint(error) == PD_BLUEZ_HINT_NO_REPLY) {
            pd_bluez_client_tell_mute(self);
        }
        return;
    }
    g_autoptr(GVariant) objects = g_variant_get_child_value(reply, 0);
    pd_bluez_table_load(self, objects);
    self->is_up = true;
    self->n_mute = 0;
    if (self->agent != NULL) {
        pd_bluez_agent_reregister(self->agent);
    }
    tell_all(self);
}

static void
fetch_objects(PdBluezClient *self)
{
    pd_bluez_call_async(&(PdBluezCall){ .bus = self->bus,
                                        .owner = self->owner,
                                        .path = "/",
                                        .interface = OBJECT_MANAGER,
                                        .method = "GetManagedObjects",
                                        .reply_type = G_VARIANT_TYPE("(a{oa{sa{sv}}})"),
                                        .timeout_ms = PD_BLUEZ_CALL_TIMEOUT_MS,
                                        .what = "read bluetoothd's objects" },
                        self->cancellable,
                        on_objects,
                        pd_bluez_client_ref(self));
}

/* End of a generation: nothing of it may be called or believed any more. */
static void
drop_generation(PdBluezClient *self)
{
    const bool was_up = self->is_up;

    g_clear_handle_id(&self->retry_id, g_source_remove);
    if (self->cancellable != NULL) {
        g_cancellable_cancel(self->cancellable);
        g_clear_object(&self->cancellable);
    }
    for (guint i = 0; i < self->signal_ids->len; i++) {
        g_dbus_connection_signal_unsubscribe(self->bus, g_array_index(self->signal_ids, guint, i));
    }
    g_array_set_size(self->signal_ids, 0);
    g_clear_pointer(&self->owner, g_free);
    pd_bluez_table_clear(self);
    self->is_up = false;
    self->is_probing = false;
    self->n_mute = 0;
    if (was_up && self->listener.service_down != NULL) {
        self->listener.service_down(self->user_data);
    }
}

static void
on_name_appeared(GDBusConnection *bus, const char *name, const char *owner, gpointer user_data)
{
    PdBluezClient *self = user_data;
    static const char *const interfaces[] = { PD_BLUEZ_ADAPTER, PD_BLUEZ_DEVICE, PD_BLUEZ_BATTERY };

    drop_generation(self);
    self->owner = g_strdup(owner);
    self->generation++;
    self->cancellable = g_cancellable_new();
    subscribe(self, OBJECT_MANAGER, NULL, "/", NULL, on_object_signal);
    for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
        subscribe(
            self, PROPERTIES, "PropertiesChanged", NULL, interfaces[i], on_properties_changed);
    }
    fetch_objects(self);
}

static void
on_name_vanished(GDBusConnection *bus, const char *name, gpointer user_data)
{
    drop_generation(user_data);
}

PdBluezClient *
pd_bluez_client_new(GDBusConnection *bus, const PdBluezListener *listener, void *user_data)
{
    PdBluezClient *self = g_new0(PdBluezClient, 1);

    self->n_refs = 1;
    self->bus = g_object_ref(bus);
    self->listener = *listener;
    self->user_data = user_data;
    self->signal_ids = g_array_new(FALSE, FALSE, sizeof(guint));
    pd_bluez_table_init(self);
    self->name_watch_id = g_bus_watch_name_on_connection(bus,
                                                         "org.bluez",
                                                         G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                         on_name_appeared,
                                                         on_name_vanished,
                                                         self,
                                                         NULL);
    return self;
}

static void
stop_our_discoveries(PdBluezClient *self)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->adapters);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const PdBluezAdapterNode *adapter = value;

        if (adapter->is_ours && self->owner != NULL) {
            pd_bluez_call_and_forget(&(PdBluezCall){ .bus = self->bus,
                                                     .owner = self->owner,
                                                     .path = adapter->path,
                                                     .interface = PD_BLUEZ_ADAPTER,
                                                     .method = "StopDiscovery",
                                                     .timeout_ms = PD_BLUEZ_CALL_TIMEOUT_MS });
        }
    }
}

void
pd_bluez_client_free(PdBluezClient *self)
{
    if (self == NULL) {
        return;
    }
    self->listener = (PdBluezListener){ 0 };
    if (self->agent != NULL) {
        pd_bluez_agent_detach(self->agent);
    }
    stop_our_discoveries(self);
    g_bus_unwatch_name(self->name_watch_id);
    drop_generation(self);
    pd_bluez_client_unref(self);
}

bool
pd_bluez_client_is_up(PdBluezClient *self)
{
    return self->is_up;
}

uint32_t
pd_bluez_client_get_generation(PdBluezClient *self)
{
    return self->generation;
}

GPtrArray *
pd_bluez_client_list_adapters(PdBluezClient *self)
{
    GPtrArray *adapters = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->adapters);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdBluezAdapterNode *adapter = value;

        g_ptr_array_add(adapters, &adapter->pub);
    }
    return adapters;
}

const PdBluezAdapter *
pd_bluez_client_get_adapter(PdBluezClient *self, const char *address_or_name)
{
    const PdBluezAdapterNode *adapter = pd_bluez_table_find_adapter(self, address_or_name);

    return adapter != NULL ? &adapter->pub : NULL;
}

GPtrArray *
pd_bluez_client_list_devices(PdBluezClient *self, const char *adapter_address)
{
    GPtrArray *devices = g_ptr_array_new_with_free_func((GDestroyNotify)pd_bluez_device_unref);
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->devices);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdBluezDevice *device = value;

        if (adapter_address == NULL ||
            g_ascii_strcasecmp(device->adapter_address, adapter_address) == 0) {
            g_ptr_array_add(devices, pd_bluez_device_ref(device));
        }
    }
    return devices;
}

PdBluezDevice *
pd_bluez_client_get_device(PdBluezClient *self,
                           const char *adapter_address,
                           const char *device_address)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->devices);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdBluezDevice *device = value;

        if (g_ascii_strcasecmp(device->address, device_address) == 0 &&
            g_ascii_strcasecmp(device->adapter_address, adapter_address) == 0) {
            return device;
        }
    }
    return NULL;
}
