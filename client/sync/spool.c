/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides when a file of the directory sink is whole: parts are durable at each flush, and a
 * set appears by one rename of its directory, so that nobody ever sees half of one.
 */
#include "sync/spool.h"

#include "lib/delimited.h"
#include "lib/output.h"
#include "lib/sets.h"
#include "sync/error.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN     ".open"
#define DAY_FILE "day"

#define WINDOW     65536
#define HEADER_MAX 5u /* bytes of a message's length */

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

/* A piece of a file: one of any size is looked through in constant memory. */
typedef struct {
    int fd; /* borrowed */
    off_t start;
    gsize n_bytes;
    uint8_t bytes[WINDOW];
} Window;

static bool
move_window(Window *self, off_t start)
{
    const ssize_t n = pread(self->fd, self->bytes, sizeof self->bytes, start);

    self->start = start;
    self->n_bytes = n > 0 ? (gsize)n : 0;
    return n >= 0;
}

/* Where the message at @at ends; @at when no whole one is there. */
static bool
skip_message(Window *window, off_t at, off_t size, off_t *end_out)
{
    const off_t offset = at - window->start;
    const bool is_seen = offset >= 0 && (gsize)offset + HEADER_MAX <= window->n_bytes;
    size_t n_header = 0;
    uint64_t length = 0;

    if (!is_seen && !move_window(window, at)) {
        return false;
    }
    const gsize skipped = (gsize)(at - window->start);
    const bool is_message = cli_delimited_read_length(window->bytes + skipped,
                                                      window->n_bytes - skipped,
                                                      &n_header,
                                                      &length) == CLI_DELIMITED_MESSAGE;
    const off_t end = at + (off_t)n_header + (off_t)length;
    *end_out = is_message && end <= size ? end : at;
    return true;
}

static bool
find_whole_messages(Window *window, off_t size, off_t *whole_out)
{
    off_t end = 0;

    if (!move_window(window, 0)) {
        return false;
    }
    do {
        *whole_out = end;
        if (!skip_message(window, *whole_out, size, &end)) {
            return false;
        }
    } while (end > *whole_out);
    return true;
}

/* From the end backwards: only the last line can be torn. */
static bool
find_whole_lines(Window *window, off_t size, off_t *whole_out)
{
    *whole_out = 0;
    for (off_t end = size; end > 0 && *whole_out == 0;) {
        const off_t start = MAX(end - WINDOW, 0);
        if (!move_window(window, start)) {
            return false;
        }
        const gsize n = MIN(window->n_bytes, (gsize)(end - start));
        const uint8_t *last = n > 0 ? memrchr(window->bytes, '\n', n) : NULL;
        *whole_out = last != NULL ? start + (off_t)(last - window->bytes) + 1 : 0;
        end = start;
    }
    return true;
}

/* A power cut leaves a torn end behind what was flushed. */
static bool
cut_torn_end(File *file, const char *path, GError **error)
{
    g_autofree Window *window = g_new0(Window, 1);
    const off_t size = lseek(file->fd, 0, SEEK_END);
    const bool is_messages = g_str_has_suffix(file->name, ".pb");

    window->fd = file->fd;
    if (size < 0 || !(is_messages ? find_whole_messages(window, size, &file->size)
                                  : find_whole_lines(window, size, &file->size))) {
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
    return g_str_has_suffix(name, ".pb") || g_str_has_suffix(name, ".ndjson");
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
find_file(SyncSpool *self, const char *name, GError **error)
{
    for (guint i = 0; i < self->files->len; i++) {
        File *file = self->files->pdata[i];
        if (strcmp(file->name, name) == 0) {
            return file;
        }
    }
    return open_file(self, name, error);
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
    for (guint i = 0; i < self->files->len; i++) {
        const File *file = self->files->pdata[i];
        if (strcmp(file->name, name) == 0) {
            return (uint64_t)file->size;
        }
    }
    return 0;
}

static uint64_t
get_size(const SyncSpool *self)
{
    uint64_t size = 0;

    for (guint i = 0; i < self->files->len; i++) {
        size += (uint64_t)((const File *)self->files->pdata[i])->size;
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
        if (n == 0) {
            continue;
        }
        if (cli_set_is_later(name, *previous_out)) {
            g_free(*previous_out);
            *previous_out = g_strdup(name);
        }
        if (g_str_has_prefix(name, self->day) && n >= number) {
            number = n + 1;
        }
    }
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
        if (!append_sum(self, sums, ((const File *)self->files->pdata[i])->name, error)) {
            return false;
        }
    }
    return append_sum(self, sums, "anchor.json", error) &&
           write_whole(self, CLI_SET_SUMS, sums->str, error);
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
    g_ptr_array_set_size(self->files, 0);
    g_clear_pointer(&self->day, g_free);
    if (g_mkdir(self->path, 0750) != 0) {
        return fail(self->path, error);
    }
    return sync_path(self->directory, error);
}
