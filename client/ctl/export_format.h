/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"
#include "ctl/sink.h"

/* One way to write a session. */
typedef struct {
    const char *name;
    const char *header; /* first line, NULL when there is none */
    /** Write one session. Errors: printed, their code is returned; a sink's failure is in it. */
    CtlExit (*write)(CtlRun *run, CtlSink *sink, const char *id);
} CtlFormat;

/** Format by its name, NULL when there is none. Owns: static. */
const CtlFormat *ctl_format_find(const char *name);
