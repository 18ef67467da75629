/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What bluetoothd's errors mean, as one table. Texts differ between versions, so the
 * first row whose name is equal and whose text is contained wins, and what no row
 * knows becomes "back off" (P12). The message of our error keeps the remote name and
 * text, which is also how the hint is found again later.
 */
#include "bluez/error.h"

#include <string.h>

typedef struct {
    const char *name; /* D-Bus error name, exact */
    const char *text; /* part of the message, NULL = any */
    PdError code;
    PdBluezHint hint;
} ErrorRow;

/* Texts of Failed are those of bluez src/error.h and src/gatt-client.c, 5.66 to 5.82. */
static const ErrorRow error_rows[] = {
    { "org.bluez.Error.Failed",
      "le-connection-abort-by-local",
      PD_ERROR_BLUEZ,
      PD_BLUEZ_HINT_ABORT_BY_LOCAL },
    { "org.bluez.Error.Failed",
      "connection-canceled",
      PD_ERROR_BLUEZ,
      PD_BLUEZ_HINT_ABORT_BY_LOCAL },
    { "org.bluez.Error.Failed",
      "le-connection-timeout",
      PD_ERROR_BLUEZ,
      PD_BLUEZ_HINT_ABORT_BY_LOCAL },
    { "org.bluez.Error.Failed", "connection-key-missing", PD_ERROR_BLUEZ_AUTH, PD_BLUEZ_HINT_AUTH },
    { "org.bluez.Error.Failed", "le-connection-busy", PD_ERROR_BUSY, PD_BLUEZ_HINT_IN_PROGRESS },
    { "org.bluez.Error.Failed",
      "adapter-not-powered",
      PD_ERROR_NO_ADAPTER,
      PD_BLUEZ_HINT_NOT_READY },
    { "org.bluez.Error.Failed",
      "Not connected",
      PD_ERROR_DISCONNECTED,
      PD_BLUEZ_HINT_NOT_CONNECTED },
    { "org.bluez.Error.Failed", "ATT error: 0x", PD_ERROR_BLUEZ, PD_BLUEZ_HINT_ATT },
    /* Before 5.5x the name had no last component. */
    { "org.bluez.Error", "ATT error: 0x", PD_ERROR_BLUEZ, PD_BLUEZ_HINT_ATT },
    { "org.bluez.Error.NotPermitted", "Not paired", PD_ERROR_BLUEZ_AUTH, PD_BLUEZ_HINT_AUTH },
    { "org.bluez.Error.NotPermitted",
      "Read not permitted",
      PD_ERROR_BLUEZ,
      PD_BLUEZ_HINT_BACK_OFF },
    { "org.bluez.Error.NotPermitted",
      "Write not permitted",
      PD_ERROR_BLUEZ,
      PD_BLUEZ_HINT_BACK_OFF },
    { "org.bluez.Error.NotPermitted", NULL, PD_ERROR_BLUEZ, PD_BLUEZ_HINT_NOT_PERMITTED },
    { "org.bluez.Error.NotAuthorized", NULL, PD_ERROR_BLUEZ_AUTH, PD_BLUEZ_HINT_AUTH },
    { "org.bluez.Error.NotPaired", NULL, PD_ERROR_BLUEZ_AUTH, PD_BLUEZ_HINT_AUTH },
    { "org.bluez.Error.AuthenticationCanceled", NULL, PD_ERROR_BLUEZ_AUTH, PD_BLUEZ_HINT_AUTH },
    { "org.bluez.Error.AuthenticationFailed", NULL, PD_ERROR_BLUEZ_AUTH, PD_BLUEZ_HINT_AUTH },
    { "org.bluez.Error.AuthenticationRejected", NULL, PD_ERROR_BLUEZ_AUTH, PD_BLUEZ_HINT_AUTH },
    { "org.bluez.Error.AuthenticationTimeout", NULL, PD_ERROR_BLUEZ_AUTH, PD_BLUEZ_HINT_AUTH },
    { "org.bluez.Error.ConnectionAttemptFailed",
      NULL,
      PD_ERROR_BLUEZ,
      PD_BLUEZ_HINT_ABORT_BY_LOCAL },
    { "org.bluez.Error.InProgress", NULL, PD_ERROR_BUSY, PD_BLUEZ_HINT_IN_PROGRESS },
    { "org.bluez.Error.AlreadyExists", NULL, PD_ERROR_BLUEZ, PD_BLUEZ_HINT_ALREADY_BONDED },
    { "org.bluez.Error.NotReady", NULL, PD_ERROR_NO_ADAPTER, PD_BLUEZ_HINT_NOT_READY },
    { "org.bluez.Error.NotConnected", NULL, PD_ERROR_DISCONNECTED, PD_BLUEZ_HINT_NOT_CONNECTED },
    { "org.bluez.Error.DoesNotExist", NULL, PD_ERROR_NOT_FOUND, PD_BLUEZ_HINT_NO_OBJECT },
    { "org.freedesktop.DBus.Error.UnknownObject",
      NULL,
      PD_ERROR_NOT_FOUND,
      PD_BLUEZ_HINT_NO_OBJECT },
    { "org.freedesktop.DBus.Error.UnknownInterface",
      NULL,
      PD_ERROR_NOT_FOUND,
      PD_BLUEZ_HINT_NO_OBJECT },
    /* gdbus of bluetoothd says so for a path that is gone, too. */
    { "org.freedesktop.DBus.Error.UnknownMethod",
      NULL,
      PD_ERROR_NOT_FOUND,
      PD_BLUEZ_HINT_NO_OBJECT },
    { "org.freedesktop.DBus.Error.ServiceUnknown",
      NULL,
      PD_ERROR_DISCONNECTED,
      PD_BLUEZ_HINT_SERVICE_GONE },
    { "org.freedesktop.DBus.Error.NameHasNoOwner",
      NULL,
      PD_ERROR_DISCONNECTED,
      PD_BLUEZ_HINT_SERVICE_GONE },
    { "org.freedesktop.DBus.Error.NoReply",
      "disconnected from message bus",
      PD_ERROR_DISCONNECTED,
      PD_BLUEZ_HINT_SERVICE_GONE },
    { "org.freedesktop.DBus.Error.NoReply", NULL, PD_ERROR_TIMEOUT, PD_BLUEZ_HINT_NO_REPLY },
    { "org.freedesktop.DBus.Error.Timeout", NULL, PD_ERROR_TIMEOUT, PD_BLUEZ_HINT_NO_REPLY },
    { "org.freedesktop.DBus.Error.TimedOut", NULL, PD_ERROR_TIMEOUT, PD_BLUEZ_HINT_NO_REPLY },
    { "org.freedesktop.DBus.Error.AccessDenied",
      NULL,
      PD_ERROR_NOT_AUTHORIZED,
      PD_BLUEZ_HINT_REFUSED },
    { "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
      NULL,
      PD_ERROR_NOT_AUTHORIZED,
      PD_BLUEZ_HINT_REFUSED },
};

