/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"

/* A pipe of Log1.StreamSession. */
typedef struct {
    int fd;      /* owned; -1 when closed */
    char *owner; /* owned; who writes into it */
} CtlStream;

/** Ask for the records of @id. Errors: printed, their code is returned. */
CtlExit ctl_stream_open(
    CtlStream *self_out, CtlRun *run, const char *doing, const char *id, const char *format);

void ctl_stream_clear(CtlStream *self);

/**
 * After the end of file: whether penteld itself ended it.
 *
 * A pipe ends in the same way when the writer is finished and when it is killed; a penteld
 * that still answers was not killed. Whether its name is still there does not tell: the bus
 * may see its end later than the reader of the pipe.
 */
bool ctl_stream_is_whole(const CtlStream *self, CtlRun *run);
