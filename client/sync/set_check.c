/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides whether a set on a medium is sound. Each file is read once: what is used later is a
 * copy made while its sum was taken, so that a medium that changes its mind, or is pulled
 * out, changes nothing.
 */
#include "sync/set_check.h"

#include "lib/delimited.h"
#include "lib/output.h"
#include "sync/error.h"
#include "sync/fhir_json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536

#define ANCHOR     CLI_SET_ANCHOR
#define DELIVERIES "deliveries.pb"
#define RECORDS    "records.pb"

#define N_SMALL_MAX ((gsize)65536)      /* SHA256SUMS and the anchor */
#define N_LARGE_MAX ((uint64_t)1 << 30) /* sets are sealed at 64 MiB */
#define N_SUM       64u                 /* of hexadecimal digits */
#define HEADER_MAX  5u                  /* bytes of a message's length */

#define COPY_AGAIN "copy the set again from where it was made"

typedef struct {
    const CliSet *files;       /* borrowed */
    const char *scratch;       /* borrowed */
    GCancellable *cancellable; /* borrowed */
    GHashTable *sums;          /* owned; file name to sum */
    SyncSet *set;              /* owned until returned */
    bool wants_records;
} Check;

void
sync_set_free(SyncSet *self)
{
    if (self == NULL) {
        return;
    }
    if (self->deliveries_fd >= 0) {
        close(self->deliveries_fd);
    }
    if (self->records_fd >= 0) {
        close(self->records_fd);
    }
    g_free(self->name);
    g_free(self->sums);
    g_free(self->gateway);
    g_free(self->sink);
    g_free(self->store_id);
    g_free(self->before);
    g_free(self->before_sums);
    g_free(self->found_sums);
    g_free(self);
}

static bool
refuse(const Check *self, GError **error, const char *file, const char *words)
{
    g_set_error(error, SYNC_ERROR, SYNC_ERROR_DATA, "%s/%s %s", self->files->name, file, words);
    return false;
}

static bool
refuse_read(const Check *self, GError **error, const char *file, int number)
{
    g_set_error(error,
                SYNC_ERROR,
                SYNC_ERROR_DATA,
                "%s/%s: %s; see that the medium is there and sound, or " COPY_AGAIN,
                self->files->name,
                file,
                g_strerror(number));
    return false;
}

/* Of a small file, whole and with a 0 behind it; NULL when it cannot be read. */
static char *
read_small(const Check *self, int fd, const char *name, gsize *n_bytes_out, GError **error)
{
    g_autofree char *text = g_malloc(N_SMALL_MAX + 2);
    gsize n = 0;
    ssize_t n_read = 0;

    while (n <= N_SMALL_MAX && (n_read = pread(fd, text + n, N_SMALL_MAX + 1 - n, (off_t)n)) > 0) {
        n += (gsize)n_read;
    }
    if (n_read < 0) {
        refuse_read(self, error, name, errno);
        return NULL;
    }
    if (n > N_SMALL_MAX) {
        refuse(self, error, name, "is larger than such a file can be; " COPY_AGAIN);
        return NULL;
    }
    text[n] = '\0';
    *n_bytes_out = n;
    return g_steal_pointer(&text);
}

static bool
is_sum(const char *text)
{
    return strspn(text, "0123456789abcdef") == N_SUM && text[N_SUM] == '\0';
}

/* "SUM  NAME", as sha256sum(1) writes it. */
static bool
read_sum(Check *self, char *line)
{
    char *name = line + N_SUM + 2;

    if (strlen(line) < N_SUM + 3 || line[N_SUM] != ' ' || line[N_SUM + 1] != ' ' ||
        strchr(name, '/') != NULL) {
        return false;
    }
    line[N_SUM] = '\0';
    return is_sum(line) && g_hash_table_insert(self->sums, g_strdup(name), g_strdup(line));
}

static bool
read_sums(Check *self, GError **error)
{
    const int fd = cli_set_find(self->files, CLI_SET_SUMS);
    gsize n_bytes = 0;

    if (fd < 0) {
        return refuse(self, error, CLI_SET_SUMS, "is missing, the set is torn; " COPY_AGAIN);
    }
    g_autofree char *text = read_small(self, fd, CLI_SET_SUMS, &n_bytes, error);
    if (text == NULL) {
        return false;
    }
    self->set->sums = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guint8 *)text, n_bytes);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    bool is_good = strlen(text) == n_bytes;
    for (gsize i = 0; is_good && lines[i] != NULL; i++) {
        is_good = lines[i][0] == '\0' ? lines[i + 1] == NULL : read_sum(self, lines[i]);
    }
    if (!is_good || !g_hash_table_contains(self->sums, ANCHOR) ||
        !g_hash_table_contains(self->sums, DELIVERIES)) {
        return refuse(self, error, CLI_SET_SUMS, "is damaged or of another program; " COPY_AGAIN);
    }
    return true;
}