/* Hints of errors made here, without a remote name. */
static PdBluezHint
get_hint_of_code(int code)
{
    switch ((PdError)code) {
    case PD_ERROR_BUSY:
    case PD_ERROR_BLUEZ_IN_USE:
        return PD_BLUEZ_HINT_IN_PROGRESS;
    case PD_ERROR_NOT_FOUND:
        return PD_BLUEZ_HINT_NO_OBJECT;
    case PD_ERROR_NO_ADAPTER:
    case PD_ERROR_NO_BLUEZ:
        return PD_BLUEZ_HINT_NOT_READY;
    case PD_ERROR_BLUEZ_STUCK:
        return PD_BLUEZ_HINT_NOT_PERMITTED;
    case PD_ERROR_BLUEZ_AUTH:
    case PD_ERROR_PAIRING_FAILED:
        return PD_BLUEZ_HINT_AUTH;
    case PD_ERROR_TIMEOUT:
        return PD_BLUEZ_HINT_NO_REPLY;
    case PD_ERROR_DISCONNECTED:
        return PD_BLUEZ_HINT_NOT_CONNECTED;
    case PD_ERROR_NOT_AUTHORIZED:
        return PD_BLUEZ_HINT_REFUSED;
    case PD_ERROR_FAILED:
    case PD_ERROR_AUTHORIZATION_TIMEOUT:
    case PD_ERROR_INVALID_ARGUMENT:
    case PD_ERROR_AMBIGUOUS:
    case PD_ERROR_STORE:
    case PD_ERROR_STORE_NEWER:
    case PD_ERROR_UNREAD_RECORDS:
    case PD_ERROR_ENROLL_TIMEOUT:
    case PD_ERROR_WRONG_PEN:
    case PD_ERROR_BLUEZ:
    case PD_ERROR_VERSION:
    case PD_ERROR_ON_HOLD:
    case PD_ERROR_MALFORMED:
    case PD_ERROR_N_CODES:
        return PD_BLUEZ_HINT_BACK_OFF;
    }
    return PD_BLUEZ_HINT_BACK_OFF;
}

