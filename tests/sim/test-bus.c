/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * pensim from outside, as a gateway meets it: objects, pairing, a report over an acquired
 * socket, and the two ways in which bluetoothd 5.66 dies of AcquireNotify (F1).
 *
 * Plain blocking calls: this is a test program, not the gateway's client.
 */
#include "core/record.h"

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ADAPTER      "/org/bluez/hci0"
#define FEATURE_CHRC "/service0010/char0011"
#define STORED_CHRC  "/service0010/char0016"
#define RACP_CHRC    "/service0010/char0019"
#define DEVICE       "org.bluez.Device1"
#define CHRC         "org.bluez.GattCharacteristic1"
#define WAIT_US      10000000

typedef struct {
    GTestDBus *daemon;    /* owned */
    GSubprocess *sim;     /* owned */
    GDBusConnection *bus; /* owned */
} Bench;

static GVariant *
call_full(Bench *bench,
          const char *path,
          const char *interface,
          const char *method,
          GVariant *args,
          int timeout_ms,
          GUnixFDList **fds,
          GError **error)
{
    return g_dbus_connection_call_with_unix_fd_list_sync(bench->bus,
                                                         "org.bluez",
                                                         path,
                                                         interface,
                                                         method,
                                                         args,
                                                         NULL,
                                                         G_DBUS_CALL_FLAGS_NONE,
                                                         timeout_ms,
                                                         NULL,
                                                         fds,
                                                         NULL,
                                                         error);
}

static GVariant *
call(Bench *bench, const char *path, const char *interface, const char *method, GVariant *args)
{
    g_autoptr(GError) error = NULL;
    GVariant *reply = call_full(bench, path, interface, method, args, 8000, NULL, &error);
    g_assert_no_error(error);
    return reply;
}

/* The call must fail with this name of org.bluez.Error. */
static void
refused(Bench *bench, const char *path, const char *interface, const char *method, const char *name)
{
    g_autoptr(GError) error = NULL;
    GVariant *args =
        g_str_equal(method, "AcquireNotify") ? g_variant_new_parsed("(@a{sv} {},)") : NULL;
    g_autoptr(GVariant) reply = call_full(bench, path, interface, method, args, 8000, NULL, &error);
    g_assert_null(reply);
    g_autofree char *remote = g_dbus_error_get_remote_error(error);
    g_autofree char *full = g_strdup_printf("org.bluez.Error.%s", name);
    g_assert_cmpstr(remote, ==, full);
}

/* A test that fails leaves nothing running. */
static void
end_with_parent(gpointer user_data)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void
start(Bench *bench, const char *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GStrvBuilder) argv = g_strv_builder_new();
    bench->daemon = g_test_dbus_new(G_TEST_DBUS_NONE);
    g_test_dbus_up(bench->daemon);
    const char *address = g_test_dbus_get_bus_address(bench->daemon);
    g_auto(GStrv) more = g_strsplit(options, " ", -1);
    g_strv_builder_add_many(
        argv, g_getenv("PENSIM"), "--bus", address, "--pens=1", "--speed=50", NULL);
    g_strv_builder_addv(argv, (const char **)(void *)more);
    g_auto(GStrv) words = g_strv_builder_end(argv);
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE);
    g_subprocess_launcher_set_child_setup(launcher, end_with_parent, NULL, NULL);
    bench->sim = g_subprocess_launcher_spawnv(launcher, (const char *const *)words, &error);
    g_assert_no_error(error);
    g_autoptr(GDataInputStream) out =
        g_data_input_stream_new(g_subprocess_get_stdout_pipe(bench->sim));
    g_filter_input_stream_set_close_base_stream(G_FILTER_INPUT_STREAM(out), FALSE);
    g_autofree char *line = g_data_input_stream_read_line(out, NULL, NULL, &error);
    g_assert_cmpstr(line, ==, "READY");
    bench->bus =
        g_dbus_connection_new_for_address_sync(address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL,
                                               NULL,
                                               &error);
    g_assert_no_error(error);
}

static void
stop(Bench *bench)
{
    g_autoptr(GError) error = NULL;
    g_subprocess_send_signal(bench->sim, SIGTERM);
    (void)g_subprocess_wait_check(bench->sim, NULL, &error);
    g_assert_no_error(error);
    g_clear_object(&bench->sim);
    (void)g_dbus_connection_close_sync(bench->bus, NULL, NULL);
    g_clear_object(&bench->bus);
    g_test_dbus_down(bench->daemon);
    g_clear_object(&bench->daemon);
}

