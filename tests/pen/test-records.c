/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The supervisors against simulated pens on a private bus, with the real store: what a
 * pen recorded is here in the end, or its loss is named, whatever happened on the way.
 */
#include "scenario.h"

#include <string.h>

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
run_to_the_end(const char *options, guint n_pens)
{
    g_autoptr(Rig) rig = rig_new(options);

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, n_pens);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatments to end");
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
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=2 --speed=8");

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 2);
    rig_wait(rig, scenario_is_state, "live", 20000, "a session to be seen");
    pd_pen_manager_set_watched(rig->manager, true);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatments to end");
    rig_wait(rig, rig_is_settled, NULL, 10000, "every number to be settled");
    rig_wait(rig, is_all_marked, NULL, 10000, "the marks");
    check_marks(rig, "PT-0001");
    rig_wait(rig, scenario_is_state, "connected", 5000, "the session to be over");
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
    run_to_the_end(SCENARIO_USUAL "--pens=2 --speed=8 --drop=5 --bad-crc=1 --overtake=20 "
                                  "--disconnect-every=3000",
                   2);
}

static void
test_holes(void)
{
    run_to_the_end(SCENARIO_USUAL "--pens=1 --speed=8 --holes=3 --mtu=64 --drop=2", 1);
}

static void
test_reboots(void)
{
    run_to_the_end(SCENARIO_USUAL "--pens=1 --speed=8 --reboot-every=15000", 1);
}

static void
test_bad_crc(void)
{
    run_to_the_end(SCENARIO_USUAL "--pens=1 --speed=8 --hostile=crc", 1);
}

static void
test_small_mtu(void)
{
    run_to_the_end(SCENARIO_USUAL "--pens=1 --speed=8 --mtu=23 --drop=1", 1);
}

/* The daemon is away for a while: what it missed is fetched. */
static void
test_away(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=8");

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_state, "live", 20000, "a session to begin");
    rig_stop_manager(rig);
    rig_idle(rig, 3000);
    rig_start_manager(rig, NULL);
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the pen to be linked again");
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
}

static bool
is_live(Rig *rig, const void *user_data)
{
    return rig_is_state(rig, "PT-0001", "live");
}

static void
test_forget(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=8");
    g_autoptr(GError) error = NULL;

    rig_start_manager(rig, NULL);
    g_assert_false(rig_forget(rig, "PT-0001", false, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_NOT_FOUND);
    g_clear_error(&error);
    scenario_enroll(rig, 1);
    rig_wait(rig, is_live, NULL, 20000, "a session");
    g_assert_false(rig_forget(rig, "PT-0001", false, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_UNREAD_RECORDS);
    g_clear_error(&error);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    g_assert_true(rig_forget(rig, "PT-0001", false, &error));
    g_assert_no_error(error);
    g_autoptr(GPtrArray) serials = pd_pen_manager_list(rig->manager);
    g_assert_cmpuint(serials->len, ==, 0);
    g_assert_nonnull(strstr(rig->events->str, "removed PT-0001;"));
    /* Its bond is still there, so it is taken back without pairing mode. */
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the pen to be linked");
}

/* One pen sends what it likes; the other must not notice. */
static void
test_endless(void)
{
    g_autoptr(Rig) rig =
        rig_new(SCENARIO_USUAL "--pens=2 --speed=8 --hostile=endless --hostile-pen=2");
    PdPenStatus status;

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 2);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatments to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0002", &status));
    g_assert_cmpuint(status.n_malformed, >, 0);
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_assert_cmpuint(status.n_malformed, ==, 0);
}

/* Both look at the same counts, into which the writer may count between the two looks. */
static bool
is_counted_for(Rig *rig, const void *serial)
{
    PdPenStatus status;
    PdStoreHealth health;

    pd_store_get_health(rig->store, &health);
    pd_store_health_clear(&health);
    g_assert_true(pd_pen_manager_get(rig->manager, serial, &status));
    return health.n_conflicts > 0 && status.n_malformed == health.n_conflicts + health.n_bad;
}

/* Other bytes under a number that is stored: counted for the pen that sent them (F30). */
static void
test_contradicts(void)
{
    g_autoptr(Rig) rig =
        rig_new(SCENARIO_USUAL "--pens=2 --speed=8 --hostile=duplicate --hostile-pen=2");
    PdPenStatus status;

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 2);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatments to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    rig_wait(rig, is_counted_for, "PT-0002", 10000, "what contradicts to be counted for its pen");
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_assert_cmpuint(status.n_malformed, ==, 0);
}

/* F26: what only the pen has is not left behind without a word. */
static void
test_unread(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=8 --drop=40 --rate=3");
    g_autoptr(GError) error = NULL;

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    g_assert_false(rig_forget(rig, "PT-0001", false, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_UNREAD_RECORDS);
    g_test_message("%s", error->message);
    g_clear_error(&error);
    g_assert_true(rig_forget(rig, "PT-0001", true, &error));
    g_assert_no_error(error);
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
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=2");
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
    scenario_enroll(rig, 1);
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
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=8 --passes=8 --capacity=60");
    PdPenStatus status;

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_state, "live", 20000, "a session to begin");
    rig_stop_manager(rig);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    rig_start_manager(rig, NULL);
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the pen to be linked again");
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
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=4 --passes=8 --capacity=80");

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, is_marked, NULL, 30000, "a mark in the middle of a session");
    g_assert_true(scenario_is_state(rig, "live"));
    check_marks(rig, "PT-0001");
    rig_stop_manager(rig);
    rig_wait(rig, has_dropped_marked, NULL, 20000, "the pen to reuse what was marked");
    rig_swap_store(rig);
    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
    rig_idle(rig, 1000);
    g_assert_cmpuint(rig_count_missing(rig, PD_CAUSE_HELD_ELSEWHERE), >, 0);
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
    g_test_add_func("/manager/forget", test_forget);
    g_test_add_func("/manager/endless", test_endless);
    g_test_add_func("/manager/contradicts", test_contradicts);
    g_test_add_func("/manager/unread", test_unread);
    g_test_add_func("/manager/clock", test_clock);
    g_test_add_func("/manager/overwritten", test_overwritten);
    g_test_add_func("/manager/hand-over", test_hand_over);
    return g_test_run();
}
