/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The client against a fake bluetoothd: mirror and generations (P22, P23, P24), one
 * attempt at a time (P9, P10), debris of AcquireNotify (F1), the agent (F10).
 */
#include "bluez/agent.h"
#include "bluez/client.h"
#include "bluez/gatt.h"
#include "fake-bluez.h"
#include "org-bluez-info.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HCI    "/org/bluez/hci1"
#define DEVICE HCI "/dev_C0_00_00_00_00_01"
#define CHAR   DEVICE "/service0010/char0011"

#define ADAPTER_ADDRESS "00:11:22:33:44:01"
#define DEVICE_ADDRESS  "C0:00:00:00:00:01"

static const PdBluezCharId live = { "52797f00-bc08-4935-9e95-12fdb4ca7483",
                                    "52797f02-bc08-4935-9e95-12fdb4ca7483" };

typedef struct {
    GTestDBus *dbus;
    GDBusConnection *bus;
    FakeBluez *fake;
    PdBluezClient *client;
    GString *events;
    GString *values;
} Fixture;

static void
on_up(void *user_data, uint32_t generation)
{
    Fixture *f = user_data;
    g_string_append_printf(f->events, "up%u;", generation);
}

static void
on_down(void *user_data)
{
    Fixture *f = user_data;
    g_string_append(f->events, "down;");
}

static void
on_adapter_added(void *user_data, const PdBluezAdapter *adapter)
{
    Fixture *f = user_data;
    g_string_append_printf(f->events, "+%s;", adapter->name);
}

static void
on_adapter_removed(void *user_data, const PdBluezAdapter *adapter)
{
    Fixture *f = user_data;
    g_string_append_printf(f->events, "-%s;", adapter->name);
}

static void
on_device_added(void *user_data, PdBluezDevice *device)
{
    Fixture *f = user_data;
    g_string_append_printf(f->events, "+%s;", pd_bluez_device_get_address(device));
}

static void
on_device_removed(void *user_data, PdBluezDevice *device)
{
    Fixture *f = user_data;
    g_string_append_printf(f->events, "-%s;", pd_bluez_device_get_address(device));
}

static void
on_device_changed(void *user_data, PdBluezDevice *device, uint32_t changed)
{
    Fixture *f = user_data;
    g_string_append_printf(f->events, "~%x;", changed);
}

static void
on_value(void *user_data,
         PdBluezDevice *device,
         const char *service_uuid,
         const char *char_uuid,
         const uint8_t *data,
         size_t n_data)
{
    Fixture *f = user_data;

    g_assert_cmpstr(service_uuid, ==, live.service_uuid);
    g_assert_cmpstr(char_uuid, ==, live.char_uuid);
    g_string_append_printf(f->values, "%zu:%02x;", n_data, n_data > 0 ? data[0] : 0U);
}

static const PdBluezListener listener = {
    .service_up = on_up,
    .service_down = on_down,
    .adapter_added = on_adapter_added,
    .adapter_removed = on_adapter_removed,
    .device_added = on_device_added,
    .device_changed = on_device_changed,
    .device_removed = on_device_removed,
    .value = on_value,
};

/* Run the loop until @text is in @log; the test's own timeout catches the rest. */
static void
wait_for(const GString *log, const char *text)
{
    while (strstr(log->str, text) == NULL) {
        g_main_context_iteration(NULL, TRUE);
    }
}

static void
on_done(GObject *source, GAsyncResult *result, gpointer user_data)
{
    GAsyncResult **slot = user_data;
    *slot = g_object_ref(result);
}

static GAsyncResult *
await(GAsyncResult **slot)
{
    while (*slot == NULL) {
        g_main_context_iteration(NULL, TRUE);
    }
    return *slot;
}

