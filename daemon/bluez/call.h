/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

/* One method call; private to daemon/bluez. */
typedef struct {
    GDBusConnection *bus;
    const char *owner; /* unique name, so that a call never reaches a later bluetoothd (P24) */
    const char *path;
    const char *interface;
    const char *method;
    GVariant *parameters;           /* floating or NULL */
    const GVariantType *reply_type; /* NULL = any */
    int timeout_ms;                 /* always given (P11) */
    const char *what;               /* front of error messages */
} PdBluezCall;

#define PD_BLUEZ_CALL_TIMEOUT_MS 8500 /* to reach bluetoothd at all, as bleak-retry-connector */

/** Call; never starts the service. Owns: copies the strings, consumes floating parameters. */
void pd_bluez_call_async(const PdBluezCall *call,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer user_data);

/**
 * Reply of the call. @fds_out: may be NULL.
 *
 * Owns: reply and fd list are the caller's.
 * Errors: PD_ERROR as by pd_bluez_error_from_dbus(), G_IO_ERROR_CANCELLED.
 */
GVariant *pd_bluez_call_finish(GAsyncResult *result, GUnixFDList **fds_out, GError **error);

/** Call without waiting for an answer. */
void pd_bluez_call_and_forget(const PdBluezCall *call);
