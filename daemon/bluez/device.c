/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A device's properties and the verbs that make, bond and end its link. One Connect
 * or Pair at a time per device, none beside our own discovery (P9), and one that is
 * given up is ended in bluetoothd too, so that the next does not meet InProgress
 * (P10).
 */
#include "bluez/device.h"

#include "bluez/error.h"
#include "bluez/table.h"

#include <string.h>

#define PROPERTIES_IFACE "org.freedesktop.DBus.Properties"

#define ABANDON_TIMEOUT_MS 5000  /* the Disconnect that ends an attempt */
#define REMOVE_TIMEOUT_MS  20000 /* of a disconnected device; connected it took 60 s (F11) */

const char *
pd_bluez_device_get_address(const PdBluezDevice *self)
{
    return self->address;
}

const char *
pd_bluez_device_get_adapter(const PdBluezDevice *self)
{
    return self->adapter_address;
}

const char *
pd_bluez_device_get_name(const PdBluezDevice *self)
{
    return self->name;
}

bool
pd_bluez_device_is_present(const PdBluezDevice *self)
{
    return self->client != NULL;
}

bool
pd_bluez_device_is_connected(const PdBluezDevice *self)
{
    return self->connected;
}

bool
pd_bluez_device_is_paired(const PdBluezDevice *self)
{
    return self->paired;
}

bool
pd_bluez_device_is_bonded(const PdBluezDevice *self)
{
    return self->bonded;
}

bool
pd_bluez_device_is_resolved(const PdBluezDevice *self)
{
    return self->resolved;
}

bool
pd_bluez_device_get_rssi(const PdBluezDevice *self, int16_t *rssi_dbm_out)
{
    if (self->has_rssi) {
        *rssi_dbm_out = self->rssi_dbm;
    }
    return self->has_rssi;
}

int64_t
pd_bluez_device_get_heard_us(const PdBluezDevice *self)
{
    return self->heard_us;
}

uint8_t
pd_bluez_device_get_battery_pct(const PdBluezDevice *self)
{
    return self->battery_pct;
}

bool
pd_bluez_device_has_uuid(const PdBluezDevice *self, const char *uuid)
{
    for (size_t i = 0; self->uuids != NULL && self->uuids[i] != NULL; i++) {
        if (g_ascii_strcasecmp(self->uuids[i], uuid) == 0) {
            return true;
        }
    }
    return false;
}

void
pd_bluez_device_set_stuck(PdBluezDevice *self)
{
    self->is_stuck = true;
}

bool
pd_bluez_device_is_stuck(const PdBluezDevice *self)
{
    return self->is_stuck;
}

/* One verb under way. */
typedef struct {
    PdBluezDevice *device; /* owned reference */
    GError *error;         /* owned; kept while an attempt is being ended */
    char *what;            /* owned */
    bool is_pair;
} DeviceOp;

static void
device_op_free(gpointer data)
{
    DeviceOp *op = data;

    pd_bluez_device_unref(op->device);
    g_clear_error(&op->error);
    g_free(op->what);
    g_free(op);
}

static GTask *
op_task_new(PdBluezDevice *self,
            const char *verb,
            GCancellable *cancellable,
            GAsyncReadyCallback callback,
            gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    DeviceOp *op = g_new0(DeviceOp, 1);

    op->device = pd_bluez_device_ref(self);
    op->what = g_strdup_printf("%s %s", verb, self->address);
    g_task_set_task_data(task, op, device_op_free);
    return task;
}

/* Owns: takes @task. The device is present. */
static void
call_device(GTask *task,
            const char *path,
            const char *interface,
            const char *method,
            GVariant *parameters,
            int timeout_ms,
            GCancellable *cancellable,
            GAsyncReadyCallback callback)
{
    const DeviceOp *op = g_task_get_task_data(task);
    const PdBluezClient *client = op->device->client;

    pd_bluez_call_async(&(PdBluezCall){ .bus = client->bus,
                                        .owner = client->owner,
                                        .path = path,
                                        .interface = interface,
                                        .method = method,
                                        .parameters = parameters,
                                        .timeout_ms = timeout_ms,
                                        .what = op->what },
                        cancellable,
                        callback,
                        task);
}