static void
add_pen(FakeBluez *fake)
{
    fake_bluez_add(fake,
                   HCI,
                   &org_bluez_adapter1_interface,
                   "{'Address': <'00:11:22:33:44:01'>, 'Powered': <true>}");
    fake_bluez_add(fake,
                   DEVICE,
                   &org_bluez_device1_interface,
                   "{'Address': <'C0:00:00:00:00:01'>, 'Connected': <false>, 'RSSI': <int16 -50>}");
    fake_bluez_add(fake,
                   DEVICE "/service0010",
                   &org_bluez_gatt_service1_interface,
                   "{'UUID': <'52797f00-bc08-4935-9e95-12fdb4ca7483'>}");
    fake_bluez_add(fake,
                   CHAR,
                   &org_bluez_gatt_characteristic1_interface,
                   "{'UUID': <'52797F02-BC08-4935-9E95-12FDB4CA7483'>, "
                   "'Service': <objectpath '" DEVICE "/service0010'>}");
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->dbus = g_test_dbus_new(G_TEST_DBUS_NONE);
    g_test_dbus_up(f->dbus);
    f->events = g_string_new(NULL);
    f->values = g_string_new(NULL);
    f->bus =
        g_dbus_connection_new_for_address_sync(g_test_dbus_get_bus_address(f->dbus),
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL,
                                               NULL,
                                               NULL);
    f->fake = fake_bluez_new(g_test_dbus_get_bus_address(f->dbus));
    add_pen(f->fake);
    f->client = pd_bluez_client_new(f->bus, &listener, f);
    wait_for(f->events, "+C0:00:00:00:00:01;");
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    pd_bluez_client_free(f->client);
    if (f->fake != NULL) {
        fake_bluez_free(f->fake);
    }
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    (void)g_dbus_connection_close_sync(f->bus, NULL, NULL);
    g_object_unref(f->bus);
    g_string_free(f->events, TRUE);
    g_string_free(f->values, TRUE);
    g_test_dbus_down(f->dbus);
    g_object_unref(f->dbus);
}

static PdBluezDevice *
get_pen(Fixture *f)
{
    PdBluezDevice *device =
        pd_bluez_client_get_device(f->client, ADAPTER_ADDRESS, "c0:00:00:00:00:01");

    g_assert_nonnull(device);
    return device;
}

static void
link_up(Fixture *f)
{
    fake_bluez_change(
        f->fake, DEVICE, "org.bluez.Device1", "{'Connected': <true>, 'ServicesResolved': <true>}");
    wait_for(f->events, "~5;");
}

static void
test_mirror(Fixture *f, gconstpointer data)
{
    int16_t rssi = 0;
    PdBluezDevice *device = get_pen(f);

    g_assert_cmpstr(f->events->str, ==, "up1;+hci1;+C0:00:00:00:00:01;");
    g_assert_true(pd_bluez_device_get_rssi(device, &rssi));
    g_assert_cmpint(rssi, ==, -50);
    g_assert_cmpint(pd_bluez_device_get_heard_us(device), ==, 0);
    g_assert_false(pd_bluez_device_is_ready(device, &live, 1));
    link_up(f);
    g_assert_true(pd_bluez_device_is_ready(device, &live, 1));
    fake_bluez_change(f->fake, DEVICE, "org.bluez.Device1", "{'RSSI': <int16 -60>}");
    wait_for(f->events, "~8;");
    g_assert_cmpint(pd_bluez_device_get_heard_us(device), >, 0);
    /* A service resolved is not yet a profile present (P19). */
    fake_bluez_remove(f->fake, CHAR);
    wait_for(f->events, "~100;");
    g_assert_false(pd_bluez_device_is_ready(device, &live, 1));
}

/* hci10 is not below hci1 (P22); an adapter takes its devices along (P23). */
/* Before 5.65 Paired is all there is; from then on a device can be paired without a bond. */
static void
test_bonded(Fixture *f, gconstpointer data)
{
    const PdBluezDevice *pen = get_pen(f);

    fake_bluez_change(f->fake, DEVICE, "org.bluez.Device1", "{'Paired': <true>}");
    wait_for(f->events, "~2;");
    g_assert_true(pd_bluez_device_is_bonded(pen));
    fake_bluez_change(f->fake, DEVICE, "org.bluez.Device1", "{'Bonded': <false>}");
    wait_for(f->events, "~2;~2;");
    g_assert_false(pd_bluez_device_is_bonded(pen));
    g_assert_true(pd_bluez_device_is_paired(pen));
}

static void
test_removal(Fixture *f, gconstpointer data)
{
    fake_bluez_add(f->fake,
                   "/org/bluez/hci10",
                   &org_bluez_adapter1_interface,
                   "{'Address': <'00:11:22:33:44:10'>, 'Powered': <true>}");
    fake_bluez_add(f->fake,
                   "/org/bluez/hci10/dev_X",
                   &org_bluez_device1_interface,
                   "{'Address': <'C0:00:00:00:00:10'>}");
    wait_for(f->events, "+C0:00:00:00:00:10;");
    g_autoptr(PdBluezDevice) device = pd_bluez_device_ref(get_pen(f));
    fake_bluez_remove(f->fake, HCI);
    wait_for(f->events, "-hci1;");
    g_assert_nonnull(strstr(f->events->str, "-C0:00:00:00:00:01;-hci1;"));
    g_assert_null(strstr(f->events->str, "-C0:00:00:00:00:10;"));
    g_assert_false(pd_bluez_device_is_present(device));
    g_assert_null(pd_bluez_client_get_device(f->client, ADAPTER_ADDRESS, DEVICE_ADDRESS));

    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) error = NULL;
    pd_bluez_device_connect_async(device, 1000, NULL, on_done, &result);
    g_assert_false(pd_bluez_device_connect_finish(device, await(&result), &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_NOT_FOUND);
}

