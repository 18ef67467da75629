/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Keeps the mirror of bluetoothd's objects and says what changed. Removal cascades:
 * an adapter may vanish without a word about its devices (P23). No proxy per object
 * (P26).
 */
#include "bluez/table.h"

#include <string.h>

typedef struct {
    const char *interface;
    void (*add)(PdBluezClient *self, const char *path, GVariant *properties);
    void (*remove)(PdBluezClient *self, const char *path);
} TableRow;

static void
tell_device(PdBluezClient *self, PdBluezDevice *device, uint32_t changed)
{
    if (changed != 0 && self->is_up && self->listener.device_changed != NULL) {
        self->listener.device_changed(self->user_data, device, changed);
    }
}

/* Keys of @table at or below @path, so that the table may change meanwhile. */
static GPtrArray *
collect_under(GHashTable *table, const char *path)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer key = NULL;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (pd_bluez_path_is_under(key, path)) {
            g_ptr_array_add(found, g_strdup(key));
        }
    }
    return found;
}

static void
remove_char(PdBluezClient *self, const char *path)
{
    PdBluezChar *chr = g_hash_table_lookup(self->chars, path);

    if (chr == NULL) {
        return;
    }
    if (chr->watch_id != 0) {
        g_dbus_connection_signal_unsubscribe(self->bus, chr->watch_id);
    }
    PdBluezDevice *device = pd_bluez_table_get_char_device(self, chr);
    g_hash_table_remove(self->chars, path);
    if (device != NULL) {
        tell_device(self, device, PD_BLUEZ_DEVICE_CHANGE_GATT);
    }
}

static void
remove_service(PdBluezClient *self, const char *path)
{
    g_hash_table_remove(self->services, path);
}

static void
remove_gatt_under(PdBluezClient *self, const char *path)
{
    g_autoptr(GPtrArray) chars = collect_under(self->chars, path);
    g_autoptr(GPtrArray) services = collect_under(self->services, path);

    for (guint i = 0; i < chars->len; i++) {
        remove_char(self, chars->pdata[i]);
    }
    for (guint i = 0; i < services->len; i++) {
        remove_service(self, services->pdata[i]);
    }
}

static void
remove_device(PdBluezClient *self, const char *path)
{
    PdBluezDevice *found = g_hash_table_lookup(self->devices, path);

    if (found == NULL) {
        return;
    }
    g_autoptr(PdBluezDevice) device = pd_bluez_device_ref(found);
    g_hash_table_remove(self->devices, path);
    device->client = NULL;
    device->connected = false;
    device->resolved = false;
    remove_gatt_under(self, device->path);
    if (self->is_up && self->listener.device_removed != NULL) {
        self->listener.device_removed(self->user_data, device);
    }
}

static void
remove_adapter(PdBluezClient *self, const char *path)
{
    PdBluezAdapterNode *adapter = g_hash_table_lookup(self->adapters, path);

    if (adapter == NULL) {
        return;
    }
    g_autoptr(GPtrArray) devices = collect_under(self->devices, path);
    for (guint i = 0; i < devices->len; i++) {
        remove_device(self, devices->pdata[i]);
    }
    g_hash_table_steal(self->adapters, path);
    if (self->is_up && self->listener.adapter_removed != NULL) {
        self->listener.adapter_removed(self->user_data, &adapter->pub);
    }
    pd_bluez_adapter_node_free(adapter);
}

static void
remove_battery(PdBluezClient *self, const char *path)
{
    PdBluezDevice *device = g_hash_table_lookup(self->devices, path);

    if (device != NULL && device->battery_pct != PD_BLUEZ_BATTERY_UNKNOWN) {
        device->battery_pct = PD_BLUEZ_BATTERY_UNKNOWN;
        tell_device(self, device, PD_BLUEZ_DEVICE_CHANGE_BATTERY);
    }
}

/* A crashed client of ours may have left a discovery on; harmless when not (P14). */
static void
stop_stale_discovery(PdBluezClient *self, const char *path)
{
    pd_bluez_call_and_forget(&(PdBluezCall){
        .bus = self->bus,
        .owner = self->owner,
        .path = path,
        .interface = PD_BLUEZ_ADAPTER,
        .method = "StopDiscovery",
        .timeout_ms = PD_BLUEZ_CALL_TIMEOUT_MS,
    });
}

