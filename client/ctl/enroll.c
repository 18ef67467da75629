/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl enroll: opens the window, then shows what was enrolled for comparison with the
 * label on the pen. Bonding is without a person's check, so the label is the check (F10).
 */
#include "ctl/args.h"
#include "ctl/command.h"
#include "ctl/pen.h"
#include "ctl/run.h"
#include "lib/dict.h"
#include "lib/text.h"

#include <stdio.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT_S 60
#define TIMEOUT_MAX_S     300
/* A pen found in the last second is still bonded, on every adapter. */
#define BONDING_S 60

static GVariant *
enroll_arguments(const CtlArgs *args, guint64 timeout_s)
{
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    const char *pen = args->n_operands > 0 ? args->operands[0] : "";

    g_variant_dict_insert(&options, "timeout_s", "u", (guint32)timeout_s);
    if (args->has[CTL_OPTION_ADAPTER]) {
        g_variant_dict_insert(&options, "adapter", "s", args->values[CTL_OPTION_ADAPTER]);
    }
    return g_variant_new("(s@a{sv})", pen, g_variant_dict_end(&options));
}

static void
say_waiting(const CtlArgs *args, guint64 timeout_s)
{
    if (!isatty(STDERR_FILENO)) {
        return;
    }
    g_autofree char *pen =
        cli_text_escape(args->n_operands > 0 ? args->operands[0] : "a pen", g_get_charset(NULL));
    fprintf(stderr, "Looking for %s in pairing mode, up to %u s ...\n", pen, (unsigned)timeout_s);
}

static CtlExit
print_pen(CtlRun *run, GVariant *pen)
{
    g_autoptr(GString) out = g_string_new(NULL);
    const char *serial = cli_dict_get_text(pen, "Serial");
    const char *address = cli_dict_get_text(pen, "Address");

    if (run->is_json) {
        CliJson json = CLI_JSON_INIT(out);
        ctl_pen_append_json(&json, NULL, pen);
        g_string_append_c(out, '\n');
        return ctl_print(out, NULL);
    }
    g_autofree char *shown_serial =
        cli_text_escape(serial != NULL ? serial : "unknown", run->out.has_utf8);
    g_autofree char *shown_address =
        cli_text_escape(address != NULL ? address : "unknown", run->out.has_utf8);
    g_string_append_printf(out,
                           "Enrolled.\n  serial   %s\n  address  %s\n"
                           "Compare both with the label on the pen. If they differ, type:\n"
                           "  pentelctl forget %s\n",
                           shown_serial,
                           shown_address,
                           shown_serial);
    return ctl_print(out, NULL);
}

static CtlExit
show_enrolled(CtlRun *run, GVariant *reply)
{
    g_autoptr(GError) error = NULL;
    const char *path = NULL;

    g_variant_get(reply, "(&o)", &path);
    const CliBusTarget target = { CLI_BUS_NAME, path, CLI_BUS_PROPERTIES, "GetAll" };
    g_autoptr(GVariant) properties = cli_bus_call_other(run->bus,
                                                        &target,
                                                        g_variant_new("(s)", CLI_BUS_PEN1),
                                                        "(a{sv})",
                                                        CLI_BUS_TIMEOUT_MS,
                                                        &error);
    if (properties == NULL) {
        return ctl_fail_error("show the pen just enrolled", error);
    }
    g_autoptr(GVariant) pen = g_variant_get_child_value(properties, 0);
    return print_pen(run, pen);
}

CtlExit
ctl_enroll(CtlRun *run)
{
    g_autoptr(GError) error = NULL;
    guint64 timeout_s = TIMEOUT_DEFAULT_S;

    if (!ctl_args_get_number(&run->args, CTL_OPTION_TIMEOUT, 1, TIMEOUT_MAX_S, &timeout_s)) {
        return CTL_EXIT_USAGE;
    }
    const CtlExit exit_code = ctl_run_open_bus(run, "enrol the pen");
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    say_waiting(&run->args, timeout_s);
    g_autoptr(GVariant) reply = cli_bus_call(run->bus,
                                             CLI_BUS_MANAGER1,
                                             "Enroll",
                                             enroll_arguments(&run->args, timeout_s),
                                             "(o)",
                                             (int)(timeout_s + BONDING_S) * 1000,
                                             &error);
    if (reply == NULL) {
        return ctl_fail_error("enrol the pen", error);
    }
    return show_enrolled(run, reply);
}
