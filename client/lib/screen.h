/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <termios.h>

/* A terminal taken over for a while: the other screen, no cursor, keys as they are hit. */
typedef struct {
    int out_fd;
    int in_fd; /* -1 when the input is no terminal */
    struct termios saved;
    bool is_taken;
} CliScreen;

/** Take the terminal over. @in_fd: for keys; may be no terminal. */
void cli_screen_enter(CliScreen *self, int out_fd, int in_fd);

/** Give it back as it was. Harmless when it is not taken. */
void cli_screen_leave(CliScreen *self);
