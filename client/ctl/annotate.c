/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl annotate: says something about a session; durable when it returns.
 */
#include "ctl/args.h"
#include "ctl/command.h"
#include "ctl/run.h"

#include <string.h>

#define TEXT_MAX_BYTES 1024
#define PASS_MAX       1000000

static const CtlOptionId texts[] = {
    CTL_OPTION_PATIENT,  CTL_OPTION_OPERATOR, CTL_OPTION_ZONE,  CTL_OPTION_NOTE,
    CTL_OPTION_REACTION, CTL_OPTION_ORDER,    CTL_OPTION_CLOSE,
};

/* Option names are the keys of Log1.Annotate. */
static CtlExit
collect(const CtlArgs *args, GVariantDict *fields)
{
    bool is_empty = true;

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        const char *name = ctl_option_get(texts[i])->name;
        const char *text = args->values[texts[i]];
        if (!args->has[texts[i]]) {
            continue;
        }
        if (strlen(text) > TEXT_MAX_BYTES) {
            return ctl_fail(
                CTL_EXIT_USAGE, "--%s takes at most %d bytes; shorten it", name, TEXT_MAX_BYTES);
        }
        g_variant_dict_insert(fields, name, "s", text);
        is_empty = false;
    }
    if (is_empty) {
        return ctl_fail(CTL_EXIT_USAGE,
                        "nothing to say; type for example: pentelctl annotate %s --zone cheek-left",
                        args->operands[0]);
    }
    return CTL_EXIT_OK;
}

static CtlExit
collect_pass(const CtlArgs *args, GVariantDict *fields)
{
    guint64 pass = 0;

    if (!args->has[CTL_OPTION_PASS]) {
        return CTL_EXIT_OK;
    }
    if (!args->has[CTL_OPTION_ZONE]) {
        return ctl_fail(CTL_EXIT_USAGE, "--pass needs the zone of that pass; add --zone TEXT");
    }
    if (!ctl_args_get_number(args, CTL_OPTION_PASS, 0, PASS_MAX, &pass)) {
        return CTL_EXIT_USAGE;
    }
    g_variant_dict_insert(fields, "pass", "u", (guint32)pass);
    return CTL_EXIT_OK;
}

CtlExit
ctl_annotate(CtlRun *run)
{
    g_auto(GVariantDict) fields = G_VARIANT_DICT_INIT(NULL);
    const char *id = run->args.operands[0];
    CtlExit exit_code = collect(&run->args, &fields);

    if (exit_code == CTL_EXIT_OK) {
        exit_code = collect_pass(&run->args, &fields);
    }
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    return ctl_run_say(run,
                       "annotate the session",
                       "Annotate",
                       id,
                       g_variant_new("(s@a{sv})", id, g_variant_dict_end(&fields)));
}
