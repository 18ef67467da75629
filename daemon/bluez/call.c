/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The one place where daemon/bluez calls methods: always asynchronous, always with a
 * timeout (P11), to a unique name, errors turned into PD_ERROR.
 */
#include "bluez/call.h"

#include "bluez/error.h"

#include <stdbool.h>

typedef struct {
    GVariant *value;  /* owned */
    GUnixFDList *fds; /* owned, may be NULL */
} Reply;

static void
reply_free(gpointer data)
{
    Reply *reply = data;

    g_clear_pointer(&reply->value, g_variant_unref);
    g_clear_object(&reply->fds);
    g_free(reply);
}

static void
on_reply(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GUnixFDList) fds = NULL;
    GError *error = NULL;

    GVariant *value = g_dbus_connection_call_with_unix_fd_list_finish(
        G_DBUS_CONNECTION(source), &fds, result, &error);
    if (value == NULL) {
        g_task_return_error(task, pd_bluez_error_from_dbus(error, g_task_get_task_data(task)));
        return;
    }
    Reply *reply = g_new0(Reply, 1);
    reply->value = value;
    reply->fds = g_steal_pointer(&fds);
    g_task_return_pointer(task, reply, reply_free);
}

void
pd_bluez_call_async(const PdBluezCall *call,
                    GCancellable *cancellable,
                    GAsyncReadyCallback callback,
                    gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);

    g_task_set_source_tag(task, pd_bluez_call_async);
    g_task_set_task_data(task, g_strdup(call->what), g_free);
    g_dbus_connection_call_with_unix_fd_list(call->bus,
                                             call->owner,
                                             call->path,
                                             call->interface,
                                             call->method,
                                             call->parameters,
                                             call->reply_type,
                                             G_DBUS_CALL_FLAGS_NO_AUTO_START,
                                             call->timeout_ms,
                                             NULL,
                                             cancellable,
                                             on_reply,
                                             task);
}

GVariant *
pd_bluez_call_finish(GAsyncResult *result, GUnixFDList **fds_out, GError **error)
{
    Reply *reply = g_task_propagate_pointer(G_TASK(result), error);
    if (reply == NULL) {
        return NULL;
    }
    GVariant *value = g_steal_pointer(&reply->value);
    if (fds_out != NULL) {
        *fds_out = g_steal_pointer(&reply->fds);
    }
    reply_free(reply);
    return value;
}

void
pd_bluez_call_and_forget(const PdBluezCall *call)
{
    g_dbus_connection_call(call->bus,
                           call->owner,
                           call->path,
                           call->interface,
                           call->method,
                           call->parameters,
                           NULL,
                           G_DBUS_CALL_FLAGS_NO_AUTO_START,
                           call->timeout_ms,
                           NULL,
                           NULL,
                           NULL);
}
