/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>

/*
 * Objects on a bus with ObjectManager at "/", as bluetoothd has them: properties may be
 * absent, changes are signalled one by one and in order, never folded together.
 */
typedef struct SimBus SimBus;

/* A method was called. The callee answers @invocation, now, later or never; it owns a
 * reference that g_dbus_method_invocation_return_*() takes. */
typedef void (*SimBusMethod)(void *user_data,
                             const char *interface,
                             const char *method,
                             GVariant *args,
                             GDBusMethodInvocation *invocation);

/* A property was written; false refuses. */
typedef bool (*SimBusSetter)(void *user_data, const char *property, GVariant *value);

/** Owns: refs both. Errors: any of the registration at "/". */
SimBus *sim_bus_new(GDBusConnection *connection, GDBusNodeInfo *info, GError **error);
void sim_bus_free(SimBus *self);

/** Register an interface of the node info; silent until sim_bus_show(). */
void sim_bus_add(SimBus *self,
                 const char *path,
                 const char *interface,
                 SimBusMethod method,
                 SimBusSetter setter,
                 void *user_data);

/** Announce what was added at a path and not announced yet. */
void sim_bus_show(SimBus *self, const char *path);

/** Remove an interface (NULL: all) of a path, with a signal. */
void sim_bus_remove(SimBus *self, const char *path, const char *interface);

bool sim_bus_has(const SimBus *self, const char *path, const char *interface);

/**
 * Set a property; NULL takes it away. Signals when it was shown and is not equal.
 *
 * Owns: sinks a floating @value.
 */
void sim_bus_set(
    SimBus *self, const char *path, const char *interface, const char *property, GVariant *value);

/** As sim_bus_set(), but signals an equal value too: notifications. */
void sim_bus_emit(
    SimBus *self, const char *path, const char *interface, const char *property, GVariant *value);

/** Own a name or fail. Errors: EXISTS when it has another owner. */
bool sim_bus_own_name(GDBusConnection *connection, const char *name, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SimBus, sim_bus_free)