static void
add_adapter(PdBluezClient *self, const char *path, GVariant *properties)
{
    if (g_hash_table_contains(self->adapters, path)) {
        pd_bluez_table_change(self, path, PD_BLUEZ_ADAPTER, properties, NULL);
        return;
    }
    PdBluezAdapterNode *adapter = pd_bluez_adapter_node_new(path, properties);
    if (adapter == NULL) {
        g_warning("adapter at %s has no address, not used", path);
        return;
    }
    g_hash_table_replace(self->adapters, adapter->path, adapter);
    stop_stale_discovery(self, path);
    if (self->is_up && self->listener.adapter_added != NULL) {
        self->listener.adapter_added(self->user_data, &adapter->pub);
    }
}

static void
add_device(PdBluezClient *self, const char *path, GVariant *properties)
{
    if (g_hash_table_contains(self->devices, path)) {
        pd_bluez_table_change(self, path, PD_BLUEZ_DEVICE, properties, NULL);
        return;
    }
    g_autofree char *parent = pd_bluez_path_dup_parent(path);
    const PdBluezAdapterNode *adapter =
        parent != NULL ? g_hash_table_lookup(self->adapters, parent) : NULL;
    if (adapter == NULL) {
        g_debug("device at %s belongs to no known adapter", path);
        return;
    }
    PdBluezDevice *device = pd_bluez_device_new(path, adapter->pub.address, properties);
    if (device == NULL) {
        return;
    }
    device->client = self;
    if (!self->is_up) {
        device->heard_us = 0; /* from before we listened */
    }
    g_hash_table_replace(self->devices, device->path, device);
    if (self->is_up && self->listener.device_added != NULL) {
        self->listener.device_added(self->user_data, device);
    }
}

static void
add_battery(PdBluezClient *self, const char *path, GVariant *properties)
{
    pd_bluez_table_change(self, path, PD_BLUEZ_BATTERY, properties, NULL);
}

static void
add_service(PdBluezClient *self, const char *path, GVariant *properties)
{
    const char *uuid = NULL;

    if (g_variant_lookup(properties, "UUID", "&s", &uuid)) {
        g_hash_table_replace(self->services, g_strdup(path), g_ascii_strdown(uuid, -1));
    }
}

static void
add_char(PdBluezClient *self, const char *path, GVariant *properties)
{
    PdBluezChar *chr = pd_bluez_char_new(path, properties);

    if (chr == NULL) {
        return;
    }
    remove_char(self, path);
    chr->client = self;
    g_hash_table_replace(self->chars, chr->path, chr);
    PdBluezDevice *device = pd_bluez_table_get_char_device(self, chr);
    /* With no link nobody can hold it: debris shows as held (F1). */
    chr->notify_acquired = chr->notify_acquired && device != NULL && device->connected;
    if (device != NULL) {
        tell_device(self, device, PD_BLUEZ_DEVICE_CHANGE_GATT);
    }
}

/* In the order of dependence: adapters before devices before the rest. */
static const TableRow table_rows[] = {
    { PD_BLUEZ_ADAPTER, add_adapter, remove_adapter },
    { PD_BLUEZ_DEVICE, add_device, remove_device },
    { PD_BLUEZ_BATTERY, add_battery, remove_battery },
    { PD_BLUEZ_SERVICE, add_service, remove_service },
    { PD_BLUEZ_CHAR, add_char, remove_char },
};

static void
add_one(PdBluezClient *self, const TableRow *row, const char *path, GVariant *interfaces)
{
    g_autoptr(GVariant) properties =
        g_variant_lookup_value(interfaces, row->interface, G_VARIANT_TYPE_VARDICT);

    if (properties != NULL) {
        row->add(self, path, properties);
    }
}

void
pd_bluez_table_add(PdBluezClient *self, const char *path, GVariant *interfaces)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table_rows); i++) {
        add_one(self, &table_rows[i], path, interfaces);
    }
}

void
pd_bluez_table_load(PdBluezClient *self, GVariant *objects)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table_rows); i++) {
        GVariantIter iter;
        const char *path = NULL;
        GVariant *interfaces = NULL;

        g_variant_iter_init(&iter, objects);
        while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &path, &interfaces)) {
            add_one(self, &table_rows[i], path, interfaces);
        }
    }
}

void
pd_bluez_table_remove(PdBluezClient *self, const char *path, const char *const *interfaces)
{
    for (size_t i = G_N_ELEMENTS(table_rows); i > 0; i--) {
        const TableRow *row = &table_rows[i - 1];

        if (g_strv_contains(interfaces, row->interface)) {
            row->remove(self, path);
        }
    }
}