static GError *
error_new_gone(const DeviceOp *op)
{
    return g_error_new(
        PD_ERROR, PD_ERROR_NOT_FOUND, "%s: bluetoothd does not know the device", op->what);
}

static void
on_abandoned(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DeviceOp *op = g_task_get_task_data(task);
    GVariant *reply = pd_bluez_call_finish(result, NULL, NULL);

    /* Refused or not: nothing more can be done about it. */
    g_clear_pointer(&reply, g_variant_unref);
    op->device->is_linking = false;
    g_task_return_error(task, g_steal_pointer(&op->error));
}

/* The code a failed attempt is reported by; NULL when it is no failure. */
static GError *
judge_link_error(const DeviceOp *op, GError *error)
{
    g_autoptr(GError) taken = error;

    if (!op->is_pair && strstr(taken->message, "org.bluez.Error.AlreadyConnected") != NULL) {
        return NULL;
    }
    if (op->is_pair && taken->domain == PD_ERROR && taken->code == PD_ERROR_BLUEZ_AUTH) {
        return g_error_new_literal(PD_ERROR, PD_ERROR_PAIRING_FAILED, taken->message);
    }
    return g_steal_pointer(&taken);
}

static void
on_asked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    const DeviceOp *op = g_task_get_task_data(task);
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, NULL);

    if (reply != NULL && op->device->client != NULL &&
        g_variant_is_of_type(reply, G_VARIANT_TYPE("(a{sv})"))) {
        g_autoptr(GVariant) properties = g_variant_get_child_value(reply, 0);
        pd_bluez_table_change(
            op->device->client, op->device->path, PD_BLUEZ_DEVICE, properties, NULL);
    }
    op->device->is_linking = false;
    g_task_return_boolean(task, TRUE);
}

static void
on_linked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DeviceOp *op = g_task_get_task_data(task);
    GError *error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);

    if (reply == NULL) {
        op->error = judge_link_error(op, error);
    }
    if (op->error == NULL && op->device->client != NULL && !op->device->connected) {
        /* bluetoothd 5.82 does not signal Connected of a link that comes up while it
         * starts; only asking shows it. */
        call_device(g_steal_pointer(&task),
                    op->device->path,
                    PROPERTIES_IFACE,
                    "GetAll",
                    g_variant_new("(s)", PD_BLUEZ_DEVICE),
                    ABANDON_TIMEOUT_MS,
                    NULL,
                    on_asked);
        return;
    }
    if (op->error == NULL) {
        op->device->is_linking = false;
        g_task_return_boolean(task, TRUE);
        return;
    }
    const PdBluezHint hint = pd_bluez_error_get_hint(op->error);
    const bool is_pending = hint == PD_BLUEZ_HINT_NO_REPLY || hint == PD_BLUEZ_HINT_CANCELLED;
    if (!is_pending || op->device->client == NULL) {
        op->device->is_linking = false;
        g_task_return_error(task, g_steal_pointer(&op->error));
        return;
    }
    call_device(g_steal_pointer(&task),
                op->device->path,
                PD_BLUEZ_DEVICE,
                "Disconnect",
                NULL,
                ABANDON_TIMEOUT_MS,
                NULL,
                on_abandoned);
}

static GError *
check_may_link(const DeviceOp *op)
{
    const PdBluezDevice *device = op->device;

    if (device->client == NULL) {
        return error_new_gone(op);
    }
    if (device->is_linking) {
        return g_error_new(PD_ERROR, PD_ERROR_BUSY, "%s: an attempt is under way", op->what);
    }
    const PdBluezAdapterNode *adapter =
        g_hash_table_lookup(device->client->adapters, device->adapter_path);
    if (adapter == NULL || !adapter->pub.powered) {
        return g_error_new(PD_ERROR, PD_ERROR_NO_ADAPTER, "%s: the adapter is off", op->what);
    }
    if (adapter->is_ours) {
        return g_error_new(PD_ERROR, PD_ERROR_BUSY, "%s: the adapter is discovering", op->what);
    }
    return NULL;
}

