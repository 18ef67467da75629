/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "options.h"

#include <gio/gio.h>

#include <stdbool.h>

/* The Authority of polkit, with one answer for everybody (F9). */
typedef struct SimPolkit SimPolkit;

/**
 * Own org.freedesktop.PolicyKit1 on @connection and answer.
 *
 * @answer: not SIM_POLKIT_ABSENT; who wants that makes no stub.
 *
 * Owns: refs @connection. Errors: of the registration; EXISTS when the name is taken.
 */
SimPolkit *sim_polkit_new(GDBusConnection *connection, SimPolkitAnswer answer, GError **error);
void sim_polkit_free(SimPolkit *self);

/** Turn yes into no and everything else into yes, and signal Changed. */
void sim_polkit_toggle(SimPolkit *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SimPolkit, sim_polkit_free)
