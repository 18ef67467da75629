/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"

/** What a sink's name on the bus begins with; NAME follows. */
#define CTL_SINKS_PREFIX "org.pentel.Sync."

/** Bus names of the sinks that run, sorted. Errors: printed; the code for them is returned.
 * @names_out: owns its texts. */
CtlExit ctl_sinks_list(CtlRun *run, GPtrArray *names_out);
