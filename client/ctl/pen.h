/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "lib/json.h"
#include "lib/term.h"

/* A pen as Manager1.ListPens gives it: the properties of Pen1 in a dictionary. */

/** Append the pen as an object of the JSON that pentelctl(1) describes. */
void ctl_pen_append_json(CliJson *json, const char *key, GVariant *pen);

/** What of the pen needs a person, NULL when nothing does. Owns: the caller's. */
char *ctl_pen_dup_trouble(GVariant *pen);

/** Whether nothing is recorded from this pen until somebody acts. */
bool ctl_pen_is_stopped(GVariant *pen);

/** Whether there is a link to the pen now. */
bool ctl_pen_is_linked(GVariant *pen);

/** Percent, or -1 when unknown. */
int ctl_pen_get_battery(GVariant *pen);

/** Colour of the pen's state. */
CliColour ctl_pen_get_colour(GVariant *pen);

/** What to do about the pen's trouble, NULL when its reason says it. Owns: the caller's. */
char *ctl_pen_dup_advice(GVariant *pen);
