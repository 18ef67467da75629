/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Our discovery on one adapter: LE only, one UUID filter, set anew at each start
 * (P15), stopped at every exit (P14), never beside a connect of ours (P9).
 */
#include "bluez/client.h"
#include "bluez/table.h"

/* Steps of a start, each after the answer of the one before. */
typedef enum {
    STEP_STOP_OLD = 0, /* its failure means that none ran */
    STEP_FILTER,
    STEP_START,
} DiscoveryStep;

typedef struct {
    PdBluezClient *client; /* owned reference */
    char *path;            /* owned; adapter's, in this generation */
    char *what;            /* owned */
    char **uuids;          /* owned; NULL for a stop */
    uint32_t generation;
    DiscoveryStep step;
} DiscoveryOp;

static void
discovery_op_free(gpointer data)
{
    DiscoveryOp *op = data;

    pd_bluez_client_unref(op->client);
    g_free(op->path);
    g_free(op->what);
    g_strfreev(op->uuids);
    g_free(op);
}

/* NULL when the adapter or this life of bluetoothd is over. */
static PdBluezAdapterNode *
get_adapter(const DiscoveryOp *op)
{
    const PdBluezClient *client = op->client;

    if (client->owner == NULL || client->generation != op->generation) {
        return NULL;
    }
    return g_hash_table_lookup(client->adapters, op->path);
}

static void
call_adapter(GTask *task, const char *method, GVariant *parameters, GAsyncReadyCallback callback)
{
    const DiscoveryOp *op = g_task_get_task_data(task);

    pd_bluez_call_async(&(PdBluezCall){ .bus = op->client->bus,
                                        .owner = op->client->owner,
                                        .path = op->path,
                                        .interface = PD_BLUEZ_ADAPTER,
                                        .method = method,
                                        .parameters = parameters,
                                        .timeout_ms = PD_BLUEZ_CALL_TIMEOUT_MS,
                                        .what = op->what },
                        g_task_get_cancellable(task),
                        callback,
                        task);
}

static void
give_up(GTask *task, GError *error)
{
    const DiscoveryOp *op = g_task_get_task_data(task);
    PdBluezAdapterNode *adapter = get_adapter(op);

    if (adapter != NULL) {
        adapter->is_ours = false;
        pd_bluez_call_and_forget(&(PdBluezCall){ .bus = op->client->bus,
                                                 .owner = op->client->owner,
                                                 .path = op->path,
                                                 .interface = PD_BLUEZ_ADAPTER,
                                                 .method = "StopDiscovery",
                                                 .timeout_ms = PD_BLUEZ_CALL_TIMEOUT_MS });
    }
    g_task_return_error(task, error);
}

static GVariant *
filter_new(char **uuids)
{
    GVariantBuilder filter;

    g_variant_builder_init(&filter, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&filter, "{sv}", "Transport", g_variant_new_string("le"));
    g_variant_builder_add(
        &filter, "{sv}", "UUIDs", g_variant_new_strv((const char *const *)uuids, -1));
    return g_variant_new("(a{sv})", &filter);
}

static void
on_step(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DiscoveryOp *op = g_task_get_task_data(task);
    GError *error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);
    const bool is_cancelled = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

    if (reply == NULL && (op->step != STEP_STOP_OLD || is_cancelled)) {
        give_up(task, error);
        return;
    }
    g_clear_error(&error);
    if (get_adapter(op) == NULL) {
        g_task_return_new_error(
            task, PD_ERROR, PD_ERROR_NO_ADAPTER, "%s: the adapter is gone", op->what);
        return;
    }
    switch (op->step) {
    case STEP_STOP_OLD:
        op->step = STEP_FILTER;
        call_adapter(g_steal_pointer(&task), "SetDiscoveryFilter", filter_new(op->uuids), on_step);
        break;
    case STEP_FILTER:
        op->step = STEP_START;
        call_adapter(g_steal_pointer(&task), "StartDiscovery", NULL, on_step);
        break;
    case STEP_START:
        g_task_return_boolean(task, TRUE);
        break;
    }
}

static bool
has_pending_link(PdBluezClient *self, const PdBluezAdapterNode *adapter)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->devices);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const PdBluezDevice *device = value;

        if (device->is_linking && pd_bluez_path_is_under(device->path, adapter->path)) {
            return true;
        }
    }
    return false;
}

/* Task of a verb on @adapter, which is there. */
static GTask *
op_task_new(PdBluezClient *self,
            const PdBluezAdapterNode *adapter,
            const char *verb,
            GCancellable *cancellable,
            GAsyncReadyCallback callback,
            gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    DiscoveryOp *op = g_new0(DiscoveryOp, 1);

    op->client = pd_bluez_client_ref(self);
    op->path = g_strdup(adapter->path);
    op->what = g_strdup_printf("%s discovery on %s", verb, adapter->pub.name);
    op->generation = self->generation;
    g_task_set_task_data(task, op, discovery_op_free);
    return task;
}

void
pd_bluez_discovery_start_async(PdBluezClient *self,
                               const char *adapter_address,
                               const char *const *uuids,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data)
{
    PdBluezAdapterNode *adapter = pd_bluez_table_find_adapter(self, adapter_address);

    if (adapter == NULL || !adapter->pub.powered) {
        g_task_report_new_error(NULL,
                                callback,
                                user_data,
                                pd_bluez_discovery_start_async,
                                PD_ERROR,
                                PD_ERROR_NO_ADAPTER,
                                "start discovery: no adapter %s that is on",
                                adapter_address);
        return;
    }
    if (has_pending_link(self, adapter)) {
        g_task_report_new_error(NULL,
                                callback,
                                user_data,
                                pd_bluez_discovery_start_async,
                                PD_ERROR,
                                PD_ERROR_BUSY,
                                "start discovery on %s: a connect is pending",
                                adapter->pub.name);
        return;
    }
    GTask *task = op_task_new(self, adapter, "start", cancellable, callback, user_data);
    DiscoveryOp *op = g_task_get_task_data(task);
    g_task_set_source_tag(task, pd_bluez_discovery_start_async);
    op->uuids = g_strdupv((char **)(uintptr_t)uuids);
    adapter->is_ours = true;
    call_adapter(task, "StopDiscovery", NULL, on_step);
}

bool
pd_bluez_discovery_start_finish(PdBluezClient *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}

static void
on_stopped(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    const DiscoveryOp *op = g_task_get_task_data(task);
    GError *error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);
    PdBluezAdapterNode *adapter = get_adapter(op);

    if (adapter != NULL) {
        adapter->is_ours = false;
    }
    if (reply == NULL) {
        g_task_return_error(task, error);
        return;
    }
    g_task_return_boolean(task, TRUE);
}

void
pd_bluez_discovery_stop_async(PdBluezClient *self,
                              const char *adapter_address,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              gpointer user_data)
{
    PdBluezAdapterNode *adapter = pd_bluez_table_find_adapter(self, adapter_address);

    if (adapter == NULL || !adapter->is_ours) {
        g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);
        g_task_return_boolean(task, TRUE);
        return;
    }
    GTask *task = op_task_new(self, adapter, "stop", cancellable, callback, user_data);
    g_task_set_source_tag(task, pd_bluez_discovery_stop_async);
    call_adapter(task, "StopDiscovery", NULL, on_stopped);
}

bool
pd_bluez_discovery_stop_finish(PdBluezClient *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}
