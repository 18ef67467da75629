/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"

/**
 * pentelctl --generate WHAT, for the build and the completions: man, bash or zsh from the
 * command table; pens or sessions, a word a line, and nothing when penteld does not answer.
 */
CtlExit ctl_generate(CtlRun *run);

/** Append pentelctl(1). */
void ctl_generate_man(GString *out);

/** Append the completion for bash. */
void ctl_generate_bash(GString *out);

/** Append the completion for zsh. */
void ctl_generate_zsh(GString *out);
