/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Reads the journal through the pipe that penteld gives, entry by entry, and notices when
 * there are fewer of them than penteld said.
 */
#include "sync/journal.h"

#include "lib/bus.h"
#include "lib/delimited.h"
#include "sync/error.h"

#include <gio/gunixfdlist.h>
#include <gio/gunixinputstream.h>

#define CHUNK_BYTES ((gsize)65536)

typedef struct {
    const SyncJournalFuncs *funcs;
    gpointer user_data; /* borrowed; outlives the call by contract */
    GInputStream *pipe; /* owned */
    CliDelimited bytes; /* owned */
    uint64_t seq;       /* of the last entry, at first what the caller has */
    uint64_t head;
} Reading;

static void
reading_free(gpointer data)
{
    Reading *self = data;

    g_clear_object(&self->pipe);
    cli_delimited_clear(&self->bytes);
    g_free(self);
}

static void
free_entry(gpointer data)
{
    sync_entry_free(data);
}

static bool
take_entry(Reading *self, GPtrArray *entries, const uint8_t *bytes, size_t n_bytes, GError **error)
{
    SyncEntry *entry = sync_entry_decode(bytes, n_bytes);

    if (entry == NULL || entry->seq <= self->seq) {
        sync_entry_free(entry);
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "after %" G_GUINT64_FORMAT " the journal holds something else than entries; "
                    "see: pentelctl doctor",
                    self->seq);
        return false;
    }
    self->seq = entry->seq;
    g_ptr_array_add(entries, entry);
    return true;
}

static bool
take_entries(Reading *self, GError **error)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(free_entry);
    const uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    CliDelimitedStatus status = CLI_DELIMITED_MESSAGE;

    while ((status = cli_delimited_take(&self->bytes, &bytes, &n_bytes)) == CLI_DELIMITED_MESSAGE) {
        if (!take_entry(self, entries, bytes, n_bytes, error)) {
            return false;
        }
    }
    if (status == CLI_DELIMITED_BAD) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "the journal's pipe holds no entries; see: pentelctl doctor");
        return false;
    }
    return entries->len == 0 || self->funcs->entries(entries, self->user_data, error);
}

static void read_chunk(GTask *task);

static void
end_reading(GTask *task)
{
    const Reading *self = g_task_get_task_data(task);

    if (cli_delimited_is_whole(&self->bytes) && self->seq >= self->head) {
        g_task_return_boolean(task, TRUE);
        return;
    }
    g_task_return_new_error(task,
                            SYNC_ERROR,
                            SYNC_ERROR_UNAVAILABLE,
                            "the journal ended at %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT,
                            self->seq,
                            self->head);
}

static void
on_chunk(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) chunk =
        g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, &error);

    if (chunk == NULL) {
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    if (g_bytes_get_size(chunk) == 0) {
        end_reading(task);
        return;
    }
    Reading *self = g_task_get_task_data(task);
    cli_delimited_push(&self->bytes, g_bytes_get_data(chunk, NULL), (guint)g_bytes_get_size(chunk));
    if (!take_entries(self, &error)) {
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    read_chunk(g_steal_pointer(&task));
}

static void
read_chunk(GTask *task)
{
    const Reading *self = g_task_get_task_data(task);

    g_input_stream_read_bytes_async(
        self->pipe, CHUNK_BYTES, G_PRIORITY_DEFAULT, g_task_get_cancellable(task), on_chunk, task);
}

static bool
take_reply(Reading *self, GVariant *reply, GUnixFDList *fds, GError **error)
{
    const char *store_id = NULL;
    gint32 index = 0;

    g_variant_get(reply, "(&sth)", &store_id, &self->head, &index);
    if (fds == NULL || index < 0 || index >= g_unix_fd_list_get_length(fds)) {
        g_set_error(error, SYNC_ERROR, SYNC_ERROR_UNAVAILABLE, "the journal came without its pipe");
        return false;
    }
    const int fd = g_unix_fd_list_get(fds, index, error);
    if (fd < 0) {
        return false;
    }
    self->pipe = g_unix_input_stream_new(fd, TRUE);
    return self->funcs->begin(store_id, self->head, self->user_data, error);
}

static void
on_journal(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_with_unix_fd_list_finish(
        G_DBUS_CONNECTION(source), &fds, result, &error);

    if (reply == NULL || !take_reply(g_task_get_task_data(task), reply, fds, &error)) {
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    read_chunk(g_steal_pointer(&task));
}

void
sync_journal_read_async(GDBusConnection *bus,
                        uint64_t after,
                        const SyncJournalFuncs *funcs,
                        gpointer user_data,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer callback_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, callback_data);
    Reading *self = g_new0(Reading, 1);

    g_task_set_source_tag(task, sync_journal_read_async);
    *self = (Reading){ .funcs = funcs, .user_data = user_data, .seq = after };
    cli_delimited_init(&self->bytes);
    g_task_set_task_data(task, self, reading_free);
    g_dbus_connection_call_with_unix_fd_list(bus,
                                             CLI_BUS_NAME,
                                             CLI_BUS_MANAGER,
                                             CLI_BUS_LOG1,
                                             "ReadJournal",
                                             g_variant_new("(t)", after),
                                             G_VARIANT_TYPE("(sth)"),
                                             G_DBUS_CALL_FLAGS_NONE,
                                             CLI_BUS_TIMEOUT_MS,
                                             NULL,
                                             cancellable,
                                             on_journal,
                                             task);
}

bool
sync_journal_read_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