/* A copy without a name. */
static int
open_copy(const Check *self, GError **error)
{
    const int fd = open(self->scratch, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

    if (fd < 0) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_STATE,
                    "%s: %s; see that the disk has room",
                    self->scratch,
                    g_strerror(errno));
    }
    return fd;
}

static bool
copy_chunk(const Check *self, int copy_fd, const guint8 *bytes, gsize n_bytes, GError **error)
{
    const int number = copy_fd >= 0 ? cli_output_write(copy_fd, bytes, n_bytes) : 0;

    if (number != 0) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_STATE,
                    "%s: %s; make room on the disk, then import again",
                    self->scratch,
                    g_strerror(number));
    }
    return number == 0;
}

/* Take the sum, and a copy to @copy_fd unless that is -1. */
static char *
read_through(const Check *self, int fd, const char *name, int copy_fd, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree guint8 *buffer = g_malloc(CHUNK);
    uint64_t done = 0;
    ssize_t n = 0;

    while ((n = pread(fd, buffer, CHUNK, (off_t)done)) > 0) {
        done += (uint64_t)n;
        if (done > N_LARGE_MAX) {
            refuse(self, error, name, "is larger than such a file can be; " COPY_AGAIN);
            return NULL;
        }
        g_checksum_update(sum, buffer, n);
        if (!copy_chunk(self, copy_fd, buffer, (gsize)n, error) ||
            g_cancellable_set_error_if_cancelled(self->cancellable, error)) {
            return NULL;
        }
    }
    if (n < 0) {
        refuse_read(self, error, name, errno);
        return NULL;
    }
    return g_strdup(g_checksum_get_string(sum));
}

/* Where a copy of @name goes, NULL when none is needed. */
static int *
place_of_copy(const Check *self, const char *name)
{
    if (strcmp(name, DELIVERIES) == 0) {
        return &self->set->deliveries_fd;
    }
    return strcmp(name, RECORDS) == 0 && self->wants_records ? &self->set->records_fd : NULL;
}

static bool
check_file(const Check *self, const char *name, const char *sum, GError **error)
{
    const int fd = cli_set_find(self->files, name);
    int *copy = place_of_copy(self, name);
    struct stat info;

    if (fd < 0) {
        return refuse(self, error, name, "is missing; " COPY_AGAIN);
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        return refuse(self, error, name, "is no plain file; " COPY_AGAIN);
    }
    if ((uint64_t)info.st_size > N_LARGE_MAX) {
        return refuse(self, error, name, "is larger than such a file can be; " COPY_AGAIN);
    }
    if (copy != NULL && (*copy = open_copy(self, error)) < 0) {
        return false;
    }
    g_autofree char *found = read_through(self, fd, name, copy != NULL ? *copy : -1, error);
    if (found == NULL) {
        return false;
    }
    return strcmp(found, sum) == 0 ||
           refuse(self, error, name, "is not what SHA256SUMS says, it is damaged; " COPY_AGAIN);
}

static bool
check_files(const Check *self, GError **error)
{
    GHashTableIter iter;
    gpointer name = NULL;
    gpointer sum = NULL;

    g_hash_table_iter_init(&iter, self->sums);
    while (g_hash_table_iter_next(&iter, &name, &sum)) {
        if (!check_file(self, name, sum, error)) {
            return false;
        }
    }
    return true;
}

static char *
dup_text(JsonObject *anchor, const char *key)
{
    const char *text = fhir_json_find_text(anchor, key);

    return g_strdup(text != NULL ? text : "");
}

static bool
read_anchor(Check *self, GError **error)
{
    gsize n_bytes = 0;
    g_autofree char *text =
        read_small(self, cli_set_find(self->files, ANCHOR), ANCHOR, &n_bytes, error);

    if (text == NULL) {
        return false;
    }
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guint8 *)text, n_bytes);
    g_autoptr(JsonObject) anchor = fhir_json_parse(text, n_bytes, NULL);
    if (anchor == NULL || g_strcmp0(sum, g_hash_table_lookup(self->sums, ANCHOR)) != 0) {
        return refuse(self, error, ANCHOR, "is damaged or of another program; " COPY_AGAIN);
    }
    self->set->gateway = dup_text(anchor, "gateway");
    self->set->sink = dup_text(anchor, "sink");
    self->set->store_id = dup_text(anchor, "store_id");
    self->set->before = dup_text(anchor, "previous");
    self->set->before_sums = dup_text(anchor, "previous_sums_sha256");
    return true;
}

