/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"

/* A pipe of Log1.StreamSession. */
typedef struct {
    int fd; /* owned; -1 when closed */
} CtlStream;

/** Ask for the records of @id. Errors: printed, their code is returned. */
CtlExit ctl_stream_open(
    CtlStream *self_out, CtlRun *run, const char *doing, const char *id, const char *format);

void ctl_stream_clear(CtlStream *self);

/**
 * Whether this is the last line of a "jsonl" stream.
 *
 * A pipe ends in the same way when its writer is finished, when it is killed and when it
 * broke off; only after this line nothing is missing.
 */
bool ctl_stream_is_end(const char *line);
