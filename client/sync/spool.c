/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides when a file of the directory sink is whole: parts are durable at each flush, and a
 * set appears by one rename of its directory, so that nobody ever sees half of one.
 */
#include "sync/spool.h"

#include "lib/delimited.h"
#include "lib/output.h"
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
#define SUMS     "SHA256SUMS"

typedef struct {
    char *name; /* owned */
    int fd;     /* owned */
    off_t size;
    off_t flushed; /* durable up to here */
} File;

struct SyncSpool {
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

static off_t
whole_messages(const uint8_t *bytes, gsize n_bytes)
{
    CliDelimited parts;
    const uint8_t *message = NULL;
    size_t n_message = 0;

    cli_delimited_init(&parts);
    cli_delimited_push(&parts, bytes, n_bytes);
    while (cli_delimited_take(&parts, &message, &n_message) == CLI_DELIMITED_MESSAGE) {
    }
    const off_t size = (off_t)parts.done;
    cli_delimited_clear(&parts);
    return size;
}

static off_t
whole_lines(const uint8_t *bytes, gsize n_bytes)
{
    const uint8_t *last = n_bytes > 0 ? memrchr(bytes, '\n', n_bytes) : NULL;

    return last != NULL ? (off_t)(last - bytes) + 1 : 0;
}

/* A power cut leaves a torn end behind what was flushed. */
static bool
cut_torn_end(File *file, const char *path, GError **error)
{
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    if (!g_file_get_contents(path, &bytes, &n_bytes, NULL)) {
        return fail(path, error);
    }
    file->size = g_str_has_suffix(file->name, ".pb")
                     ? whole_messages((const uint8_t *)bytes, n_bytes)
                     : whole_lines((const uint8_t *)bytes, n_bytes);
    file->flushed = file->size;
    return ((gsize)file->size == n_bytes || ftruncate(file->fd, file->size) == 0) ||
           fail(path, error);
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
    if (self->day != NULL && strlen(self->day) != strlen("2026-11-24")) {
        g_clear_pointer(&self->day, g_free);
    }
    /* Cut off while it was being sealed. */
    return self->files->len == 0 || begin_day(self, error);
}

SyncSpool *
sync_spool_open(const char *directory, GError **error)
{
    g_autoptr(SyncSpool) self = g_new0(SyncSpool, 1);

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
sync_spool_get_size(const SyncSpool *self)
{
    uint64_t size = 0;

    for (guint i = 0; i < self->files->len; i++) {
        size += (uint64_t)((const File *)self->files->pdata[i])->size;
    }
    return size;
}

const char *
sync_spool_get_day(const SyncSpool *self)
{
    return sync_spool_get_size(self) > 0 ? self->day : NULL;
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

/* Name of the set, and of the one that was sealed last: names sort by time. */
static char *
choose_name(const SyncSpool *self, char **previous_out)
{
    g_autoptr(GDir) dir = g_dir_open(self->directory, 0, NULL);
    const char *name = NULL;
    guint number = 1;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        guint64 n = 0;
        if (strlen(name) != strlen("2026-11-24-001") ||
            !g_ascii_string_to_unsigned(name + strlen("2026-11-24-"), 10, 0, 999, &n, NULL)) {
            continue;
        }
        if (g_strcmp0(name, *previous_out) > 0) {
            g_free(*previous_out);
            *previous_out = g_strdup(name);
        }
        if (g_str_has_prefix(name, self->day) && n >= number) {
            number = (guint)n + 1;
        }
    }
    return g_strdup_printf("%s-%03u", self->day, number);
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
        g_autofree char *path = g_build_filename(self->directory, previous, SUMS, NULL);
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
           write_whole(self, SUMS, sums->str, error);
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
    if ((g_unlink(day_path) != 0 && errno != ENOENT) || !sync_path(self->path, error)) {
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
