/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Asks systemd to restart bluetooth.service, the only cure of AcquireNotify's debris
 * before BlueZ 5.84 (F1). Whether and when is for the caller to decide.
 */
#include "bluez/call.h"
#include "bluez/client.h"

static void
on_restarted(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    GError *error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);

    if (reply == NULL) {
        g_task_return_error(task, error);
        return;
    }
    g_task_return_boolean(task, TRUE);
}

void
pd_bluez_restart_service_async(GDBusConnection *bus,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data)
{
    GTask *task = g_task_new(bus, cancellable, callback, user_data);

    g_task_set_source_tag(task, pd_bluez_restart_service_async);
    pd_bluez_call_async(&(PdBluezCall){ .bus = bus,
                                        .owner = "org.freedesktop.systemd1",
                                        .path = "/org/freedesktop/systemd1",
                                        .interface = "org.freedesktop.systemd1.Manager",
                                        .method = "RestartUnit",
                                        .parameters =
                                            g_variant_new("(ss)", "bluetooth.service", "replace"),
                                        .reply_type = G_VARIANT_TYPE("(o)"),
                                        .timeout_ms = PD_BLUEZ_CALL_TIMEOUT_MS,
                                        .what = "restart bluetooth.service" },
                        cancellable,
                        on_restarted,
                        task);
}

bool
pd_bluez_restart_service_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}
