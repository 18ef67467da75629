/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A bluetoothd that owns its name and answers nothing (P11): it is asked twice, named in
 * the pen's reason, and restarted once in two minutes. The bus connection of a bluetoothd
 * without a mind of its own swallows what comes in.
 */
#include "fake-bluez.h"
#include "org-bluez-info.h"
#include "scenario.h"

#include <string.h>

#define HCI     "/org/bluez/hci0"
#define DEVICE  HCI "/dev_pen"
#define ADAPTER "00:11:22:33:44:01"

typedef struct {
    GDBusConnection *bus;
    GDBusNodeInfo *info;
    guint n_restarts;
} FakeSystemd;

static const char systemd_xml[] =
    "<node><interface name='org.freedesktop.systemd1.Manager'><method name='RestartUnit'>"
    "<arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='o' direction='out'/>"
    "</method></interface></node>";

static void
on_method(GDBusConnection *bus,
          const char *sender,
          const char *path,
          const char *interface,
          const char *method,
          GVariant *args,
          GDBusMethodInvocation *invocation,
          gpointer user_data)
{
    FakeSystemd *self = user_data;

    self->n_restarts++;
    g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", "/job/1"));
}

/* On @bus, which is the fake bluetoothd's. */
static void
add_systemd(FakeSystemd *self, const char *address)
{
    static const GDBusInterfaceVTable vtable = { .method_call = on_method };
    g_autoptr(GError) error = NULL;

    self->bus =
        g_dbus_connection_new_for_address_sync(address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL,
                                               NULL,
                                               &error);
    g_assert_no_error(error);
    self->info = g_dbus_node_info_new_for_xml(systemd_xml, NULL);
    g_assert_cmpuint(g_dbus_connection_register_object(self->bus,
                                                       "/org/freedesktop/systemd1",
                                                       self->info->interfaces[0],
                                                       &vtable,
                                                       self,
                                                       NULL,
                                                       &error),
                     !=,
                     0);
    g_bus_own_name_on_connection(
        self->bus, "org.freedesktop.systemd1", G_BUS_NAME_OWNER_FLAGS_NONE, NULL, NULL, NULL, NULL);
}

static void
drop_systemd(FakeSystemd *self)
{
    (void)g_dbus_connection_close_sync(self->bus, NULL, NULL);
    g_object_unref(self->bus);
    g_dbus_node_info_unref(self->info);
}

typedef enum {
    TALKS = 0,
    MUTE,
    MUTE_TO_PINGS,
} Mood;

/* In GDBus's own thread. */
static GDBusMessage *
swallow(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer user_data)
{
    const gint mood = g_atomic_int_get((gint *)user_data);
    const bool is_call =
        g_dbus_message_get_message_type(message) == G_DBUS_MESSAGE_TYPE_METHOD_CALL;
    const bool is_ping = g_strcmp0(g_dbus_message_get_member(message), "Ping") == 0;

    if (incoming && is_call && (mood == MUTE || (mood == MUTE_TO_PINGS && is_ping))) {
        g_object_unref(message);
        return NULL;
    }
    return message;
}

static FakeBluez *
add_bonded_pen(Rig *rig, gint *mood)
{
    FakeBluez *fake = fake_bluez_new(rig->address);
    g_autofree char *address = rig_dup_truth(rig, "PT-0001", "address");
    g_autofree char *properties =
        g_strdup_printf("{'Address': <'%s'>, 'Connected': <false>, 'Paired': <true>, "
                        "'Bonded': <true>}",
                        address);

    g_dbus_connection_add_filter(fake->bus, swallow, mood, NULL);
    fake_bluez_answer(fake, "Connect", "org.freedesktop.DBus.Error.NoReply|no answer");
    fake_bluez_answer(fake, "Disconnect", "");
    fake_bluez_add(fake, "/org/bluez", &org_bluez_agent_manager1_interface, "{}");
    fake_bluez_add(fake,
                   HCI,
                   &org_bluez_adapter1_interface,
                   "{'Address': <'" ADAPTER "'>, 'Powered': <true>}");
    fake_bluez_add(fake, DEVICE, &org_bluez_device1_interface, properties);
    return fake;
}

static bool
has_restarted(Rig *rig, const void *user_data)
{
    return ((const FakeSystemd *)user_data)->n_restarts > 0;
}

static void
check_named(Rig *rig)
{
    PdPenStatus status;

    g_assert_true(pd_pen_manager_get(rig->manager, "PT-0001", &status));
    g_test_message("%s", status.reason);
    g_assert_nonnull(strstr(status.reason, "bluetoothd does not answer"));
    g_assert_nonnull(strstr(status.reason, "every 2 minutes"));
}

/* From the start on. */
static void
test_start(void)
{
    g_autoptr(Rig) rig = rig_new("--no-bluez --pens=1");
    FakeSystemd systemd = { 0 };
    gint mood = MUTE;
    FakeBluez *fake = add_bonded_pen(rig, &mood);

    add_systemd(&systemd, rig->address);
    rig_save_pen(rig, "PT-0001", ADAPTER);
    rig_start_manager(rig, NULL);
    rig_wait(rig, has_restarted, &systemd, 40000, "bluetoothd to be restarted");
    check_named(rig);
    rig_idle(rig, 16000);
    g_assert_cmpuint(systemd.n_restarts, ==, 1);
    g_atomic_int_set(&mood, TALKS);
    rig_wait(rig, scenario_is_state, "absent", 20000, "the pen to be called");
    rig_stop_manager(rig);
    fake_bluez_free(fake);
    drop_systemd(&systemd);
}

/* In the middle of it: a Connect without an answer makes us ask. */
static void
test_later(void)
{
    g_autoptr(Rig) rig = rig_new("--no-bluez --pens=1");
    FakeSystemd systemd = { 0 };
    gint mood = TALKS;
    FakeBluez *fake = add_bonded_pen(rig, &mood);

    add_systemd(&systemd, rig->address);
    rig_save_pen(rig, "PT-0001", ADAPTER);
    rig_start_manager(rig, NULL);
    rig_wait(rig, scenario_is_state, "absent", 5000, "the pen to be called");
    rig_idle(rig, 1000);
    g_assert_cmpuint(systemd.n_restarts, ==, 0); /* it does answer to a ping */
    g_atomic_int_set(&mood, MUTE_TO_PINGS);
    rig_wait(rig, has_restarted, &systemd, 40000, "bluetoothd to be restarted");
    g_atomic_int_set(&mood, TALKS);
    rig_stop_manager(rig);
    fake_bluez_free(fake);
    drop_systemd(&systemd);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    (void)g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/manager/mute-start", test_start);
    g_test_add_func("/manager/mute-later", test_later);
    return g_test_run();
}
