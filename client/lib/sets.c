/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what in a directory is a sealed set. What it holds is a stranger's: no link is
 * followed, nothing but plain files is opened, and no more of them than a set can have.
 */
#include "lib/sets.h"

#include <gio/gio.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_LEN      10u /* 2026-11-24 */
#define N_DIGITS_MIN 3u
#define N_NAME_MAX   24u

/* Three centuries of a set a day. */
#define N_SETS_MAX 100000u

static bool
is_day(const char *name)
{
    for (guint i = 0; i < DAY_LEN; i++) {
        const bool is_dash = i == 4 || i == 7;
        if (is_dash ? name[i] != '-' : !g_ascii_isdigit(name[i])) {
            return false;
        }
    }
    return true;
}

uint64_t
cli_set_number(const char *name)
{
    guint64 number = 0;
    const gsize length = strlen(name);

    if (length < DAY_LEN + 1 + N_DIGITS_MIN || length > N_NAME_MAX || !is_day(name) ||
        name[DAY_LEN] != '-' ||
        !g_ascii_string_to_unsigned(name + DAY_LEN + 1, 10, 1, G_MAXUINT32, &number, NULL)) {
        return 0;
    }
    return number;
}

bool
cli_set_is_later(const char *name, const char *other)
{
    const int days = other != NULL ? strncmp(name, other, DAY_LEN) : 1;

    return days != 0 ? days > 0 : cli_set_number(name) > cli_set_number(other);
}

void
cli_set_file_free(CliSetFile *self)
{
    if (self != NULL) {
        close(self->fd);
        g_free(self->name);
        g_free(self);
    }
}

static void
close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void
free_file(gpointer data)
{
    cli_set_file_free(data);
}

CliSet *
cli_set_new(const char *name, const char *before, const char *after)
{
    CliSet *self = g_new0(CliSet, 1);

    *self = (CliSet){ .name = g_strdup(name),
                      .before = g_strdup(before),
                      .after = g_strdup(after),
                      .files = g_ptr_array_new_with_free_func(free_file),
                      .before_fd = -1,
                      .after_fd = -1,
                      .after_sums_fd = -1 };
    return self;
}

void
cli_set_add(CliSet *self, const char *name, int fd)
{
    CliSetFile *file = g_new0(CliSetFile, 1);

    *file = (CliSetFile){ .name = g_strdup(name), .fd = fd };
    g_ptr_array_add(self->files, file);
}

void
cli_set_free(CliSet *self)
{
    if (self == NULL) {
        return;
    }
    close_fd(self->before_fd);
    close_fd(self->after_fd);
    close_fd(self->after_sums_fd);
    g_ptr_array_unref(self->files);
    g_free(self->name);
    g_free(self->before);
    g_free(self->after);
    g_free(self);
}

int
cli_set_find(const CliSet *self, const char *name)
{
    for (guint i = 0; i < self->files->len; i++) {
        const CliSetFile *file = self->files->pdata[i];
        if (strcmp(file->name, name) == 0) {
            return file->fd;
        }
    }
    return -1;
}

void
cli_sets_free(CliSets *self)
{
    if (self == NULL) {
        return;
    }
    close_fd(self->fd);
    g_ptr_array_unref(self->names);
    g_free(self->path);
    g_free(self);
}

static bool
fail(GError **error, const char *path, const char *remedy)
{
    const int number = errno;

    g_set_error(error,
                G_IO_ERROR,
                (gint)g_io_error_from_errno(number),
                "%s: %s; %s",
                path,
                g_strerror(number),
                remedy);
    return false;
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    const char *first = *(const char *const *)a;
    const char *second = *(const char *const *)b;

    if (cli_set_is_later(first, second)) {
        return 1;
    }
    return cli_set_is_later(second, first) ? -1 : strcmp(first, second);
}

