/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "bluez/device.h"
#include "bluez/error.h"

#include <gio/gio.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * org.bluez as seen on one bus connection: its adapters, devices and GATT objects,
 * mirrored by scoped signals and one GetManagedObjects; no proxy, no synchronous
 * call (P25, P26). Knows nothing of pens. Main thread only.
 */
typedef struct PdBluezClient PdBluezClient;

/* Identity of an adapter is its address; the name (hciN) moves (P22). */
typedef struct {
    char *address;
    char *name; /* hciN, the last component of its path now */
    bool powered;
    bool le_central;  /* can connect to LE devices */
    bool discovering; /* by anybody */
} PdBluezAdapter;

/*
 * Told from the main context. Any member may be NULL. Do not free the client in
 * one; every other call is fine. Pointers are borrowed for the call; a device may
 * be kept with pd_bluez_device_ref().
 */
typedef struct {
    /* The object table is complete: after it, adapters and devices are added. */
    void (*service_up)(void *user_data, uint32_t generation);
    /* org.bluez left the bus: every device and adapter was removed before (P24). */
    void (*service_down)(void *user_data);
    void (*adapter_added)(void *user_data, const PdBluezAdapter *adapter);
    void (*adapter_changed)(void *user_data, const PdBluezAdapter *adapter);
    /* Its devices were removed before, said by bluetoothd or not (P23). */
    void (*adapter_removed)(void *user_data, const PdBluezAdapter *adapter);
    void (*device_added)(void *user_data, PdBluezDevice *device);
    /* changed: bits of PdBluezDeviceChange */
    void (*device_changed)(void *user_data, PdBluezDevice *device, uint32_t changed);
    void (*device_removed)(void *user_data, PdBluezDevice *device);
    /* It owns its name but left so many calls in a row unanswered (P11). */
    void (*mute)(void *user_data, uint32_t n_times);
    /* A notification or indication after pd_bluez_char_start_notify_async(). */
    void (*value)(void *user_data,
                  PdBluezDevice *device,
                  const char *service_uuid,
                  const char *char_uuid,
                  const uint8_t *data,
                  size_t n_data);
} PdBluezListener;

/**
 * Start watching org.bluez. Nothing is reported before the main loop runs.
 *
 * Owns: refs @bus, copies @listener; free with pd_bluez_client_free().
 */
PdBluezClient *pd_bluez_client_new(GDBusConnection *bus,
                                   const PdBluezListener *listener,
                                   void *user_data);

/** Stop our discovery, close the agent, forget all. The listener is not called again. */
void pd_bluez_client_free(PdBluezClient *self);

/** True while org.bluez has an owner and its objects are known. */
bool pd_bluez_client_is_up(PdBluezClient *self);

/** True while org.bluez has an owner, answering or not. */
bool pd_bluez_client_has_owner(PdBluezClient *self);

/** True while what was asked of bluetoothd last was not answered. */
bool pd_bluez_client_is_mute(PdBluezClient *self);

/** Ask bluetoothd for a sign of life; what comes of it is told by mute(). Source: P11. */
void pd_bluez_client_probe(PdBluezClient *self);

/** How often org.bluez appeared since the client was made; 0 = never. */
uint32_t pd_bluez_client_get_generation(PdBluezClient *self);

/** Adapters now. Owns: container is the caller's, PdBluezAdapters are borrowed until removed. */
GPtrArray *pd_bluez_client_list_adapters(PdBluezClient *self);

/** An adapter by address ("XX:XX:..", any case) or name (hciN); NULL if absent. Owns: borrowed. */
const PdBluezAdapter *pd_bluez_client_get_adapter(PdBluezClient *self, const char *address_or_name);

/** Devices of an adapter, NULL = of all. Owns: container and a reference on each are the caller's.
 */
GPtrArray *pd_bluez_client_list_devices(PdBluezClient *self, const char *adapter_address);

/** A device by identity, whole addresses in any case; NULL if absent. Owns: borrowed until removed.
 */
PdBluezDevice *pd_bluez_client_get_device(PdBluezClient *self,
                                          const char *adapter_address,
                                          const char *device_address);

/**
 * Discover LE devices that advertise one of @uuids.
 *
 * Stops an earlier discovery of ours first (P14), sets the filter, starts. What
 * device_added reports is not filtered: bluetoothd may forget the filter (P15) and
 * knows devices from before; ask pd_bluez_device_has_uuid() and
 * pd_bluez_device_get_heard_us(). Scan and connect exclude each other (P9).
 * Errors: PD_ERROR_NO_ADAPTER; PD_ERROR_BUSY while a connect or pair is pending on
 * the adapter (cancel it, wait for its completion, then start); PD_ERROR_BLUEZ.
 */
void pd_bluez_discovery_start_async(PdBluezClient *self,
                                    const char *adapter_address,
                                    const char *const *uuids,
                                    GCancellable *cancellable,
                                    GAsyncReadyCallback callback,
                                    gpointer user_data);
bool pd_bluez_discovery_start_finish(PdBluezClient *self, GAsyncResult *result, GError **error);

/**
 * Stop our discovery. Success when none runs.
 *
 * Connects are possible again from its completion on.
 * Errors: PD_ERROR_BLUEZ, PD_ERROR_TIMEOUT: treat as stopped.
 */
void pd_bluez_discovery_stop_async(PdBluezClient *self,
                                   const char *adapter_address,
                                   GCancellable *cancellable,
                                   GAsyncReadyCallback callback,
                                   gpointer user_data);
bool pd_bluez_discovery_stop_finish(PdBluezClient *self, GAsyncResult *result, GError **error);

/**
 * Switch an adapter off and on again. Ends every link on it.
 *
 * Errors: PD_ERROR_NO_ADAPTER, PD_ERROR_BLUEZ, PD_ERROR_TIMEOUT; it may be off then.
 * Source: P13.
 */
void pd_bluez_adapter_cycle_async(PdBluezClient *self,
                                  const char *adapter_address,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
bool pd_bluez_adapter_cycle_finish(PdBluezClient *self, GAsyncResult *result, GError **error);

/**
 * Restart bluetooth.service by systemd: the only cure of AcquireNotify's debris
 * before BlueZ 5.84. Service_down and service_up follow by themselves.
 *
 * Errors: PD_ERROR_NOT_AUTHORIZED (the polkit rule is missing), PD_ERROR_BLUEZ,
 * PD_ERROR_TIMEOUT.
 * Source: F1.
 */
void pd_bluez_restart_service_async(GDBusConnection *bus,
                                    GCancellable *cancellable,
                                    GAsyncReadyCallback callback,
                                    gpointer user_data);
bool pd_bluez_restart_service_finish(GAsyncResult *result, GError **error);

/** True when @path is @ancestor or below it; hci10 is not below hci1 (P22). */
bool pd_bluez_path_is_under(const char *path, const char *ancestor);
