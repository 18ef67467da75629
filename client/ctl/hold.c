/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl hold: keeps a session from being erased, or lets it go again.
 */
#include "ctl/command.h"
#include "ctl/run.h"
#include "lib/json.h"

static CtlExit
print_json(const char *id, GVariant *reply)
{
    g_autoptr(GString) out = g_string_new(NULL);
    CliJson json = CLI_JSON_INIT(out);
    guint64 seq = 0;

    g_variant_get(reply, "(t)", &seq);
    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "id", id);
    cli_json_uint(&json, "seq", seq);
    cli_json_close(&json, '}');
    g_string_append_c(out, '\n');
    return ctl_print(out, NULL);
}

CtlExit
ctl_hold(CtlRun *run)
{
    g_autoptr(GVariant) reply = NULL;
    const char *id = run->args.operands[0];
    const bool release = run->args.has[CTL_OPTION_RELEASE];
    const char *reason =
        run->args.has[CTL_OPTION_REASON] ? run->args.values[CTL_OPTION_REASON] : "";

    if (!release && reason[0] == '\0') {
        return ctl_fail(CTL_EXIT_USAGE, "a hold needs a reason; add --reason TEXT");
    }
    const CtlExit exit_code = ctl_run_call(run,
                                           release ? "release the session" : "hold the session",
                                           CLI_BUS_LOG1,
                                           "Hold",
                                           g_variant_new("(ssb)", id, reason, release),
                                           "(t)",
                                           &reply);
    return exit_code == CTL_EXIT_OK && run->is_json ? print_json(id, reply) : exit_code;
}
