/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Cuts a pipe into lines and notices an end inside one.
 */
#include "lib/lines.h"

#include <glib.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CAPACITY ((size_t)65536)

void
cli_lines_init(CliLines *self, int fd)
{
    *self = (CliLines){ .fd = fd, .buffer = g_malloc(CAPACITY) };
}

void
cli_lines_clear(CliLines *self)
{
    g_clear_pointer(&self->buffer, g_free);
}

CliLinesStatus
cli_lines_read(CliLines *self)
{
    if (self->start > 0) {
        memmove(self->buffer, self->buffer + self->start, self->end - self->start);
        self->end -= self->start;
        self->start = 0;
    }
    if (self->end == CAPACITY) {
        return CLI_LINES_TOO_LONG;
    }
    ssize_t n_read = 0;
    do {
        n_read = read(self->fd, self->buffer + self->end, CAPACITY - self->end);
    } while (n_read < 0 && errno == EINTR);
    if (n_read < 0) {
        return errno == EAGAIN ? CLI_LINES_WAIT : CLI_LINES_FAILED;
    }
    if (n_read == 0) {
        return self->end > 0 ? CLI_LINES_CUT : CLI_LINES_END;
    }
    self->end += (size_t)n_read;
    return CLI_LINES_MORE;
}

char *
cli_lines_take(CliLines *self)
{
    char *line = self->buffer + self->start;
    char *newline = memchr(line, '\n', self->end - self->start);

    if (newline == NULL) {
        return NULL;
    }
    *newline = '\0';
    self->start += (size_t)(newline - line) + 1;
    return line;
}
