/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Takes a terminal over and gives it back. Keys that would stop or abort the program in
 * the meantime are switched off: it could not give the terminal back then.
 */
#include "lib/screen.h"

#include "lib/output.h"

#include <string.h>
#include <unistd.h>

static const char enter_text[] = "\033[?1049h\033[?25l\033[2J\033[H";
static const char leave_text[] = "\033[?25h\033[?1049l";

void
cli_screen_enter(CliScreen *self, int out_fd, int in_fd)
{
    *self = (CliScreen){ .out_fd = out_fd, .in_fd = -1 };
    if (isatty(in_fd) && tcgetattr(in_fd, &self->saved) == 0) {
        struct termios raw = self->saved;
        self->in_fd = in_fd;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        raw.c_cc[VSUSP] = _POSIX_VDISABLE;
        raw.c_cc[VQUIT] = _POSIX_VDISABLE;
        tcsetattr(in_fd, TCSANOW, &raw);
    }
    cli_output_write(out_fd, enter_text, strlen(enter_text));
    self->is_taken = true;
}

void
cli_screen_leave(CliScreen *self)
{
    if (!self->is_taken) {
        return;
    }
    cli_output_write(self->out_fd, leave_text, strlen(leave_text));
    if (self->in_fd >= 0) {
        tcsetattr(self->in_fd, TCSANOW, &self->saved);
    }
    self->is_taken = false;
}
