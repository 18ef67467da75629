/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The supervisors against simulated pens on a private bus, with the real store: what a
 * pen recorded is here in the end, whatever happened on the way. One scenario per
 * process, named by the first argument.
 */
#include "rig.h"

#include <string.h>

#define USUAL "--pairing=-1 --wait-for-bond --passes=3 --absent-ms=300 --absent-connect-ms=3000 "

static bool
is_over(Rig *rig, const void *user_data)
{
    return rig_said(rig, "DONE");
}

static bool
is_state(Rig *rig, const void *user_data)
{
    return rig_is_state(rig, "PT-0001", user_data);
}

static bool
is_all_marked(Rig *rig, const void *user_data)
{
    g_autoptr(GPtrArray) serials = pd_pen_manager_list(rig->manager);

    for (guint i = 0; i < serials->len; i++) {
        if (rig_get_truth(rig, serials->pdata[i], "marked") <
            rig_get_truth(rig, serials->pdata[i], "newest")) {
            return false;
        }
    }
    return true;
}

/* Nothing is marked that is not durable: what the pen may drop is here (F5). */
static void
check_marks(Rig *rig, const char *serial)
{
    const uint64_t marked = rig_get_truth(rig, serial, "marked");
    PenRanges settled;

    pd_store_get_settled(rig->store, rig_get_truth(rig, serial, "log_id"), &settled);
    g_assert_cmpuint(marked, <=, pen_ranges_contiguous_from(&settled, 1));
    pen_ranges_clear(&settled);
}

static void
enroll_all(Rig *rig, guint n_pens)
{
    for (guint i = 1; i <= n_pens; i++) {
        g_autofree char *wanted = g_strdup_printf("PT-%04u", i);
        g_autofree char *serial = rig_enroll(rig, wanted, NULL, 30, NULL);
        g_assert_cmpstr(serial, ==, wanted);
    }
}

static void
run_to_the_end(const char *options, guint n_pens)
{
    g_autoptr(Rig) rig = rig_new(options);

    rig_start_manager(rig, NULL);
    enroll_all(rig, n_pens);
    rig_wait(rig, is_over, NULL, 50000, "the treatments to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    check_marks(rig, "PT-0001");
    /* And the supervisor knows it. */
    g_autoptr(GError) error = NULL;
    g_assert_true(rig_forget(rig, "PT-0001", false, &error));
    g_assert_no_error(error);
}

static void
test_stream(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=2 --speed=8");

    rig_start_manager(rig, NULL);
    enroll_all(rig, 2);
    rig_wait(rig, is_state, "live", 20000, "a session to be seen");
    pd_pen_manager_set_watched(rig->manager, true);
    rig_wait(rig, is_over, NULL, 50000, "the treatments to end");
    rig_wait(rig, rig_is_settled, NULL, 10000, "every number to be settled");
    rig_wait(rig, is_all_marked, NULL, 10000, "the marks");
    check_marks(rig, "PT-0001");
    rig_wait(rig, is_state, "connected", 5000, "the session to be over");
    g_assert_cmpuint(rig->n_records, >, 20);
    PdPenStatus status;
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_assert_cmpstr(status.firmware, ==, "1.4.2");
    g_assert_cmpuint(status.battery_pct, <=, 100);
    g_assert_nonnull(status.adapter);
    g_assert_nonnull(strstr(rig->events->str, "added PT-0001;"));
    g_assert_nonnull(strstr(rig->events->str, "up PT-0001;"));
    /* As it should be for a pen that behaves. */
    g_assert_cmpuint(status.n_malformed, ==, 0);
}

static void
test_losses(void)
{
    run_to_the_end(USUAL "--pens=2 --speed=8 --drop=5 --bad-crc=1 --overtake=20 "
                         "--disconnect-every=3000",
                   2);
}

static void
test_holes(void)
{
    run_to_the_end(USUAL "--pens=1 --speed=8 --holes=3 --mtu=64 --drop=2", 1);
}

static void
test_reboots(void)
{
    run_to_the_end(USUAL "--pens=1 --speed=8 --reboot-every=15000", 1);
}

static void
test_bad_crc(void)
{
    run_to_the_end(USUAL "--pens=1 --speed=8 --hostile=crc", 1);
}

static void
test_small_mtu(void)
{
    run_to_the_end(USUAL "--pens=1 --speed=8 --mtu=23 --drop=1", 1);
}

static bool
is_linked(Rig *rig, const void *user_data)
{
    return rig_is_state(rig, "PT-0001", "live") || rig_is_state(rig, "PT-0001", "connected") ||
           rig_is_state(rig, "PT-0001", "backfill");
}

/* The daemon is away for a while: what it missed is fetched. */
static void
test_away(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=8");

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_state, "live", 20000, "a session to begin");
    rig_stop_manager(rig);
    rig_idle(rig, 3000);
    rig_start_manager(rig, NULL);
    rig_wait(rig, is_linked, NULL, 10000, "the pen to be linked again");
    rig_wait(rig, is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
}

static bool
has_restarted(Rig *rig, const void *user_data)
{
    return rig_count(rig, "restarts") > 0;
}

/* F1: debris is named, cured by one restart, and the next within 2 min is left. */
static void
test_debris(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=8 --debris=100");

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_state, "bluetoothd-stuck", 20000, "the debris to be seen");
    rig_wait(rig, has_restarted, NULL, 10000, "bluetoothd to be restarted");
    rig_wait(rig, is_state, "connecting", 20000, "the bond to be used again");
    rig_wait(rig, is_state, "bluetoothd-stuck", 20000, "the debris to be seen again");
    rig_idle(rig, 8000);
    g_assert_cmpuint(rig_count(rig, "restarts"), ==, 1);
}

