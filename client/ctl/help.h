/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"

/** Append the help of the whole, or of one verb when @command is given. */
void ctl_help_append(GString *out, const CtlCommand *command);

/** "-o, --output FILE" without the letter when there is none. Owns: the caller's. */
char *ctl_help_dup_option(const CtlOption *option);