static void
start_link(GTask *task, const char *method, int timeout_ms)
{
    g_autoptr(GTask) owned = task;
    const DeviceOp *op = g_task_get_task_data(owned);

    GError *error = check_may_link(op);
    if (error != NULL) {
        g_task_return_error(owned, error);
        return;
    }
    op->device->is_linking = true;
    call_device(owned,
                op->device->path,
                PD_BLUEZ_DEVICE,
                method,
                NULL,
                timeout_ms,
                g_task_get_cancellable(owned),
                on_linked);
    (void)g_steal_pointer(&owned);
}

void
pd_bluez_device_connect_async(PdBluezDevice *self,
                              uint32_t timeout_ms,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              gpointer user_data)
{
    g_autoptr(GTask) task = op_task_new(self, "connect", cancellable, callback, user_data);

    g_task_set_source_tag(task, pd_bluez_device_connect_async);
    if (self->client != NULL && self->connected && !self->is_linking) {
        g_task_return_boolean(task, TRUE);
        return;
    }
    start_link(g_steal_pointer(&task), "Connect", (int)MIN(timeout_ms, (uint32_t)G_MAXINT));
}

bool
pd_bluez_device_connect_finish(PdBluezDevice *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}

void
pd_bluez_device_pair_async(PdBluezDevice *self,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data)
{
    g_autoptr(GTask) task = op_task_new(self, "pair", cancellable, callback, user_data);
    DeviceOp *op = g_task_get_task_data(task);

    g_task_set_source_tag(task, pd_bluez_device_pair_async);
    op->is_pair = true;
    start_link(g_steal_pointer(&task), "Pair", PD_BLUEZ_PAIR_TIMEOUT_MS);
}

bool
pd_bluez_device_pair_finish(PdBluezDevice *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}

/* For Disconnect and RemoveDevice: that it is so already is success. */
static void
on_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    GError *error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);

    if (reply == NULL) {
        const PdBluezHint hint = pd_bluez_error_get_hint(error);
        if (hint != PD_BLUEZ_HINT_NOT_CONNECTED && hint != PD_BLUEZ_HINT_NO_OBJECT) {
            g_task_return_error(task, error);
            return;
        }
        g_clear_error(&error);
    }
    g_task_return_boolean(task, TRUE);
}

void
pd_bluez_device_disconnect_async(PdBluezDevice *self,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data)
{
    g_autoptr(GTask) task = op_task_new(self, "disconnect", cancellable, callback, user_data);

    g_task_set_source_tag(task, pd_bluez_device_disconnect_async);
    if (self->client == NULL) {
        g_task_return_boolean(task, TRUE);
        return;
    }
    call_device(g_steal_pointer(&task),
                self->path,
                PD_BLUEZ_DEVICE,
                "Disconnect",
                NULL,
                PD_BLUEZ_CALL_TIMEOUT_MS,
                cancellable,
                on_ended);
}

bool
pd_bluez_device_disconnect_finish(PdBluezDevice *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}

static GError *
check_may_remove(const DeviceOp *op)
{
    const PdBluezDevice *device = op->device;

    if (device->is_stuck || pd_bluez_table_has_suspect(device->client, device->path)) {
        return g_error_new(PD_ERROR,
                           PD_ERROR_BLUEZ_STUCK,
                           "%s: it would end bluetoothd; restart bluetooth.service first",
                           op->what);
    }
    if (device->connected || device->is_linking) {
        return g_error_new(PD_ERROR, PD_ERROR_BUSY, "%s: disconnect it first", op->what);
    }
    return NULL;
}

void
pd_bluez_device_remove_async(PdBluezDevice *self,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
    g_autoptr(GTask) task = op_task_new(self, "remove", cancellable, callback, user_data);

    g_task_set_source_tag(task, pd_bluez_device_remove_async);
    if (self->client == NULL) {
        g_task_return_boolean(task, TRUE);
        return;
    }
    GError *error = check_may_remove(g_task_get_task_data(task));
    if (error != NULL) {
        g_task_return_error(task, error);
        return;
    }
    call_device(g_steal_pointer(&task),
                self->adapter_path,
                PD_BLUEZ_ADAPTER,
                "RemoveDevice",
                g_variant_new("(o)", self->path),
                REMOVE_TIMEOUT_MS,
                cancellable,
                on_ended);
}

bool
pd_bluez_device_remove_finish(PdBluezDevice *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}