static const ErrorRow *
find_row(const char *name, const char *text)
{
    for (size_t i = 0; i < G_N_ELEMENTS(error_rows); i++) {
        const ErrorRow *row = &error_rows[i];

        if (strcmp(row->name, name) == 0 &&
            (row->text == NULL || strstr(text, row->text) != NULL)) {
            return row;
        }
    }
    return NULL;
}

/* The row of a message "WHAT: NAME: TEXT" made by pd_bluez_error_from_dbus(). */
static const ErrorRow *
find_row_of_message(const char *message)
{
    const char *name = strstr(message, ": org.");
    if (name == NULL) {
        return NULL;
    }
    name += 2;
    const char *end = strstr(name, ": ");
    if (end == NULL) {
        return NULL;
    }
    g_autofree char *remote = g_strndup(name, (size_t)(end - name));
    return find_row(remote, end + 2);
}

PdBluezHint
pd_bluez_error_get_hint(const GError *error)
{
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        return PD_BLUEZ_HINT_CANCELLED;
    }
    if (error == NULL || error->domain != PD_ERROR) {
        return PD_BLUEZ_HINT_BACK_OFF;
    }
    const ErrorRow *row = find_row_of_message(error->message);
    return row != NULL ? row->hint : get_hint_of_code(error->code);
}

bool
pd_bluez_error_get_att(const GError *error, uint8_t *code_out)
{
    static const char marker[] = "ATT error: 0x";

    if (pd_bluez_error_get_hint(error) != PD_BLUEZ_HINT_ATT) {
        return false;
    }
    const char *digits = strstr(error->message, marker);
    if (digits == NULL) {
        return false;
    }
    digits += sizeof marker - 1;
    char *end = NULL;
    const guint64 code = g_ascii_strtoull(digits, &end, 16);
    if (end == digits || code > UINT8_MAX) {
        return false;
    }
    *code_out = (uint8_t)code;
    return true;
}

GError *
pd_bluez_error_from_dbus(GError *error, const char *what)
{
    g_autoptr(GError) taken = error;

    if (g_error_matches(taken, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        return g_steal_pointer(&taken);
    }
    if (g_error_matches(taken, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        return g_error_new(PD_ERROR, PD_ERROR_TIMEOUT, "%s: no answer in time", what);
    }
    if (g_error_matches(taken, G_IO_ERROR, G_IO_ERROR_CLOSED)) {
        return g_error_new(PD_ERROR, PD_ERROR_DISCONNECTED, "%s: the bus is gone", what);
    }
    g_autofree char *name = g_dbus_error_get_remote_error(taken);
    if (name == NULL) {
        return g_error_new(PD_ERROR, PD_ERROR_BLUEZ, "%s: %s", what, taken->message);
    }
    g_dbus_error_strip_remote_error(taken);
    const ErrorRow *row = find_row(name, taken->message);
    const PdError code = row != NULL ? row->code : PD_ERROR_BLUEZ;
    return g_error_new(PD_ERROR, (int)code, "%s: %s: %s", what, name, taken->message);
}
