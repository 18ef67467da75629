/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides how a file comes to its name: written beside it, synced, renamed, the directory
 * synced. A thread of its own waits for the signals that end a program, so that nothing
 * is left behind whatever the others are doing.
 */
#include "lib/file.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Outlives the file: the thread waits for ever. */
typedef struct {
    GMutex lock;
    char *path; /* owned; what to remove, NULL when there is nothing */
    sigset_t signals;
} Guard;

struct CliFile {
    char *path;      /* owned; the name it will have, symbolic links followed */
    char *temporary; /* owned; NULL when written to as it is */
    int fd;
    Guard *guard; /* shared with the thread; NULL when written to as it is */
};

static void
set_errno(GError **error, const char *what, const char *path, int number)
{
    g_autofree char *shown = g_filename_display_name(path);

    g_set_error(error,
                G_FILE_ERROR,
                (gint)g_file_error_from_errno(number),
                "%s %s: %s",
                what,
                shown,
                g_strerror(number));
}

/* Ends the program as the signal would have, after removing the half file. */
static gpointer
wait_for_signal(gpointer data)
{
    Guard *guard = data;
    int number = 0;

    if (sigwait(&guard->signals, &number) != 0) {
        return NULL;
    }
    g_mutex_lock(&guard->lock);
    if (guard->path != NULL) {
        unlink(guard->path);
    }
    (void)signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &guard->signals, NULL);
    kill(getpid(), number);
    return NULL;
}

static Guard *
guard_new(const char *path)
{
    Guard *guard = g_new0(Guard, 1);

    g_mutex_init(&guard->lock);
    guard->path = g_strdup(path);
    sigemptyset(&guard->signals);
    sigaddset(&guard->signals, SIGINT);
    sigaddset(&guard->signals, SIGTERM);
    sigaddset(&guard->signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &guard->signals, NULL);
    g_thread_unref(g_thread_new("signals", wait_for_signal, guard));
    return guard;
}

static bool
open_as_it_is(CliFile *self, GError **error)
{
    self->fd = open(self->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (self->fd < 0) {
        set_errno(error, "opening", self->path, errno);
        return false;
    }
    return true;
}

static bool
open_beside(CliFile *self, mode_t mode, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(self->path);
    g_autofree char *name = g_path_get_basename(self->path);
    g_autofree char *temporary = g_strdup_printf("%s/.%.200s.XXXXXX", folder, name);

    self->fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0600);
    if (self->fd < 0) {
        set_errno(error, "writing beside", self->path, errno);
        return false;
    }
    self->temporary = g_steal_pointer(&temporary);
    self->guard = guard_new(self->temporary);
    if (fchmod(self->fd, mode) != 0) {
        set_errno(error, "giving its permissions to", self->path, errno);
        return false;
    }
    return true;
}

/* From here on the signal thread has nothing to remove. */
static void
disarm(CliFile *self)
{
    if (self->guard == NULL) {
        return;
    }
    g_mutex_lock(&self->guard->lock);
    g_clear_pointer(&self->guard->path, g_free);
    g_mutex_unlock(&self->guard->lock);
}

static void
clear(CliFile *self)
{
    if (self->fd >= 0) {
        close(self->fd);
    }
    if (self->temporary != NULL) {
        unlink(self->temporary);
    }
    disarm(self);
    g_free(self->temporary);
    g_free(self->path);
}

CliFile *
cli_file_new(const char *path, GError **error)
{
    CliFile draft = { .fd = -1 };
    char *real = realpath(path, NULL);
    struct stat info = { .st_mode = S_IFREG | 0600 };

    draft.path = g_strdup(real != NULL ? real : path);
    free(real);
    if (stat(draft.path, &info) != 0 && errno != ENOENT) {
        set_errno(error, "writing", path, errno);
    } else if (S_ISDIR(info.st_mode)) {
        set_errno(error, "writing", path, EISDIR);
    } else if (S_ISREG(info.st_mode) ? open_beside(&draft, info.st_mode & 0777, error)
                                     : open_as_it_is(&draft, error)) {
        return g_memdup2(&draft, sizeof draft);
    }
    clear(&draft);
    return NULL;
}

void
cli_file_free(CliFile *self)
{
    if (self == NULL) {
        return;
    }
    clear(self);
    g_free(self);
}

int
cli_file_get_fd(const CliFile *self)
{
    return self->fd;
}

static bool
sync_folder(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_synced = fd >= 0 && fsync(fd) == 0;

    if (!is_synced) {
        set_errno(error, "syncing", folder, errno);
    }
    if (fd >= 0) {
        close(fd);
    }
    return is_synced;
}

bool
cli_file_commit(CliFile *self, GError **error)
{
    if (self->temporary == NULL) {
        return true;
    }
    if (fsync(self->fd) != 0) {
        set_errno(error, "syncing", self->path, errno);
        return false;
    }
    if (g_rename(self->temporary, self->path) != 0) {
        set_errno(error, "naming", self->path, errno);
        return false;
    }
    disarm(self);
    g_clear_pointer(&self->temporary, g_free);
    return sync_folder(self->path, error);
}