/* Its entries, read on a descriptor of their own. */
static DIR *
open_entries(int fd)
{
    const int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own >= 0 ? fdopendir(own) : NULL;

    if (dir == NULL && own >= 0) {
        close(own);
    }
    return dir;
}

static bool
list_names(CliSets *self, GError **error)
{
    DIR *dir = open_entries(self->fd);

    if (dir == NULL) {
        return fail(error, self->path, "see that you may read it");
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (cli_set_number(entry->d_name) > 0 && self->names->len < N_SETS_MAX) {
            g_ptr_array_add(self->names, g_strdup(entry->d_name));
        }
    }
    closedir(dir);
    g_ptr_array_sort(self->names, compare_names);
    return true;
}

CliSets *
cli_sets_open(const char *path, GError **error)
{
    g_autoptr(CliSets) self = g_new0(CliSets, 1);

    self->path = g_strdup(path);
    self->names = g_ptr_array_new_with_free_func(g_free);
    self->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->fd < 0) {
        fail(error, path, "give the directory that [directory] path= names, or its copy");
        return NULL;
    }
    if (!list_names(self, error)) {
        return NULL;
    }
    if (self->names->len == 0) {
        g_set_error(error,
                    G_IO_ERROR,
                    G_IO_ERROR_NOT_FOUND,
                    "%s holds no sealed sets, such as 2026-11-24-001; give the directory that "
                    "[directory] path= names, or its copy",
                    path);
        return NULL;
    }
    return g_steal_pointer(&self);
}

/* True unless it is there and cannot be had. */
static bool
open_file(int dir_fd, const char *set, const char *name, CliSet *into, GError **error)
{
    struct stat info;
    const int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0) {
        g_autofree char *path = g_build_filename(set, name, NULL);
        return fail(error, path, "see that you may read it, or copy the set again");
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        g_set_error(error,
                    G_IO_ERROR,
                    G_IO_ERROR_INVALID_DATA,
                    "%s/%s is no plain file, so this is no set of pentel-sync; take it away",
                    set,
                    name);
        return false;
    }
    cli_set_add(into, name, fd);
    return true;
}

static bool
open_files(int dir_fd, CliSet *set, GError **error)
{
    DIR *dir = open_entries(dir_fd);
    bool is_good = dir != NULL || fail(error, set->name, "see that you may read it");
    const struct dirent *entry = NULL;

    while (is_good && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (set->files->len == CLI_SET_FILES_MAX) {
            g_set_error(error,
                        G_IO_ERROR,
                        G_IO_ERROR_INVALID_DATA,
                        "%s holds more files than a set has; take away what does not belong there",
                        set->name);
            is_good = false;
        } else {
            is_good = open_file(dir_fd, set->name, entry->d_name, set, error);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return is_good;
}

/* -1 when it is not there: it is only for comparison. */
static int
open_beside(const CliSets *self, const char *set, const char *name)
{
    g_autofree char *path = set != NULL ? g_build_filename(set, name, NULL) : NULL;

    return path != NULL
               ? openat(self->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
               : -1;
}

CliSet *
cli_sets_open_set(const CliSets *self, guint index, GError **error)
{
    const char *name = self->names->pdata[index];
    const char *before = index > 0 ? self->names->pdata[index - 1] : NULL;
    const char *after = index + 1 < self->names->len ? self->names->pdata[index + 1] : NULL;
    const int fd = openat(self->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    g_autoptr(CliSet) set = cli_set_new(name, before, after);

    if (fd < 0) {
        fail(error, name, "see that it is a directory and that you may read it");
        return NULL;
    }
    set->before_fd = open_beside(self, before, CLI_SET_SUMS);
    set->after_fd = open_beside(self, after, CLI_SET_ANCHOR);
    set->after_sums_fd = open_beside(self, after, CLI_SET_SUMS);
    const bool is_good = open_files(fd, set, error);
    close(fd);
    return is_good ? g_steal_pointer(&set) : NULL;
}
