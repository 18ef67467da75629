/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The file format of sealed raw records:
 *   "PENSEG1\n"
 *   blocks: zstd frames, each of one session's records one after another
 *   index: per block log id u64, session u32, offset u64, size u64, SHA-256 of the
 *          records (all little endian)
 *   footer: number of blocks u32, offset of the index u64, "PENSEGX\n"
 */
#include "store/segment.h"

#include "core/wire.h"
#include "util/error.h"
#include "util/files.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define MAGIC           "PENSEG1\n"
#define MAGIC_END       "PENSEGX\n"
#define ENTRY_SIZE      60u
#define BLOCK_MAX_BYTES (UINT64_C(1) << 30)

struct PdSegmentWriter {
    char *directory; /* owned */
    char *name;      /* owned; final */
    char *temp_path; /* owned */
    int fd;
    uint64_t offset;
    uint32_t n_blocks;
    GByteArray *index; /* owned */
    GArray *frames;    /* owned Frame; one for each block */
};

/* What the file must hold at the end. */
typedef struct {
    bool is_copy; /* as its source is, whole or not */
    uint8_t sha256[32];
} Frame;

static bool
fail(GError **error, const char *what)
{
    g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", what, g_strerror(errno));
    return false;
}

static bool
put_bytes(PdSegmentWriter *self, const void *data, size_t n_data, GError **error)
{
    if (!pd_write_all(self->fd, data, n_data)) {
        return fail(error, self->temp_path);
    }
    self->offset += (uint64_t)n_data;
    return true;
}

static void
free_writer(PdSegmentWriter *self)
{
    if (self->fd >= 0) {
        close(self->fd);
    }
    g_free(self->directory);
    g_free(self->name);
    g_free(self->temp_path);
    g_byte_array_unref(self->index);
    g_array_unref(self->frames);
    g_free(self);
}

void
pd_segment_abandon(PdSegmentWriter *self)
{
    g_unlink(self->temp_path);
    free_writer(self);
}

/* First free raw/YYYY-MM-N.seg. */
static char *
choose_name(const char *directory, int64_t wall_us)
{
    g_autoptr(GDateTime) when = g_date_time_new_from_unix_utc(wall_us / G_USEC_PER_SEC);
    g_autofree char *month = when != NULL ? g_date_time_format(when, "%Y-%m") : g_strdup("0000-00");

    for (uint32_t i = 1; i < UINT32_MAX; i++) {
        g_autofree char *name = g_strdup_printf("%s-%06u.seg", month, i);
        g_autofree char *path = g_build_filename(directory, name, NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
            return g_steal_pointer(&name);
        }
    }
    return NULL;
}

PdSegmentWriter *
pd_segment_begin(const char *raw_directory, int64_t wall_us, GError **error)
{
    PdSegmentWriter *self = g_new0(PdSegmentWriter, 1);

    self->directory = g_strdup(raw_directory);
    self->name = choose_name(raw_directory, wall_us);
    self->temp_path = g_build_filename(raw_directory, "sealing.tmp", NULL);
    self->index = g_byte_array_new();
    self->frames = g_array_new(FALSE, FALSE, sizeof(Frame));
    self->fd = g_open(self->temp_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (self->fd < 0) {
        fail(error, self->temp_path);
        free_writer(self);
        return NULL;
    }
    if (!put_bytes(self, MAGIC, strlen(MAGIC), error)) {
        pd_segment_abandon(self);
        return NULL;
    }
    return self;
}

static void
hash_bytes(const uint8_t *bytes, size_t n_bytes, uint8_t digest_out[32])
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize n_digest = 32;

    g_checksum_update(checksum, bytes, (gssize)n_bytes);
    g_checksum_get_digest(checksum, digest_out, &n_digest);
}

static GBytes *
decompress(const uint8_t *bytes, size_t n_bytes, const uint8_t sha256[32], GError **error)
{
    const unsigned long long n_out = ZSTD_getFrameContentSize(bytes, n_bytes);
    uint8_t digest[32];

    if (n_out == ZSTD_CONTENTSIZE_ERROR || n_out == ZSTD_CONTENTSIZE_UNKNOWN ||
        n_out > BLOCK_MAX_BYTES) {
        g_set_error(error, PD_ERROR, PD_ERROR_MALFORMED, "a sealed block is damaged");
        return NULL;
    }
    g_autofree uint8_t *out = g_try_malloc(n_out + 1);
    const size_t n_got = out == NULL ? 0 : ZSTD_decompress(out, n_out, bytes, n_bytes);
    if (out == NULL || ZSTD_isError(n_got) || n_got != n_out) {
        g_set_error(error, PD_ERROR, PD_ERROR_MALFORMED, "a sealed block cannot be read");
        return NULL;
    }
    hash_bytes(out, n_got, digest);
    if (memcmp(digest, sha256, sizeof digest) != 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_MALFORMED, "the hash of a sealed block is wrong");
        return NULL;
    }
    return g_bytes_new_take(g_steal_pointer(&out), n_got);
}

