/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/live.h"
#include "lib/term.h"

/**
 * Append one frame: at most the terminal's rows and columns, over what stood there.
 *
 * @clock: the time of day to show. @notice: NULL, or what is the matter.
 */
void ctl_live_draw(
    const CtlLive *self, const CliTerm *term, const char *clock, const char *notice, GString *out);
