/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Takes over properties that bluetoothd sent. A property of another type than
 * documented is as good as absent; nothing that comes from the bus is asserted.
 */
#include "bluez/objects.h"

#include <string.h>

static char *
dup_address(GVariant *properties)
{
    const char *address = NULL;

    if (!g_variant_lookup(properties, "Address", "&s", &address) || *address == '\0') {
        return NULL;
    }
    return g_ascii_strup(address, -1);
}

static bool
apply_bool(GVariant *properties, const char *key, bool *value)
{
    gboolean got = FALSE;

    if (!g_variant_lookup(properties, key, "b", &got) || (got != FALSE) == *value) {
        return false;
    }
    *value = got != FALSE;
    return true;
}

bool
pd_bluez_path_is_under(const char *path, const char *ancestor)
{
    const size_t n = strlen(ancestor);

    if (strncmp(path, ancestor, n) != 0) {
        return false;
    }
    return path[n] == '\0' || path[n] == '/' || (n == 1 && *ancestor == '/');
}

char *
pd_bluez_path_dup_parent(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL || slash[1] == '\0') {
        return NULL;
    }
    return slash == path ? g_strdup("/") : g_strndup(path, (size_t)(slash - path));
}

void
pd_bluez_adapter_node_free(PdBluezAdapterNode *self)
{
    g_free(self->pub.address);
    g_free(self->pub.name);
    g_free(self->path);
    g_free(self);
}

/* Without Roles (not all versions have it) an adapter counts as LE capable (P12). */
static bool
read_le_central(GVariant *properties, bool before)
{
    g_autofree const char **roles = NULL;

    if (!g_variant_lookup(properties, "Roles", "^a&s", &roles)) {
        return before;
    }
    return g_strv_contains(roles, "central") || g_strv_contains(roles, "central-peripheral");
}

bool
pd_bluez_adapter_node_apply(PdBluezAdapterNode *self, GVariant *properties)
{
    const bool was_central = self->pub.le_central;
    bool changed = apply_bool(properties, "Powered", &self->pub.powered);

    changed |= apply_bool(properties, "Discovering", &self->pub.discovering);
    self->pub.le_central = read_le_central(properties, was_central);
    return changed || self->pub.le_central != was_central;
}

PdBluezAdapterNode *
pd_bluez_adapter_node_new(const char *path, GVariant *properties)
{
    g_autofree char *address = dup_address(properties);
    if (address == NULL) {
        return NULL;
    }
    PdBluezAdapterNode *self = g_new0(PdBluezAdapterNode, 1);
    self->pub.address = g_steal_pointer(&address);
    self->pub.name = g_path_get_basename(path);
    self->pub.le_central = true;
    self->path = g_strdup(path);
    (void)pd_bluez_adapter_node_apply(self, properties);
    return self;
}

PdBluezDevice *
pd_bluez_device_ref(PdBluezDevice *self)
{
    self->n_refs++;
    return self;
}

void
pd_bluez_device_unref(PdBluezDevice *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    g_free(self->path);
    g_free(self->address);
    g_free(self->adapter_path);
    g_free(self->adapter_address);
    g_free(self->name);
    g_strfreev(self->uuids);
    g_free(self);
}

static uint32_t
apply_strings(PdBluezDevice *self, GVariant *properties)
{
    g_auto(GStrv) uuids = NULL;
    const char *name = NULL;
    uint32_t changed = 0;

    g_autofree char *address = dup_address(properties);
    if (address != NULL && strcmp(address, self->address) != 0) {
        g_free(self->address);
        self->address = g_steal_pointer(&address);
        changed |= PD_BLUEZ_DEVICE_CHANGE_ADDRESS;
    }
    if (g_variant_lookup(properties, "Name", "&s", &name) && g_strcmp0(name, self->name) != 0) {
        g_free(self->name);
        self->name = g_strdup(name);
        changed |= PD_BLUEZ_DEVICE_CHANGE_NAME;
    }
    if (g_variant_lookup(properties, "UUIDs", "^as", &uuids)) {
        g_strfreev(self->uuids);
        self->uuids = g_steal_pointer(&uuids);
        changed |= PD_BLUEZ_DEVICE_CHANGE_UUIDS;
    }
    return changed;
}

