/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * From a backup to files. Names and sizes come from outside: only what a backup can hold is
 * taken, and all of it must be what the manifest says.
 */
#include "store/backup.h"
#include "store/restore.h"
#include "store/tar.h"
#include "util/error.h"
#include "util/files.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST_MAX_BYTES (UINT64_C(64) << 20)

typedef struct {
    FILE *file;            /* owned */
    const char *directory; /* borrowed */
    GString *sums;         /* owned; the manifest as it must be */
    bool has_index;
    bool is_whole;
} Unpack;

static bool
refuse(GError **error, const char *what)
{
    g_set_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT, "no whole backup: %s", what);
    return false;
}

static bool
fail(GError **error, const char *what)
{
    g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", what, g_strerror(errno));
    return false;
}

/* index.db, or a plain name below raw. */
static bool
is_member(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

    if (strcmp(name, "index.db") == 0) {
        return true;
    }
    return g_str_has_prefix(name, "raw/") && g_str_has_suffix(name, ".seg") && name[4] != '.' &&
           strspn(name + 4, letters) == strlen(name + 4);
}

static bool
copy_bytes(Unpack *self, uint64_t size, int fd, GChecksum *sum, GError **error)
{
    uint8_t bytes[65536];

    while (size > 0) {
        const size_t n = fread(bytes, 1, MIN(size, sizeof bytes), self->file);
        if (n == 0) {
            return refuse(error, "it is cut short");
        }
        g_checksum_update(sum, bytes, (gssize)n);
        if (!pd_write_all(fd, bytes, n)) {
            return fail(error, self->directory);
        }
        size -= n;
    }
    return fsync(fd) == 0 || fail(error, self->directory);
}

static bool
skip_padding(Unpack *self, uint64_t size, GError **error)
{
    uint8_t padding[PD_TAR_BLOCK];
    const size_t n = pd_tar_padding(size);

    return fread(padding, 1, n, self->file) == n || refuse(error, "it is cut short");
}

static bool
take_file(Unpack *self, const char *name, uint64_t size, GError **error)
{
    g_autofree char *path = g_build_filename(self->directory, name, NULL);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    const int fd = g_open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        return fail(error, path);
    }
    const bool ok = copy_bytes(self, size, fd, sum, error);
    close(fd);
    g_string_append_printf(self->sums, "%s  %s\n", g_checksum_get_string(sum), name);
    self->has_index = self->has_index || strcmp(name, "index.db") == 0;
    return ok && skip_padding(self, size, error);
}

static bool
take_manifest(Unpack *self, uint64_t size, GError **error)
{
    if (size > MANIFEST_MAX_BYTES) {
        return refuse(error, "its manifest is too long");
    }
    g_autofree char *text = g_malloc0(size + 1);
    if (fread(text, 1, size, self->file) != size) {
        return refuse(error, "it is cut short");
    }
    if (!self->has_index) {
        return refuse(error, "it holds no index.db");
    }
    self->is_whole = strlen(text) == size && strcmp(text, self->sums->str) == 0;
    return self->is_whole || refuse(error, "it is not what its manifest says");
}

static bool
take_member(Unpack *self, GError **error)
{
    uint8_t header[PD_TAR_BLOCK];
    char name[PD_TAR_NAME_MAX];
    uint64_t size = 0;

    if (fread(header, 1, sizeof header, self->file) != sizeof header) {
        return refuse(error, "it is cut short");
    }
    if (!pd_tar_parse(header, name, &size)) {
        return refuse(error, "it is no archive, or is damaged");
    }
    if (strcmp(name, PD_BACKUP_MANIFEST) == 0) {
        return take_manifest(self, size, error);
    }
    return is_member(name) ? take_file(self, name, size, error)
                           : refuse(error, "it holds what no backup holds");
}

bool
pd_unpack_backup(const char *path, const char *directory, GError **error)
{
    Unpack self = { .file = g_fopen(path, "rbe"), .directory = directory };
    bool ok = true;

    if (self.file == NULL) {
        g_set_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT, "%s: %s", path, g_strerror(errno));
        return false;
    }
    self.sums = g_string_new(PD_BACKUP_MANIFEST_BEGIN);
    while (ok && !self.is_whole) {
        ok = take_member(&self, error);
    }
    g_string_free(self.sums, TRUE);
    (void)fclose(self.file);
    return ok;
}