/* Path of the pen, once bluetoothd shows it. */
static char *
wait_for_device(Bench *bench, const char *adapter)
{
    for (int64_t end = g_get_monotonic_time() + WAIT_US; g_get_monotonic_time() < end;) {
        g_autoptr(GVariant) reply =
            call(bench, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
        g_autoptr(GVariant) objects = g_variant_get_child_value(reply, 0);
        GVariantIter iter;
        const char *path = NULL;
        g_variant_iter_init(&iter, objects);
        while (g_variant_iter_next(&iter, "{&o@a{sa{sv}}}", &path, NULL)) {
            if (g_str_has_prefix(path, adapter) && strstr(path, "/dev_") != NULL) {
                return g_strdup(path);
            }
        }
        g_usleep(20000);
    }
    g_assert_not_reached();
}

static bool
get_bool(Bench *bench, const char *path, const char *interface, const char *property)
{
    g_autoptr(GVariant) reply = call(bench,
                                     path,
                                     "org.freedesktop.DBus.Properties",
                                     "Get",
                                     g_variant_new("(ss)", interface, property));
    g_autoptr(GVariant) boxed = NULL;
    g_variant_get(reply, "(v)", &boxed);
    return g_variant_get_boolean(boxed);
}

static void
wait_for(Bench *bench, const char *path, const char *property, bool value)
{
    const int64_t end = g_get_monotonic_time() + WAIT_US;
    while (get_bool(bench, path, DEVICE, property) != value) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(10000);
    }
}

static char *
find_and_connect(Bench *bench, bool pair)
{
    g_variant_unref(call(bench, ADAPTER, "org.bluez.Adapter1", "StartDiscovery", NULL));
    char *device = wait_for_device(bench, ADAPTER);
    if (pair) {
        g_variant_unref(call(bench, device, DEVICE, "Pair", NULL));
        refused(bench, device, DEVICE, "Pair", "AlreadyExists");
        g_assert_true(get_bool(bench, device, DEVICE, "Bonded"));
    }
    g_variant_unref(call(bench, device, DEVICE, "Connect", NULL));
    wait_for(bench, device, "ServicesResolved", true);
    return device;
}

static uint32_t
read_newest(Bench *bench, const char *device)
{
    g_autofree char *path = g_strconcat(device, FEATURE_CHRC, NULL);
    g_autoptr(GVariant) reply =
        call(bench, path, CHRC, "ReadValue", g_variant_new_parsed("(@a{sv} {},)"));
    g_autoptr(GVariant) value = g_variant_get_child_value(reply, 0);
    size_t n_bytes = 0;
    const uint8_t *bytes = g_variant_get_fixed_array(value, &n_bytes, 1);
    PenFeature feature = { 0 };
    g_assert_cmpint(pen_feature_decode(bytes, n_bytes, &feature), ==, PEN_STATUS_OK);
    g_assert_cmpstr(feature.serial, ==, "PT-0001");
    return feature.newest;
}

static int
acquire(Bench *bench, const char *path)
{
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = call_full(bench,
                                          path,
                                          CHRC,
                                          "AcquireNotify",
                                          g_variant_new_parsed("(@a{sv} {},)"),
                                          8000,
                                          &fds,
                                          &error);
    g_assert_no_error(error);
    g_assert_nonnull(reply);
    const int fd = g_unix_fd_list_get(fds, 0, &error);
    g_assert_no_error(error);
    return fd;
}

static void
write_report(Bench *bench, const char *device, uint32_t first, uint32_t last)
{
    g_autofree char *path = g_strconcat(device, RACP_CHRC, NULL);
    uint8_t request[11] = { 1, 4, 1 };
    for (uint32_t i = 0; i < 4; i++) {
        request[3 + i] = (uint8_t)(first >> (8 * i));
        request[7 + i] = (uint8_t)(last >> (8 * i));
    }
    GVariant *bytes = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, request, sizeof request, 1);
    g_variant_unref(call(bench,
                         path,
                         CHRC,
                         "WriteValue",
                         g_variant_new("(@ay@a{sv})", bytes, g_variant_new_parsed("@a{sv} {}"))));
}

/* Read whole records until the range_end; the numbers must ascend from @first. */
static void
read_report(int fd, uint32_t first, uint32_t last)
{
    g_autoptr(GByteArray) record = g_byte_array_new();
    uint32_t next = first;
    uint8_t counter = 0;
    while (true) {
        uint8_t segment[600];
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        g_assert_cmpint(poll(&ready, 1, 5000), ==, 1);
        const ssize_t n = read(fd, segment, sizeof segment);
        g_assert_cmpint(n, >, 1);
        g_assert_cmpuint(segment[0] >> 2, ==, counter);
        counter = (uint8_t)((counter + 1u) & 63u);
        g_byte_array_append(record, segment + 1, (guint)n - 1u);
        g_assert_cmpuint(record->len, <=, PEN_RECORD_MAX);
        if ((segment[0] & 2u) == 0) {
            continue;
        }
        PenRecordHeader header = { 0 };
        PenBody body = { 0 };
        g_assert_cmpint(pen_record_check(record->data, record->len, &header), ==, PEN_STATUS_OK);
        g_assert_cmpint(pen_record_decode(record->data, record->len, &body), ==, PEN_STATUS_OK);
        g_byte_array_set_size(record, 0);
        if (body.kind == PEN_BODY_RANGE_END) {
            g_assert_cmpuint(body.range_end.sent, ==, last - first + 1u);
            break;
        }
        g_assert_cmpuint(header.number, ==, next);
        next++;
    }
    g_assert_cmpuint(next, ==, last + 1u);
}

