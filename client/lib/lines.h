/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Lines of a pipe, as they arrive, in constant memory. */
typedef struct {
    int fd;       /* borrowed */
    char *buffer; /* owned */
    size_t start; /* of what was not taken yet */
    size_t end;
} CliLines;

typedef enum {
    CLI_LINES_MORE = 0, /* bytes came: take lines */
    CLI_LINES_WAIT,     /* none now; only of a non-blocking pipe */
    CLI_LINES_END,      /* end of file after a whole line */
    CLI_LINES_CUT,      /* end of file inside a line */
    CLI_LINES_TOO_LONG, /* a line over 64 KiB */
    CLI_LINES_FAILED,   /* errno */
} CliLinesStatus;

void cli_lines_init(CliLines *self, int fd);
void cli_lines_clear(CliLines *self);

/** Read once. Take every line before the next read. */
CliLinesStatus cli_lines_read(CliLines *self);

/** Next whole line without its newline, NULL when there is none. Owns: until the next read; may be
 * changed. */
char *cli_lines_take(CliLines *self);
