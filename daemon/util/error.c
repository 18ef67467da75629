/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * One row per error: its code and its name on the bus.
 */
#include "util/error.h"

static const GDBusErrorEntry error_entries[] = {
    { PD_ERROR_FAILED, "org.pentel.Error.Failed" },
    { PD_ERROR_NOT_AUTHORIZED, "org.pentel.Error.NotAuthorized" },
    { PD_ERROR_AUTHORIZATION_TIMEOUT, "org.pentel.Error.AuthorizationTimeout" },
    { PD_ERROR_INVALID_ARGUMENT, "org.pentel.Error.InvalidArgument" },
    { PD_ERROR_NOT_FOUND, "org.pentel.Error.NotFound" },
    { PD_ERROR_AMBIGUOUS, "org.pentel.Error.Ambiguous" },
    { PD_ERROR_BUSY, "org.pentel.Error.Busy" },
    { PD_ERROR_STORE, "org.pentel.Error.StoreFailed" },
    { PD_ERROR_STORE_NEWER, "org.pentel.Error.StoreNewer" },
    { PD_ERROR_UNREAD_RECORDS, "org.pentel.Error.UnreadRecords" },
    { PD_ERROR_ENROLL_TIMEOUT, "org.pentel.Error.EnrollTimeout" },
    { PD_ERROR_NO_ADAPTER, "org.pentel.Error.NoAdapter" },
    { PD_ERROR_NO_BLUEZ, "org.pentel.Error.NoBluez" },
    { PD_ERROR_PAIRING_FAILED, "org.pentel.Error.PairingFailed" },
    { PD_ERROR_WRONG_PEN, "org.pentel.Error.WrongPen" },
    { PD_ERROR_BLUEZ, "org.pentel.Error.Bluez" },
    { PD_ERROR_BLUEZ_STUCK, "org.pentel.Error.BluezStuck" },
    { PD_ERROR_BLUEZ_IN_USE, "org.pentel.Error.BluezInUse" },
    { PD_ERROR_BLUEZ_AUTH, "org.pentel.Error.BluezAuth" },
    { PD_ERROR_TIMEOUT, "org.pentel.Error.Timeout" },
    { PD_ERROR_DISCONNECTED, "org.pentel.Error.Disconnected" },
    { PD_ERROR_VERSION, "org.pentel.Error.Version" },
    { PD_ERROR_MALFORMED, "org.pentel.Error.Malformed" },
    { PD_ERROR_ON_HOLD, "org.pentel.Error.OnHold" },
};

G_STATIC_ASSERT(G_N_ELEMENTS(error_entries) == PD_ERROR_N_CODES);

GQuark
pd_error_quark(void)
{
    static gsize quark;

    g_dbus_error_register_error_domain(
        "pd-error", &quark, error_entries, G_N_ELEMENTS(error_entries));
    return (GQuark)quark;
}

const char *
pd_error_get_dbus_name(PdError code)
{
    for (gsize i = 0; i < G_N_ELEMENTS(error_entries); i++) {
        if (error_entries[i].error_code == (gint)code) {
            return error_entries[i].dbus_error_name;
        }
    }
    return error_entries[0].dbus_error_name;
}
