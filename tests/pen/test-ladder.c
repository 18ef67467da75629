/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Links that were there before us, and adapters that come back as others.
 */
#include "scenario.h"

#include <signal.h>
#include <string.h>

static GVariant *
call_device(Rig *rig, const char *interface, const char *method, GVariant *arguments)
{
    g_autofree char *address = rig_dup_truth(rig, "PT-0001", "address");
    g_autofree char *name = g_strdelimit(g_strdup(address), ":", '_');
    g_autofree char *path = g_strdup_printf("/org/bluez/hci0/dev_%s", name);
    g_autoptr(GError) error = NULL;
    GVariant *reply = g_dbus_connection_call_sync(rig->bus,
                                                  "org.bluez",
                                                  path,
                                                  interface,
                                                  method,
                                                  arguments,
                                                  NULL,
                                                  G_DBUS_CALL_FLAGS_NONE,
                                                  10000,
                                                  NULL,
                                                  &error);

    g_assert_no_error(error);
    return reply;
}

static bool
is_linked_in_bluez(Rig *rig, const void *user_data)
{
    g_autoptr(GVariant) reply =
        call_device(rig,
                    "org.freedesktop.DBus.Properties",
                    "Get",
                    g_variant_new("(ss)", "org.bluez.Device1", "Connected"));
    g_autoptr(GVariant) value = NULL;

    g_variant_get(reply, "(v)", &value);
    return g_variant_get_boolean(value) != FALSE;
}

static bool
is_unlinked_in_bluez(Rig *rig, const void *user_data)
{
    return !is_linked_in_bluez(rig, user_data);
}

/* P17: a link that somebody else made is used, and left up; one of ours is ended. */
static void
test_adopt(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=4 --sessions=3");

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the pen to be linked");
    rig_stop_manager(rig);
    rig_wait(rig, is_unlinked_in_bluez, NULL, 5000, "our link to end");
    g_variant_unref(call_device(rig, "org.bluez.Device1", "Connect", NULL));
    const uint32_t n_links = rig_count(rig, " Connect\n");
    rig_start_manager(rig, NULL);
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the link to be adopted");
    g_assert_cmpuint(rig_count(rig, " Connect\n"), ==, n_links);
    rig_stop_manager(rig);
    rig_idle(rig, 1000);
    g_assert_true(is_linked_in_bluez(rig, NULL));
}

static void
unplug_or_plug(Rig *rig)
{
    g_subprocess_send_signal(rig->sim, SIGHUP);
}

/* P22, P23: the same dongle as another hciN, in mid-session; nothing of the old name is used. */
static void
test_replug(void)
{
    g_autoptr(Rig) rig = rig_new(SCENARIO_USUAL "--pens=1 --speed=4 --passes=6");
    PdPenStatus status;

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_state, "live", 20000, "a session to begin");
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_autofree char *adapter = g_strdup(status.adapter);
    unplug_or_plug(rig);
    rig_wait(rig, scenario_is_state, "no-adapter", 5000, "the adapter to be missed");
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_assert_nonnull(strstr(status.reason, "as soon as"));
    unplug_or_plug(rig);
    rig_wait(rig, scenario_is_linked, NULL, 15000, "the pen to be linked again");
    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_assert_cmpstr(status.adapter, ==, adapter);
    g_assert_cmpuint(rig_count(rig, "/org/bluez/hci1/"), >, 0);
    rig_wait(rig, scenario_is_over, NULL, 50000, "the treatment to end");
    rig_wait(rig, rig_is_settled, NULL, 20000, "every number to be settled");
}

/* A lost link says why, and when the next try is. */
static bool
says_why(Rig *rig, const void *user_data)
{
    PdPenStatus status;

    return pd_pen_manager_get(rig->manager, "PT-0001", &status) &&
           strstr(status.reason, "the link was lost") != NULL &&
           (strstr(status.reason, "; tried again in ") != NULL ||
            strstr(status.reason, "as soon as it is heard") != NULL);
}

static void
test_reasons(void)
{
    g_autoptr(Rig) rig =
        rig_new(SCENARIO_USUAL "--pens=1 --speed=1 --disconnect-every=2500 --absent-ms=2000");

    rig_start_manager(rig, NULL);
    scenario_enroll(rig, 1);
    rig_wait(rig, scenario_is_linked, NULL, 10000, "the pen to be linked");
    rig_wait(rig, says_why, NULL, 20000, "the pen to say why it is away");
    rig_wait(rig, scenario_is_linked, NULL, 20000, "the pen to be linked again");
    g_assert_false(says_why(rig, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    (void)g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/manager/adopt", test_adopt);
    g_test_add_func("/manager/replug", test_replug);
    g_test_add_func("/manager/reasons", test_reasons);
    return g_test_run();
}