static uint32_t
apply_rssi(PdBluezDevice *self, GVariant *properties, const char *const *invalidated)
{
    gint16 rssi = 0;

    if (g_variant_lookup(properties, "RSSI", "n", &rssi)) {
        self->rssi_dbm = rssi;
        self->has_rssi = true;
        self->heard_us = g_get_monotonic_time();
        return PD_BLUEZ_DEVICE_CHANGE_RSSI;
    }
    if (invalidated != NULL && g_strv_contains(invalidated, "RSSI") && self->has_rssi) {
        self->has_rssi = false;
        return PD_BLUEZ_DEVICE_CHANGE_RSSI;
    }
    return 0;
}

uint32_t
pd_bluez_device_apply(PdBluezDevice *self, GVariant *properties, const char *const *invalidated)
{
    uint32_t changed = apply_strings(self, properties);

    changed |= apply_rssi(self, properties, invalidated);
    if (apply_bool(properties, "Connected", &self->connected)) {
        changed |= PD_BLUEZ_DEVICE_CHANGE_CONNECTED;
    }
    if (apply_bool(properties, "Paired", &self->paired)) {
        changed |= PD_BLUEZ_DEVICE_CHANGE_PAIRED;
    }
    /* Before BlueZ 5.65 there is no Bonded: what is paired counts (P12). */
    self->has_bonded |= g_variant_lookup(properties, "Bonded", "b", NULL) != FALSE;
    const bool was_bonded = self->bonded;
    (void)apply_bool(properties, self->has_bonded ? "Bonded" : "Paired", &self->bonded);
    if (self->bonded != was_bonded) {
        changed |= PD_BLUEZ_DEVICE_CHANGE_PAIRED;
    }
    if (apply_bool(properties, "ServicesResolved", &self->resolved)) {
        changed |= PD_BLUEZ_DEVICE_CHANGE_RESOLVED;
    }
    return changed;
}

uint32_t
pd_bluez_device_apply_battery(PdBluezDevice *self, GVariant *properties)
{
    guint8 pct = 0;

    if (!g_variant_lookup(properties, "Percentage", "y", &pct) || pct > 100 ||
        pct == self->battery_pct) {
        return 0;
    }
    self->battery_pct = pct;
    return PD_BLUEZ_DEVICE_CHANGE_BATTERY;
}

PdBluezDevice *
pd_bluez_device_new(const char *path, const char *adapter_address, GVariant *properties)
{
    g_autofree char *address = dup_address(properties);
    if (address == NULL) {
        return NULL;
    }
    PdBluezDevice *self = g_new0(PdBluezDevice, 1);
    self->n_refs = 1;
    self->path = g_strdup(path);
    self->address = g_steal_pointer(&address);
    self->adapter_path = pd_bluez_path_dup_parent(path);
    self->adapter_address = g_strdup(adapter_address);
    self->battery_pct = PD_BLUEZ_BATTERY_UNKNOWN;
    (void)pd_bluez_device_apply(self, properties, NULL);
    return self;
}

PdBluezChar *
pd_bluez_char_new(const char *path, GVariant *properties)
{
    const char *uuid = NULL;
    const char *service = NULL;

    if (!g_variant_lookup(properties, "UUID", "&s", &uuid) ||
        !g_variant_lookup(properties, "Service", "&o", &service)) {
        return NULL;
    }
    PdBluezChar *self = g_new0(PdBluezChar, 1);
    self->path = g_strdup(path);
    self->uuid = g_ascii_strdown(uuid, -1);
    self->service_path = g_strdup(service);
    (void)apply_bool(properties, "NotifyAcquired", &self->notify_acquired);
    return self;
}

void
pd_bluez_char_free(PdBluezChar *self)
{
    g_free(self->path);
    g_free(self->uuid);
    g_free(self->service_path);
    g_free(self);
}
