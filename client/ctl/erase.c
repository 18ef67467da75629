/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl erase: removes sessions for good. Exactly one of a session and a patient is
 * named, and why; what may still hold a copy is said.
 */
#include "ctl/command.h"
#include "ctl/run.h"
#include "lib/json.h"

static CtlExit
print_json(guint32 n_sessions, guint64 seq, const char *const *left)
{
    g_autoptr(GString) out = g_string_new(NULL);
    CliJson json = CLI_JSON_INIT(out);

    cli_json_open(&json, NULL, '{');
    cli_json_uint(&json, "sessions", n_sessions);
    cli_json_uint(&json, "seq", seq);
    cli_json_open(&json, "left", '[');
    for (gsize i = 0; left[i] != NULL; i++) {
        cli_json_text(&json, NULL, left[i]);
    }
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    g_string_append_c(out, '\n');
    return ctl_print(out, NULL);
}

static CtlExit
print_text(guint32 n_sessions, const char *const *left)
{
    g_autoptr(GString) out = g_string_new(NULL);

    g_string_append_printf(
        out, "%u %s erased\n", n_sessions, n_sessions == 1 ? "session is" : "sessions are");
    for (gsize i = 0; left[i] != NULL; i++) {
        g_string_append_printf(
            out, "may still hold a copy, delete it when it is not needed: %s\n", left[i]);
    }
    return ctl_print(out, NULL);
}

static CtlExit
check(const CtlArgs *args)
{
    const bool has_patient = args->has[CTL_OPTION_PATIENT];

    if ((args->n_operands > 0) == has_patient) {
        return ctl_fail(CTL_EXIT_USAGE, "name one session, or all of a patient with --patient");
    }
    if (!args->has[CTL_OPTION_REASON] || args->values[CTL_OPTION_REASON][0] == '\0') {
        return ctl_fail(CTL_EXIT_USAGE, "an erasure needs a reason; add --reason TEXT");
    }
    return CTL_EXIT_OK;
}

CtlExit
ctl_erase(CtlRun *run)
{
    const CtlArgs *args = &run->args;
    g_auto(GVariantDict) what = G_VARIANT_DICT_INIT(NULL);
    g_autoptr(GVariant) reply = NULL;
    g_autofree const char **left = NULL;
    guint32 n_sessions = 0;
    guint64 seq = 0;
    CtlExit exit_code = check(args);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    if (args->n_operands > 0) {
        g_variant_dict_insert(&what, "session", "s", args->operands[0]);
    } else {
        g_variant_dict_insert(&what, "patient", "s", args->values[CTL_OPTION_PATIENT]);
    }
    exit_code = ctl_run_call(
        run,
        "erase",
        CLI_BUS_LOG1,
        "Erase",
        g_variant_new("(@a{sv}s)", g_variant_dict_end(&what), args->values[CTL_OPTION_REASON]),
        "(utas)",
        &reply);
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_variant_get(reply, "(ut^a&s)", &n_sessions, &seq, &left);
    return run->is_json ? print_json(n_sessions, seq, left) : print_text(n_sessions, left);
}
