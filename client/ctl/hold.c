/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl hold: keeps a session from being erased, or lets it go again.
 */
#include "ctl/command.h"
#include "ctl/run.h"

CtlExit
ctl_hold(CtlRun *run)
{
    const char *id = run->args.operands[0];
    const bool release = run->args.has[CTL_OPTION_RELEASE];
    const char *reason =
        run->args.has[CTL_OPTION_REASON] ? run->args.values[CTL_OPTION_REASON] : "";

    if (!release && reason[0] == '\0') {
        return ctl_fail(CTL_EXIT_USAGE, "a hold needs a reason; add --reason TEXT");
    }
    return ctl_run_say(run,
                       release ? "release the session" : "hold the session",
                       "Hold",
                       id,
                       g_variant_new("(ssb)", id, reason, release));
}
