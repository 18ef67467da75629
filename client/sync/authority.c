/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides who may ask an upload how it is, as penteld does for its own methods (F9): by uid
 * where that is enough, else by polkit with a plain call. Denied unless somebody said yes.
 */
#include "sync/authority.h"

#include <unistd.h>

#define POLKIT_MS 5000

typedef struct {
    char *sender; /* owned */
    char *action; /* owned */
} Question;

static void
question_free(gpointer data)
{
    Question *self = data;

    g_free(self->sender);
    g_free(self->action);
    g_free(self);
}

static void
deny(GTask *task, const char *name, const char *words)
{
    g_autofree char *full = g_strdup_printf("org.pentel.Error.%s", name);

    g_task_return_error(task, g_dbus_error_new_for_dbus_error(full, words));
}

static void
on_checked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    gboolean is_allowed = FALSE;

    if (reply == NULL && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        deny(task, "AuthorizationTimeout", "polkit did not answer; try: systemctl restart polkit");
        return;
    }
    if (reply == NULL) {
        deny(task, "NotAuthorized", "not authorised: polkit gave no answer, so only root is");
        return;
    }
    g_variant_get(reply, "((bba{ss}))", &is_allowed, NULL, NULL);
    if (!is_allowed) {
        const Question *question = g_task_get_task_data(task);
        g_autofree char *words = g_strdup_printf("not authorised for %s", question->action);
        deny(task, "NotAuthorized", words);
        return;
    }
    g_task_return_boolean(task, TRUE);
}

static void
ask_polkit(GDBusConnection *bus, GTask *task)
{
    const Question *question = g_task_get_task_data(task);
    GVariantBuilder subject;

    g_variant_builder_init(&subject, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&subject, "{sv}", "name", g_variant_new_string(question->sender));
    g_dbus_connection_call(
        bus,
        "org.freedesktop.PolicyKit1",
        "/org/freedesktop/PolicyKit1/Authority",
        "org.freedesktop.PolicyKit1.Authority",
        "CheckAuthorization",
        g_variant_new(
            "((sa{sv})sa{ss}us)", "system-bus-name", &subject, question->action, NULL, 0u, ""),
        G_VARIANT_TYPE("((bba{ss}))"),
        G_DBUS_CALL_FLAGS_NONE,
        POLKIT_MS,
        g_task_get_cancellable(task),
        on_checked,
        task);
}

static void
on_uid(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);
    guint32 uid = 0;

    if (reply == NULL) {
        deny(task, "NotAuthorized", "not authorised: the bus does not know the caller");
        return;
    }
    g_variant_get(reply, "(u)", &uid);
    if (uid == 0 || uid == getuid()) {
        g_task_return_boolean(task, TRUE);
        return;
    }
    ask_polkit(G_DBUS_CONNECTION(source), g_steal_pointer(&task));
}

void
sync_authority_check_async(GDBusConnection *bus,
                           const char *sender,
                           const char *action,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    Question *question = g_new0(Question, 1);

    g_task_set_source_tag(task, sync_authority_check_async);
    *question = (Question){ .sender = g_strdup(sender), .action = g_strdup(action) };
    g_task_set_task_data(task, question, question_free);
    g_dbus_connection_call(bus,
                           "org.freedesktop.DBus",
                           "/org/freedesktop/DBus",
                           "org.freedesktop.DBus",
                           "GetConnectionUnixUser",
                           g_variant_new("(s)", sender),
                           G_VARIANT_TYPE("(u)"),
                           G_DBUS_CALL_FLAGS_NONE,
                           POLKIT_MS,
                           cancellable,
                           on_uid,
                           task);
}

bool
sync_authority_check_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