static void
test_report(void)
{
    Bench bench = { 0 };
    start(&bench, "--pairing=-1 --mtu=64");
    g_autofree char *device = find_and_connect(&bench, true);
    const int64_t end = g_get_monotonic_time() + WAIT_US;
    while (read_newest(&bench, device) < 40) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(10000);
    }
    g_autofree char *stored = g_strconcat(device, STORED_CHRC, NULL);
    g_autofree char *racp = g_strconcat(device, RACP_CHRC, NULL);
    const int fd = acquire(&bench, stored);
    refused(&bench, stored, CHRC, "AcquireNotify", "NotPermitted");
    g_variant_unref(call(&bench, racp, CHRC, "StartNotify", NULL));
    write_report(&bench, device, 1, 40);
    read_report(fd, 1, 40);
    g_variant_unref(call(&bench, device, DEVICE, "Disconnect", NULL));
    wait_for(&bench, device, "Connected", false);
    uint8_t byte = 0;
    g_assert_cmpint(read(fd, &byte, 1), ==, 0);
    close(fd);
    stop(&bench);
}

static bool
has_owner(Bench *bench)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(bench->bus,
                                                            "org.freedesktop.DBus",
                                                            "/org/freedesktop/DBus",
                                                            "org.freedesktop.DBus",
                                                            "NameHasOwner",
                                                            g_variant_new("(s)", "org.bluez"),
                                                            G_VARIANT_TYPE("(b)"),
                                                            G_DBUS_CALL_FLAGS_NONE,
                                                            5000,
                                                            NULL,
                                                            &error);
    g_assert_no_error(error);
    gboolean owned = FALSE;
    g_variant_get(reply, "(b)", &owned);
    return owned;
}

static void
wait_for_owner(Bench *bench, bool owned)
{
    const int64_t end = g_get_monotonic_time() + WAIT_US;
    while (has_owner(bench) != owned) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(10000);
    }
}

