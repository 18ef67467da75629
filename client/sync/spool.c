/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides when a file of the directory sink is whole: parts are durable at each flush, and a
 * set appears by one rename of its directory, so that nobody ever sees half of one.
 */
#include "sync/spool.h"

#include "lib/output.h"
#include "lib/sets.h"
#include "sync/error.h"
#include "sync/spool_torn.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN     ".open"
#define DAY_FILE "day"

#define DAY_LEN 10u /* 2026-11-24 */

typedef struct {
    char *name; /* owned */
    int fd;     /* owned */
    off_t size;
    off_t flushed; /* durable up to here */
} File;

struct SyncSpool {
    uint64_t size_max;
    char *directory;  /* owned */
    char *path;       /* owned; of the growing set */
    char *day;        /* owned; NULL while empty */
    GPtrArray *files; /* owned; File */
};

static void
file_free(gpointer data)
{
    File *self = data;

    if (self->fd >= 0) {
        close(self->fd);
    }
    g_free(self->name);
    g_free(self);
}

static bool
fail(const char *path, GError **error)
{
    const int number = errno;

    g_set_error(error,
                SYNC_ERROR,
                SYNC_ERROR_UNAVAILABLE,
                "%s: %s; see that the medium is there, writable and has room",
                path,
                g_strerror(number));
    return false;
}

static bool
sync_path(const char *path, GError **error)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool is_good = fd >= 0 && fsync(fd) == 0;

    if (!is_good) {
        fail(path, error);
    }
    if (fd >= 0) {
        close(fd);
    }
    return is_good;
}

/* A power cut leaves a torn end behind what was flushed. */
static bool
cut_torn_end(File *file, const char *path, GError **error)
{
    const off_t size = lseek(file->fd, 0, SEEK_END);
    const SyncSpoolForm form =
        g_str_has_suffix(file->name, ".pb") ? SYNC_SPOOL_DELIMITED : SYNC_SPOOL_LINES;

    if (size < 0 || !sync_spool_find_whole(file->fd, form, size, &file->size)) {
        return fail(path, error);
    }
    file->flushed = file->size;
    return file->size == size || ftruncate(file->fd, file->size) == 0 || fail(path, error);
}

static File *
open_file(SyncSpool *self, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(self->path, name, NULL);
    File *file = g_new0(File, 1);

    file->name = g_strdup(name);
    file->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (file->fd < 0 || !cut_torn_end(file, path, error) || !sync_path(self->path, error)) {
        if (file->fd < 0) {
            fail(path, error);
        }
        file_free(file);
        return NULL;
    }
    g_ptr_array_add(self->files, file);
    return file;
}

/* The set is of the day on which its first part came. */
static bool
begin_day(SyncSpool *self, GError **error)
{
    g_autofree char *path = g_build_filename(self->path, DAY_FILE, NULL);
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();

    if (self->day != NULL) {
        return true;
    }
    g_autofree char *day = g_date_time_format(now, "%Y-%m-%d");
    if (!g_file_set_contents_full(path,
                                  day,
                                  -1,
                                  G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                  0640,
                                  NULL)) {
        return fail(path, error);
    }
    self->day = g_steal_pointer(&day);
    return true;
}

static bool
is_part(const char *name)
{
    return g_str_has_suffix(name, ".pb") ||
           (g_str_has_suffix(name, ".ndjson") && !g_ascii_isupper(name[0]));
}

/* Its work is done when the set is sealed. */
static bool
is_work(const char *name)
{
    return g_str_has_prefix(name, SYNC_SPOOL_WORK);
}

/* What a kill left of sealing is made anew then, and must not be sealed beside it. */
static void
remove_rest(const SyncSpool *self, const char *name)
{
    g_autofree char *path = g_build_filename(self->path, name, NULL);

    if (strcmp(name, DAY_FILE) != 0) {
        g_unlink(path);
    }
}

static bool
open_files(SyncSpool *self, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(self->path, 0, NULL);
    g_autofree char *day_path = g_build_filename(self->path, DAY_FILE, NULL);
    const char *name = NULL;

    if (dir == NULL) {
        return fail(self->path, error);
    }
    while ((name = g_dir_read_name(dir)) != NULL) {
        if (!is_part(name)) {
            remove_rest(self, name);
        } else if (open_file(self, name, error) == NULL) {
            return false;
        }
    }
    g_file_get_contents(day_path, &self->day, NULL, NULL);
    if (self->day != NULL && strlen(self->day) != DAY_LEN) {
        g_clear_pointer(&self->day, g_free);
    }
    /* Cut off while it was being sealed. */
    return self->files->len == 0 || begin_day(self, error);
}

