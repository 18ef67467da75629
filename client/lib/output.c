/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Writes until everything is written or a real error says why not.
 */
#include "lib/output.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

int
cli_output_write(int fd, const void *bytes, size_t n_bytes)
{
    const char *at = bytes;

    while (n_bytes > 0) {
        const ssize_t n_written = write(fd, at, n_bytes);
        if (n_written >= 0) {
            at += n_written;
            n_bytes -= (size_t)n_written;
            continue;
        }
        if (errno == EAGAIN) {
            struct pollfd wait = { .fd = fd, .events = POLLOUT };
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}
