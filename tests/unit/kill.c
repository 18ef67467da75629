/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A process that is killed, and what it had said until then; or at one of its steps, each of
 * which is something asked of the file system that others can see.
 */
#include "rig.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
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

/* Steps that are left; below 0: as many as there are. */
static atomic_int *
get_left(void)
{
    static atomic_int left = -1;

    return &left;
}

/* Names of steps, while somebody wants them. */
static GPtrArray **
get_names(void)
{
    static GPtrArray *names;

    return &names;
}

static void
name_step(const char *step, const char *path)
{
    if (*get_names() != NULL) {
        g_ptr_array_add(*get_names(), g_strconcat(step, " ", path, NULL));
    }
}

static void
name_sync(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *path = *get_names() != NULL ? g_file_read_link(link, NULL) : NULL;

    if (path != NULL) {
        name_step("sync", path);
    }
}

static void
count_step(void)
{
    if (atomic_load(get_left()) >= 0 && atomic_fetch_sub(get_left(), 1) == 0) {
        (void)kill(getpid(), SIGKILL);
    }
}

static void *
find_real(const char *name)
{
    void *real = dlsym(RTLD_NEXT, name);

    g_assert_nonnull(real);
    return real;
}

int
fsync(int fd)
{
    int (*const real)(int) = find_real("fsync");

    count_step();
    name_sync(fd);
    return real(fd);
}

int
fdatasync(int fd)
{
    int (*const real)(int) = find_real("fdatasync");

    count_step();
    return real(fd);
}

int
rename(const char *from, const char *to)
{
    int (*const real)(const char *, const char *) = find_real("rename");

    count_step();
    return real(from, to);
}

int
renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    int (*const real)(int, const char *, int, const char *, unsigned) = find_real("renameat2");

    count_step();
    name_step("exchange", to);
    return real(from_fd, from, to_fd, to, flags);
}

int
unlink(const char *path)
{
    int (*const real)(const char *) = find_real("unlink");

    count_step();
    return real(path);
}

int
mkdir(const char *path, mode_t mode)
{
    int (*const real)(const char *, mode_t) = find_real("mkdir");

    count_step();
    return real(path, mode);
}

int
rmdir(const char *path)
{
    int (*const real)(const char *) = find_real("rmdir");

    count_step();
    return real(path);
}

void
rig_name_steps(GPtrArray *names)
{
    *get_names() = names;
}

bool
rig_run_steps(void (*child)(gpointer data), gpointer data, uint32_t n_steps)
{
    int status = 0;
    const pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        /* What it says is nobody's to read. */
        g_assert_nonnull(freopen("/dev/null", "w", stdout));
        g_assert_nonnull(freopen("/dev/null", "w", stderr));
        atomic_store(get_left(), (int)n_steps);
        child(data);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    const bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    g_assert_true(is_killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return !is_killed;
}
