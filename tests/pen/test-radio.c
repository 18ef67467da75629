/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The supervisors and what goes wrong around the pens: enrolment, other programs,
 * bluetoothd itself, adapters.
 */
#include "scenario.h"

#include <string.h>

static bool
has_restarted(Rig *rig, const void *user_data)
{
    return rig_count(rig, "restarts") > 0;
}

/* F1: debris is named, cured by one restart, and the next within 2 min is left. */
static void
test_debris(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=8 --debris=100");

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_state, "bluetoothd-stuck", 20000, "the debris to be seen");
    rig_wait(rig, has_restarted, NULL, 10000, "bluetoothd to be restarted");
    rig_wait(rig, scenario_is_state, "connecting", 20000, "the bond to be used again");
    rig_wait(rig, scenario_is_state, "bluetoothd-stuck", 20000, "the debris to be seen again");
    rig_idle(rig, 8000);
    g_assert_cmpuint(rig_count(rig, "restarts"), ==, 1);
}

static void
expect_refusal(const char *options, const char *pen, uint32_t timeout_s, int code, const char *word)
{
    g_autoptr(Rig) rig = rig_new(options);
    g_autoptr(GError) error = NULL;

    rig_start_manager(rig, NULL);
    rig_idle(rig, 300);
    g_autofree char *serial = rig_enroll(rig, pen, NULL, timeout_s, &error);
    g_assert_null(serial);
    g_assert_error(error, PD_ERROR, code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, word));
}

static void
test_refusals(void)
{
    expect_refusal(
        "--pens=1 --adapters=0 --pairing=-1", "PT-0001", 5, PD_ERROR_NO_ADAPTER, "adapter");
    expect_refusal("--pens=1 --no-bluez", "PT-0001", 5, PD_ERROR_NO_BLUEZ, "bluetoothd");
    expect_refusal("--pens=1", "PT-0001", 2, PD_ERROR_ENROLL_TIMEOUT, "pairing mode");
    /* The window ends in a later try, which must not hide how the first one ended. */
    expect_refusal("--pens=1", "PT-0001", 3, PD_ERROR_ENROLL_TIMEOUT, "pairing mode");
    expect_refusal("--pens=1", "PT-0001", 4, PD_ERROR_ENROLL_TIMEOUT, "pairing mode");
    expect_refusal("--pens=0", "", 1, PD_ERROR_ENROLL_TIMEOUT, "heard");
    expect_refusal(SCENARIO_USUAL "--pens=1 --hostile=major", "", 10, PD_ERROR_VERSION, "version");
}

static void
test_double(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=2 --hostile=serial --hostile-pen=2");
    g_autoptr(GError) error = NULL;

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    g_autofree char *serial = rig_enroll(rig, "", NULL, 10, &error);
    g_assert_null(serial);
    g_assert_error(error, PD_ERROR, PD_ERROR_WRONG_PEN);
    g_assert_nonnull(strstr(error->message, "serial"));
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the good pen to be linked");
}

typedef struct {
    GError *error;
    bool done;
} Ended;

static void
on_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Ended *ended = user_data;

    g_assert_null(pd_pen_manager_enroll_finish(NULL, result, &ended->error));
    ended->done = true;
}

static bool
is_ended(Rig *rig, const void *user_data)
{
    return ((const Ended *)user_data)->done;
}

