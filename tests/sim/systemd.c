/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * RestartUnit of systemd, for the one unit that a gateway may have to restart (F1). No
 * job signals: the name owner of org.bluez tells what came of it.
 */
#include "systemd.h"

#include "bus.h"

struct SimSystemd {
    GDBusConnection *connection; /* ref */
    GDBusNodeInfo *info;         /* owned */
    SimBluez *bluez;             /* borrowed */
    guint registration;
};

static const char manager_xml[] = "<node><interface name='org.freedesktop.systemd1.Manager'>"
                                  "<method name='RestartUnit'>"
                                  "<arg type='s' name='name' direction='in'/>"
                                  "<arg type='s' name='mode' direction='in'/>"
                                  "<arg type='o' name='job' direction='out'/></method>"
                                  "</interface></node>";

static void
on_method(GDBusConnection *connection,
          const char *sender,
          const char *path,
          const char *interface,
          const char *method,
          GVariant *args,
          GDBusMethodInvocation *invocation,
          gpointer user_data)
{
    const SimSystemd *self = user_data;
    const char *unit = NULL;
    g_variant_get(args, "(&s&s)", &unit, NULL);
    if (!g_str_equal(unit, "bluetooth.service")) {
        g_dbus_method_invocation_return_dbus_error(
            invocation, "org.freedesktop.systemd1.NoSuchUnit", unit);
        return;
    }
    sim_bluez_restart(self->bluez);
    g_dbus_method_invocation_return_value(invocation,
                                          g_variant_new("(o)", "/org/freedesktop/systemd1/job/1"));
}

SimSystemd *
sim_systemd_new(GDBusConnection *connection, SimBluez *bluez, GError **error)
{
    static const GDBusInterfaceVTable vtable = { .method_call = on_method };
    g_autoptr(SimSystemd) self = g_new0(SimSystemd, 1);
    self->connection = g_object_ref(connection);
    self->bluez = bluez;
    self->info = g_dbus_node_info_new_for_xml(manager_xml, error);
    if (self->info == NULL) {
        return NULL;
    }
    self->registration = g_dbus_connection_register_object(connection,
                                                           "/org/freedesktop/systemd1",
                                                           self->info->interfaces[0],
                                                           &vtable,
                                                           self,
                                                           NULL,
                                                           error);
    if (self->registration == 0 ||
        !sim_bus_own_name(connection, "org.freedesktop.systemd1", error)) {
        return NULL;
    }
    return g_steal_pointer(&self);
}

void
sim_systemd_free(SimSystemd *self)
{
    if (self == NULL) {
        return;
    }
    if (self->registration != 0) {
        g_dbus_connection_unregister_object(self->connection, self->registration);
    }
    g_clear_pointer(&self->info, g_dbus_node_info_unref);
    g_object_unref(self->connection);
    g_free(self);
}
