/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what an error on the bus means to a person: one row per name, with the exit
 * code and what to do next. Errors that GLib raises itself are looked up by the name
 * they would have on the bus.
 */
#include "lib/fault.h"

#include "lib/text.h"

#define ERROR_PENTEL "org.pentel.Error."
#define ERROR_DBUS   "org.freedesktop.DBus.Error."

#define START_ADVICE "start it with: systemctl start penteld"

/* The first row is what an unknown name means. */
static const CliFault faults[] = {
    { ERROR_PENTEL "Failed", CTL_EXIT_FAILED, "see: journalctl -u penteld" },
    { ERROR_PENTEL "NotAuthorized",
      CTL_EXIT_NO_PERMISSION,
      "ask the administrator to add you to the group pentel" },
    { ERROR_PENTEL "AuthorizationTimeout",
      CTL_EXIT_TIMEOUT,
      "polkit did not answer; try: systemctl restart polkit" },
    { ERROR_PENTEL "InvalidArgument", CTL_EXIT_USAGE, "see: pentelctl --help" },
    { ERROR_PENTEL "NotFound",
      CTL_EXIT_NOT_FOUND,
      "look it up with: pentelctl sessions, pentelctl pens" },
    { ERROR_PENTEL "Ambiguous", CTL_EXIT_NOT_FOUND, "give more digits of the id" },
    { ERROR_PENTEL "Busy", CTL_EXIT_FAILED, "try again in a moment" },
    { ERROR_PENTEL "StoreFailed", CTL_EXIT_FAILED, "see: pentelctl doctor" },
    { ERROR_PENTEL "StoreNewer", CTL_EXIT_FAILED, "install the later penteld again" },
    { ERROR_PENTEL "UnreadRecords",
      CTL_EXIT_FAILED,
      "switch the pen on nearby until it is read, or lose them with --force" },
    { ERROR_PENTEL "EnrollTimeout",
      CTL_EXIT_TIMEOUT,
      "put the pen into pairing mode close by, then enrol it again" },
    { ERROR_PENTEL "NoAdapter",
      CTL_EXIT_NO_RADIO,
      "plug in a Bluetooth adapter, or switch it on: bluetoothctl power on" },
    { ERROR_PENTEL "NoBluez",
      CTL_EXIT_NO_BLUEZ,
      "plug in an adapter, which starts it; else: systemctl start bluetooth" },
    { ERROR_PENTEL "PairingFailed",
      CTL_EXIT_FAILED,
      "put the pen into pairing mode again and stay close" },
    { ERROR_PENTEL "WrongPen", CTL_EXIT_FAILED, "compare the pen's label with: pentelctl pens" },
    { ERROR_PENTEL "Bluez", CTL_EXIT_FAILED, "see: journalctl -u bluetooth" },
    { ERROR_PENTEL "BluezStuck", CTL_EXIT_FAILED, "try: systemctl restart bluetooth" },
    { ERROR_PENTEL "BluezInUse", CTL_EXIT_FAILED, "end the other program that uses the pen" },
    { ERROR_PENTEL "BluezAuth", CTL_EXIT_FAILED, "enrol the pen again: pentelctl enroll" },
    { ERROR_PENTEL "Timeout", CTL_EXIT_TIMEOUT, "move closer and try again" },
    { ERROR_PENTEL "Disconnected", CTL_EXIT_FAILED, "move closer and try again" },
    { ERROR_PENTEL "Version", CTL_EXIT_FAILED, "update penteld or the pen's firmware" },
    { ERROR_PENTEL "Malformed", CTL_EXIT_FAILED, "the pen misbehaves: see pentelctl doctor" },
    { ERROR_PENTEL "OnHold", CTL_EXIT_FAILED, "release it first: pentelctl hold ID --release" },
    { ERROR_DBUS "ServiceUnknown", CTL_EXIT_NO_DAEMON, START_ADVICE },
    { ERROR_DBUS "NameHasNoOwner", CTL_EXIT_NO_DAEMON, START_ADVICE },
    { ERROR_DBUS "NoReply", CTL_EXIT_NO_DAEMON, "see: journalctl -u penteld" },
    { ERROR_DBUS "Disconnected", CTL_EXIT_NO_DAEMON, "see: systemctl status dbus penteld" },
    { ERROR_DBUS "NoServer", CTL_EXIT_NO_DAEMON, "see: systemctl status dbus" },
    { ERROR_DBUS "FileNotFound", CTL_EXIT_NO_DAEMON, "see: systemctl status dbus" },
    { ERROR_DBUS "Spawn.*", CTL_EXIT_NO_DAEMON, "see: systemctl status penteld" },
    { ERROR_DBUS "TimedOut", CTL_EXIT_NO_DAEMON, "see: systemctl status penteld" },
    { "org.freedesktop.systemd1.*", CTL_EXIT_NO_DAEMON, "see: systemctl status penteld" },
    { ERROR_DBUS "AccessDenied",
      CTL_EXIT_NO_PERMISSION,
      "ask the administrator to add you to the group pentel" },
    { ERROR_DBUS "AuthFailed", CTL_EXIT_NO_PERMISSION, "run it as a user of this machine" },
    { ERROR_DBUS "Timeout", CTL_EXIT_TIMEOUT, "see: systemctl status penteld" },
    { ERROR_DBUS "UnknownMethod", CTL_EXIT_FAILED, "install pentelctl and penteld of one version" },
    { ERROR_DBUS "UnknownInterface",
      CTL_EXIT_FAILED,
      "install pentelctl and penteld of one version" },
    { ERROR_DBUS "UnknownObject", CTL_EXIT_FAILED, "install pentelctl and penteld of one version" },
    { ERROR_DBUS "LimitsExceeded", CTL_EXIT_FAILED, "try again in a moment" },
};

