/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * polkit as far as a daemon sees it: CheckAuthorization with the same answer whoever asks
 * for whatever, or none at all, and Changed when the rules are new.
 */
#include "polkit.h"

#include "bus.h"

#define AUTHORITY_PATH  "/org/freedesktop/PolicyKit1/Authority"
#define AUTHORITY_IFACE "org.freedesktop.PolicyKit1.Authority"

struct SimPolkit {
    GDBusConnection *connection; /* ref */
    GDBusNodeInfo *info;         /* owned */
    GPtrArray *hanging;          /* owned; invocations that nobody answers */
    guint registration;
    SimPolkitAnswer answer;
};

static const char authority_xml[] = "<node><interface name='" AUTHORITY_IFACE "'>"
                                    "<method name='CheckAuthorization'>"
                                    "<arg type='(sa{sv})' name='subject' direction='in'/>"
                                    "<arg type='s' name='action_id' direction='in'/>"
                                    "<arg type='a{ss}' name='details' direction='in'/>"
                                    "<arg type='u' name='flags' direction='in'/>"
                                    "<arg type='s' name='cancellation_id' direction='in'/>"
                                    "<arg type='(bba{ss})' name='result' direction='out'/></method>"
                                    "<method name='CancelCheckAuthorization'>"
                                    "<arg type='s' name='cancellation_id' direction='in'/></method>"
                                    "<signal name='Changed'/>"
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
    const SimPolkit *self = user_data;
    if (!g_str_equal(method, "CheckAuthorization")) {
        g_dbus_method_invocation_return_value(invocation, NULL);
        return;
    }
    switch (self->answer) {
    case SIM_POLKIT_YES:
    case SIM_POLKIT_NO:
        g_dbus_method_invocation_return_value(
            invocation, g_variant_new("((bba{ss}))", self->answer == SIM_POLKIT_YES, FALSE, NULL));
        return;
    case SIM_POLKIT_HANG:
    case SIM_POLKIT_ABSENT:
        g_ptr_array_add(self->hanging, invocation);
        return;
    }
}

SimPolkit *
sim_polkit_new(GDBusConnection *connection, SimPolkitAnswer answer, GError **error)
{
    static const GDBusInterfaceVTable vtable = { .method_call = on_method };
    g_autoptr(SimPolkit) self = g_new0(SimPolkit, 1);
    self->connection = g_object_ref(connection);
    self->hanging = g_ptr_array_new_with_free_func(g_object_unref);
    self->answer = answer;
    self->info = g_dbus_node_info_new_for_xml(authority_xml, error);
    if (self->info == NULL) {
        return NULL;
    }
    self->registration = g_dbus_connection_register_object(
        connection, AUTHORITY_PATH, self->info->interfaces[0], &vtable, self, NULL, error);
    if (self->registration == 0 ||
        !sim_bus_own_name(connection, "org.freedesktop.PolicyKit1", error)) {
        return NULL;
    }
    return g_steal_pointer(&self);
}

void
sim_polkit_free(SimPolkit *self)
{
    if (self == NULL) {
        return;
    }
    if (self->registration != 0) {
        g_dbus_connection_unregister_object(self->connection, self->registration);
    }
    g_ptr_array_unref(self->hanging);
    g_clear_pointer(&self->info, g_dbus_node_info_unref);
    g_object_unref(self->connection);
    g_free(self);
}

void
sim_polkit_toggle(SimPolkit *self)
{
    self->answer = self->answer == SIM_POLKIT_YES ? SIM_POLKIT_NO : SIM_POLKIT_YES;
    g_dbus_connection_emit_signal(
        self->connection, NULL, AUTHORITY_PATH, AUTHORITY_IFACE, "Changed", NULL, NULL);
}