/* A pen that refuses is asked after 2, 4, 8 s, and not the whole window long. */
static void
test_refusing(void)
{
    g_autoptr(Rig) rig = rig_new("--pens=1");
    g_autoptr(GError) error = NULL;
    g_autofree char *address = rig_dup_truth(rig, "PT-0001", "address");

    rig_start_manager(rig, NULL);
    rig_idle(rig, 300);
    g_assert_null(rig_enroll(rig, address, NULL, 10, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_ENROLL_TIMEOUT);
    g_assert_nonnull(strstr(error->message, "refuses to pair"));
    g_assert_cmpuint(rig_count(rig, " Pair\n"), >=, 2);
    g_assert_cmpuint(rig_count(rig, " Pair\n"), <=, 3);
}

/* Adapters take turns until one hears a pen. */
static void
test_turns(void)
{
    g_autoptr(Rig) rig = rig_new("--pens=0 --adapters=2");
    g_autoptr(GError) error = NULL;

    rig_start_manager(rig, NULL);
    rig_idle(rig, 300);
    g_assert_null(rig_enroll(rig, "PT-0001", NULL, 14, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_ENROLL_TIMEOUT);
    g_assert_cmpuint(rig_count(rig, "hci0 StartDiscovery\n"), >=, 1);
    g_assert_cmpuint(rig_count(rig, "hci1 StartDiscovery\n"), ==, 1);
}

/* P13: a dead discovery is started anew, then its adapter switched off and on. */
static void
test_deaf(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --deaf=2");

    rig_start_manager(rig, NULL);
    g_autofree char *serial = rig_enroll(rig, "PT-0001", NULL, 60, NULL);
    g_assert_cmpstr(serial, ==, "PT-0001");
    g_assert_cmpuint(rig_count(rig, "hci0 StartDiscovery\n"), ==, 3);
    g_assert_cmpuint(rig_count(rig, "restarts"), ==, 0);
}

/* The last rung ends the window, and says so. */
static void
test_deaf_restart(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --deaf=3");
    g_autoptr(GError) error = NULL;

    rig_start_manager(rig, NULL);
    g_assert_null(rig_enroll(rig, "PT-0001", NULL, 60, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_BLUEZ);
    g_assert_nonnull(strstr(error->message, "enrol the pen again"));
    g_assert_cmpuint(rig_count(rig, "restarts"), ==, 1);
    scenario_enroll(rig, 1);
}

/* One window at a time; a cancelled one is over at once and leaves nothing behind. */
static void
test_window(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=8");
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    Ended first = { 0 };
    g_autoptr(GError) error = NULL;

    rig_start_manager(rig, NULL);
    pd_pen_manager_enroll_async(rig->manager, "PT-0009", NULL, 60, cancellable, on_ended, &first);
    rig_idle(rig, 1000);
    g_assert_null(rig_enroll(rig, "PT-0001", NULL, 5, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_BUSY);
    g_clear_error(&error);
    g_cancellable_cancel(cancellable);
    rig_wait(rig, is_ended, &first, 1000, "the window to end");
    g_assert_error(first.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error(&first.error);
    scenario_enroll(rig, 1);
    /* A manager that goes ends the window, too. */
    Ended last = { 0 };
    pd_pen_manager_enroll_async(rig->manager, "PT-0009", NULL, 60, NULL, on_ended, &last);
    rig_idle(rig, 300);
    rig_stop_manager(rig);
    rig_wait(rig, is_ended, &last, 1000, "the last window to end");
    g_assert_error(last.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error(&last.error);
}

/* F6: one after another, every adapter that is there. */
static void
test_adapters(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=8 --adapters=2");

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    g_assert_cmpuint(rig_count(rig, "PT-0001 bonds 2"), ==, 1);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) pens = pd_store_load_pens(rig->store, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(pens->len, ==, 1);
    const PdPenInfo *info = g_ptr_array_index(pens, 0);
    g_assert_cmpuint(g_strv_length(info->adapters), ==, 2);
}

/* F10: outside a window nothing is asked of a device without a bond; a read would bond it. */
static void
test_unbonded(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=2 --speed=8");

    rig_save_pen(rig, "PT-0001", "00:AA:01:00:00:00");
    rig_start_manager(rig, NULL);
    g_autofree char *serial = rig_enroll(rig, "PT-0002", NULL, 20, NULL);
    g_assert_cmpstr(serial, ==, "PT-0002");
    /* The window made bluetoothd show both, and the first would bond at a touch. */
    rig_wait(rig, scenario_is_state, "needs-enrol", 5000, "the missing bond to be named");
    rig_idle(rig, 3000);
    g_assert_cmpuint(rig_count(rig, "PT-0001 bonds"), ==, 0);
    g_assert_cmpuint(rig_count(rig, "PT-0001 linked"), ==, 0);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the pen to be linked");
}

typedef struct {
    GDBusConnection *bus;
    GVariant *reply;
    GError *error;
    bool done;
} Other;

static void
on_called(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Other *other = user_data;

    other->reply = g_dbus_connection_call_finish(other->bus, result, &other->error);
    other->done = true;
}

static bool
is_called(Rig *rig, const void *user_data)
{
    return ((const Other *)user_data)->done;
}

/* A call by a program that is not us. Owns: the caller's reply; takes floating @parameters. */
static GVariant *
call_name_as_other(Rig *rig,
                   Other *other,
                   const char *name,
                   const char *path,
                   const char *interface,
                   const char *method,
                   GVariant *parameters)
{
    other->done = false;
    g_dbus_connection_call(other->bus,
                           name,
                           path,
                           interface,
                           method,
                           parameters,
                           NULL,
                           G_DBUS_CALL_FLAGS_NONE,
                           5000,
                           NULL,
                           on_called,
                           other);
    rig_wait(rig, is_called, other, 10000, method);
    g_assert_no_error(other->error);
    return other->reply;
}

static GVariant *
call_as_other(Rig *rig, Other *other, const char *path, const char *interface, const char *method)
{
    return call_name_as_other(rig, other, "org.bluez", path, interface, method, NULL);
}

/* Path of the object with @interface whose @property is @value. Owns: the caller's. */
static char *
find_object(Rig *rig, Other *other, const char *interface, const char *property, const char *value)
{
    g_autoptr(GVariant) reply =
        call_as_other(rig, other, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
    g_autoptr(GVariant) objects = g_variant_get_child_value(reply, 0);
    GVariantIter iter;
    const char *path = NULL;
    GVariant *interfaces = NULL;
    char *found = NULL;

    g_variant_iter_init(&iter, objects);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &path, &interfaces)) {
        g_autoptr(GVariant) properties =
            g_variant_lookup_value(interfaces, interface, G_VARIANT_TYPE_VARDICT);
        const char *is = NULL;
        if (found == NULL && properties != NULL &&
            g_variant_lookup(properties, property, "&s", &is) && g_str_equal(is, value)) {
            found = g_strdup(path);
        }
    }
    g_assert_nonnull(found);
    return found;
}

static void
other_open(Rig *rig, Other *other)
{
    g_autoptr(GError) error = NULL;

    *other = (Other){ 0 };
    other->bus =
        g_dbus_connection_new_for_address_sync(rig->address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL,
                                               NULL,
                                               &error);
    g_assert_no_error(error);
}

/* Another program links the pen and takes its live records. */
static void
take_as_other(Rig *rig, Other *other)
{
    g_autofree char *address = rig_dup_truth(rig, "PT-0001", "address");
    g_autofree char *device = find_object(rig, other, "org.bluez.Device1", "Address", address);

    g_variant_unref(call_as_other(rig, other, device, "org.bluez.Device1", "Connect"));
    rig_idle(rig, 500);
    g_autofree char *live = find_object(rig,
                                        other,
                                        "org.bluez.GattCharacteristic1",
                                        "UUID",
                                        "52797f02-bc08-4935-9e95-12fdb4ca7483");
    g_variant_unref(
        call_as_other(rig, other, live, "org.bluez.GattCharacteristic1", "StartNotify"));
}

/* P4: named, left alone, and with the fallback that an admin may choose, shared. */
static void
test_in_use(void)
{
    static const PdPenConfig by_signal = { .notify_by_signal = true, .coalesce_ms = 100 };
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=4");
    Other other;

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the pen to be linked");
    rig_stop_manager(rig);
    rig_idle(rig, 500);
    other_open(rig, &other);
    take_as_other(rig, &other);
    const uint32_t n_lost = rig_count(rig, "link lost");
    rig_start_manager(rig, NULL);
    rig_wait(rig, scenario_is_state, "in-use", 10000, "the other program to be named");
    rig_idle(rig, 1000);
    g_assert_cmpuint(rig_count(rig, "link lost"), ==, n_lost);
    rig_stop_manager(rig);
    rig_start_manager(rig, &by_signal);
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the pen to be shared");
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    g_object_unref(other.bus);
}

/* P24: nothing of the old bluetoothd is used with the new one, and nothing is lost. */
static void
test_restart(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=4 --passes=6");
    Other other;

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_state, "live", 20000, "a session to begin");
    other_open(rig, &other);
    g_variant_unref(call_name_as_other(rig,
                                       &other,
                                       "org.freedesktop.systemd1",
                                       "/org/freedesktop/systemd1",
                                       "org.freedesktop.systemd1.Manager",
                                       "RestartUnit",
                                       g_variant_new("(ss)", "bluetooth.service", "replace")));
    rig_wait(rig, scenario_is_state, "no-adapter", 5000, "bluetoothd's end to be seen");
    rig_wait(rig, scenario_is_linked, NULL, 15000, "the pen to be linked by the new one");
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    g_object_unref(other.bus);
}

static void
set_power(Rig *rig, Other *other, gboolean powered)
{
    g_variant_unref(call_name_as_other(
        rig,
        other,
        "org.bluez",
        "/org/bluez/hci0",
        "org.freedesktop.DBus.Properties",
        "Set",
        g_variant_new("(ssv)", "org.bluez.Adapter1", "Powered", g_variant_new_boolean(powered))));
}

/* P23: an adapter that goes is named, one that comes back is used. */
static void
test_power(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=4 --passes=6");
    Other other;

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_state, "live", 20000, "a session to begin");
    other_open(rig, &other);
    set_power(rig, &other, FALSE);
    rig_wait(rig, scenario_is_state, "no-adapter", 5000, "the adapter to be missed");
    set_power(rig, &other, TRUE);
    rig_wait(rig, scenario_is_linked, NULL, 15000, "the pen to be linked again");
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    g_object_unref(other.bus);
}

static uint32_t
count_event(const Rig *rig, const char *event)
{
    uint32_t n = 0;

    for (const char *at = strstr(rig->events->str, event); at != NULL; at = strstr(at + 1, event)) {
        n++;
    }
    return n;
}

static bool
is_up_again(Rig *rig, const void *user_data)
{
    return count_event(rig, "up PT-0001;") >= *(const uint32_t *)user_data;
}

/* P9: a window that scans in vain does not keep a pen out that lost its link meanwhile. */
static void
test_scan_lets_in(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=1 --disconnect-every=2000");
    Ended ended = { 0 };

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the pen to be linked");
    pd_pen_manager_enroll_async(rig->manager, "PT-0009", NULL, 60, NULL, on_ended, &ended);
    const uint32_t wanted = count_event(rig, "up PT-0001;") + 2;
    rig_wait(rig, is_up_again, &wanted, 40000, "the pen to come back while the window scans");
    g_assert_false(ended.done);
    rig_stop_manager(rig);
    rig_wait(rig, is_ended, &ended, 1000, "the window to end");
    g_clear_error(&ended.error);
}

static bool
is_one_linked(Rig *rig, const void *user_data)
{
    const bool first = rig_is_state(rig, "PT-0001", "connected");
    const bool second = rig_is_state(rig, "PT-0002", "connected");

    return first != second;
}

static const char *
get_waiting(Rig *rig)
{
    return rig_is_state(rig, "PT-0001", "connected") ? "PT-0002" : "PT-0001";
}

static bool
is_connected(Rig *rig, const void *user_data)
{
    return rig_is_state(rig, user_data, "connected");
}

/* P18: an adapter with one place; who waits is told why, and idle pens take turns. */
static void
test_slots(void)
{
    const PdPenConfig one_link = { .links_per_adapter = 1, .coalesce_ms = 100 };
    g_autoptr(Rig) rig =
        rig_new(SCENARIO_USUAL "--pens=2 --speed=20 --sessions=1 --passes=2 --linger=-1");
    PdPenStatus status;

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 2);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatments to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    rig_stop_manager(rig);
    rig_idle(rig, 500);
    rig_start_manager(rig, &one_link);
    rig_wait(rig, is_one_linked, NULL, 20000, "one pen to be linked");
    rig_idle(rig, 5000);
    g_assert_true(is_one_linked(rig, NULL));
    const char *waiting = get_waiting(rig);
    g_assert_true(pd_pen_manager_get(rig->manager, waiting, &status));
    g_assert_nonnull(strstr(status.reason, "holds its 1 links"));
    rig_wait(rig, is_connected, waiting, 60000, "the idle pen to make room");
    g_assert_true(is_one_linked(rig, NULL));
    const char *other = get_waiting(rig);
    g_autoptr(GError) error = NULL;
    g_assert_true(rig_forget(rig, waiting, false, &error));
    g_assert_no_error(error);
    rig_wait(rig, is_connected, other, 25000, "the place of a forgotten pen to be taken");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* Pens that misbehave are warned of; that is no fault. */
    (void)g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/manager/debris", test_debris);
    g_test_add_func("/manager/refusals", test_refusals);
    g_test_add_func("/manager/refusing", test_refusing);
    g_test_add_func("/manager/turns", test_turns);
    g_test_add_func("/manager/deaf", test_deaf);
    g_test_add_func("/manager/deaf-restart", test_deaf_restart);
    g_test_add_func("/manager/double", test_double);
    g_test_add_func("/manager/window", test_window);
    g_test_add_func("/manager/adapters", test_adapters);
    g_test_add_func("/manager/unbonded", test_unbonded);
    g_test_add_func("/manager/in-use", test_in_use);
    g_test_add_func("/manager/restart", test_restart);
    g_test_add_func("/manager/power", test_power);
    g_test_add_func("/manager/scan-lets-in", test_scan_lets_in);
    g_test_add_func("/manager/slots", test_slots);
    return g_test_run();
}
