/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Gets a session's state at the head, and its records as a whole or not at all.
 */
#include "sync/fetch.h"

#include "lib/bus.h"
#include "lib/delimited.h"
#include "lib/dict.h"

#include <gio/gunixfdlist.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ERROR_NOT_FOUND "org.pentel.Error.NotFound"

typedef struct {
    SyncFetched *fetched; /* owned until returned */
    bool wants_raw;
} Fetch;

void
sync_fetched_free(SyncFetched *self)
{
    if (self == NULL) {
        return;
    }
    g_free(self->session);
    g_clear_pointer(&self->state, g_variant_unref);
    if (self->raw_fd >= 0) {
        close(self->raw_fd);
    }
    g_free(self);
}

static void
fetch_free(gpointer data)
{
    Fetch *self = data;

    sync_fetched_free(self->fetched);
    g_free(self);
}

uint32_t
sync_count_settled(GVariant *state)
{
    g_autoptr(GVariant) records = cli_dict_get(state, "records", "a{sv}");
    uint64_t first = 0;
    uint64_t last = 0;

    if (records == NULL || !cli_dict_get_uint(records, "first", &first) ||
        !cli_dict_get_uint(records, "last", &last) || last < first || first == 0) {
        return 0;
    }
    g_autoptr(GVariant) missing = cli_dict_get(records, "missing", "a(uus)");
    const gsize n = missing != NULL ? g_variant_n_children(missing) : 0;
    uint64_t n_settled = last - first + 1;
    for (gsize i = 0; i < n; i++) {
        guint32 from = 0;
        guint32 to = 0;
        g_variant_get_child(missing, i, "(uu&s)", &from, &to, NULL);
        const uint64_t n_missing = to >= from ? (uint64_t)to - from + 1 : 0;
        n_settled -= MIN(n_settled, n_missing);
    }
    return (uint32_t)MIN(n_settled, UINT32_MAX);
}

static void
return_fetched(GTask *task)
{
    Fetch *self = g_task_get_task_data(task);

    g_task_return_pointer(task, g_steal_pointer(&self->fetched), (GDestroyNotify)sync_fetched_free);
}

/* Records in @fd, or -1 when it does not end with a whole one. */
static int64_t
count_records(int fd)
{
    CliDelimited bytes;
    uint8_t buffer[16384];
    const uint8_t *message = NULL;
    size_t n_message = 0;
    int64_t n_records = 0;
    ssize_t n = 0;

    cli_delimited_init(&bytes);
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        cli_delimited_push(&bytes, buffer, (guint)n);
        while (cli_delimited_take(&bytes, &message, &n_message) == CLI_DELIMITED_MESSAGE) {
            n_records++;
        }
    }
    const bool is_whole = n == 0 && cli_delimited_is_whole(&bytes);
    cli_delimited_clear(&bytes);
    return is_whole ? n_records : -1;
}

static void
on_copied(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GError) error = NULL;
    const gssize n_bytes = g_output_stream_splice_finish(G_OUTPUT_STREAM(source), result, &error);
    SyncFetched *fetched = ((Fetch *)g_task_get_task_data(task))->fetched;

    if (n_bytes < 0) {
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    fetched->n_raw_bytes = (uint64_t)n_bytes;
    if (lseek(fetched->raw_fd, 0, SEEK_SET) != 0 ||
        count_records(fetched->raw_fd) < (int64_t)fetched->n_settled ||
        lseek(fetched->raw_fd, 0, SEEK_SET) != 0) {
        g_task_return_new_error(task,
                                SYNC_ERROR,
                                SYNC_ERROR_UNAVAILABLE,
                                "the records of session %s ended early",
                                fetched->session);
        return;
    }
    return_fetched(task);
}

