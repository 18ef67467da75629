/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * GATT verbs. The characteristic is found by UUID at each call (P20). What a refused
 * subscription means is decided here: another program, or debris that only a restart
 * of bluetoothd removes (F1, P4).
 */
#include "bluez/gatt.h"

#include "bluez/error.h"
#include "bluez/table.h"

#include <gio/gunixfdlist.h>
#include <glib-unix.h>

#include <string.h>

#define READ_WRITE_TIMEOUT_MS 10000
#define ACQUIRE_TIMEOUT_MS    5000 /* F1 rule 2 */
#define START_TIMEOUT_MS      10000

typedef struct {
    PdBluezDevice *device; /* owned reference */
    char *path;            /* owned; of the characteristic, in this generation */
    char *what;            /* owned */
} CharOp;

typedef struct {
    GUnixFDList *fds; /* owned; closes what nobody took */
    int index;
    uint16_t mtu;
} Acquired;

static void
char_op_free(gpointer data)
{
    CharOp *op = data;

    pd_bluez_device_unref(op->device);
    g_free(op->path);
    g_free(op->what);
    g_free(op);
}

static void
acquired_free(gpointer data)
{
    Acquired *acquired = data;

    g_object_unref(acquired->fds);
    g_free(acquired);
}

bool
pd_bluez_device_is_ready(const PdBluezDevice *self, const PdBluezCharId *ids, size_t n_ids)
{
    if (self->client == NULL || !self->connected || !self->resolved) {
        return false;
    }
    for (size_t i = 0; i < n_ids; i++) {
        if (pd_bluez_table_find_char(
                self->client, self->path, ids[i].service_uuid, ids[i].char_uuid) == NULL) {
            return false;
        }
    }
    return true;
}

/*
 * Task of a verb, and its characteristic; NULL when the task has failed already.
 * Owns: *task_out is the caller's only when a characteristic is returned.
 */
static PdBluezChar *
begin(PdBluezDevice *device,
      const PdBluezCharId *id,
      const char *verb,
      GCancellable *cancellable,
      GAsyncReadyCallback callback,
      gpointer user_data,
      GTask **task_out)
{
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);
    CharOp *op = g_new0(CharOp, 1);

    op->device = pd_bluez_device_ref(device);
    op->what = g_strdup_printf("%s %.8s of %s", verb, id->char_uuid, device->address);
    g_task_set_task_data(task, op, char_op_free);
    g_task_set_source_tag(task, begin);
    PdBluezChar *chr = device->client == NULL
                           ? NULL
                           : pd_bluez_table_find_char(
                                 device->client, device->path, id->service_uuid, id->char_uuid);
    if (chr == NULL) {
        g_task_return_new_error(
            task, PD_ERROR, PD_ERROR_NOT_FOUND, "%s: no such characteristic", op->what);
        return NULL;
    }
    if (!device->connected) {
        g_task_return_new_error(task, PD_ERROR, PD_ERROR_DISCONNECTED, "%s: no link", op->what);
        return NULL;
    }
    op->path = g_strdup(chr->path);
    *task_out = g_steal_pointer(&task);
    return chr;
}

/* Owns: takes @task. */
static void
call_char(GTask *task,
          const char *method,
          GVariant *parameters,
          const GVariantType *reply_type,
          int timeout_ms,
          GAsyncReadyCallback callback)
{
    const CharOp *op = g_task_get_task_data(task);
    const PdBluezClient *client = op->device->client;

    pd_bluez_call_async(&(PdBluezCall){ .bus = client->bus,
                                        .owner = client->owner,
                                        .path = op->path,
                                        .interface = PD_BLUEZ_CHAR,
                                        .method = method,
                                        .parameters = parameters,
                                        .reply_type = reply_type,
                                        .timeout_ms = timeout_ms,
                                        .what = op->what },
                        g_task_get_cancellable(task),
                        callback,
                        task);
}

static void
on_read(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    GError *error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);

    if (reply == NULL) {
        g_task_return_error(task, error);
        return;
    }
    g_autoptr(GVariant) value = g_variant_get_child_value(reply, 0);
    g_task_return_pointer(task, g_variant_get_data_as_bytes(value), (GDestroyNotify)g_bytes_unref);
}

void
pd_bluez_char_read_async(PdBluezDevice *device,
                         const PdBluezCharId *id,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer user_data)
{
    GTask *task = NULL;

    if (begin(device, id, "read", cancellable, callback, user_data, &task) == NULL) {
        return;
    }
    call_char(task,
              "ReadValue",
              g_variant_new("(a{sv})", NULL),
              G_VARIANT_TYPE("(ay)"),
              READ_WRITE_TIMEOUT_MS,
              on_read);
}

