/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A pen that forgot its bond, as bluetoothd of Debian 13 shows it: Connect succeeds,
 * Connected falls at once, and nothing else is said (F11). pensim keeps its bonds, so
 * a bluetoothd without a mind of its own stands here.
 */
#include "fake-bluez.h"
#include "org-bluez-info.h"
#include "scenario.h"

#include <string.h>

#define HCI     "/org/bluez/hci0"
#define DEVICE  HCI "/dev_pen"
#define ADAPTER "00:11:22:33:44:01"

static uint32_t
count_calls(const FakeBluez *fake, const char *call)
{
    uint32_t n = 0;

    for (const char *at = strstr(fake->calls->str, call); at != NULL; at = strstr(at + 1, call)) {
        n++;
    }
    return n;
}

static FakeBluez *
add_bonded_pen(Rig *rig)
{
    FakeBluez *fake = fake_bluez_new(rig->address);
    g_autofree char *address = rig_dup_truth(rig, "PT-0001", "address");
    g_autofree char *properties =
        g_strdup_printf("{'Address': <'%s'>, 'Connected': <false>, 'Paired': <true>, "
                        "'Bonded': <true>}",
                        address);
    static const char *const answers[] = { "Connect",         "Disconnect",    "RegisterAgent",
                                           "UnregisterAgent", "StopDiscovery", "SetDiscoveryFilter",
                                           "StartDiscovery" };

    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        fake_bluez_answer(fake, answers[i], "");
    }
    fake_bluez_add(fake, "/org/bluez", &org_bluez_agent_manager1_interface, "{}");
    fake_bluez_add(fake,
                   HCI,
                   &org_bluez_adapter1_interface,
                   "{'Address': <'" ADAPTER "'>, 'Powered': <true>}");
    fake_bluez_add(fake, DEVICE, &org_bluez_device1_interface, properties);
    return fake;
}

typedef struct {
    FakeBluez *fake;
    const char *call;
    uint32_t n;
} Wanted;

static bool
has_called(Rig *rig, const void *user_data)
{
    const Wanted *wanted = user_data;

    return count_calls(wanted->fake, wanted->call) >= wanted->n;
}

static void
test_lost_bond(void)
{
    g_autoptr(Rig) rig = rig_new("--no-bluez --pens=1");
    FakeBluez *fake = add_bonded_pen(rig);
    PdPenStatus status;
    g_autoptr(GError) error = NULL;

    rig_save_pen(rig, "PT-0001", ADAPTER);
    rig_start_manager(rig, NULL);
    /* Every Connect succeeds and the link is not there: the third says it. */
    rig_wait(rig, scenario_is_state, "needs-enrol", 10000, "the lost bond to be named");
    g_assert_cmpuint(count_calls(fake, "Connect "), ==, 3);
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_test_message("%s", status.reason);
    g_assert_nonnull(strstr(status.reason, "10 minutes"));
    g_assert_nonnull(strstr(status.reason, "; next in 1"));
    g_assert_nonnull(strstr(status.reason, " min, at "));
    rig_idle(rig, 2000);
    g_assert_cmpuint(count_calls(fake, "Connect "), ==, 3);
    /* Never by itself, only by an operator's command, and not at the first lost link. */
    g_assert_cmpuint(count_calls(fake, "RemoveDevice "), ==, 0);
    fake_bluez_answer(fake, "RemoveDevice", "");
    g_autofree char *serial = rig_enroll(rig, "PT-0001", NULL, 5, &error);
    g_assert_null(serial);
    g_assert_error(error, PD_ERROR, PD_ERROR_ENROLL_TIMEOUT);
    g_assert_cmpuint(count_calls(fake, "RemoveDevice "), >=, 1);
    g_assert_cmpuint(count_calls(fake, "Connect "), >=, 6);
    const Wanted stopped = { .fake = fake, .call = "UnregisterAgent ", .n = 1 };
    rig_wait(rig, has_called, &stopped, 2000, "the agent to go");
    rig_stop_manager(rig);
    fake_bluez_free(fake);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    (void)g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/manager/lost-bond", test_lost_bond);
    return g_test_run();
}
