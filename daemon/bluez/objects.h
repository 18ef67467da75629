/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "bluez/client.h"
#include "bluez/device.h"

#include <gio/gio.h>

/*
 * The mirrored objects and how their properties are taken over. Private to
 * daemon/bluez; no bus here.
 */

#define PD_BLUEZ_ADAPTER "org.bluez.Adapter1"
#define PD_BLUEZ_DEVICE  "org.bluez.Device1"
#define PD_BLUEZ_BATTERY "org.bluez.Battery1"
#define PD_BLUEZ_SERVICE "org.bluez.GattService1"
#define PD_BLUEZ_CHAR    "org.bluez.GattCharacteristic1"

typedef struct {
    PdBluezAdapter pub; /* first: handed out as such */
    /* owned */
    char *path;
    /* plain */
    bool is_ours; /* our discovery runs or starts */
} PdBluezAdapterNode;

struct PdBluezDevice {
    unsigned n_refs;
    /* borrowed; NULL once bluetoothd or the client dropped the device */
    PdBluezClient *client;
    /* owned */
    char *path;
    char *address;
    char *adapter_path;
    char *adapter_address;
    char *name;
    char **uuids;
    /* plain */
    int64_t heard_us;
    int16_t rssi_dbm;
    uint8_t battery_pct;
    bool has_rssi;
    bool connected;
    bool paired;
    bool bonded;
    bool has_bonded; /* bluetoothd says so itself */
    bool resolved;
    bool is_stuck;
    bool is_linking; /* a Connect or Pair of ours pends */
};

typedef struct {
    /* borrowed; the client owns this node */
    PdBluezClient *client;
    /* owned */
    char *path;
    char *uuid;
    char *service_path;
    /* plain */
    guint watch_id;       /* PropertiesChanged of this path, 0 = none */
    bool notify_acquired; /* as signalled; debris never signals it (F1) */
    bool is_subscribed;   /* we called StartNotify on this link */
    bool is_suspect;      /* an AcquireNotify of ours stayed unanswered: perhaps debris (F1) */
} PdBluezChar;

/** New nodes from an object's properties; NULL when identity is missing. Owns: the caller's. */
PdBluezAdapterNode *pd_bluez_adapter_node_new(const char *path, GVariant *properties);
void pd_bluez_adapter_node_free(PdBluezAdapterNode *self);
PdBluezDevice *pd_bluez_device_new(const char *path,
                                   const char *adapter_address,
                                   GVariant *properties);
PdBluezChar *pd_bluez_char_new(const char *path, GVariant *properties);
/** Does not end the watch: the client does. */
void pd_bluez_char_free(PdBluezChar *self);

/** Take over a{sv} @properties; @invalidated may be NULL. True when anything changed. */
bool pd_bluez_adapter_node_apply(PdBluezAdapterNode *self, GVariant *properties);
/** As above; returns PdBluezDeviceChange bits. */
uint32_t pd_bluez_device_apply(PdBluezDevice *self,
                               GVariant *properties,
                               const char *const *invalidated);
uint32_t pd_bluez_device_apply_battery(PdBluezDevice *self, GVariant *properties);

/** Parent of an object path, "/" has none (NULL). Owns: the caller's. */
char *pd_bluez_path_dup_parent(const char *path);
