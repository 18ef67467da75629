/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl forget: stops using a pen; says nothing when it went well.
 */
#include "ctl/command.h"
#include "ctl/run.h"
#include "lib/json.h"

static GVariant *
forget_arguments(const CtlArgs *args)
{
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);

    if (args->has[CTL_OPTION_FORCE]) {
        g_variant_dict_insert(&options, "force", "b", TRUE);
    }
    return g_variant_new("(s@a{sv})", args->operands[0], g_variant_dict_end(&options));
}

CtlExit
ctl_forget(CtlRun *run)
{
    g_autoptr(GVariant) reply = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    CliJson json = CLI_JSON_INIT(out);

    const CtlExit exit_code = ctl_run_call(run,
                                           "forget the pen",
                                           CLI_BUS_MANAGER1,
                                           "Forget",
                                           forget_arguments(&run->args),
                                           "()",
                                           &reply);
    if (exit_code != CTL_EXIT_OK || !run->is_json) {
        return exit_code;
    }
    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "serial", run->args.operands[0]);
    cli_json_close(&json, '}');
    g_string_append_c(out, '\n');
    return ctl_print(out, NULL);
}