static bool
read_at(int fd, uint8_t *bytes, size_t n_bytes, uint64_t offset)
{
    while (n_bytes > 0) {
        const ssize_t n = pread(fd, bytes, n_bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        bytes += n;
        n_bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

static GBytes *
read_block(int fd, uint64_t offset, uint64_t size, const uint8_t sha256[32], GError **error)
{
    g_autofree uint8_t *frame = g_malloc(size);

    if (!read_at(fd, frame, size, offset)) {
        g_set_error(error, PD_ERROR, PD_ERROR_MALFORMED, "a sealed block is cut short");
        return NULL;
    }
    return decompress(frame, size, sha256, error);
}

static void
append_index(PdSegmentWriter *self, const PdRecordPlace *place)
{
    uint8_t entry[ENTRY_SIZE];

    pen_wire_put(entry, 8, place->log_id);
    pen_wire_put(entry + 8, 4, place->session);
    pen_wire_put(entry + 12, 8, place->block_offset);
    pen_wire_put(entry + 20, 8, place->block_size);
    memcpy(entry + 28, place->block_sha256, 32);
    g_byte_array_append(self->index, entry, sizeof entry);
    self->n_blocks++;
}

/* @place: block_sha256 is given; where it lies now is filled in. */
static bool
add_frame(PdSegmentWriter *self,
          const uint8_t *bytes,
          size_t n_bytes,
          bool is_copy,
          PdRecordPlace *place,
          GError **error)
{
    Frame frame = { .is_copy = is_copy };

    hash_bytes(bytes, n_bytes, frame.sha256);
    g_array_append_val(self->frames, frame);
    place->block_offset = self->offset;
    place->block_size = n_bytes;
    g_free(place->segment);
    place->segment = g_strdup(self->name);
    append_index(self, place);
    return put_bytes(self, bytes, n_bytes, error);
}

bool
pd_segment_add(PdSegmentWriter *self,
               const uint8_t *records,
               size_t n_bytes,
               PdRecordPlace *place,
               GError **error)
{
    const size_t n_bound = ZSTD_compressBound(n_bytes);
    g_autofree uint8_t *frame = g_malloc(n_bound);
    const size_t n_frame = ZSTD_compress(frame, n_bound, records, n_bytes, 9);

    if (ZSTD_isError(n_frame)) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "zstd: %s", ZSTD_getErrorName(n_frame));
        return false;
    }
    hash_bytes(records, n_bytes, place->block_sha256);
    return add_frame(self, frame, n_frame, false, place, error);
}

/* As many bytes of the block as the file has; none when there is no file. */
static bool
read_frame(const char *path, const PdRecordPlace *place, GByteArray *out, GError **error)
{
    const int fd = g_open(path, O_RDONLY | O_CLOEXEC);
    const off_t n_file = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;

    if (fd < 0) {
        return errno == ENOENT || fail(error, path);
    }
    if (n_file > 0 && place->block_offset < (uint64_t)n_file) {
        const uint64_t n_left = (uint64_t)n_file - place->block_offset;
        g_byte_array_set_size(out, (guint)MIN(MIN(place->block_size, n_left), BLOCK_MAX_BYTES));
    }
    const bool ok =
        n_file >= 0 && (out->len == 0 || read_at(fd, out->data, out->len, place->block_offset));
    close(fd);
    if (!ok) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: a block cannot be read", path);
    }
    return ok;
}

bool
pd_segment_copy(PdSegmentWriter *self, PdRecordPlace *place, GError **error)
{
    g_autofree char *path = g_build_filename(self->directory, place->segment, NULL);
    g_autoptr(GByteArray) frame = g_byte_array_new();

    return read_frame(path, place, frame, error) &&
           add_frame(self, frame->data, frame->len, true, place, error);
}

static bool
write_footer(PdSegmentWriter *self, GError **error)
{
    const uint64_t index_offset = self->offset;
    uint8_t footer[12];

    pen_wire_put(footer, 4, self->n_blocks);
    pen_wire_put(footer + 4, 8, index_offset);
    return put_bytes(self, self->index->data, self->index->len, error) &&
           put_bytes(self, footer, sizeof footer, error) &&
           put_bytes(self, MAGIC_END, strlen(MAGIC_END), error);
}

static bool
verify_copy(
    PdSegmentWriter *self, uint64_t offset, uint64_t size, const Frame *frame, GError **error)
{
    g_autofree uint8_t *bytes = g_malloc(size + 1);
    uint8_t digest[32];

    if (!read_at(self->fd, bytes, size, offset)) {
        return fail(error, self->temp_path);
    }
    hash_bytes(bytes, size, digest);
    if (memcmp(digest, frame->sha256, sizeof digest) != 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: not what was written", self->temp_path);
        return false;
    }
    return true;
}

static bool
verify_block(PdSegmentWriter *self, uint32_t i, GError **error)
{
    const uint8_t *entry = self->index->data + (size_t)i * ENTRY_SIZE;
    const Frame *frame = &g_array_index(self->frames, Frame, i);
    const uint64_t offset = pen_wire_get(entry + 12, 8);
    const uint64_t size = pen_wire_get(entry + 20, 8);

    if (frame->is_copy) {
        return verify_copy(self, offset, size, frame, error);
    }
    g_autoptr(GBytes) block = read_block(self->fd, offset, size, entry + 28, error);
    return block != NULL;
}

