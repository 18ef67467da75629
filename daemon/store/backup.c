/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A backup while others write: index.db by VACUUM INTO, never in steps (F14); segments are
 * immutable, so a second link to each keeps it as it is until it was sent.
 */
#include "store/backup.h"

#include "store/tar.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES   65536u
#define TRIES         3
#define TRAILER_BYTES (2u * PD_TAR_BLOCK)

struct PdBackup {
    char *directory;  /* owned; removed at the end */
    GPtrArray *names; /* owned; members, relative to it */
    guint next;       /* of names */
    int fd;           /* of the member under way, -1 between two */
    uint64_t left;    /* bytes of it */
    size_t padding;   /* after it */
    GChecksum *sum;   /* owned; of it */
    GString *manifest;
    bool is_done;
    GDestroyNotify on_free;
    gpointer on_free_data;
};

static bool
fail(GError **error, const char *what)
{
    g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", what, g_strerror(errno));
    return false;
}

static void
remove_files(const char *path)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while (directory != NULL && (name = g_dir_read_name(directory)) != NULL) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        (void)g_unlink(below);
    }
    (void)g_rmdir(path);
}

void
pd_backup_remove_tree(const char *path)
{
    g_autofree char *raw = g_build_filename(path, "raw", NULL);

    remove_files(raw);
    remove_files(path);
}

void
pd_backup_on_free(PdBackup *self, GDestroyNotify func, gpointer data)
{
    self->on_free = func;
    self->on_free_data = data;
}

void
pd_backup_free(PdBackup *self)
{
    if (self == NULL) {
        return;
    }
    if (self->fd >= 0) {
        close(self->fd);
    }
    pd_backup_remove_tree(self->directory);
    g_clear_pointer(&self->sum, g_checksum_free);
    g_ptr_array_unref(self->names);
    g_string_free(self->manifest, TRUE);
    g_free(self->directory);
    if (self->on_free != NULL) {
        self->on_free(self->on_free_data);
    }
    g_free(self);
}

static bool
copy_index(PdBackup *self, const char *index, GError **error)
{
    g_autofree char *path = g_build_filename(self->directory, "index.db", NULL);
    g_autoptr(PdDb) db = pd_db_open(index, PD_DB_VERIFIER, NULL, error);
    /* SQLite takes an empty file as it is, with our permissions. */
    const int fd = g_open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
    }
    return db != NULL && pd_db_run(db, error, "vacuum into ?", "t", path);
}

/* @n_gone_out: that are not there; a segment may have been replaced since the copy. */
static bool
link_segments(PdBackup *self, const char *raw, guint *n_gone_out, GError **error)
{
    g_autofree char *index = g_build_filename(self->directory, "index.db", NULL);
    g_autoptr(PdDb) db = pd_db_open(index, PD_DB_READER, NULL, error);
    g_autoptr(PdStmt) stmt =
        db == NULL ? NULL : pd_db_query(db, error, "select name from segment order by name", "");
    int got = 0;

    *n_gone_out = 0;
    while (stmt != NULL && (got = pd_db_step(db, stmt, error)) > 0) {
        const char *name = pd_stmt_get_text(stmt, 0);
        g_autofree char *from = g_build_filename(raw, name, NULL);
        char *member = g_build_filename("raw", name, NULL);
        g_autofree char *to = g_build_filename(self->directory, member, NULL);
        if (link(from, to) != 0 && errno != ENOENT) {
            g_free(member);
            return fail(error, from);
        }
        if (!g_file_test(to, G_FILE_TEST_EXISTS)) {
            g_warning("backup: segment %s is not there", name);
            g_free(member);
            ++*n_gone_out;
            continue;
        }
        g_ptr_array_add(self->names, member);
    }
    return stmt != NULL && got == 0;
}

