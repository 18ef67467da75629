/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"

/**
 * Append the chart of depth over time of @session to @out, as wide as the output.
 *
 * Reads the samples as a stream: constant memory. Errors: printed, their code is returned.
 */
CtlExit ctl_show_chart(CtlRun *run, GVariant *session, GString *out);
