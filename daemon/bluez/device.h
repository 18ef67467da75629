/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * A device as one adapter knows it. Identity: adapter address + device address,
 * never a path (P22); bonds belong to this pair (F6). Reference counted: a device
 * that bluetoothd dropped stays readable with its last values, and its verbs fail
 * with PD_ERROR_NOT_FOUND. Main thread only.
 */
typedef struct PdBluezDevice PdBluezDevice;

typedef enum {
    PD_BLUEZ_DEVICE_CHANGE_CONNECTED = 1 << 0,
    PD_BLUEZ_DEVICE_CHANGE_PAIRED = 1 << 1, /* Paired or Bonded */
    PD_BLUEZ_DEVICE_CHANGE_RESOLVED = 1 << 2,
    PD_BLUEZ_DEVICE_CHANGE_RSSI = 1 << 3, /* an advertisement was heard */
    PD_BLUEZ_DEVICE_CHANGE_UUIDS = 1 << 4,
    PD_BLUEZ_DEVICE_CHANGE_NAME = 1 << 5,
    PD_BLUEZ_DEVICE_CHANGE_BATTERY = 1 << 6,
    PD_BLUEZ_DEVICE_CHANGE_ADDRESS = 1 << 7, /* resolved to its identity address */
    PD_BLUEZ_DEVICE_CHANGE_GATT = 1 << 8,    /* characteristics came or went: ask is_ready again */
} PdBluezDeviceChange;

#define PD_BLUEZ_CONNECT_TIMEOUT_MS                                                                \
    45000 /* an awaited pen: bluetoothd itself gives up at 41.5 s (F22) */
#define PD_BLUEZ_PAIR_TIMEOUT_MS 60000
#define PD_BLUEZ_BATTERY_UNKNOWN 255

PdBluezDevice *pd_bluez_device_ref(PdBluezDevice *self);
void pd_bluez_device_unref(PdBluezDevice *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdBluezDevice, pd_bluez_device_unref)

/** Address, capitals. Owns: borrowed. */
const char *pd_bluez_device_get_address(const PdBluezDevice *self);
/** Address of its adapter, capitals. Owns: borrowed. */
const char *pd_bluez_device_get_adapter(const PdBluezDevice *self);
/** Advertised name or NULL. Owns: borrowed until it changes. */
const char *pd_bluez_device_get_name(const PdBluezDevice *self);

bool pd_bluez_device_is_present(const PdBluezDevice *self); /* bluetoothd still has it */
bool pd_bluez_device_is_connected(const PdBluezDevice *self);
bool pd_bluez_device_is_paired(const PdBluezDevice *self);
/** Keys are stored on both sides' word; stays true when the peer forgot them (P30, F11). */
bool pd_bluez_device_is_bonded(const PdBluezDevice *self);
bool pd_bluez_device_is_resolved(const PdBluezDevice *self);

/** Last RSSI in dBm; false when none is known (only discovery gives one). */
bool pd_bluez_device_get_rssi(const PdBluezDevice *self, int16_t *rssi_dbm_out);
/** CLOCK_MONOTONIC time of the last RSSI in microseconds; 0 = never. */
int64_t pd_bluez_device_get_heard_us(const PdBluezDevice *self);
/** Battery1 percentage, PD_BLUEZ_BATTERY_UNKNOWN when absent (P21). */
uint8_t pd_bluez_device_get_battery_pct(const PdBluezDevice *self);
/** True when @uuid is advertised or resolved; any case. */
bool pd_bluez_device_has_uuid(const PdBluezDevice *self, const char *uuid);

/**
 * Connect. A link that is up already is success: adopt it (P17).
 *
 * @timeout_ms: PD_BLUEZ_CONNECT_TIMEOUT_MS for an awaited pen, 20000 for one heard
 * (P11). On timeout and on cancel the attempt is ended with Disconnect before the
 * completion runs, so that the next one does not meet InProgress (P10).
 * Errors: PD_ERROR_BUSY (a connect or pair of this device pends, or our discovery
 * runs on the adapter, P9), PD_ERROR_TIMEOUT, PD_ERROR_BLUEZ and
 * PD_ERROR_BLUEZ_AUTH with a hint, PD_ERROR_NOT_FOUND, PD_ERROR_NO_ADAPTER (off).
 */
void pd_bluez_device_connect_async(PdBluezDevice *self,
                                   uint32_t timeout_ms,
                                   GCancellable *cancellable,
                                   GAsyncReadyCallback callback,
                                   gpointer user_data);
bool pd_bluez_device_connect_finish(PdBluezDevice *self, GAsyncResult *result, GError **error);

/**
 * End the link, or a pending Connect. Success when there is none.
 *
 * Only for links that we made (P17). Errors: PD_ERROR_TIMEOUT, PD_ERROR_BLUEZ.
 */
void pd_bluez_device_disconnect_async(PdBluezDevice *self,
                                      GCancellable *cancellable,
                                      GAsyncReadyCallback callback,
                                      gpointer user_data);
bool pd_bluez_device_disconnect_finish(PdBluezDevice *self, GAsyncResult *result, GError **error);

/**
 * Bond, connecting when needed. The caller holds an enrolment window and an agent
 * (agent.h); nothing here checks it (F10).
 *
 * Errors: as connect; PD_ERROR_PAIRING_FAILED; hint ALREADY_BONDED for a bond that
 * exists, perhaps only here.
 */
void pd_bluez_device_pair_async(PdBluezDevice *self,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data);
bool pd_bluez_device_pair_finish(PdBluezDevice *self, GAsyncResult *result, GError **error);

/**
 * Tell that AcquireNotify left debris on this device: RemoveDevice is refused from
 * then on, as it would end bluetoothd (F1). Cleared when org.bluez restarts. Set
 * also by the verbs of gatt.h when they return PD_ERROR_BLUEZ_STUCK.
 */
void pd_bluez_device_set_stuck(PdBluezDevice *self);
bool pd_bluez_device_is_stuck(const PdBluezDevice *self);

/**
 * Delete the device and its bond from its adapter; only by an operator's command.
 *
 * Disconnect first and wait for it (F11).
 * Errors: PD_ERROR_BLUEZ_STUCK (refused here), PD_ERROR_BUSY while connected,
 * PD_ERROR_TIMEOUT, PD_ERROR_BLUEZ. Gone already is success.
 */
void pd_bluez_device_remove_async(PdBluezDevice *self,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
bool pd_bluez_device_remove_finish(PdBluezDevice *self, GAsyncResult *result, GError **error);