/* What a link carried ends with it: fds are closed, watches are ours no more (P6). */
static void
end_link(PdBluezClient *self, const PdBluezDevice *device)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->chars);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdBluezChar *chr = value;

        if (pd_bluez_path_is_under(chr->path, device->path)) {
            chr->is_subscribed = false;
            chr->notify_acquired = false;
        }
    }
}

static void
change_device(PdBluezClient *self,
              PdBluezDevice *device,
              GVariant *properties,
              const char *const *invalidated)
{
    const uint32_t changed = pd_bluez_device_apply(device, properties, invalidated);

    /* When one begins, too: what debris showed before is no holder's (F1). */
    if ((changed & PD_BLUEZ_DEVICE_CHANGE_CONNECTED) != 0) {
        end_link(self, device);
    }
    tell_device(self, device, changed);
}

void
pd_bluez_table_change(PdBluezClient *self,
                      const char *path,
                      const char *interface,
                      GVariant *properties,
                      const char *const *invalidated)
{
    PdBluezAdapterNode *adapter = g_hash_table_lookup(self->adapters, path);
    PdBluezDevice *device = g_hash_table_lookup(self->devices, path);

    if (adapter != NULL && strcmp(interface, PD_BLUEZ_ADAPTER) == 0) {
        if (pd_bluez_adapter_node_apply(adapter, properties) && self->is_up &&
            self->listener.adapter_changed != NULL) {
            self->listener.adapter_changed(self->user_data, &adapter->pub);
        }
    } else if (device != NULL && strcmp(interface, PD_BLUEZ_DEVICE) == 0) {
        change_device(self, device, properties, invalidated);
    } else if (device != NULL && strcmp(interface, PD_BLUEZ_BATTERY) == 0) {
        tell_device(self, device, pd_bluez_device_apply_battery(device, properties));
    }
}

void
pd_bluez_table_init(PdBluezClient *self)
{
    self->adapters = g_hash_table_new(g_str_hash, g_str_equal);
    self->devices =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)pd_bluez_device_unref);
    self->services = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->chars =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)pd_bluez_char_free);
}

void
pd_bluez_table_clear(PdBluezClient *self)
{
    g_autoptr(GPtrArray) adapters = collect_under(self->adapters, "/");

    for (guint i = 0; i < adapters->len; i++) {
        remove_adapter(self, adapters->pdata[i]);
    }
    remove_gatt_under(self, "/");
}

PdBluezAdapterNode *
pd_bluez_table_find_adapter(PdBluezClient *self, const char *address_or_name)
{
    GHashTableIter iter;
    gpointer value = NULL;

    if (address_or_name == NULL) {
        return NULL;
    }
    g_hash_table_iter_init(&iter, self->adapters);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdBluezAdapterNode *adapter = value;

        if (g_ascii_strcasecmp(adapter->pub.address, address_or_name) == 0 ||
            strcmp(adapter->pub.name, address_or_name) == 0) {
            return adapter;
        }
    }
    return NULL;
}

PdBluezDevice *
pd_bluez_table_get_char_device(PdBluezClient *self, const PdBluezChar *chr)
{
    g_autofree char *parent = pd_bluez_path_dup_parent(chr->service_path);

    return parent != NULL ? g_hash_table_lookup(self->devices, parent) : NULL;
}

const char *
pd_bluez_table_get_char_service(PdBluezClient *self, const PdBluezChar *chr)
{
    return g_hash_table_lookup(self->services, chr->service_path);
}

PdBluezChar *
pd_bluez_table_find_char(PdBluezClient *self,
                         const char *device_path,
                         const char *service_uuid,
                         const char *char_uuid)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->chars);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdBluezChar *chr = value;
        const char *service = pd_bluez_table_get_char_service(self, chr);

        if (service != NULL && g_ascii_strcasecmp(chr->uuid, char_uuid) == 0 &&
            g_ascii_strcasecmp(service, service_uuid) == 0 &&
            pd_bluez_path_is_under(chr->path, device_path)) {
            return chr;
        }
    }
    return NULL;
}

bool
pd_bluez_table_has_suspect(PdBluezClient *self, const char *device_path)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->chars);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const PdBluezChar *chr = value;

        if (chr->is_suspect && pd_bluez_path_is_under(chr->path, device_path)) {
            return true;
        }
    }
    return false;
}
