/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"
#include "ctl/sink.h"

/* Follows length-delimited messages without holding them. */
typedef struct {
    guint64 n_messages; /* whole ones */
    guint64 n_left;     /* bytes of the message that is under way */
    guint64 length;     /* of the length that is under way */
    guint shift;        /* bits of it that came; more than 0 inside a length */
    bool is_bad;        /* a length that cannot be */
} CtlDelimited;

/** Feed bytes of a length-delimited stream. */
void ctl_delimited_feed(CtlDelimited *self, const guint8 *bytes, gsize n_bytes);

/** True between two messages. */
bool ctl_delimited_is_whole(const CtlDelimited *self);

/**
 * Copy the raw records of @session, as many as it says are here.
 *
 * Errors: printed, their code is returned; a failure of the sink stays in it.
 */
CtlExit ctl_export_raw(CtlRun *run, CtlSink *sink, const char *id, GVariant *session);

/** Say that the stream of a session ended before its end. */
CtlExit ctl_export_fail_cut(const char *id);