/* No answer while the link falls, NotPermitted on the next link, death by RemoveDevice. */
static void
test_debris(void)
{
    Bench bench = { 0 };
    start(&bench, "--bonded --debris=100");
    g_autofree char *device = find_and_connect(&bench, false);
    g_autofree char *stored = g_strconcat(device, STORED_CHRC, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = call_full(&bench,
                                          stored,
                                          CHRC,
                                          "AcquireNotify",
                                          g_variant_new_parsed("(@a{sv} {},)"),
                                          500,
                                          NULL,
                                          &error);
    g_assert_null(reply);
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    wait_for(&bench, device, "Connected", false);
    g_variant_unref(call(&bench, device, DEVICE, "Connect", NULL));
    wait_for(&bench, device, "ServicesResolved", true);
    refused(&bench, stored, CHRC, "AcquireNotify", "NotPermitted");
    g_clear_error(&error);
    g_autoptr(GVariant) none = call_full(&bench,
                                         ADAPTER,
                                         "org.bluez.Adapter1",
                                         "RemoveDevice",
                                         g_variant_new("(o)", device),
                                         3000,
                                         NULL,
                                         &error);
    g_assert_null(none);
    wait_for_owner(&bench, false);
    wait_for_owner(&bench, true);
    g_variant_unref(call(&bench, device, DEVICE, "Connect", NULL));
    wait_for(&bench, device, "ServicesResolved", true);
    g_assert_cmpuint(read_newest(&bench, device), >, 0);
    stop(&bench);
}

/* Out of pairing mode nobody gets a bond, nor a value without one. */
static void
test_no_pairing(void)
{
    Bench bench = { 0 };
    start(&bench, "--pairing=0 --seed=2");
    g_autofree char *device = find_and_connect(&bench, false);
    refused(&bench, device, DEVICE, "Pair", "AuthenticationFailed");
    g_assert_false(get_bool(&bench, device, DEVICE, "Bonded"));
    stop(&bench);
}

/* A Connect to a pen that is not there takes its time and says what everything says (F11). */
static int64_t
fail_to_connect(Bench *bench, const char *device)
{
    const int64_t began = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        call_full(bench, device, DEVICE, "Connect", NULL, 8000, NULL, &error);
    g_assert_null(reply);
    g_autofree char *remote = g_dbus_error_get_remote_error(error);
    g_assert_cmpstr(remote, ==, "org.bluez.Error.Failed");
    g_assert_nonnull(strstr(error->message, "le-connection-abort-by-local"));
    return g_get_monotonic_time() - began;
}

/* A bond belongs to its adapter (F6), and a linked pen is absent to every other one. */
static void
test_two_adapters(void)
{
    Bench bench = { 0 };
    start(&bench, "--adapters=2 --pairing=-1 --absent-connect-ms=700");
    g_variant_unref(call(&bench, "/org/bluez/hci1", "org.bluez.Adapter1", "StartDiscovery", NULL));
    g_autofree char *other = wait_for_device(&bench, "/org/bluez/hci1");
    g_autofree char *device = find_and_connect(&bench, true);
    g_assert_true(get_bool(&bench, device, DEVICE, "Bonded"));
    g_assert_false(get_bool(&bench, other, DEVICE, "Bonded"));
    const int64_t first_us = fail_to_connect(&bench, other);
    g_assert_cmpint(first_us, >=, 650000);
    g_assert_cmpint(fail_to_connect(&bench, other), <, 400000);
    g_variant_unref(call(&bench, device, DEVICE, "Disconnect", NULL));
    wait_for(&bench, device, "Connected", false);
    g_usleep(1000000); /* as long as a failure is remembered */
    g_variant_unref(call(&bench, other, DEVICE, "Pair", NULL));
    g_assert_true(get_bool(&bench, other, DEVICE, "Bonded"));
    stop(&bench);
}

/* Only the gateway still has the key: every link comes up and falls at once (F11). */
static void
test_lost_bond(void)
{
    Bench bench = { 0 };
    start(&bench, "--pairing=-1 --lose-bonds-after=1000");
    g_autofree char *device = find_and_connect(&bench, true);
    wait_for(&bench, device, "Connected", false);
    for (int i = 0; i < 3; i++) {
        g_variant_unref(call(&bench, device, DEVICE, "Connect", NULL));
        wait_for(&bench, device, "Connected", false);
        g_assert_false(get_bool(&bench, device, DEVICE, "ServicesResolved"));
        g_assert_true(get_bool(&bench, device, DEVICE, "Bonded"));
    }
    refused(&bench, device, DEVICE, "Pair", "AlreadyExists");
    g_variant_unref(
        call(&bench, ADAPTER, "org.bluez.Adapter1", "RemoveDevice", g_variant_new("(o)", device)));
    g_autofree char *again = wait_for_device(&bench, ADAPTER);
    g_variant_unref(call(&bench, again, DEVICE, "Pair", NULL));
    wait_for(&bench, again, "ServicesResolved", true);
    g_assert_cmpuint(read_newest(&bench, again), >, 0);
    stop(&bench);
}

/* Nobody reads: the socket fills, what does not fit is gone, and RACP calls it a success. */
static void
test_full_socket(void)
{
    Bench bench = { 0 };
    start(&bench, "--bonded --mtu=23 --rate=20000 --sessions=3 --speed=200");
    g_autofree char *device = find_and_connect(&bench, false);
    g_autofree char *stored = g_strconcat(device, STORED_CHRC, NULL);
    g_autofree char *racp = g_strconcat(device, RACP_CHRC, NULL);
    const int fd = acquire(&bench, stored);
    const int64_t end = g_get_monotonic_time() + WAIT_US;
    while (read_newest(&bench, device) < 300) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(10000);
    }
    g_variant_unref(call(&bench, racp, CHRC, "StartNotify", NULL));
    write_report(&bench, device, 1, 300);
    g_usleep(1000000);
    uint32_t n_segments = 0;
    uint8_t segment[600];
    while (n_segments < 5000 && read(fd, segment, sizeof segment) > 0) {
        n_segments++;
    }
    /* 300 records of six segments or so; a socket holds a few hundred (P1) */
    g_assert_cmpuint(n_segments, >=, 100);
    g_assert_cmpuint(n_segments, <, 1000);
    close(fd);
    stop(&bench);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pensim/report", test_report);
    g_test_add_func("/pensim/debris", test_debris);
    g_test_add_func("/pensim/no-pairing", test_no_pairing);
    g_test_add_func("/pensim/two-adapters", test_two_adapters);
    g_test_add_func("/pensim/full-socket", test_full_socket);
    g_test_add_func("/pensim/lost-bond", test_lost_bond);
    return g_test_run();
}
