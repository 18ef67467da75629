/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A process that is killed, and what it had said until then.
 */
#include "rig.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

GByteArray *
rig_run_and_kill(void (*child)(gpointer data, int fd), gpointer data, uint32_t after_us)
{
    GByteArray *out = g_byte_array_new();
    uint8_t buffer[4096];
    ssize_t n = 0;
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    const pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        close(fds[0]);
        child(data, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    if (after_us == 0) {
        struct pollfd first = { .fd = fds[0], .events = POLLIN };
        (void)poll(&first, 1, 20000);
    } else {
        g_usleep(after_us);
    }
    kill(pid, SIGKILL);
    while ((n = read(fds[0], buffer, sizeof buffer)) > 0) {
        g_byte_array_append(out, buffer, (guint)n);
    }
    close(fds[0]);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    return out;
}
