/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Conditions and steps that scenarios have in common.
 */
#include "scenario.h"

bool
scenario_is_over(Rig *rig, const void *user_data)
{
    return rig_said(rig, "DONE");
}

bool
scenario_is_state(Rig *rig, const void *user_data)
{
    return rig_is_state(rig, "PT-0001", user_data);
}

bool
scenario_is_linked(Rig *rig, const void *user_data)
{
    return rig_is_state(rig, "PT-0001", "live") || rig_is_state(rig, "PT-0001", "connected") ||
           rig_is_state(rig, "PT-0001", "backfill");
}

void
scenario_enroll(Rig *rig, guint n_pens)
{
    for (guint i = 1; i <= n_pens; i++) {
        g_autofree char *wanted = g_strdup_printf("PT-%04u", i);
        g_autofree char *serial = rig_enroll(rig, wanted, NULL, 30, NULL);
        g_assert_cmpstr(serial, ==, wanted);
    }
}