static bool
take_once(PdBackup *self, const char *index, const char *raw, guint *n_gone_out, GError **error)
{
    g_autofree char *below = g_build_filename(self->directory, "raw", NULL);

    pd_backup_remove_tree(self->directory);
    g_ptr_array_set_size(self->names, 0);
    if (g_mkdir_with_parents(below, 0700) != 0) {
        return fail(error, below);
    }
    g_ptr_array_add(self->names, g_strdup("index.db"));
    return copy_index(self, index, error) && link_segments(self, raw, n_gone_out, error);
}

PdBackup *
pd_backup_begin(const char *state, const char *index, const char *raw, GError **error)
{
    g_autoptr(PdBackup) self = g_new0(PdBackup, 1);
    guint n_gone = 1;

    self->fd = -1;
    self->directory = g_build_filename(state, "backup.tmp", NULL);
    self->names = g_ptr_array_new_with_free_func(g_free);
    self->manifest = g_string_new(PD_BACKUP_MANIFEST_BEGIN);
    for (int i = 0; i < TRIES && n_gone > 0; i++) {
        if (!take_once(self, index, raw, &n_gone, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&self);
}

static bool
begin_member(PdBackup *self, GByteArray *out, GError **error)
{
    const char *name = g_ptr_array_index(self->names, self->next);
    g_autofree char *path = g_build_filename(self->directory, name, NULL);
    uint8_t header[PD_TAR_BLOCK];
    struct stat st;

    self->fd = g_open(path, O_RDONLY | O_CLOEXEC);
    if (self->fd < 0 || fstat(self->fd, &st) != 0) {
        return fail(error, path);
    }
    self->left = (uint64_t)st.st_size;
    self->padding = pd_tar_padding(self->left);
    self->sum = g_checksum_new(G_CHECKSUM_SHA256);
    pd_tar_header(name, self->left, st.st_mtime, header);
    g_byte_array_append(out, header, sizeof header);
    return true;
}

static void
end_member(PdBackup *self, GByteArray *out)
{
    static const uint8_t zeros[PD_TAR_BLOCK];

    g_byte_array_append(out, zeros, (guint)self->padding);
    g_string_append_printf(self->manifest,
                           "%s  %s\n",
                           g_checksum_get_string(self->sum),
                           (const char *)g_ptr_array_index(self->names, self->next));
    g_clear_pointer(&self->sum, g_checksum_free);
    close(self->fd);
    self->fd = -1;
    self->next++;
}

static bool
copy_some(PdBackup *self, GByteArray *out, GError **error)
{
    uint8_t bytes[16384];
    const ssize_t n = read(self->fd, bytes, MIN(sizeof bytes, self->left));

    if (n < 0 && errno == EINTR) {
        return true;
    }
    if (n <= 0) {
        return fail(error, "a file of the copy ended early");
    }
    g_checksum_update(self->sum, bytes, n);
    g_byte_array_append(out, bytes, (guint)n);
    self->left -= (uint64_t)n;
    return true;
}

/* The manifest last, so that an archive that has it has all. */
static void
append_manifest(PdBackup *self, GByteArray *out)
{
    static const uint8_t zeros[TRAILER_BYTES];
    uint8_t header[PD_TAR_BLOCK];

    pd_tar_header(
        PD_BACKUP_MANIFEST, self->manifest->len, g_get_real_time() / G_USEC_PER_SEC, header);
    g_byte_array_append(out, header, sizeof header);
    g_byte_array_append(out, (const uint8_t *)self->manifest->str, (guint)self->manifest->len);
    g_byte_array_append(out, zeros, (guint)pd_tar_padding(self->manifest->len));
    g_byte_array_append(out, zeros, sizeof zeros);
    self->is_done = true;
}

static bool
read_some(PdBackup *self, GByteArray *out, GError **error)
{
    if (self->fd < 0 && self->next == self->names->len) {
        append_manifest(self, out);
        return true;
    }
    if (self->fd < 0) {
        return begin_member(self, out, error);
    }
    if (self->left > 0) {
        return copy_some(self, out, error);
    }
    end_member(self, out);
    return true;
}

GBytes *
pd_backup_read(PdBackup *self, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    while (!self->is_done && out->len < CHUNK_BYTES) {
        if (!read_some(self, out, error)) {
            return NULL;
        }
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}
