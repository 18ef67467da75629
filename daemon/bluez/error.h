/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What an error of bluetoothd means, beyond its PdError code. Error strings differ
 * between versions, so they are classified by a table and an unknown one means
 * "back off" (P12).
 */
typedef enum {
    PD_BLUEZ_HINT_BACK_OFF = 0,   /* unknown: wait, growing */
    PD_BLUEZ_HINT_ABORT_BY_LOCAL, /* absent, interference or bond lost: the time it took decides
                                     (F11) */
    PD_BLUEZ_HINT_IN_PROGRESS,    /* another call of this kind runs; Disconnect, >= 1 s (P10) */
    PD_BLUEZ_HINT_AUTH,           /* no encryption, no bond, pairing refused */
    PD_BLUEZ_HINT_ALREADY_BONDED, /* Pair on a bond, perhaps a stale one (F11) */
    PD_BLUEZ_HINT_NOT_PERMITTED,  /* fd held elsewhere, or debris (F1, P4) */
    PD_BLUEZ_HINT_NO_OBJECT,      /* gone from bluetoothd: rescan (P16, P20) */
    PD_BLUEZ_HINT_NOT_READY,      /* adapter off or going */
    PD_BLUEZ_HINT_NOT_CONNECTED,  /* the link is down */
    PD_BLUEZ_HINT_ATT,            /* the pen answered an ATT error: pd_bluez_error_get_att() */
    PD_BLUEZ_HINT_NO_REPLY,       /* our timer ran out */
    PD_BLUEZ_HINT_SERVICE_GONE,   /* org.bluez left the bus; wait for service_up */
    PD_BLUEZ_HINT_REFUSED,        /* bus policy or polkit said no: doctor's business */
    PD_BLUEZ_HINT_CANCELLED,      /* our own cancellable */
} PdBluezHint;

/**
 * Hint of an error returned by a pd_bluez_*_finish().
 *
 * Any other error, or NULL, gives PD_BLUEZ_HINT_BACK_OFF.
 */
PdBluezHint pd_bluez_error_get_hint(const GError *error);

/** ATT error code the pen answered; false when the error is not one. */
bool pd_bluez_error_get_att(const GError *error, uint8_t *code_out);

/**
 * Turn what GDBus returned into a PD_ERROR whose message keeps the remote name.
 *
 * @what: "connect AA:BB:..." put in front. G_IO_ERROR_CANCELLED stays as it is.
 * Owns: takes @error, returns a new one.
 */
GError *pd_bluez_error_from_dbus(GError *error, const char *what);