static void
test_forget(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=8");
    g_autoptr(GError) error = NULL;

    rig_start_manager(rig, NULL);
    g_assert_false(rig_forget(rig, "PT-0001", false, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_NOT_FOUND);
    g_clear_error(&error);
    enroll_all(rig, 1);
    rig_wait(rig, is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    g_assert_true(rig_forget(rig, "PT-0001", false, &error));
    g_assert_no_error(error);
    g_autoptr(GPtrArray) serials = pd_pen_manager_list(rig->manager);
    g_assert_cmpuint(serials->len, ==, 0);
    g_assert_nonnull(strstr(rig->events->str, "removed PT-0001;"));
    /* Its bond is still there, so it is taken back without pairing mode. */
    enroll_all(rig, 1);
    rig_wait(rig, is_linked, NULL, 10000, "the pen to be linked");
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
    expect_refusal("--pens=1 --no-bluez", "PT-0001", 5, PD_ERROR_NO_ADAPTER, "bluetoothd");
    expect_refusal("--pens=1", "PT-0001", 2, PD_ERROR_ENROLL_TIMEOUT, "pairing mode");
    expect_refusal("--pens=0", "", 1, PD_ERROR_ENROLL_TIMEOUT, "heard");
    expect_refusal(USUAL "--pens=1 --hostile=major", "", 10, PD_ERROR_VERSION, "version");
}

static void
test_double(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=2 --hostile=serial --hostile-pen=2");
    g_autoptr(GError) error = NULL;

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    g_autofree char *serial = rig_enroll(rig, "", NULL, 10, &error);
    g_assert_null(serial);
    g_assert_error(error, PD_ERROR, PD_ERROR_WRONG_PEN);
    g_assert_nonnull(strstr(error->message, "serial"));
    rig_wait(rig, is_linked, NULL, 10000, "the good pen to be linked");
}

/* One pen sends what it likes; the other must not notice. */
static void
test_endless(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=2 --speed=8 --hostile=endless --hostile-pen=2");
    PdPenStatus status;

    rig_start_manager(rig, NULL);
    enroll_all(rig, 2);
    rig_wait(rig, is_over, NULL, 50000, "the treatments to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0002", &status));
    g_assert_cmpuint(status.n_malformed, >, 0);
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_assert_cmpuint(status.n_malformed, ==, 0);
}

/* F26: what only the pen has is not left behind without a word. */
static void
test_unread(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=8 --drop=40 --rate=3");
    g_autoptr(GError) error = NULL;

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_over, NULL, 50000, "the treatment to end");
    g_assert_false(rig_forget(rig, "PT-0001", false, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_UNREAD_RECORDS);
    g_test_message("%s", error->message);
    g_clear_error(&error);
    g_assert_true(rig_forget(rig, "PT-0001", true, &error));
    g_assert_no_error(error);
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

/* One window at a time; a cancelled one is over at once and leaves nothing behind. */
static void
test_window(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=8");
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
    enroll_all(rig, 1);
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
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=8 --adapters=2");

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    g_assert_cmpuint(rig_count(rig, "PT-0001 bonds 2"), ==, 1);
    rig_wait(rig, is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) pens = pd_store_load_pens(rig->store, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(pens->len, ==, 1);
    const PdPenInfo *info = g_ptr_array_index(pens, 0);
    g_assert_cmpuint(g_strv_length(info->adapters), ==, 2);
}

static GVariant *
get_synchronized(GDBusConnection *bus,
                 const char *sender,
                 const char *path,
                 const char *interface,
                 const char *property,
                 GError **error,
                 gpointer user_data)
{
    return g_variant_new_boolean(*(const gboolean *)user_data);
}

static bool
is_synced(Rig *rig, const void *user_data)
{
    return pd_time_sync_is_synced(rig->time_sync);
}

static bool
has_clock_set(Rig *rig, const void *user_data)
{
    return rig->n_clock_sets > 0;
}

typedef struct {
    GArray *anchors;
    bool done;
} Anchors;

static void
on_anchors(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Anchors *anchors = user_data;
    uint32_t tick_unit = 0;
    g_autoptr(GError) error = NULL;

    anchors->anchors = pd_store_get_anchors_finish(NULL, result, &tick_unit, &error);
    g_assert_no_error(error);
    anchors->done = true;
}

static bool
has_anchors(Rig *rig, const void *user_data)
{
    return ((const Anchors *)user_data)->done;
}

static guint
publish_timedate(Rig *rig, gboolean *synchronized)
{
    static const GDBusInterfaceVTable vtable = { .get_property = get_synchronized };
    g_autoptr(GDBusNodeInfo) info = g_dbus_node_info_new_for_xml(
        "<node><interface name='org.freedesktop.timedate1'>"
        "<property name='NTPSynchronized' type='b' access='read'/></interface></node>",
        NULL);
    g_autoptr(GError) error = NULL;
    (void)g_dbus_connection_register_object(rig->bus,
                                            "/org/freedesktop/timedate1",
                                            info->interfaces[0],
                                            &vtable,
                                            synchronized,
                                            NULL,
                                            &error);

    g_assert_no_error(error);
    return g_bus_own_name_on_connection(
        rig->bus, "org.freedesktop.timedate1", G_BUS_NAME_OWNER_FLAGS_NONE, NULL, NULL, NULL, NULL);
}

/* An anchor per link with an honest error; the pen's clock is set by a good one only. */
static void
test_clock(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=2");
    gboolean synchronized = TRUE;
    Anchors anchors = { 0 };

    g_assert_false(pd_time_sync_is_synced(rig->time_sync));
    const guint name = publish_timedate(rig, &synchronized);
    rig_idle(rig, 200);
    pd_time_sync_free(rig->time_sync);
    rig->time_sync = pd_time_sync_new(rig->bus);
    rig_wait(rig, is_synced, NULL, 5000, "timedate1's answer");
    rig_start_manager(rig, NULL);
    pd_pen_manager_set_watched(rig->manager, true);
    enroll_all(rig, 1);
    rig_wait(rig, has_clock_set, NULL, 20000, "the pen's clock_set record");
    rig_idle(rig, 1000); /* more than the commit window */
    pd_store_get_anchors_async(
        rig->store, rig_get_truth(rig, "PT-0001", "log_id"), NULL, on_anchors, &anchors);
    rig_wait(rig, has_anchors, &anchors, 5000, "the anchors");
    g_assert_cmpuint(anchors.anchors->len, >=, 1);
    const PenAnchor *anchor = &g_array_index(anchors.anchors, PenAnchor, 0);
    g_assert_true(anchor->wall_synced);
    g_assert_cmpuint(anchor->error_us, >=, 100);
    g_assert_cmpuint(anchor->error_us, <, 500000);
    g_assert_cmpint(ABS(g_get_real_time() - anchor->wall_us), <, 20000000);
    g_array_unref(anchors.anchors);
    g_bus_unown_name(name);
}

/* While the daemon is away the pen runs out of room: a loss, and named as one (F5). */
static void
test_overwritten(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=8 --passes=8 --capacity=60");
    PdPenStatus status;

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_state, "live", 20000, "a session to begin");
    rig_stop_manager(rig);
    rig_wait(rig, is_over, NULL, 50000, "the treatment to end");
    rig_start_manager(rig, NULL);
    rig_wait(rig, is_linked, NULL, 10000, "the pen to be linked again");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    const uint64_t n_lost = rig_get_truth(rig, "PT-0001", "overwritten_unmarked");
    g_assert_cmpuint(n_lost, >, 0);
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_assert_cmpuint(status.overwritten, ==, n_lost);
    rig_idle(rig, 1000);
    /* The first few are here: they were sent before the daemon left. */
    const uint32_t n_missing = rig_count_missing(rig, PD_CAUSE_OVERWRITTEN);
    g_assert_cmpuint(n_missing, >, 0);
    g_assert_cmpuint(n_missing, <=, n_lost);
    g_assert_cmpuint(rig_count_missing(rig, PD_CAUSE_HELD_ELSEWHERE), ==, 0);
}

static bool
is_marked(Rig *rig, const void *user_data)
{
    return rig_get_truth(rig, "PT-0001", "marked") > 0;
}

static bool
has_dropped_marked(Rig *rig, const void *user_data)
{
    return rig_get_truth(rig, "PT-0001", "oldest") > 1;
}

/* One gateway marks what it has when the pen runs full; the next one knows whose it is. */
static void
test_hand_over(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=4 --passes=8 --capacity=80");

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_marked, NULL, 30000, "a mark in the middle of a session");
    g_assert_true(is_state(rig, "live"));
    check_marks(rig, "PT-0001");
    rig_stop_manager(rig);
    rig_wait(rig, has_dropped_marked, NULL, 20000, "the pen to reuse what was marked");
    rig_swap_store(rig);
    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    rig_idle(rig, 1000);
    g_assert_cmpuint(rig_count_missing(rig, PD_CAUSE_HELD_ELSEWHERE), >, 0);
}

/* F10: outside a window nothing is asked of a device without a bond; a read would bond it. */
static void
test_unbonded(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=2 --speed=8");

    rig_save_pen(rig, "PT-0001", "00:AA:01:00:00:00");
    rig_start_manager(rig, NULL);
    g_autofree char *serial = rig_enroll(rig, "PT-0002", NULL, 20, NULL);
    /* The window made bluetoothd show both, and the first would bond at a touch. */
    rig_wait(rig, is_state, "needs-enrol", 5000, "the missing bond to be named");
    rig_idle(rig, 3000);
    g_assert_cmpuint(rig_count(rig, "PT-0001 bonds"), ==, 0);
    g_assert_cmpuint(rig_count(rig, "PT-0001 linked"), ==, 0);
    enroll_all(rig, 1);
    rig_wait(rig, is_linked, NULL, 10000, "the pen to be linked");
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
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=4");
    Other other;

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_linked, NULL, 10000, "the pen to be linked");
    rig_stop_manager(rig);
    rig_idle(rig, 500);
    other_open(rig, &other);
    take_as_other(rig, &other);
    const uint32_t n_lost = rig_count(rig, "link lost");
    rig_start_manager(rig, NULL);
    rig_wait(rig, is_state, "in-use", 10000, "the other program to be named");
    rig_idle(rig, 1000);
    g_assert_cmpuint(rig_count(rig, "link lost"), ==, n_lost);
    rig_stop_manager(rig);
    rig_start_manager(rig, &by_signal);
    rig_wait(rig, is_linked, NULL, 10000, "the pen to be shared");
    rig_wait(rig, is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    g_object_unref(other.bus);
}

/* P24: nothing of the old bluetoothd is used with the new one, and nothing is lost. */
static void
test_restart(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=4 --passes=6");
    Other other;

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_state, "live", 20000, "a session to begin");
    other_open(rig, &other);
    g_variant_unref(call_name_as_other(rig,
                                       &other,
                                       "org.freedesktop.systemd1",
                                       "/org/freedesktop/systemd1",
                                       "org.freedesktop.systemd1.Manager",
                                       "RestartUnit",
                                       g_variant_new("(ss)", "bluetooth.service", "replace")));
    rig_wait(rig, is_state, "no-adapter", 5000, "bluetoothd's end to be seen");
    rig_wait(rig, is_linked, NULL, 15000, "the pen to be linked by the new one");
    rig_wait(rig, is_over, NULL, 50000, "the treatment to end");
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
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=4 --passes=6");
    Other other;

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_state, "live", 20000, "a session to begin");
    other_open(rig, &other);
    set_power(rig, &other, FALSE);
    rig_wait(rig, is_state, "no-adapter", 5000, "the adapter to be missed");
    set_power(rig, &other, TRUE);
    rig_wait(rig, is_linked, NULL, 15000, "the pen to be linked again");
    rig_wait(rig, is_over, NULL, 50000, "the treatment to end");
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
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=1 --disconnect-every=2000");
    Ended ended = { 0 };

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_linked, NULL, 10000, "the pen to be linked");
    pd_pen_manager_enroll_async(rig->manager, "PT-0009", NULL, 60, NULL, on_ended, &ended);
    const uint32_t wanted = count_event(rig, "up PT-0001;") + 2;
    rig_wait(rig, is_up_again, &wanted, 40000, "the pen to come back while the window scans");
    g_assert_false(ended.done);
    rig_stop_manager(rig);
    rig_wait(rig, is_ended, &ended, 1000, "the window to end");
    g_clear_error(&ended.error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* Pens that misbehave are warned of; that is no fault. */
    (void)g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/manager/stream", test_stream);
    g_test_add_func("/manager/losses", test_losses);
    g_test_add_func("/manager/holes", test_holes);
    g_test_add_func("/manager/reboots", test_reboots);
    g_test_add_func("/manager/bad-crc", test_bad_crc);
    g_test_add_func("/manager/small-mtu", test_small_mtu);
    g_test_add_func("/manager/away", test_away);
    g_test_add_func("/manager/debris", test_debris);
    g_test_add_func("/manager/forget", test_forget);
    g_test_add_func("/manager/refusals", test_refusals);
    g_test_add_func("/manager/double", test_double);
    g_test_add_func("/manager/endless", test_endless);
    g_test_add_func("/manager/unread", test_unread);
    g_test_add_func("/manager/window", test_window);
    g_test_add_func("/manager/adapters", test_adapters);
    g_test_add_func("/manager/clock", test_clock);
    g_test_add_func("/manager/overwritten", test_overwritten);
    g_test_add_func("/manager/hand-over", test_hand_over);
    g_test_add_func("/manager/unbonded", test_unbonded);
    g_test_add_func("/manager/in-use", test_in_use);
    g_test_add_func("/manager/scan-lets-in", test_scan_lets_in);
    g_test_add_func("/manager/restart", test_restart);
    g_test_add_func("/manager/power", test_power);
    return g_test_run();
}