/* Only what was read back is believed. */
static bool
verify(PdSegmentWriter *self, GError **error)
{
    (void)posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
    for (uint32_t i = 0; i < self->n_blocks; i++) {
        if (!verify_block(self, i, error)) {
            return false;
        }
    }
    return true;
}

bool
pd_segment_commit(PdSegmentWriter *self, GError **error)
{
    g_autofree char *path = g_build_filename(self->directory, self->name, NULL);
    bool ok = write_footer(self, error);

    if (ok && fsync(self->fd) != 0) {
        ok = fail(error, self->temp_path);
    }
    ok = ok && verify(self, error);
    if (ok && g_rename(self->temp_path, path) != 0) {
        ok = fail(error, path);
    }
    ok = ok && pd_sync_directory(self->directory, error);
    if (!ok) {
        pd_segment_abandon(self);
        return false;
    }
    free_writer(self);
    return true;
}

GBytes *
pd_segment_read_block(const char *raw_directory, const PdRecordPlace *place, GError **error)
{
    g_autofree char *path = g_build_filename(raw_directory, place->segment, NULL);

    if (place->block_size == 0 || place->block_size > BLOCK_MAX_BYTES) {
        g_set_error(error, PD_ERROR, PD_ERROR_MALFORMED, "%s: impossible block", path);
        return NULL;
    }
    const int fd = g_open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        const int code = errno == ENOENT ? PD_ERROR_MALFORMED : PD_ERROR_STORE;
        g_set_error(error, PD_ERROR, code, "%s: %s", path, g_strerror(errno));
        return NULL;
    }
    GBytes *block =
        read_block(fd, place->block_offset, place->block_size, place->block_sha256, error);
    close(fd);
    return block;
}

/* The index at the end; NULL when there is no whole one. */
static GBytes *
read_index(int fd)
{
    const size_t n_footer = 12 + strlen(MAGIC_END);
    const off_t n_file = lseek(fd, 0, SEEK_END);
    uint8_t magic[8];
    uint8_t footer[20];

    if (n_file < (off_t)(strlen(MAGIC) + n_footer) || !read_at(fd, magic, sizeof magic, 0) ||
        memcmp(magic, MAGIC, sizeof magic) != 0 ||
        !read_at(fd, footer, n_footer, (uint64_t)n_file - n_footer) ||
        memcmp(footer + 12, MAGIC_END, strlen(MAGIC_END)) != 0) {
        return NULL;
    }
    const uint64_t n_index = pen_wire_get(footer, 4) * ENTRY_SIZE;
    const uint64_t offset = pen_wire_get(footer + 4, 8);
    if (n_index > (uint64_t)n_file || offset != (uint64_t)n_file - n_footer - n_index) {
        return NULL;
    }
    g_autofree uint8_t *index = g_malloc(n_index + 1);
    return read_at(fd, index, n_index, offset) ? g_bytes_new_take(g_steal_pointer(&index), n_index)
                                               : NULL;
}

bool
pd_segment_check(const char *raw_directory, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(raw_directory, name, NULL);
    const int fd = g_open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return fail(error, name);
    }
    g_autoptr(GBytes) index = read_index(fd);
    close(fd);
    if (index == NULL) {
        g_set_error(error, PD_ERROR, PD_ERROR_MALFORMED, "it is cut short or overwritten");
    }
    return index != NULL;
}

static void
clear_place(gpointer data)
{
    pd_record_place_clear(data);
}

GArray *
pd_segment_list(const char *raw_directory, const char *name)
{
    g_autofree char *path = g_build_filename(raw_directory, name, NULL);
    g_autoptr(GArray) places = g_array_new(FALSE, TRUE, sizeof(PdRecordPlace));
    const int fd = g_open(path, O_RDONLY | O_CLOEXEC);
    g_autoptr(GBytes) index = fd >= 0 ? read_index(fd) : NULL;
    gsize n_index = 0;

    if (fd >= 0) {
        close(fd);
    }
    const uint8_t *entry = index != NULL ? g_bytes_get_data(index, &n_index) : NULL;
    g_array_set_clear_func(places, clear_place);
    for (size_t at = 0; at + ENTRY_SIZE <= n_index; at += ENTRY_SIZE) {
        PdRecordPlace place = {
            .log_id = pen_wire_get(entry + at, 8),
            .session = (uint32_t)pen_wire_get(entry + at + 8, 4),
            .segment = g_strdup(name),
            .block_offset = pen_wire_get(entry + at + 12, 8),
            .block_size = pen_wire_get(entry + at + 20, 8),
        };
        memcpy(place.block_sha256, entry + at + 28, sizeof place.block_sha256);
        g_array_append_val(places, place);
    }
    return entry != NULL ? g_steal_pointer(&places) : NULL;
}
