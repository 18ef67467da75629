/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "options.h"
#include "pen.h"

#include <gio/gio.h>

#include <stdbool.h>

/*
 * Pens as real BLE peripherals: each behind GattManager1 and LEAdvertisingManager1 of an
 * adapter of the real bluetoothd. It may come and go; the pens register again (F8, P24).
 */
typedef struct SimPeripheral SimPeripheral;

/**
 * Put the pens on the adapters that --peripheral names, in their order.
 *
 * @connection: to the bus of bluetoothd. @pens: SimPen.
 *
 * Owns: borrows @options and @pens for life.
 * Errors: G_OPTION_ERROR: fewer adapters than pens, or a name that is none.
 */
SimPeripheral *sim_peripheral_new(const SimOptions *options,
                                  GDBusConnection *connection,
                                  GPtrArray *pens,
                                  GError **error);
void sim_peripheral_free(SimPeripheral *self);

/** Let time pass: advertise, pair and register as the pens' state asks for. */
void sim_peripheral_tick(SimPeripheral *self, int64_t mono_us);

/** Every pen is registered with bluetoothd and can be found. */
bool sim_peripheral_is_ready(const SimPeripheral *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SimPeripheral, sim_peripheral_free)
