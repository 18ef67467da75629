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

static void
test_debris(void)
{
    g_autoptr(Rig) rig = rig_new(USUAL "--pens=1 --speed=8 --debris=40");

    rig_start_manager(rig, NULL);
    enroll_all(rig, 1);
    rig_wait(rig, is_linked, NULL, 50000, "the pen to be linked in the end");
    g_assert_cmpuint(rig_count(rig, "bluetoothd crashes"), ==, 0);
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
    g_autofree char *serial = rig_enroll(rig, "PT-0002", NULL, 10, &error);
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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
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
    return g_test_run();
}
