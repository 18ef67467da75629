/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "bluez/device.h"

/*
 * GATT verbs on a connected device. Characteristics are named by service and
 * characteristic UUID (128-bit form, any case) and looked up at each call, never
 * by path or handle (P20). A missing one is PD_ERROR_NOT_FOUND.
 *
 * Subscriptions are never ended by StopNotify (F1): close the fd, or disconnect.
 */

/* One UUID pair of a profile, for constant tables. */
typedef struct {
    const char *service_uuid;
    const char *char_uuid;
} PdBluezCharId;

/** True when ServicesResolved and every one of the @n_ids characteristics is there (P19). */
bool pd_bluez_device_is_ready(const PdBluezDevice *self, const PdBluezCharId *ids, size_t n_ids);

/**
 * Read a value. On an unbonded device this makes a bond (F10): the caller checks.
 *
 * Timeout 10 s. Owns: finish gives a new reference.
 * Errors: PD_ERROR_BLUEZ_AUTH, PD_ERROR_BLUEZ (hint ATT with the pen's code),
 * PD_ERROR_BUSY, PD_ERROR_DISCONNECTED, PD_ERROR_TIMEOUT, PD_ERROR_NOT_FOUND.
 */
void pd_bluez_char_read_async(PdBluezDevice *device,
                              const PdBluezCharId *id,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              gpointer user_data);
GBytes *pd_bluez_char_read_finish(PdBluezDevice *device, GAsyncResult *result, GError **error);

/** Write with an ATT Write Request, never a command. Timeout 10 s. Owns: copies. Errors: as read.
 */
void pd_bluez_char_write_async(PdBluezDevice *device,
                               const PdBluezCharId *id,
                               const uint8_t *data,
                               size_t n_data,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data);
bool pd_bluez_char_write_finish(PdBluezDevice *device, GAsyncResult *result, GError **error);

/**
 * Subscribe and take the socket of the notifications.
 *
 * Only after an encrypted read succeeded on this link. Timeout 5 s.
 * Finish returns the fd (SOCK_SEQPACKET, close-on-exec, non-blocking), -1 on error; @mtu_out is
 * ATT_MTU. A reply that comes after cancel is closed here. Owns: the fd is the caller's; closing it
 * ends the subscription. Errors: PD_ERROR_BLUEZ_STUCK (no reply though the timer ran out, or
 * NotPermitted with no holder: debris), PD_ERROR_BLUEZ_IN_USE (another program subscribed),
 * PD_ERROR_DISCONNECTED, others as read.
 * Source: F1, P4.
 */
void pd_bluez_char_acquire_notify_async(PdBluezDevice *device,
                                        const PdBluezCharId *id,
                                        GCancellable *cancellable,
                                        GAsyncReadyCallback callback,
                                        gpointer user_data);
int pd_bluez_char_acquire_notify_finish(PdBluezDevice *device,
                                        GAsyncResult *result,
                                        uint16_t *mtu_out,
                                        GError **error);

/**
 * Subscribe by StartNotify: values come to the listener's value(), visible to any
 * local process (P7): for RACP, else only as a chosen fallback. Timeout 10 s. Values
 * may come before the completion. The watch ends when the link does; call it again
 * on each link.
 *
 * Errors: as acquire_notify.
 */
void pd_bluez_char_start_notify_async(PdBluezDevice *device,
                                      const PdBluezCharId *id,
                                      GCancellable *cancellable,
                                      GAsyncReadyCallback callback,
                                      gpointer user_data);
bool pd_bluez_char_start_notify_finish(PdBluezDevice *device, GAsyncResult *result, GError **error);
