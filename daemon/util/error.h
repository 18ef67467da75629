/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

/*
 * The daemon's one error domain. Codes carry names on the bus
 * (org.pentel.Error.*), registered with GDBus, so that a GError returned to a
 * method invocation arrives under its own name.
 */
typedef enum {
    PD_ERROR_FAILED = 0,
    PD_ERROR_NOT_AUTHORIZED,
    PD_ERROR_AUTHORIZATION_TIMEOUT,
    PD_ERROR_INVALID_ARGUMENT,
    PD_ERROR_NOT_FOUND,
    PD_ERROR_AMBIGUOUS,
    PD_ERROR_BUSY,
    PD_ERROR_STORE,
    PD_ERROR_STORE_NEWER,
    PD_ERROR_UNREAD_RECORDS,
    PD_ERROR_ENROLL_TIMEOUT,
    PD_ERROR_NO_ADAPTER,
    PD_ERROR_NO_BLUEZ, /* bluetoothd is not on the bus */
    PD_ERROR_PAIRING_FAILED,
    PD_ERROR_WRONG_PEN,
    PD_ERROR_BLUEZ,        /* bluetoothd said no; the message has its name */
    PD_ERROR_BLUEZ_STUCK,  /* debris of AcquireNotify */
    PD_ERROR_BLUEZ_IN_USE, /* another program holds the notifications */
    PD_ERROR_BLUEZ_AUTH,   /* no encryption or bond */
    PD_ERROR_TIMEOUT,
    PD_ERROR_DISCONNECTED,
    PD_ERROR_VERSION,   /* unknown major version of a pen */
    PD_ERROR_MALFORMED, /* a peer sent nonsense */
    PD_ERROR_ON_HOLD,   /* a session may not be erased */
    PD_ERROR_N_CODES,
} PdError;

#define PD_ERROR (pd_error_quark())

/** The domain; registers the bus names once. */
GQuark pd_error_quark(void);

/** D-Bus name of a code. Owns: static string. */
const char *pd_error_get_dbus_name(PdError code);