/* Name of the set that was sealed last, NULL when there is none. */
static char *
find_last(const SyncSpool *self)
{
    g_autoptr(GDir) dir = g_dir_open(self->directory, 0, NULL);
    g_autofree char *last = NULL;
    const char *name = NULL;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        if (cli_set_number(name) > 0 && cli_set_is_later(name, last)) {
            g_free(last);
            last = g_strdup(name);
        }
    }
    return g_steal_pointer(&last);
}

/* Of a set that was sealed, and then there was no time. */
static void
remove_left_work(const SyncSpool *self)
{
    g_autofree char *last = find_last(self);
    g_autofree char *path = last != NULL ? g_build_filename(self->directory, last, NULL) : NULL;
    g_autoptr(GDir) dir = path != NULL ? g_dir_open(path, 0, NULL) : NULL;
    const char *name = NULL;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        if (is_work(name) && is_part(name)) {
            g_autofree char *file = g_build_filename(path, name, NULL);
            g_unlink(file);
        }
    }
}

SyncSpool *
sync_spool_open(const char *directory, uint64_t size_max, GError **error)
{
    g_autoptr(SyncSpool) self = g_new0(SyncSpool, 1);

    self->size_max = size_max;
    self->directory = g_strdup(directory);
    self->path = g_build_filename(directory, OPEN, NULL);
    self->files = g_ptr_array_new_with_free_func(file_free);
    if (g_mkdir(self->path, 0750) != 0 && errno != EEXIST) {
        fail(self->path, error);
        return NULL;
    }
    if (!sync_path(directory, error) || !open_files(self, error)) {
        return NULL;
    }
    remove_left_work(self);
    return g_steal_pointer(&self);
}

void
sync_spool_free(SyncSpool *self)
{
    if (self == NULL) {
        return;
    }
    g_ptr_array_unref(self->files);
    g_free(self->directory);
    g_free(self->path);
    g_free(self->day);
    g_free(self);
}

static File *
look_up(const SyncSpool *self, const char *name)
{
    for (guint i = 0; i < self->files->len; i++) {
        File *file = self->files->pdata[i];
        if (strcmp(file->name, name) == 0) {
            return file;
        }
    }
    return NULL;
}

static File *
find_file(SyncSpool *self, const char *name, GError **error)
{
    File *file = look_up(self, name);

    return file != NULL ? file : open_file(self, name, error);
}

bool
sync_spool_append(
    SyncSpool *self, const char *name, const void *bytes, gsize n_bytes, GError **error)
{
    File *file = begin_day(self, error) ? find_file(self, name, error) : NULL;

    if (file == NULL) {
        return false;
    }
    errno = cli_output_write(file->fd, bytes, n_bytes);
    if (errno != 0) {
        fail(name, error);
        (void)!ftruncate(file->fd, file->size);
        return false;
    }
    file->size += (off_t)n_bytes;
    return true;
}

void
sync_spool_rewind(SyncSpool *self)
{
    for (guint i = 0; i < self->files->len; i++) {
        File *file = self->files->pdata[i];
        if (file->size != file->flushed && ftruncate(file->fd, file->flushed) == 0) {
            file->size = file->flushed;
        }
    }
}

bool
sync_spool_flush(SyncSpool *self, GError **error)
{
    for (guint i = 0; i < self->files->len; i++) {
        File *file = self->files->pdata[i];
        if (file->size == file->flushed) {
            continue;
        }
        if (fsync(file->fd) != 0) {
            return fail(file->name, error);
        }
        file->flushed = file->size;
    }
    return true;
}

uint64_t
sync_spool_get_size(const SyncSpool *self, const char *name)
{
    const File *file = look_up(self, name);

    return file != NULL ? (uint64_t)file->size : 0;
}

int
sync_spool_get_fd(const SyncSpool *self, const char *name)
{
    const File *file = look_up(self, name);

    return file != NULL ? file->fd : -1;
}

bool
sync_spool_empty(SyncSpool *self, const char *name, GError **error)
{
    File *file = look_up(self, name);

    if (file == NULL || file->size == 0) {
        return true;
    }
    if (ftruncate(file->fd, 0) != 0) {
        return fail(name, error);
    }
    file->size = 0;
    file->flushed = 0;
    return true;
}

/* Of what is to be sealed. */
static uint64_t
get_size(const SyncSpool *self)
{
    uint64_t size = 0;

    for (guint i = 0; i < self->files->len; i++) {
        const File *file = self->files->pdata[i];
        size += is_work(file->name) ? 0 : (uint64_t)file->size;
    }
    return size;
}

