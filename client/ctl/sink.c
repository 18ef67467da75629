/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The near end of an export: blocks of output, and progress on a terminal once it has
 * taken more than a second.
 */
#include "ctl/sink.h"

#include "lib/output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES       65536
#define PROGRESS_AFTER_US 1000000
#define PROGRESS_EVERY_US 200000

void
ctl_sink_init(CtlSink *self, int fd)
{
    *self = (CtlSink){
        .fd = fd,
        .pending = g_string_sized_new(BLOCK_BYTES + 4096),
        .start_us = g_get_monotonic_time(),
        .has_progress = isatty(STDERR_FILENO),
    };
}

void
ctl_sink_clear(CtlSink *self)
{
    if (self->pending != NULL) {
        g_string_free(self->pending, TRUE);
    }
    self->pending = NULL;
}

static void
flush(CtlSink *self)
{
    if (self->error == 0) {
        self->error = cli_output_write(self->fd, self->pending->str, self->pending->len);
        self->n_bytes += self->error == 0 ? self->pending->len : 0;
    }
    g_string_truncate(self->pending, 0);
}

static void
show_progress(CtlSink *self)
{
    const int64_t mono_us = g_get_monotonic_time();

    if (!self->has_progress || mono_us - self->start_us < PROGRESS_AFTER_US ||
        mono_us - self->shown_us < PROGRESS_EVERY_US) {
        return;
    }
    g_autofree char *size = g_format_size(self->n_bytes);
    fprintf(stderr, "\r%u sessions, %s \033[K", self->n_sessions, size);
    self->shown_us = mono_us;
}

bool
ctl_sink_poll(CtlSink *self)
{
    if (self->pending->len >= BLOCK_BYTES) {
        flush(self);
        show_progress(self);
    }
    return self->error == 0;
}

bool
ctl_sink_finish(CtlSink *self)
{
    flush(self);
    if (self->shown_us != 0) {
        fprintf(stderr, "\r\033[K");
        self->shown_us = 0;
    }
    return self->error == 0;
}

void
ctl_csv_append(GString *out, const char *text)
{
    if (text == NULL) {
        return;
    }
    if (strpbrk(text, ",\"\r\n") == NULL) {
        g_string_append(out, text);
        return;
    }
    g_string_append_c(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            g_string_append_c(out, '"');
        }
        g_string_append_c(out, *text);
    }
    g_string_append_c(out, '"');
}