static void
test_restart(Fixture *f, gconstpointer data)
{
    g_autoptr(PdBluezDevice) old = pd_bluez_device_ref(get_pen(f));
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) error = NULL;

    pd_bluez_device_set_stuck(old);
    pd_bluez_device_connect_async(old, 60000, NULL, on_done, &result);
    wait_for(f->fake->calls, "Connect " DEVICE);
    fake_bluez_free(f->fake);
    f->fake = NULL;
    wait_for(f->events, "-C0:00:00:00:00:01;-hci1;down;");
    g_assert_false(pd_bluez_client_is_up(f->client));
    g_assert_false(pd_bluez_device_connect_finish(old, await(&result), &error));
    g_assert_cmpint((int)pd_bluez_error_get_hint(error), ==, (int)PD_BLUEZ_HINT_SERVICE_GONE);

    f->fake = fake_bluez_new(g_test_dbus_get_bus_address(f->dbus));
    add_pen(f->fake);
    wait_for(f->events, "up2;");
    wait_for(f->events, "down;up2;+hci1;+C0:00:00:00:00:01;");
    g_assert_false(pd_bluez_device_is_stuck(get_pen(f)));
}

/* A timer that runs out ends the attempt in bluetoothd before it reports (P10). */
/* bluetoothd 5.82 says nothing of a link that comes up while it starts; asking shows it. */
static void
test_connect_unsaid(Fixture *f, gconstpointer data)
{
    PdBluezDevice *device = get_pen(f);
    g_autoptr(GAsyncResult) result = NULL;

    fake_bluez_answer(f->fake, "Connect", "");
    fake_bluez_set(f->fake,
                   DEVICE,
                   "org.bluez.Device1",
                   "{'Address': <'C0:00:00:00:00:01'>, 'Connected': <true>}");
    pd_bluez_device_connect_async(device, 2000, NULL, on_done, &result);
    g_assert_true(pd_bluez_device_connect_finish(device, await(&result), NULL));
    g_assert_true(pd_bluez_device_is_connected(device));
}

