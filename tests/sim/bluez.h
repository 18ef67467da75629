/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "options.h"
#include "pen.h"

#include <gio/gio.h>

#include <stdbool.h>

/* A simulated bluetoothd: it can be restarted, and then has forgotten all but bonds. */
typedef struct SimBluez SimBluez;

/**
 * Make a bluetoothd that is not running yet.
 *
 * @address: of the bus. @pens: SimPen.
 *
 * Owns: borrows @options and @pens for life.
 */
SimBluez *sim_bluez_new(const SimOptions *options, const char *address, GPtrArray *pens);
void sim_bluez_free(SimBluez *self);

/** Connect to the bus, export everything, own org.bluez. */
bool sim_bluez_start(SimBluez *self, GError **error);

/** End as a killed process does: no reply, no signal, every link falls. */
void sim_bluez_stop(SimBluez *self);

/** Stop, and start again after a moment. */
void sim_bluez_restart(SimBluez *self);

/** Let time pass. */
void sim_bluez_tick(SimBluez *self, int64_t mono_us);

/** Take an adapter away, or bring it back as hciN of @index. */
void sim_bluez_unplug(SimBluez *self, uint32_t adapter);
void sim_bluez_plug(SimBluez *self, uint32_t adapter, uint32_t index);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SimBluez, sim_bluez_free)
