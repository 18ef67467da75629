/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/* What the other end of an output can show. */
typedef struct {
    int fd;
    bool is_terminal;
    bool has_colour; /* a terminal, and neither NO_COLOR nor TERM=dumb */
    bool has_utf8;   /* by the locale */
    bool has_cursor; /* may be redrawn: a terminal that is not dumb */
    int n_columns;
    int n_rows;
} CliTerm;

typedef enum {
    CLI_COLOUR_NONE = 0,
    CLI_COLOUR_BOLD,
    CLI_COLOUR_DIM,
    CLI_COLOUR_GOOD,
    CLI_COLOUR_WARNING,
    CLI_COLOUR_BAD,
} CliColour;

/** Ask what @fd is: a size unknown is 80x24, COLUMNS counts when it is no terminal. */
CliTerm cli_term_probe(int fd);

/** Ask for the size again, after SIGWINCH. */
void cli_term_update_size(CliTerm *self);

/** Sequence that begins a colour, "" without colours; CLI_COLOUR_NONE ends one. Owns: static. */
const char *cli_term_colour(const CliTerm *self, CliColour colour);
