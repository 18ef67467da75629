/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * How a pen is found and bonded with: its advertisement while it is in range and not
 * linked, its adapter bondable in pairing mode only (so the kernel itself refuses with
 * "pairing not supported" outside it), and the agent that lets such a pairing through.
 */
#include "peripheral_internal.h"

#include <string.h>

#define ADVERT_IFACE     "org.bluez.LEAdvertisement1"
#define AGENT_IFACE      "org.bluez.Agent1"
#define PROPERTIES_IFACE "org.freedesktop.DBus.Properties"
#define AGENT_PATH       SIM_PERIPHERAL_ROOT "/agent"
#define AGENT_MANAGER    "org.bluez.AgentManager1"

static GVariant *
on_advert_get(GDBusConnection *connection,
              const char *sender,
              const char *path,
              const char *interface,
              const char *property,
              GError **error,
              gpointer user_data)
{
    const SimSite *self = user_data;
    if (g_str_equal(property, "Type")) {
        return g_variant_new_string("peripheral");
    }
    if (g_str_equal(property, "LocalName")) {
        return g_variant_new_string(sim_pen_get_name(self->pen));
    }
    if (g_str_equal(property, "Discoverable")) {
        return g_variant_new_boolean(TRUE);
    }
    const char *const uuids[] = { SIM_PERIPHERAL_SERVICE };
    return g_variant_new_strv(uuids, 1);
}

static void
on_advert_method(GDBusConnection *connection,
                 const char *sender,
                 const char *path,
                 const char *interface,
                 const char *method,
                 GVariant *args,
                 GDBusMethodInvocation *invocation,
                 gpointer user_data)
{
    SimSite *self = user_data;
    self->advertising = false; /* Release is its only method */
    g_dbus_method_invocation_return_value(invocation, NULL);
}

bool
sim_site_export_advert(SimSite *self, GError **error)
{
    static const GDBusInterfaceVTable vtable = {
        .method_call = on_advert_method,
        .get_property = on_advert_get,
    };
    self->registrations[1] =
        g_dbus_connection_register_object(self->peripheral->connection,
                                          self->advert,
                                          sim_peripheral_interface(self->peripheral, ADVERT_IFACE),
                                          &vtable,
                                          self,
                                          NULL,
                                          error);
    return self->registrations[1] != 0;
}

static void
on_advert_registered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    SimSite *self = user_data;
    if (sim_site_finish(self, source, result) == SIM_REPLY_OK) {
        self->advertising = true;
        sim_site_say(self, "advertises");
    }
}

static void
on_advert_gone(GObject *source, GAsyncResult *result, gpointer user_data)
{
    SimSite *self = user_data;
    if (sim_site_finish(self, source, result) != SIM_REPLY_GONE) {
        self->advertising = false;
    }
}

static void
on_pairable_set(GObject *source, GAsyncResult *result, gpointer user_data)
{
    SimSite *self = user_data;
    if (sim_site_finish(self, source, result) == SIM_REPLY_REFUSED) {
        self->pairable = -1;
    }
}

static void
set_pairable(SimSite *self, bool pairable)
{
    self->pairable = pairable ? 1 : 0;
    sim_site_say(self, pairable ? "can be bonded with" : "cannot be bonded with");
    sim_site_call(
        self,
        self->adapter,
        PROPERTIES_IFACE,
        "Set",
        g_variant_new("(ssv)", SIM_REAL_ADAPTER_IFACE, "Pairable", g_variant_new_boolean(pairable)),
        on_pairable_set);
}

void
sim_site_tune(SimSite *self, int64_t mono_us)
{
    const bool pairable = sim_pen_is_pairing(self->pen, mono_us);
    if (self->pairable != (pairable ? 1 : 0)) {
        set_pairable(self, pairable);
        return;
    }
    const bool wanted = sim_pen_is_reachable(self->pen, mono_us) && self->device == NULL;
    if (wanted && !self->advertising && self->has_adverts) {
        sim_site_call(self,
                      self->adapter,
                      SIM_ADVERT_MANAGER_IFACE,
                      "RegisterAdvertisement",
                      g_variant_new("(oa{sv})", self->advert, NULL),
                      on_advert_registered);
    } else if (!wanted && self->advertising) {
        sim_site_call(self,
                      self->adapter,
                      SIM_ADVERT_MANAGER_IFACE,
                      "UnregisterAdvertisement",
                      g_variant_new("(o)", self->advert),
                      on_advert_gone);
    }
}

/* Whether a pairing is with one of the pens, and with one that may pair now. */
static bool
may_pair(const SimPeripheral *self, const char *device)
{
    for (guint i = 0; i < self->sites->len; i++) {
        const SimSite *site = g_ptr_array_index(self->sites, i);
        const size_t n = strlen(site->adapter);
        if (strncmp(device, site->adapter, n) == 0 && device[n] == '/') {
            return sim_pen_is_pairing(site->pen, g_get_monotonic_time());
        }
    }
    return false;
}

static void
on_agent_method(GDBusConnection *connection,
                const char *sender,
                const char *path,
                const char *interface,
                const char *method,
                GVariant *args,
                GDBusMethodInvocation *invocation,
                gpointer user_data)
{
    const SimPeripheral *self = user_data;
    if (g_str_equal(method, "Release") || g_str_equal(method, "Cancel")) {
        g_dbus_method_invocation_return_value(invocation, NULL);
        return;
    }
    g_autoptr(GVariant) first = g_variant_get_child_value(args, 0);
    if (!may_pair(self, g_variant_get_string(first, NULL))) {
        g_dbus_method_invocation_return_dbus_error(
            invocation, "org.bluez.Error.Rejected", "no pen in pairing mode");
        return;
    }
    g_dbus_method_invocation_return_value(invocation, NULL);
}

bool
sim_agent_export(SimPeripheral *self, GError **error)
{
    static const GDBusInterfaceVTable vtable = { .method_call = on_agent_method };
    self->agent = g_dbus_connection_register_object(self->connection,
                                                    AGENT_PATH,
                                                    sim_peripheral_interface(self, AGENT_IFACE),
                                                    &vtable,
                                                    self,
                                                    NULL,
                                                    error);
    return self->agent != 0;
}

static void
call_agents(SimPeripheral *self, const char *method, GVariant *args)
{
    g_dbus_connection_call(self->connection,
                           "org.bluez",
                           "/org/bluez",
                           AGENT_MANAGER,
                           method,
                           args,
                           NULL,
                           G_DBUS_CALL_FLAGS_NO_AUTO_START,
                           -1,
                           self->cancellable,
                           NULL,
                           NULL);
}

/* The default one: bluetoothd asks no other about a pairing that comes from outside. */
void
sim_agent_register(SimPeripheral *self)
{
    call_agents(self, "RegisterAgent", g_variant_new("(os)", AGENT_PATH, "NoInputNoOutput"));
    call_agents(self, "RequestDefaultAgent", g_variant_new("(o)", AGENT_PATH));
}
