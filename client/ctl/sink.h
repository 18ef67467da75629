/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>

/* Where an export goes to: collects, writes in blocks, remembers the first failure. */
typedef struct {
    int fd;            /* borrowed */
    GString *pending;  /* owned */
    guint64 n_bytes;   /* written */
    int error;         /* errno of the first failure, EPIPE when the reader left */
    guint n_sessions;  /* finished */
    int64_t start_us;  /* monotonic */
    int64_t shown_us;  /* monotonic, of the last progress line; 0 before the first */
    bool has_progress; /* standard error is a terminal */
} CtlSink;

void ctl_sink_init(CtlSink *self, int fd);
void ctl_sink_clear(CtlSink *self);

/** Write what is pending when it is much. Returns false once anything failed. */
bool ctl_sink_poll(CtlSink *self);

/** Write all that is pending, and take the progress line away. Returns as ctl_sink_poll(). */
bool ctl_sink_finish(CtlSink *self);

/** Append @text as a cell of CSV (RFC 4180); NULL is an empty cell. */
void ctl_csv_append(GString *out, const char *text);
