/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The sink that needs no server: sets of files, sealed by day, that can be carried away on a
 * stick. Each delivery is appended, so a later state of a session stands behind the earlier
 * one. Decides whether a directory is ours: a marker in it must be the one that we wrote, so
 * that an empty mount point is not taken for the medium.
 */
#include "sync/directory.h"

#include "lib/json.h"
#include "sync/directory_fhir.h"
#include "sync/directory_message.h"
#include "sync/spool.h"
#include "sync/state_json.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MARKER     "PENTEL"
#define OURS       "directory.id"
#define RECORDS    "records.pb"
#define SIZE_MAX_B ((uint64_t)64 << 20) /* of a set: what a FAT stick and a mail still take */
#define N_UUID     36

struct SyncSink {
    char *path;       /* owned */
    char *remembered; /* owned; where the id of our directory is kept */
    const char *name; /* borrowed from the setup, as gateway */
    const char *gateway;
    SyncSpool *spool;        /* owned; NULL while closed */
    SyncDirectoryFhir *fhir; /* owned; NULL when there are no such files */
    bool is_dry_run;
};

static SyncSink *
create(const SyncSetup *setup, GError **error)
{
    g_autofree char *fallback = g_build_filename(setup->state_dir, "files", NULL);
    g_autofree char *path =
        sync_config_dup_text(setup->config, "directory", "path", fallback, error);

    if (path == NULL) {
        return NULL;
    }
    if (!g_path_is_absolute(path)) {
        sync_config_fail(setup->config,
                         error,
                         "directory",
                         "path",
                         "'%s' is no absolute path; begin it with /",
                         path);
        return NULL;
    }
    SyncDirectoryFhir *fhir = NULL;
    if (!sync_directory_fhir_new(setup->config, &fhir, error)) {
        return NULL;
    }
    SyncSink *self = g_new0(SyncSink, 1);
    self->fhir = fhir;
    self->remembered = g_build_filename(setup->state_dir, OURS, NULL);
    self->name = setup->name;
    self->gateway = setup->gateway;
    self->is_dry_run = setup->is_dry_run;
    if (strcmp(path, fallback) == 0 && !self->is_dry_run) {
        g_mkdir_with_parents(path, 0700);
    }
    self->path = g_steal_pointer(&path);
    return self;
}

static void
destroy(SyncSink *self)
{
    g_clear_pointer(&self->spool, sync_spool_free);
    sync_directory_fhir_free(self->fhir);
    g_free(self->path);
    g_free(self->remembered);
    g_free(self);
}

/* The id on the first line of the marker; NULL when there is none. */
static char *
read_marker(const SyncSink *self)
{
    g_autofree char *path = g_build_filename(self->path, MARKER, NULL);
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL) || strlen(text) < N_UUID) {
        g_free(text);
        return NULL;
    }
    text[N_UUID] = '\0';
    return text;
}

static bool
write_durably(const char *path, const char *text, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (g_file_set_contents_full(path,
                                 text,
                                 -1,
                                 G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                 0640,
                                 &failure)) {
        return true;
    }
    g_set_error(error,
                SYNC_ERROR,
                SYNC_ERROR_UNAVAILABLE,
                "%s; see that the medium is there and that user pentel-sync may write to it",
                failure->message);
    return false;
}

static bool
write_marker(const SyncSink *self, GError **error)
{
    g_autofree char *path = g_build_filename(self->path, MARKER, NULL);
    g_autofree char *id = g_uuid_string_random();
    g_autofree char *text =
        g_strdup_printf("%s\nFiles of pentel-sync, sink %s, gateway %s. See pentel-sync(8).\n",
                        id,
                        self->name,
                        self->gateway);

    return write_durably(path, text, error) && write_durably(self->remembered, id, error);
}

static bool
is_empty(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        if (strcmp(name, "lost+found") != 0) {
            return false;
        }
    }
    return dir != NULL;
}

static bool
check_ours(const SyncSink *self, GError **error)
{
    g_autofree char *marker = read_marker(self);
    g_autofree char *ours = NULL;

    g_file_get_contents(self->remembered, &ours, NULL, NULL);
    if (marker != NULL && g_strcmp0(marker, ours) == 0) {
        return true;
    }
    if (marker == NULL && ours == NULL && is_empty(self->path)) {
        return self->is_dry_run || write_marker(self, error);
    }
    if (marker == NULL && ours != NULL && is_empty(self->path)) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "%s is empty, it is not the medium used so far; put that one in, or take "
                    "this one with: pentel-sync --migrate %s",
                    self->path,
                    self->name);
        return false;
    }
    g_set_error(error,
                SYNC_ERROR,
                SYNC_ERROR_FOREIGN,
                "%s holds something else than the files of this sink; give [directory] path an "
                "empty directory of its own, or take it with: pentel-sync --migrate %s",
                self->path,
                self->name);
    return false;
}

static bool
open_directory(SyncSink *self, GCancellable *cancellable, GError **error)
{
    if (!g_file_test(self->path, G_FILE_TEST_IS_DIR)) {
        g_clear_pointer(&self->spool, sync_spool_free);
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "%s is not there; mount it, or make it: install -d -o pentel-sync %s",
                    self->path,
                    self->path);
        return false;
    }
    if (!check_ours(self, error)) {
        g_clear_pointer(&self->spool, sync_spool_free);
        return false;
    }
    if (self->spool == NULL && !self->is_dry_run) {
        self->spool = sync_spool_open(self->path, SIZE_MAX_B, error);
    }
    return self->spool != NULL || self->is_dry_run;
}