/* What the set before is, when the one that is there has the name that the anchor gives. */
static void
read_before(Check *self)
{
    gsize n_bytes = 0;

    if (self->files->before_fd < 0 || g_strcmp0(self->files->before, self->set->before) != 0) {
        return;
    }
    g_autofree char *text =
        read_small(self, self->files->before_fd, self->files->before, &n_bytes, NULL);
    if (text != NULL) {
        self->set->found_sums =
            g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guint8 *)text, n_bytes);
    }
}

/* What the anchor of the set after says that this one's sums are; NULL when there is no such
 * word, or that anchor is not sound itself or is another sink's. */
static char *
dup_testimony(const Check *self)
{
    const CliSet *files = self->files;
    gsize n_bytes = 0;
    gsize n_sums = 0;

    if (files->after_fd < 0 || files->after_sums_fd < 0) {
        return NULL;
    }
    g_autofree char *text = read_small(self, files->after_fd, ANCHOR, &n_bytes, NULL);
    g_autofree char *sums = read_small(self, files->after_sums_fd, CLI_SET_SUMS, &n_sums, NULL);
    g_autoptr(JsonObject) anchor = text != NULL ? fhir_json_parse(text, n_bytes, NULL) : NULL;
    if (anchor == NULL || sums == NULL) {
        return NULL;
    }
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guint8 *)text, n_bytes);
    g_autofree char *line = g_strdup_printf("%s  " ANCHOR "\n", sum);
    const bool is_sound = strstr(sums, line) != NULL;
    g_autofree char *before = dup_text(anchor, "previous");
    g_autofree char *gateway = dup_text(anchor, "gateway");
    g_autofree char *sink = dup_text(anchor, "sink");
    const bool is_ours = strcmp(before, files->name) == 0 &&
                         strcmp(gateway, self->set->gateway) == 0 &&
                         strcmp(sink, self->set->sink) == 0;
    return is_sound && is_ours ? dup_text(anchor, "previous_sums_sha256") : NULL;
}

/* An anchor bears witness to the set before it. */
static bool
check_after(const Check *self, GError **error)
{
    g_autofree char *wanted = dup_testimony(self);

    if (wanted == NULL || strcmp(wanted, self->set->sums) == 0) {
        return true;
    }
    g_set_error(error,
                SYNC_ERROR,
                SYNC_ERROR_DATA,
                "%s/" CLI_SET_SUMS
                " is not the one that %s was sealed after: this set was changed, "
                "or they are of two directories; bring each directory as it was made",
                self->files->name,
                self->files->after);
    return false;
}

/* Lengths that lead from message to message and end where the file does. */
static bool
count_deliveries(Check *self, GError **error)
{
    uint8_t header[HEADER_MAX];
    uint64_t at = 0;

    while (at < self->set->n_bytes) {
        const ssize_t n = pread(self->set->deliveries_fd, header, sizeof header, (off_t)at);
        size_t n_header = 0;
        uint64_t length = 0;
        if (n <= 0 || cli_delimited_read_length(header, (size_t)n, &n_header, &length) !=
                          CLI_DELIMITED_MESSAGE) {
            return refuse(
                self, error, DELIVERIES, "holds something else than deliveries; " COPY_AGAIN);
        }
        at += n_header + length;
        self->set->n_deliveries++;
    }
    return at == self->set->n_bytes ||
           refuse(self, error, DELIVERIES, "ends in the middle of a delivery; " COPY_AGAIN);
}

static uint64_t
size_of(int fd)
{
    struct stat info;

    return fd >= 0 && fstat(fd, &info) == 0 ? (uint64_t)info.st_size : 0;
}

SyncSet *
sync_set_check(const CliSet *files,
               const char *scratch,
               bool wants_records,
               GCancellable *cancellable,
               GError **error)
{
    g_autoptr(GHashTable) sums = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(SyncSet) set = g_new0(SyncSet, 1);
    Check self = { .files = files,
                   .scratch = scratch,
                   .cancellable = cancellable,
                   .sums = sums,
                   .set = set,
                   .wants_records = wants_records };

    set->name = g_strdup(files->name);
    set->deliveries_fd = -1;
    set->records_fd = -1;
    if (!read_sums(&self, error) || !check_files(&self, error) || !read_anchor(&self, error) ||
        !check_after(&self, error)) {
        return NULL;
    }
    read_before(&self);
    set->n_bytes = size_of(set->deliveries_fd);
    set->n_records_bytes = size_of(set->records_fd);
    return count_deliveries(&self, error) ? g_steal_pointer(&set) : NULL;
}
