/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The machine's sleep (P27): links end and records are durable before the lock is given
 * back, nothing is tried until the wake, and nothing is lost by it.
 */
#include "fake-logind.h"
#include "scenario.h"

#include <signal.h>
#include <string.h>

#define LOGIND_GIVES_MS 5000 /* InhibitDelayMaxSec */

static bool
is_held(Rig *rig, const void *user_data)
{
    return fake_logind_is_held((FakeLogind *)(uintptr_t)user_data);
}

static bool
is_given_back(Rig *rig, const void *user_data)
{
    return !is_held(rig, user_data);
}

static bool
was_asked(Rig *rig, const void *user_data)
{
    return fake_logind_count_asked(user_data) > 0;
}

static uint32_t
count_durable(Rig *rig)
{
    PenRanges settled;

    pd_store_get_settled(rig->store, rig_get_truth(rig, "PT-0001", "log_id"), &settled);
    const uint32_t contiguous = pen_ranges_contiguous_from(&settled, 1);
    pen_ranges_clear(&settled);
    return contiguous;
}

static void
check_sleeping(Rig *rig)
{
    PdPenStatus status;

    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_assert_cmpstr(status.state, ==, "absent");
    g_assert_nonnull(strstr(status.reason, "going to sleep"));
    g_assert_nonnull(strstr(status.reason, "when it wakes"));
}

static void
end_treatment(Rig *rig)
{
    rig_wait(rig, scenario_is_linked, NULL, 15000, "the pen to be linked after the wake");
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
}

static void
test_sleep(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=4 --passes=6");
    FakeLogind *logind = fake_logind_new(rig->address, false);
    g_autoptr(GError) error = NULL;

    rig_slow_store(rig, 10000);
    rig_start_manager(rig, NULL);
    rig_wait(rig, is_held, logind, 5000, "the lock to be taken");
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_state, "live", 20000, "a session to begin");
    rig_idle(rig, 1000);
    fake_logind_prepare(logind, true);
    rig_wait(rig, is_given_back, logind, LOGIND_GIVES_MS, "the lock to be given back");
    g_assert_cmpuint(rig->n_records, >, 0);
    g_assert_cmpuint(count_durable(rig), >=, rig->n_records);
    check_sleeping(rig);
    /* Adapters that come and go on the way into sleep tempt nobody. */
    g_subprocess_send_signal(rig->sim, SIGHUP);
    rig_idle(rig, 700);
    g_subprocess_send_signal(rig->sim, SIGHUP);
    rig_idle(rig, 2000);
    check_sleeping(rig);
    g_assert_null(rig_enroll(rig, "", NULL, 5, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_BUSY);
    fake_logind_prepare(logind, false);
    rig_wait(rig, is_held, logind, 5000, "the lock to be taken again");
    end_treatment(rig);
    fake_logind_free(logind);
}

typedef struct {
    bool done;
    GError *error;
} Ended;

static void
on_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Ended *ended = user_data;

    g_free(pd_pen_manager_enroll_finish(NULL, result, &ended->error));
    ended->done = true;
}

static bool
is_ended(Rig *rig, const void *user_data)
{
    return ((const Ended *)user_data)->done;
}

/* An open window ends with words that say why, and the lock is given back all the same. */
static void
test_window(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=4");
    FakeLogind *logind = fake_logind_new(rig->address, false);
    Ended ended = { 0 };

    rig_start_manager(rig, NULL);
    rig_wait(rig, is_held, logind, 5000, "the lock to be taken");
    scenario_enroll(rig, 1);
    pd_pen_manager_enroll_async(rig->manager, "PT-0009", NULL, 60, NULL, on_ended, &ended);
    rig_idle(rig, 1500);
    g_assert_false(ended.done);
    fake_logind_prepare(logind, true);
    rig_wait(rig, is_ended, &ended, 1000, "the window to end");
    g_assert_error(ended.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_nonnull(strstr(ended.error->message, "goes to sleep"));
    rig_wait(rig, is_given_back, logind, LOGIND_GIVES_MS, "the lock to be given back");
    fake_logind_prepare(logind, false);
    end_treatment(rig);
    g_clear_error(&ended.error);
    fake_logind_free(logind);
}

/* Where the lock is refused, and where logind ends before it says that the machine woke. */
static void
test_refused(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=4");
    FakeLogind *logind = fake_logind_new(rig->address, true);

    rig_start_manager(rig, NULL);
    rig_wait(rig, was_asked, logind, 5000, "a lock to be asked for");
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_linked, NULL, 15000, "the pen to be linked");
    fake_logind_prepare(logind, true);
    rig_wait(rig, scenario_is_state, "absent", 3000, "the pen to be let go");
    check_sleeping(rig);
    fake_logind_free(logind);
    end_treatment(rig);
    logind = fake_logind_new(rig->address, false);
    rig_wait(rig, is_held, logind, 5000, "the lock of a logind that came back");
    rig_stop_manager(rig);
    rig_wait(rig, is_given_back, logind, 2000, "the lock to end with its holder");
    fake_logind_free(logind);
}

/* One that never answered, and another that takes its place: that one's lock counts. */
static void
test_replaced(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=4");
    FakeLogind *mute = fake_logind_new(rig->address, false);

    fake_logind_stall(mute);
    rig_start_manager(rig, NULL);
    rig_wait(rig, was_asked, mute, 5000, "a lock to be asked for");
    FakeLogind *logind = fake_logind_new(rig->address, false);
    rig_wait(rig, is_held, logind, 3000, "the lock of the one that took its place");
    fake_logind_free(mute);
    rig_idle(rig, 500);
    g_assert_true(fake_logind_is_held(logind));
    rig_stop_manager(rig);
    rig_wait(rig, is_given_back, logind, 2000, "the lock to end with its holder");
    fake_logind_free(logind);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    (void)g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/manager/sleep", test_sleep);
    g_test_add_func("/manager/sleep-window", test_window);
    g_test_add_func("/manager/sleep-refused", test_refused);
    g_test_add_func("/manager/sleep-replaced", test_replaced);
    return g_test_run();
}
