/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What a file system is asked for more than once: all of a write, and that it is on the disk.
 */
#include "util/files.h"

#include "util/error.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool
fail(GError **error, const char *path)
{
    g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", path, g_strerror(errno));
    return false;
}

bool
pd_write_all(int fd, const void *data, size_t n_data)
{
    const char *bytes = data;

    for (size_t at = 0; at < n_data;) {
        const ssize_t n = write(fd, bytes + at, n_data - at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

static bool
sync_fd(int fd)
{
    int done = -1;

    do {
        done = fsync(fd);
    } while (done != 0 && errno == EINTR);
    return done == 0;
}

static bool
sync_path(const char *path, int flags, bool (*sync)(int fd), GError **error)
{
    const int fd = g_open(path, O_RDONLY | O_CLOEXEC | flags);

    if (fd < 0) {
        return fail(error, path);
    }
    const bool ok = sync(fd) || fail(error, path);
    close(fd);
    return ok;
}

bool
pd_sync_file(const char *path, GError **error)
{
    return sync_path(path, 0, sync_fd, error);
}

/* Some file systems cannot and need not sync a directory. */
static bool
sync_names(int fd)
{
    return sync_fd(fd) || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

bool
pd_sync_directory(const char *path, GError **error)
{
    return sync_path(path, O_DIRECTORY, sync_names, error);
}
