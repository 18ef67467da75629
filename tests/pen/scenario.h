/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "rig.h"

/* What the scenarios share. */

#define SCENARIO_USUAL                                                                             \
    "--pairing=-1 --wait-for-bond --passes=3 --absent-ms=300 --absent-connect-ms=3000 "

/** pensim's treatments are over. */
bool scenario_is_over(Rig *rig, const void *user_data);
/** PT-0001 is in the state that @user_data names. */
bool scenario_is_state(Rig *rig, const void *user_data);
/** PT-0001 streams. */
bool scenario_is_linked(Rig *rig, const void *user_data);
/** Enrol PT-0001 and on, @n_pens of them. */
void scenario_enroll(Rig *rig, guint n_pens);
