/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Switches an adapter off and on again, the second rung of the ladder for a discovery
 * that is dead (P13). Every link on it ends, so whether is for the caller to decide.
 */
#include "bluez/client.h"
#include "bluez/table.h"

typedef struct {
    PdBluezClient *client; /* owned reference */
    char *path;            /* owned; in this generation */
    char *what;            /* owned */
    uint32_t generation;
    bool is_off;
} PowerOp;

static void
power_op_free(gpointer data)
{
    PowerOp *op = data;

    pd_bluez_client_unref(op->client);
    g_free(op->path);
    g_free(op->what);
    g_free(op);
}

static void
set_power(GTask *task, bool powered, GAsyncReadyCallback callback)
{
    const PowerOp *op = g_task_get_task_data(task);

    pd_bluez_call_async(
        &(PdBluezCall){ .bus = op->client->bus,
                        .owner = op->client->owner,
                        .path = op->path,
                        .interface = "org.freedesktop.DBus.Properties",
                        .method = "Set",
                        .parameters = g_variant_new(
                            "(ssv)", PD_BLUEZ_ADAPTER, "Powered", g_variant_new_boolean(powered)),
                        .timeout_ms = PD_BLUEZ_CALL_TIMEOUT_MS,
                        .what = op->what },
        g_task_get_cancellable(task),
        callback,
        task);
}

static void
on_powered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    PowerOp *op = g_task_get_task_data(task);
    GError *error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);

    if (reply == NULL) {
        g_task_return_error(task, error);
        return;
    }
    if (op->is_off) {
        g_task_return_boolean(task, TRUE);
        return;
    }
    if (op->client->owner == NULL || op->client->generation != op->generation) {
        g_task_return_new_error(
            task, PD_ERROR, PD_ERROR_NO_ADAPTER, "%s: the adapter is gone", op->what);
        return;
    }
    op->is_off = true;
    set_power(g_steal_pointer(&task), true, on_powered);
}

void
pd_bluez_adapter_cycle_async(PdBluezClient *self,
                             const char *adapter_address,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
    const PdBluezAdapterNode *adapter = pd_bluez_table_find_adapter(self, adapter_address);
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);

    g_task_set_source_tag(task, pd_bluez_adapter_cycle_async);
    if (adapter == NULL) {
        g_task_return_new_error(task,
                                PD_ERROR,
                                PD_ERROR_NO_ADAPTER,
                                "switch off and on: no adapter %s",
                                adapter_address);
        return;
    }
    PowerOp *op = g_new0(PowerOp, 1);
    op->client = pd_bluez_client_ref(self);
    op->path = g_strdup(adapter->path);
    op->what = g_strdup_printf("switch %s off and on", adapter->pub.name);
    op->generation = self->generation;
    g_task_set_task_data(task, op, power_op_free);
    set_power(g_steal_pointer(&task), false, on_powered);
}

bool
pd_bluez_adapter_cycle_finish(PdBluezClient *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}