static bool
row_fits(const CliFault *row, const char *name)
{
    const gsize n = strlen(row->name);

    return row->name[n - 1] == '*' ? strncmp(row->name, name, n - 1) == 0
                                   : strcmp(row->name, name) == 0;
}

const CliFault *
cli_fault_find(const char *dbus_name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(faults); i++) {
        if (row_fits(&faults[i], dbus_name)) {
            return &faults[i];
        }
    }
    return &faults[0];
}

const CliFault *
cli_fault_list(gsize *n_out)
{
    *n_out = G_N_ELEMENTS(faults);
    return faults;
}

/* A call that GLib itself gave up has the domain G_IO_ERROR and no name. */
static const char *
name_of_io_error(const GError *error)
{
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        return ERROR_DBUS "Timeout";
    }
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED) ||
        g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED)) {
        return ERROR_DBUS "Disconnected";
    }
    /* Cancelled is what cli_bus_open() does to a bus that does not answer. */
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
        g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ||
        g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED) ||
        g_error_matches(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT)) {
        return ERROR_DBUS "NoServer";
    }
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED)) {
        return ERROR_DBUS "AccessDenied";
    }
    return ERROR_PENTEL "Failed";
}

const CliFault *
cli_fault_of(const GError *error)
{
    g_autofree char *remote = g_dbus_error_get_remote_error(error);

    if (remote != NULL) {
        return cli_fault_find(remote);
    }
    if (error->domain == G_IO_ERROR) {
        return cli_fault_find(name_of_io_error(error));
    }
    g_autofree char *name = g_dbus_error_encode_gerror(error);
    return cli_fault_find(name);
}

/* GLib's and the bus's own words for the daemon's absence say nothing to a user. */
static const char *
plain_words(const CliFault *fault)
{
    if (fault->exit_code != CTL_EXIT_NO_DAEMON) {
        return NULL;
    }
    if (strcmp(fault->name, ERROR_DBUS "NoReply") == 0) {
        return "penteld ended during the call";
    }
    if (strcmp(fault->name, ERROR_DBUS "NoServer") == 0 ||
        strcmp(fault->name, ERROR_DBUS "FileNotFound") == 0) {
        return "the system's D-Bus cannot be reached";
    }
    if (strcmp(fault->name, ERROR_DBUS "Disconnected") == 0) {
        return "the connection to D-Bus was closed";
    }
    if (strcmp(fault->name, ERROR_DBUS "ServiceUnknown") == 0 ||
        strcmp(fault->name, ERROR_DBUS "NameHasNoOwner") == 0) {
        return "penteld is not running";
    }
    return "penteld cannot be started";
}

char *
cli_fault_describe(const char *doing, const GError *error, CtlExit *exit_out)
{
    const CliFault *fault = cli_fault_of(error);
    g_autoptr(GError) copy = g_error_copy(error);

    g_dbus_error_strip_remote_error(copy);
    const char *words = plain_words(fault);
    if (words == NULL && strcmp(fault->name, ERROR_DBUS "Timeout") == 0) {
        words = "penteld does not answer";
    }
    g_autofree char *message = cli_text_escape(words != NULL ? words : copy->message, true);
    g_strstrip(message);
    if (g_str_has_suffix(message, ".")) {
        message[strlen(message) - 1] = '\0';
    }
    *exit_out = fault->exit_code;
    return g_strdup_printf("cannot %s: %s; %s", doing, message, fault->advice);
}
