/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what may be sent to an output: colours, characters beyond ASCII, how wide.
 */
#include "lib/term.h"

#include <glib.h>

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_COLUMNS 80
#define DEFAULT_ROWS    24
#define COLUMNS_MIN     20
#define COLUMNS_MAX     1000

static int
columns_from_environment(void)
{
    const char *text = getenv("COLUMNS");
    guint64 value = 0;

    if (text == NULL ||
        !g_ascii_string_to_unsigned(text, 10, COLUMNS_MIN, COLUMNS_MAX, &value, NULL)) {
        return DEFAULT_COLUMNS;
    }
    return (int)value;
}

void
cli_term_update_size(CliTerm *self)
{
    struct winsize size = { 0 };

    self->n_columns = self->is_terminal ? DEFAULT_COLUMNS : columns_from_environment();
    self->n_rows = DEFAULT_ROWS;
    if (self->is_terminal && ioctl(self->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        self->n_columns = CLAMP(size.ws_col, COLUMNS_MIN, COLUMNS_MAX);
        self->n_rows = size.ws_row > 0 ? size.ws_row : DEFAULT_ROWS;
    }
}

CliTerm
cli_term_probe(int fd)
{
    const char *term = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR");
    const bool is_dumb = term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0;
    CliTerm self = { .fd = fd, .is_terminal = isatty(fd) };

    self.has_utf8 = g_get_charset(NULL);
    self.has_cursor = self.is_terminal && !is_dumb;
    self.has_colour = self.has_cursor && (no_colour == NULL || no_colour[0] == '\0');
    cli_term_update_size(&self);
    return self;
}

const char *
cli_term_colour(const CliTerm *self, CliColour colour)
{
    if (!self->has_colour) {
        return "";
    }
    switch (colour) {
    case CLI_COLOUR_NONE:
        return "\033[0m";
    case CLI_COLOUR_BOLD:
        return "\033[1m";
    case CLI_COLOUR_DIM:
        return "\033[2m";
    case CLI_COLOUR_GOOD:
        return "\033[32m";
    case CLI_COLOUR_WARNING:
        return "\033[33m";
    case CLI_COLOUR_BAD:
        return "\033[31m";
    }
    return "";
}