/* A person says that this directory is to be used from now on. */
static bool
migrate(SyncSink *self, GCancellable *cancellable, GError **error)
{
    g_autofree char *marker = read_marker(self);

    if (marker == NULL && !is_empty(self->path)) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_FOREIGN,
                    "%s is not an empty directory; give [directory] path one",
                    self->path);
        return false;
    }
    return marker != NULL ? write_durably(self->remembered, marker, error)
                          : write_marker(self, error);
}

static bool
append_raw(SyncSink *self, const SyncDelivery *delivery, GError **error)
{
    g_autofree char *bytes = NULL;
    gsize done = 0;

    if (delivery->raw_fd < 0 || delivery->n_raw_bytes == 0) {
        return true;
    }
    bytes = g_malloc(delivery->n_raw_bytes);
    while (done < delivery->n_raw_bytes) {
        const ssize_t n =
            pread(delivery->raw_fd, bytes + done, delivery->n_raw_bytes - done, (off_t)done);
        if (n <= 0) {
            g_set_error(error,
                        SYNC_ERROR,
                        SYNC_ERROR_UNAVAILABLE,
                        "cannot read the records of session %s",
                        delivery->session);
            return false;
        }
        done += (gsize)n;
    }
    return sync_spool_append(self->spool, RECORDS, bytes, done, error);
}

static bool
append(SyncSink *self, const SyncDelivery *delivery, char **note_out, GError **error)
{
    g_autofree char *json = sync_state_to_json(delivery->state);
    g_autoptr(GByteArray) message =
        sync_delivery_to_message(delivery, sync_spool_get_size(self->spool, RECORDS), json);
    g_autoptr(GString) line = sync_delivery_to_line(delivery, json);

    return append_raw(self, delivery, error) &&
           sync_spool_append(self->spool, "deliveries.pb", message->data, message->len, error) &&
           sync_spool_append(self->spool, "sessions.ndjson", line->str, line->len, error) &&
           (self->fhir == NULL ||
            sync_directory_fhir_append(self->fhir, self->spool, delivery, note_out, error));
}

static void
deliver(SyncSink *self,
        const SyncDelivery *const *deliveries,
        guint n_deliveries,
        SyncOutcome *outcomes,
        GCancellable *cancellable)
{
    g_autoptr(GError) error = NULL;
    bool is_good = true;

    for (guint i = 0; is_good && i < n_deliveries; i++) {
        is_good = append(self, deliveries[i], &outcomes[i].note, &error);
    }
    if (is_good && sync_spool_flush(self->spool, &error)) {
        return;
    }
    sync_spool_rewind(self->spool);
    g_clear_pointer(&self->spool, sync_spool_free);
    for (guint i = 0; i < n_deliveries; i++) {
        /* Nothing of what it says is there. */
        g_clear_pointer(&outcomes[i].note, g_free);
        sync_outcome_set(&outcomes[i], SYNC_RETRY, "%s", error->message);
    }
}

static char *
describe_position(const SyncSink *self, const SyncPosition *position)
{
    g_autoptr(GString) hash = g_string_new(NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    CliJson json = CLI_JSON_INIT(text);
    gsize n_bytes = 0;
    const guint8 *bytes =
        position->hash != NULL ? g_bytes_get_data(position->hash, &n_bytes) : NULL;
    g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(position->now_us / G_USEC_PER_SEC);
    g_autofree char *sealed_at = now != NULL ? g_date_time_format_iso8601(now) : NULL;

    for (gsize i = 0; i < n_bytes; i++) {
        g_string_append_printf(hash, "%02x", (unsigned)bytes[i]);
    }
    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "sink", self->name);
    cli_json_text(&json, "gateway", self->gateway);
    cli_json_text(&json, "sealed_at", sealed_at);
    cli_json_text(&json, "store_id", position->store_id);
    cli_json_uint(&json, "journal_seq", position->seq);
    cli_json_text(&json, "journal_hash", hash->str);
    cli_json_close(&json, '}');
    return g_strndup(text->str + 1, text->len - 2);
}

static bool
settle(SyncSink *self, const SyncPosition *position, GCancellable *cancellable, GError **error)
{
    const char *day = sync_spool_get_day(self->spool);
    g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(position->now_us / G_USEC_PER_SEC);

    if (day == NULL || now == NULL) {
        return true;
    }
    g_autofree char *today = g_date_time_format(now, "%Y-%m-%d");
    if (strcmp(day, today) == 0 && !position->is_last && !sync_spool_is_full(self->spool)) {
        return true;
    }
    g_autofree char *anchor = describe_position(self, position);
    if ((self->fhir == NULL || sync_directory_fhir_finish(self->spool, error)) &&
        sync_spool_seal(self->spool, anchor, error)) {
        return true;
    }
    g_clear_pointer(&self->spool, sync_spool_free);
    return false;
}

static bool
is_full(const SyncSink *self)
{
    return self->spool != NULL && sync_spool_is_full(self->spool);
}

static void
close_directory(SyncSink *self)
{
    g_clear_pointer(&self->spool, sync_spool_free);
}

const SyncSinkFuncs sync_directory_funcs = {
    .kind = "directory",
    .may_send_unbound = true,
    .may_raw = true,
    .n_batch_max = 64,
    .create = create,
    .destroy = destroy,
    .open = open_directory,
    .migrate = migrate,
    .deliver = deliver,
    .settle = settle,
    .is_full = is_full,
    .close = close_directory,
};
