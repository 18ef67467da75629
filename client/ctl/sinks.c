/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Which uploads run, by their names on the bus.
 */
#include "ctl/sinks.h"

#include "ctl/run.h"

#include <string.h>

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

CtlExit
ctl_sinks_list(CtlRun *run, GPtrArray *names_out)
{
    const CliBusTarget target = {
        "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ListNames"
    };
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) names = NULL;
    const CtlExit exit_code = ctl_run_open_bus(run, "ask the sinks");

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_autoptr(GVariant) reply =
        cli_bus_call_other(run->bus, &target, NULL, "(as)", CLI_BUS_TIMEOUT_MS, &error);
    if (reply == NULL) {
        return ctl_fail_error("ask the sinks", error);
    }
    g_variant_get(reply, "(^as)", &names);
    for (gsize i = 0; names[i] != NULL; i++) {
        if (g_str_has_prefix(names[i], CTL_SINKS_PREFIX)) {
            g_ptr_array_add(names_out, g_strdup(names[i]));
        }
    }
    g_ptr_array_sort(names_out, compare_names);
    return CTL_EXIT_OK;
}