bool
sync_spool_is_full(const SyncSpool *self)
{
    return get_size(self) >= self->size_max;
}

const char *
sync_spool_get_day(const SyncSpool *self)
{
    return get_size(self) > 0 ? self->day : NULL;
}

/* SHA-256 in hexadecimal; NULL when it cannot be read. */
static char *
hash_file(const char *path, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    FILE *file = fopen(path, "rbe");
    guint8 buffer[16384];
    size_t n = 0;

    if (file == NULL) {
        fail(path, error);
        return NULL;
    }
    while ((n = fread(buffer, 1, sizeof buffer, file)) > 0) {
        g_checksum_update(sum, buffer, (gssize)n);
    }
    const bool is_good = ferror(file) == 0;
    (void)fclose(file);
    if (!is_good) {
        fail(path, error);
        return NULL;
    }
    return g_strdup(g_checksum_get_string(sum));
}

static bool
append_sum(const SyncSpool *self, GString *sums, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(self->path, name, NULL);
    g_autofree char *hash = hash_file(path, error);

    if (hash == NULL) {
        return false;
    }
    g_string_append_printf(sums, "%s  %s\n", hash, name);
    return true;
}

/* Name of the set, and of the one that was sealed last. */
static char *
choose_name(const SyncSpool *self, char **previous_out)
{
    g_autoptr(GDir) dir = g_dir_open(self->directory, 0, NULL);
    const char *name = NULL;
    guint64 number = 1;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        const guint64 n = cli_set_number(name);
        if (n >= number && g_str_has_prefix(name, self->day)) {
            number = n + 1;
        }
    }
    *previous_out = find_last(self);
    return g_strdup_printf("%s-%03" G_GUINT64_FORMAT, self->day, number);
}

static bool
write_whole(const SyncSpool *self, const char *name, const char *text, GError **error)
{
    g_autofree char *path = g_build_filename(self->path, name, NULL);

    return g_file_set_contents_full(path,
                                    text,
                                    -1,
                                    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                    0640,
                                    NULL) ||
           fail(path, error);
}

static bool
write_anchor(SyncSpool *self, const char *previous, const char *anchor, GError **error)
{
    g_autofree char *previous_hash = NULL;

    if (previous != NULL) {
        g_autofree char *path = g_build_filename(self->directory, previous, CLI_SET_SUMS, NULL);
        previous_hash = hash_file(path, NULL);
    }
    g_autofree char *text =
        g_strdup_printf("{%s,\"previous\":\"%s\",\"previous_sums_sha256\":\"%s\"}\n",
                        anchor,
                        previous != NULL ? previous : "",
                        previous_hash != NULL ? previous_hash : "");
    return write_whole(self, "anchor.json", text, error);
}

static bool
write_sums(SyncSpool *self, GError **error)
{
    g_autoptr(GString) sums = g_string_new(NULL);

    for (guint i = 0; i < self->files->len; i++) {
        const char *name = ((const File *)self->files->pdata[i])->name;
        if (!is_work(name) && !append_sum(self, sums, name, error)) {
            return false;
        }
    }
    return append_sum(self, sums, "anchor.json", error) &&
           write_whole(self, CLI_SET_SUMS, sums->str, error);
}

/* Only now: until the rename it was needed to seal again after a kill. */
static void
remove_work(const SyncSpool *self, const char *final)
{
    for (guint i = 0; i < self->files->len; i++) {
        const File *file = self->files->pdata[i];
        if (is_work(file->name)) {
            g_autofree char *path = g_build_filename(final, file->name, NULL);
            g_unlink(path);
        }
    }
}

bool
sync_spool_seal(SyncSpool *self, const char *anchor, GError **error)
{
    g_autofree char *previous = NULL;
    g_autofree char *day_path = g_build_filename(self->path, DAY_FILE, NULL);

    if (sync_spool_get_day(self) == NULL) {
        return true;
    }
    g_autofree char *name = choose_name(self, &previous);
    g_autofree char *final = g_build_filename(self->directory, name, NULL);
    if (!sync_spool_flush(self, error) || !write_anchor(self, previous, anchor, error) ||
        !write_sums(self, error)) {
        return false;
    }
    if (g_unlink(day_path) != 0 && errno != ENOENT) {
        return fail(day_path, error);
    }
    if (!sync_path(self->path, error)) {
        return false;
    }
    if (g_rename(self->path, final) != 0) {
        return fail(final, error);
    }
    remove_work(self, final);
    g_ptr_array_set_size(self->files, 0);
    g_clear_pointer(&self->day, g_free);
    if (g_mkdir(self->path, 0750) != 0) {
        return fail(self->path, error);
    }
    return sync_path(self->directory, error);
}