static void
test_connect_timeout(Fixture *f, gconstpointer data)
{
    PdBluezDevice *device = get_pen(f);
    g_autoptr(GAsyncResult) first = NULL;
    g_autoptr(GAsyncResult) second = NULL;
    g_autoptr(GAsyncResult) scan = NULL;
    GError *error = NULL;

    fake_bluez_answer(f->fake, "Disconnect", "");
    pd_bluez_device_connect_async(device, 200, NULL, on_done, &first);
    pd_bluez_device_connect_async(device, 200, NULL, on_done, &second);
    pd_bluez_discovery_start_async(
        f->client, ADAPTER_ADDRESS, &(const char *const){ NULL }, NULL, on_done, &scan);
    g_assert_false(pd_bluez_device_connect_finish(device, await(&second), &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_false(pd_bluez_discovery_start_finish(f->client, await(&scan), &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_false(pd_bluez_device_connect_finish(device, await(&first), &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_TIMEOUT);
    g_clear_error(&error);
    g_assert_nonnull(strstr(f->fake->calls->str, "Disconnect " DEVICE));
}

static void
test_connect_cancel(Fixture *f, gconstpointer data)
{
    PdBluezDevice *device = get_pen(f);
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GAsyncResult) again = NULL;
    g_autoptr(GError) error = NULL;

    fake_bluez_answer(f->fake, "Disconnect", "org.bluez.Error.NotConnected|Not Connected");
    pd_bluez_device_connect_async(device, 60000, cancellable, on_done, &result);
    wait_for(f->fake->calls, "Connect " DEVICE);
    g_cancellable_cancel(cancellable);
    g_assert_false(pd_bluez_device_connect_finish(device, await(&result), &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_nonnull(strstr(f->fake->calls->str, "Disconnect " DEVICE));
    fake_bluez_answer(f->fake, "Connect", "");
    pd_bluez_device_connect_async(device, 60000, NULL, on_done, &again);
    g_assert_true(pd_bluez_device_connect_finish(device, await(&again), NULL));
}

static void
test_discovery(Fixture *f, gconstpointer data)
{
    static const char *const uuids[] = { "52797f00-bc08-4935-9e95-12fdb4ca7483", NULL };
    PdBluezDevice *device = get_pen(f);
    g_autoptr(GAsyncResult) start = NULL;
    g_autoptr(GAsyncResult) blocked = NULL;
    g_autoptr(GAsyncResult) stop = NULL;
    g_autoptr(GAsyncResult) link = NULL;
    g_autoptr(GError) error = NULL;

    fake_bluez_answer(f->fake, "SetDiscoveryFilter", "");
    fake_bluez_answer(f->fake, "StartDiscovery", "");
    fake_bluez_answer(f->fake, "Connect", "");
    wait_for(f->fake->calls, "StopDiscovery"); /* once at start (P14) */
    g_string_truncate(f->fake->calls, 0);
    pd_bluez_discovery_start_async(f->client, "hci1", uuids, NULL, on_done, &start);
    g_assert_true(pd_bluez_discovery_start_finish(f->client, await(&start), NULL));
    g_assert_cmpstr(f->fake->calls->str,
                    ==,
                    "StopDiscovery " HCI " ();"
                    "SetDiscoveryFilter " HCI " ({'Transport': <'le'>, 'UUIDs': "
                    "<['52797f00-bc08-4935-9e95-12fdb4ca7483']>},);"
                    "StartDiscovery " HCI " ();");
    pd_bluez_device_connect_async(device, 1000, NULL, on_done, &blocked);
    g_assert_false(pd_bluez_device_connect_finish(device, await(&blocked), &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_BUSY);
    fake_bluez_answer(f->fake, "StopDiscovery", "");
    pd_bluez_discovery_stop_async(f->client, ADAPTER_ADDRESS, NULL, on_done, &stop);
    g_assert_true(pd_bluez_discovery_stop_finish(f->client, await(&stop), NULL));
    pd_bluez_device_connect_async(device, 1000, NULL, on_done, &link);
    g_assert_true(pd_bluez_device_connect_finish(device, await(&link), NULL));
}

static int
acquire(Fixture *f, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;
    PdBluezDevice *device = get_pen(f);
    uint16_t mtu = 0;

    pd_bluez_char_acquire_notify_async(device, &live, NULL, on_done, &result);
    const int fd = pd_bluez_char_acquire_notify_finish(device, await(&result), &mtu, error);
    g_assert_cmpuint(mtu, ==, fd >= 0 ? 185 : 0);
    return fd;
}

static void
test_acquire(Fixture *f, gconstpointer data)
{
    char buffer[8];

    link_up(f);
    fake_bluez_answer(f->fake, "AcquireNotify", "");
    const int fd = acquire(f, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint((int)read(fd, buffer, sizeof buffer), ==, -1); /* it does not block */
    g_assert_cmpint((int)send(f->fake->notify_fd, "abc", 3, 0), ==, 3);
    g_assert_cmpint((int)read(fd, buffer, sizeof buffer), ==, 3);
    close(fd);
}

static void
test_acquire_in_use(Fixture *f, gconstpointer data)
{
    GError *error = NULL;

    link_up(f);
    fake_bluez_answer(f->fake, "AcquireNotify", "org.bluez.Error.InProgress|In Progress");
    g_assert_cmpint(acquire(f, &error), ==, -1);
    g_assert_error(error, PD_ERROR, PD_ERROR_BLUEZ_IN_USE);
    g_clear_error(&error);
    /* A holder is signalled; the characteristic is watched since the first try. */
    fake_bluez_change(f->fake, CHAR, "org.bluez.GattCharacteristic1", "{'NotifyAcquired': <true>}");
    fake_bluez_answer(f->fake, "AcquireNotify", "org.bluez.Error.NotPermitted|Notify acquired");
    g_assert_cmpint(acquire(f, &error), ==, -1);
    g_assert_error(error, PD_ERROR, PD_ERROR_BLUEZ_IN_USE);
    g_clear_error(&error);
    g_assert_false(pd_bluez_device_is_stuck(get_pen(f)));
}

/* Debris refuses like a holder, but nobody holds; RemoveDevice must not be sent (F1). */
static void
test_acquire_debris(Fixture *f, gconstpointer data)
{
    GError *error = NULL;
    g_autoptr(GAsyncResult) result = NULL;

    link_up(f);
    fake_bluez_answer(f->fake, "AcquireNotify", "org.bluez.Error.NotPermitted|Notify acquired");
    g_assert_cmpint(acquire(f, &error), ==, -1);
    g_assert_error(error, PD_ERROR, PD_ERROR_BLUEZ_STUCK);
    g_clear_error(&error);
    pd_bluez_device_remove_async(get_pen(f), NULL, on_done, &result);
    g_assert_false(pd_bluez_device_remove_finish(get_pen(f), await(&result), &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_BLUEZ_STUCK);
    g_clear_error(&error);
    g_assert_null(strstr(f->fake->calls->str, "RemoveDevice"));
}

/* Debris from before we came is shown as held, and no link is there (F1). */
static void
test_acquire_old_debris(Fixture *f, gconstpointer data)
{
    GError *error = NULL;

    fake_bluez_remove(f->fake, CHAR);
    fake_bluez_add(f->fake,
                   CHAR,
                   &org_bluez_gatt_characteristic1_interface,
                   "{'UUID': <'52797f02-bc08-4935-9e95-12fdb4ca7483'>, 'NotifyAcquired': <true>, "
                   "'Service': <objectpath '" DEVICE "/service0010'>}");
    link_up(f);
    fake_bluez_answer(f->fake, "AcquireNotify", "org.bluez.Error.NotPermitted|Notify acquired");
    g_assert_cmpint(acquire(f, &error), ==, -1);
    g_assert_error(error, PD_ERROR, PD_ERROR_BLUEZ_STUCK);
    g_clear_error(&error);
}

static void
test_acquire_unanswered(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    link_up(f);
    const int64_t start_us = g_get_monotonic_time();
    g_assert_cmpint(acquire(f, &error), ==, -1);
    g_assert_error(error, PD_ERROR, PD_ERROR_BLUEZ_STUCK);
    g_assert_true(pd_bluez_device_is_stuck(get_pen(f)));
    g_assert_cmpint((g_get_monotonic_time() - start_us) / G_USEC_PER_SEC, <=, 6);
}

static void
test_read_write(Fixture *f, gconstpointer data)
{
    PdBluezDevice *device = get_pen(f);
    g_autoptr(GAsyncResult) read_result = NULL;
    g_autoptr(GAsyncResult) write_result = NULL;
    g_autoptr(GError) error = NULL;
    uint8_t att = 0;

    link_up(f);
    fake_bluez_answer(f->fake, "ReadValue", "");
    fake_bluez_answer(
        f->fake, "WriteValue", "org.bluez.Error.Failed|Operation failed with ATT error: 0xfe");
    pd_bluez_char_read_async(device, &live, NULL, on_done, &read_result);
    g_autoptr(GBytes) bytes = pd_bluez_char_read_finish(device, await(&read_result), NULL);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, 3);
    g_assert_true(memcmp(g_bytes_get_data(bytes, NULL), "\1\0\3", 3) == 0);
    pd_bluez_char_write_async(
        device, &live, (const uint8_t *)"\7", 1, NULL, on_done, &write_result);
    g_assert_false(pd_bluez_char_write_finish(device, await(&write_result), &error));
    g_assert_true(pd_bluez_error_get_att(error, &att));
    g_assert_cmpuint(att, ==, 0xfe);
    g_assert_nonnull(strstr(f->fake->calls->str, "{'type': <'request'>}"));
}

/* Values count while we subscribed on this link, not before, not after. */
static void
test_start_notify(Fixture *f, gconstpointer data)
{
    static const char gatt[] = "org.bluez.GattCharacteristic1";
    PdBluezDevice *device = get_pen(f);
    g_autoptr(GAsyncResult) result = NULL;

    link_up(f);
    fake_bluez_answer(f->fake, "StartNotify", "");
    fake_bluez_change(f->fake, CHAR, gatt, "{'Value': <[byte 0x01]>}");
    fake_bluez_change(f->fake, DEVICE, "org.bluez.Device1", "{'RSSI': <int16 -2>}");
    wait_for(f->events, "~8;");
    g_string_truncate(f->events, 0);
    pd_bluez_char_start_notify_async(device, &live, NULL, on_done, &result);
    g_assert_true(pd_bluez_char_start_notify_finish(device, await(&result), NULL));
    fake_bluez_change(f->fake, CHAR, gatt, "{'Value': <@ay []>}");
    fake_bluez_change(f->fake, CHAR, gatt, "{'Value': <[byte 0x06, 0x00]>}");
    wait_for(f->values, "2:06;");
    fake_bluez_change(f->fake, DEVICE, "org.bluez.Device1", "{'Connected': <false>}");
    fake_bluez_change(f->fake, CHAR, gatt, "{'Value': <[byte 0x03]>}");
    fake_bluez_change(f->fake, DEVICE, "org.bluez.Device1", "{'RSSI': <int16 -1>}");
    wait_for(f->events, "~8;");
    g_assert_cmpstr(f->values->str, ==, "0:00;2:06;");
}

static bool
allow_pen(void *user_data, PdBluezDevice *device)
{
    return strcmp(pd_bluez_device_get_address(device), DEVICE_ADDRESS) == 0;
}

/* Ask the agent as @bus; the name of its error or "". */
static char *
ask_agent(Fixture *f, GDBusConnection *bus, const char *method, const char *path)
{
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) error = NULL;

    g_dbus_connection_call(bus,
                           g_dbus_connection_get_unique_name(f->bus),
                           "/org/pentel/agent",
                           "org.bluez.Agent1",
                           method,
                           g_variant_new("(o)", path),
                           NULL,
                           G_DBUS_CALL_FLAGS_NONE,
                           5000,
                           NULL,
                           on_done,
                           &result);
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(bus, await(&result), &error);
    return reply != NULL ? g_strdup("") : g_dbus_error_get_remote_error(error);
}

static void
test_agent(Fixture *f, gconstpointer data)
{
    static const char rejected[] = "org.bluez.Error.Rejected";
    g_autoptr(GAsyncResult) result = NULL;

    fake_bluez_add(f->fake, "/org/bluez", &org_bluez_agent_manager1_interface, "{}");
    fake_bluez_answer(f->fake, "RegisterAgent", "");
    fake_bluez_answer(f->fake, "UnregisterAgent", "");
    pd_bluez_agent_open_async(f->client, allow_pen, f, NULL, on_done, &result);
    PdBluezAgent *agent = pd_bluez_agent_open_finish(f->client, await(&result), NULL);
    g_assert_nonnull(agent);
    g_assert_nonnull(strstr(f->fake->calls->str, "'/org/pentel/agent', 'NoInputNoOutput'"));
    g_autofree char *yes = ask_agent(f, f->fake->bus, "RequestAuthorization", DEVICE);
    g_autofree char *other = ask_agent(f, f->fake->bus, "RequestAuthorization", HCI "/dev_Y");
    g_autofree char *passkey = ask_agent(f, f->fake->bus, "RequestPasskey", DEVICE);
    g_autofree char *stranger = ask_agent(f, f->bus, "RequestAuthorization", DEVICE);
    g_assert_cmpstr(yes, ==, "");
    g_assert_cmpstr(other, ==, rejected);
    g_assert_cmpstr(passkey, ==, rejected);
    g_assert_cmpstr(stranger, ==, rejected);
    pd_bluez_agent_close(agent);
    wait_for(f->fake->calls, "UnregisterAgent /org/bluez");
    g_autofree char *closed = ask_agent(f, f->fake->bus, "RequestAuthorization", DEVICE);
    g_assert_cmpstr(closed, ==, "org.freedesktop.DBus.Error.UnknownMethod");
    g_assert_null(strstr(f->fake->calls->str, "RequestDefaultAgent"));
}

static void
add(const char *path, void (*test)(Fixture *f, gconstpointer data))
{
    g_test_add(path, Fixture, NULL, set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/bluez/client/mirror", test_mirror);
    add("/bluez/client/bonded", test_bonded);
    add("/bluez/client/removal", test_removal);
    add("/bluez/client/restart", test_restart);
    add("/bluez/connect/unsaid", test_connect_unsaid);
    add("/bluez/connect/timeout", test_connect_timeout);
    add("/bluez/connect/cancel", test_connect_cancel);
    add("/bluez/discovery", test_discovery);
    add("/bluez/acquire/fd", test_acquire);
    add("/bluez/acquire/in-use", test_acquire_in_use);
    add("/bluez/acquire/debris", test_acquire_debris);
    add("/bluez/acquire/old-debris", test_acquire_old_debris);
    add("/bluez/acquire/unanswered", test_acquire_unanswered);
    add("/bluez/read-write", test_read_write);
    add("/bluez/start-notify", test_start_notify);
    add("/bluez/agent", test_agent);
    return g_test_run();
}
