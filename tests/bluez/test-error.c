/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Classification of bluetoothd's errors (P12, F1, F11) and comparison of object
 * paths by whole components (P22).
 */
#include "bluez/client.h"
#include "bluez/error.h"

#include <string.h>

typedef struct {
    const char *name;
    const char *text;
    PdError code;
    PdBluezHint hint;
} Case;

static const Case cases[] = {
    /* What nobody knows comes first: back off, never a guess. */
    { "org.bluez.Error.SomethingNew", "x", PD_ERROR_BLUEZ, PD_BLUEZ_HINT_BACK_OFF },
    { "org.bluez.Error.Failed", "", PD_ERROR_BLUEZ, PD_BLUEZ_HINT_BACK_OFF },
    { "org.bluez.Error.Failed", "le-connection-unknown", PD_ERROR_BLUEZ, PD_BLUEZ_HINT_BACK_OFF },
    { "org.bluez.Error.Failed",
      "le-connection-abort-by-local",
      PD_ERROR_BLUEZ,
      PD_BLUEZ_HINT_ABORT_BY_LOCAL },
    { "org.bluez.Error.Failed",
      "le-connection-key-missing",
      PD_ERROR_BLUEZ_AUTH,
      PD_BLUEZ_HINT_AUTH },
    { "org.bluez.Error.Failed",
      "Not connected",
      PD_ERROR_DISCONNECTED,
      PD_BLUEZ_HINT_NOT_CONNECTED },
    { "org.bluez.Error.Failed",
      "Operation failed with ATT error: 0xfe",
      PD_ERROR_BLUEZ,
      PD_BLUEZ_HINT_ATT },
    { "org.bluez.Error.NotPermitted", "Not paired", PD_ERROR_BLUEZ_AUTH, PD_BLUEZ_HINT_AUTH },
    { "org.bluez.Error.NotPermitted",
      "Notify acquired",
      PD_ERROR_BLUEZ,
      PD_BLUEZ_HINT_NOT_PERMITTED },
    { "org.bluez.Error.InProgress", "In Progress", PD_ERROR_BUSY, PD_BLUEZ_HINT_IN_PROGRESS },
    { "org.bluez.Error.AlreadyExists",
      "Already Exists",
      PD_ERROR_BLUEZ,
      PD_BLUEZ_HINT_ALREADY_BONDED },
    { "org.bluez.Error.NotReady",
      "Resource Not Ready",
      PD_ERROR_NO_ADAPTER,
      PD_BLUEZ_HINT_NOT_READY },
    { "org.freedesktop.DBus.Error.UnknownObject",
      "Unknown object",
      PD_ERROR_NOT_FOUND,
      PD_BLUEZ_HINT_NO_OBJECT },
    { "org.freedesktop.DBus.Error.NoReply",
      "Message recipient disconnected from message bus without replying",
      PD_ERROR_DISCONNECTED,
      PD_BLUEZ_HINT_SERVICE_GONE },
    { "org.freedesktop.DBus.Error.NoReply", "late", PD_ERROR_TIMEOUT, PD_BLUEZ_HINT_NO_REPLY },
    { "org.freedesktop.DBus.Error.AccessDenied",
      "Rejected send message",
      PD_ERROR_NOT_AUTHORIZED,
      PD_BLUEZ_HINT_REFUSED },
};

static void
test_rows(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        g_autoptr(GError) error = pd_bluez_error_from_dbus(
            g_dbus_error_new_for_dbus_error(c->name, c->text), "connect AA:BB:CC:DD:EE:FF");

        g_test_message("%s: %s", c->name, c->text);
        g_assert_error(error, PD_ERROR, (int)c->code);
        g_assert_cmpint((int)pd_bluez_error_get_hint(error), ==, (int)c->hint);
        g_assert_nonnull(strstr(error->message, c->name));
    }
}

/* The hint stays when a verb gives the error another code. */
static void
test_hint_survives_code(void)
{
    g_autoptr(GError) error =
        g_error_new(PD_ERROR,
                    PD_ERROR_PAIRING_FAILED,
                    "pair AA:BB: org.bluez.Error.AlreadyExists: Already Exists");

    g_assert_cmpint((int)pd_bluez_error_get_hint(error), ==, (int)PD_BLUEZ_HINT_ALREADY_BONDED);
}

static void
test_local(void)
{
    g_autoptr(GError) late = pd_bluez_error_from_dbus(
        g_error_new_literal(G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Timeout was reached"), "read");
    g_autoptr(GError) cancelled = pd_bluez_error_from_dbus(
        g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled"), "read");

    g_assert_error(late, PD_ERROR, PD_ERROR_TIMEOUT);
    g_assert_cmpint((int)pd_bluez_error_get_hint(late), ==, (int)PD_BLUEZ_HINT_NO_REPLY);
    g_assert_error(cancelled, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_cmpint((int)pd_bluez_error_get_hint(cancelled), ==, (int)PD_BLUEZ_HINT_CANCELLED);
    g_assert_cmpint((int)pd_bluez_error_get_hint(NULL), ==, (int)PD_BLUEZ_HINT_BACK_OFF);
}

static void
test_att(void)
{
    static const struct {
        const char *text;
        bool is_att;
        uint8_t code;
    } rows[] = {
        { "Operation failed with ATT error: 0x", false, 0 },
        { "Operation failed with ATT error: 0x1ff", false, 0 },
        { "Operation failed with ATT error: zz", false, 0 },
        { "Operation failed", false, 0 },
        { "Operation failed with ATT error: 0x80", true, 0x80 },
        { "Operation failed with ATT error: 0x0e (Unlikely Error)", true, 0x0e },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = pd_bluez_error_from_dbus(
            g_dbus_error_new_for_dbus_error("org.bluez.Error.Failed", rows[i].text), "write");
        uint8_t code = 0;

        g_test_message("%s", rows[i].text);
        g_assert_true(pd_bluez_error_get_att(error, &code) == rows[i].is_att);
        g_assert_cmpuint(code, ==, rows[i].code);
    }
}

static void
test_paths(void)
{
    g_assert_false(pd_bluez_path_is_under("/org/bluez/hci10", "/org/bluez/hci1"));
    g_assert_false(pd_bluez_path_is_under("/org/bluez/hci10/dev_A", "/org/bluez/hci1"));
    g_assert_false(pd_bluez_path_is_under("/org/bluez", "/org/bluez/hci1"));
    g_assert_true(pd_bluez_path_is_under("/org/bluez/hci1", "/org/bluez/hci1"));
    g_assert_true(pd_bluez_path_is_under("/org/bluez/hci1/dev_A", "/org/bluez/hci1"));
    g_assert_true(pd_bluez_path_is_under("/org/bluez", "/"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bluez/error/rows", test_rows);
    g_test_add_func("/bluez/error/hint-survives-code", test_hint_survives_code);
    g_test_add_func("/bluez/error/local", test_local);
    g_test_add_func("/bluez/error/att", test_att);
    g_test_add_func("/bluez/path/whole-components", test_paths);
    return g_test_run();
}