GBytes *
pd_bluez_char_read_finish(PdBluezDevice *device, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

static void
on_written(GObject *source, GAsyncResult *result, gpointer user_data)
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
pd_bluez_char_write_async(PdBluezDevice *device,
                          const PdBluezCharId *id,
                          const uint8_t *data,
                          size_t n_data,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data)
{
    GTask *task = NULL;

    if (begin(device, id, "write", cancellable, callback, user_data, &task) == NULL) {
        return;
    }
    GVariantBuilder options;
    g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&options, "{sv}", "type", g_variant_new_string("request"));
    GVariant *value = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, n_data, 1);
    call_char(task,
              "WriteValue",
              g_variant_new("(@aya{sv})", value, &options),
              NULL,
              READ_WRITE_TIMEOUT_MS,
              on_written);
}

bool
pd_bluez_char_write_finish(PdBluezDevice *device, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}

static void
deliver_value(PdBluezClient *client, const PdBluezChar *chr, GVariant *value)
{
    PdBluezDevice *device = pd_bluez_table_get_char_device(client, chr);
    const char *service = pd_bluez_table_get_char_service(client, chr);

    if (device == NULL || service == NULL || client->listener.value == NULL) {
        return;
    }
    gsize n_data = 0;
    const uint8_t *data = g_variant_get_fixed_array(value, &n_data, 1);
    client->listener.value(client->user_data, device, service, chr->uuid, data, n_data);
}

static void
on_char_changed(GDBusConnection *bus,
                const char *sender,
                const char *path,
                const char *interface,
                const char *signal,
                GVariant *parameters,
                gpointer user_data)
{
    PdBluezChar *chr = user_data;
    g_autoptr(GVariant) properties = NULL;
    gboolean acquired = FALSE;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)"))) {
        return;
    }
    g_variant_get_child(parameters, 1, "@a{sv}", &properties);
    if (g_variant_lookup(properties, "NotifyAcquired", "b", &acquired)) {
        chr->notify_acquired = acquired != FALSE;
    }
    g_autoptr(GVariant) value =
        g_variant_lookup_value(properties, "Value", G_VARIANT_TYPE_BYTESTRING);
    if (value != NULL && chr->is_subscribed) {
        deliver_value(chr->client, chr, value);
    }
}

/* From the first subscription on, for as long as bluetoothd has the object. */
static void
watch_char(PdBluezClient *client, PdBluezChar *chr)
{
    if (chr->watch_id != 0) {
        return;
    }
    chr->watch_id = g_dbus_connection_signal_subscribe(client->bus,
                                                       client->owner,
                                                       "org.freedesktop.DBus.Properties",
                                                       "PropertiesChanged",
                                                       chr->path,
                                                       PD_BLUEZ_CHAR,
                                                       G_DBUS_SIGNAL_FLAGS_NONE,
                                                       on_char_changed,
                                                       chr,
                                                       NULL);
}

static PdBluezChar *
lookup_op_char(const CharOp *op)
{
    const PdBluezClient *client = op->device->client;

    return client != NULL ? g_hash_table_lookup(client->chars, op->path) : NULL;
}

/*
 * Name the reason of a refused subscription. Debris says NotPermitted like a holder
 * does, but only a holder was signalled by NotifyAcquired, and none outlives a link.
 */
static GError *
judge_notify_error(const CharOp *op, const PdBluezChar *chr, GError *error)
{
    g_autoptr(GError) taken = error;
    const PdBluezHint hint = pd_bluez_error_get_hint(taken);

    if (hint == PD_BLUEZ_HINT_IN_PROGRESS) {
        return g_error_new_literal(PD_ERROR, PD_ERROR_BLUEZ_IN_USE, taken->message);
    }
    if (hint != PD_BLUEZ_HINT_NOT_PERMITTED || chr == NULL) {
        return g_steal_pointer(&taken);
    }
    if (chr->notify_acquired) {
        return g_error_new_literal(PD_ERROR, PD_ERROR_BLUEZ_IN_USE, taken->message);
    }
    op->device->is_stuck = true;
    return g_error_new_literal(PD_ERROR, PD_ERROR_BLUEZ_STUCK, taken->message);
}

