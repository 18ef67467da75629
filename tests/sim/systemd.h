/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "bluez.h"

#include <gio/gio.h>

/* systemd's Manager, as far as it restarts bluetooth.service. */
typedef struct SimSystemd SimSystemd;

/**
 * Own org.freedesktop.systemd1 on @connection.
 *
 * @bluez: what is restarted.
 *
 * Owns: refs @connection, borrows @bluez. Errors: as sim_polkit_new().
 */
SimSystemd *sim_systemd_new(GDBusConnection *connection, SimBluez *bluez, GError **error);
void sim_systemd_free(SimSystemd *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SimSystemd, sim_systemd_free)