static void
copy_records(GTask *task, int pipe_fd)
{
    Fetch *self = g_task_get_task_data(task);
    g_autoptr(GInputStream) pipe = g_unix_input_stream_new(pipe_fd, TRUE);

    self->fetched->raw_fd = memfd_create("records", MFD_CLOEXEC);
    if (self->fetched->raw_fd < 0) {
        g_task_return_new_error(task,
                                SYNC_ERROR,
                                SYNC_ERROR_UNAVAILABLE,
                                "no memory for records: %s",
                                g_strerror(errno));
        g_object_unref(task);
        return;
    }
    g_autoptr(GOutputStream) out = g_unix_output_stream_new(self->fetched->raw_fd, FALSE);
    g_output_stream_splice_async(out,
                                 pipe,
                                 G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE,
                                 G_PRIORITY_DEFAULT,
                                 g_task_get_cancellable(task),
                                 on_copied,
                                 task);
}

static void
on_stream(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_with_unix_fd_list_finish(
        G_DBUS_CONNECTION(source), &fds, result, &error);
    gint32 index = 0;

    if (reply == NULL) {
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    g_variant_get(reply, "(h)", &index);
    const int fd = fds != NULL && index >= 0 && index < g_unix_fd_list_get_length(fds)
                       ? g_unix_fd_list_get(fds, index, &error)
                       : -1;
    if (fd < 0) {
        g_task_return_new_error(
            task, SYNC_ERROR, SYNC_ERROR_UNAVAILABLE, "the records came without their pipe");
        return;
    }
    copy_records(g_steal_pointer(&task), fd);
}

static void
ask_records(GDBusConnection *bus, GTask *task)
{
    const Fetch *self = g_task_get_task_data(task);

    g_dbus_connection_call_with_unix_fd_list(bus,
                                             CLI_BUS_NAME,
                                             CLI_BUS_MANAGER,
                                             CLI_BUS_LOG1,
                                             "StreamSession",
                                             g_variant_new("(ss)", self->fetched->session, "raw"),
                                             G_VARIANT_TYPE("(h)"),
                                             G_DBUS_CALL_FLAGS_NONE,
                                             CLI_BUS_TIMEOUT_MS,
                                             NULL,
                                             g_task_get_cancellable(task),
                                             on_stream,
                                             task);
}

static bool
is_not_found(const GError *error)
{
    g_autofree char *name = g_dbus_error_get_remote_error(error);

    return name != NULL && strcmp(name, ERROR_NOT_FOUND) == 0;
}

static bool
is_tombstone(GVariant *state)
{
    const char *word = cli_dict_get_text(state, "state");

    return word != NULL && strcmp(word, "erased") == 0;
}

static void
on_session(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    Fetch *self = g_task_get_task_data(task);

    if (reply == NULL && !is_not_found(error)) {
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    if (reply == NULL) {
        return_fetched(task);
        return;
    }
    g_autoptr(GVariant) state = g_variant_get_child_value(reply, 0);
    if (is_tombstone(state)) {
        self->fetched->is_erased = true;
        return_fetched(task);
        return;
    }
    self->fetched->state = g_steal_pointer(&state);
    self->fetched->n_settled = sync_count_settled(self->fetched->state);
    if (self->wants_raw) {
        ask_records(G_DBUS_CONNECTION(source), g_steal_pointer(&task));
        return;
    }
    return_fetched(task);
}

void
sync_fetch_async(GDBusConnection *bus,
                 const char *session,
                 bool wants_raw,
                 GCancellable *cancellable,
                 GAsyncReadyCallback callback,
                 gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    Fetch *self = g_new0(Fetch, 1);

    g_task_set_source_tag(task, sync_fetch_async);
    self->wants_raw = wants_raw;
    self->fetched = g_new0(SyncFetched, 1);
    self->fetched->session = g_strdup(session);
    self->fetched->raw_fd = -1;
    g_task_set_task_data(task, self, fetch_free);
    g_dbus_connection_call(bus,
                           CLI_BUS_NAME,
                           CLI_BUS_MANAGER,
                           CLI_BUS_LOG1,
                           "GetSession",
                           g_variant_new("(s)", session),
                           G_VARIANT_TYPE("(a{sv})"),
                           G_DBUS_CALL_FLAGS_NONE,
                           CLI_BUS_TIMEOUT_MS,
                           cancellable,
                           on_session,
                           task);
}

SyncFetched *
sync_fetch_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