static void
fail_acquire(GTask *task, GError *error)
{
    const CharOp *op = g_task_get_task_data(task);
    PdBluezChar *chr = lookup_op_char(op);
    const PdBluezHint hint = pd_bluez_error_get_hint(error);

    if (chr != NULL && hint == PD_BLUEZ_HINT_CANCELLED) {
        chr->is_suspect = true;
    }
    if (chr != NULL && hint == PD_BLUEZ_HINT_NO_REPLY) {
        op->device->is_stuck = true;
        g_task_return_new_error(task, PD_ERROR, PD_ERROR_BLUEZ_STUCK, "%s", error->message);
        g_error_free(error);
        return;
    }
    g_task_return_error(task, judge_notify_error(op, chr, error));
}

static void
on_acquired(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GUnixFDList) fds = NULL;
    GError *error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, &fds, &error);

    if (reply == NULL) {
        fail_acquire(task, error);
        return;
    }
    const CharOp *op = g_task_get_task_data(task);
    PdBluezChar *chr = lookup_op_char(op);
    if (chr != NULL) {
        chr->is_suspect = false;
    }
    gint32 index = -1;
    guint16 mtu = 0;
    g_variant_get(reply, "(hq)", &index, &mtu);
    if (fds == NULL || index < 0 || index >= g_unix_fd_list_get_length(fds)) {
        g_task_return_new_error(
            task, PD_ERROR, PD_ERROR_MALFORMED, "%s: a reply without its fd", op->what);
        return;
    }
    Acquired *acquired = g_new0(Acquired, 1);
    acquired->fds = g_steal_pointer(&fds);
    acquired->index = index;
    acquired->mtu = mtu;
    g_task_return_pointer(task, acquired, acquired_free);
}

void
pd_bluez_char_acquire_notify_async(PdBluezDevice *device,
                                   const PdBluezCharId *id,
                                   GCancellable *cancellable,
                                   GAsyncReadyCallback callback,
                                   gpointer user_data)
{
    GTask *task = NULL;
    PdBluezChar *chr = begin(device, id, "acquire", cancellable, callback, user_data, &task);

    if (chr == NULL) {
        return;
    }
    watch_char(device->client, chr);
    call_char(task,
              "AcquireNotify",
              g_variant_new("(a{sv})", NULL),
              G_VARIANT_TYPE("(hq)"),
              ACQUIRE_TIMEOUT_MS,
              on_acquired);
}

int
pd_bluez_char_acquire_notify_finish(PdBluezDevice *device,
                                    GAsyncResult *result,
                                    uint16_t *mtu_out,
                                    GError **error)
{
    Acquired *acquired = g_task_propagate_pointer(G_TASK(result), error);
    g_autoptr(GError) cause = NULL;

    if (acquired == NULL) {
        return -1;
    }
    const int fd = g_unix_fd_list_get(acquired->fds, acquired->index, &cause);
    const uint16_t mtu = acquired->mtu;
    acquired_free(acquired);
    if (fd < 0 || !g_unix_set_fd_nonblocking(fd, TRUE, &cause)) {
        if (fd >= 0) {
            close(fd);
        }
        g_set_error(error, PD_ERROR, PD_ERROR_FAILED, "take the fd: %s", cause->message);
        return -1;
    }
    *mtu_out = mtu;
    return fd;
}

/* bluetoothd renews a subscription by itself on reconnect, and then refuses ours (P6). */
static bool
is_subscribed_already(const GError *error)
{
    return error != NULL &&
           strstr(error->message, "org.bluez.Error.Failed: Already notifying") != NULL;
}

static void
on_started(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    GError *error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);

    if (is_subscribed_already(error)) {
        g_error_free(error);
        g_task_return_boolean(task, TRUE);
        return;
    }
    if (reply == NULL) {
        const CharOp *op = g_task_get_task_data(task);
        PdBluezChar *chr = lookup_op_char(op);
        if (chr != NULL) {
            chr->is_subscribed = false;
        }
        g_task_return_error(task, judge_notify_error(op, chr, error));
        return;
    }
    g_task_return_boolean(task, TRUE);
}

void
pd_bluez_char_start_notify_async(PdBluezDevice *device,
                                 const PdBluezCharId *id,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data)
{
    GTask *task = NULL;
    PdBluezChar *chr = begin(device, id, "subscribe", cancellable, callback, user_data, &task);

    if (chr == NULL) {
        return;
    }
    watch_char(device->client, chr);
    chr->is_subscribed = true;
    call_char(task, "StartNotify", NULL, NULL, START_TIMEOUT_MS, on_started);
}

bool
pd_bluez_char_start_notify_finish(PdBluezDevice *device, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}
