/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * GattService1 and GattCharacteristic1 of a pen, with what bluetoothd 5.66 and 5.82 do to
 * their callers: a socket that drops when it is full (P1), notifications lost before the
 * socket is there (P2), one owner (P4), StartNotify that survives links (P6), and the
 * debris of AcquireNotify (F1).
 */
#include "bluez_internal.h"

#include <gio/gunixfdlist.h>
#include <glib-unix.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
fail_att(GDBusMethodInvocation *invocation, uint8_t code)
{
    if (code == SIM_ATT_INVALID_LENGTH) {
        sim_bluez_fail(invocation, "InvalidArguments", "Invalid Length");
        return;
    }
    g_autofree char *message = g_strdup_printf("Operation failed with ATT error: 0x%02x", code);
    sim_bluez_fail(invocation, "Failed", message);
}

static bool
is_busy(const SimDevice *device, SimChrc chrc, SimOpKind kind)
{
    for (guint i = 0; i < device->ops->len; i++) {
        const SimOp *op = g_ptr_array_index(device->ops, i);
        if (op->chrc == chrc && op->kind == kind) {
            return true;
        }
    }
    return false;
}

static gboolean
on_hup(int fd, GIOCondition condition, gpointer user_data)
{
    SimAttr *attr = user_data;
    attr->hup = 0;
    sim_attr_close_fd(attr);
    return G_SOURCE_REMOVE;
}

static void
do_read(SimAttr *attr, GVariant *args, GDBusMethodInvocation *invocation)
{
    if (!sim_attr_has_flag(attr->chrc, "read")) {
        sim_bluez_fail(invocation, "NotPermitted", "Read not permitted");
    } else if (is_busy(attr->device, attr->chrc, SIM_OP_READ)) {
        sim_bluez_fail(invocation, "InProgress", "In Progress");
    } else {
        const uint32_t ms = attr->device->adapter->bluez->options->att_ms;
        sim_device_later(attr->device, SIM_OP_READ, ms, attr->chrc, invocation, NULL);
    }
}

static void
do_write(SimAttr *attr, GVariant *args, GDBusMethodInvocation *invocation)
{
    g_autoptr(GVariant) value = g_variant_get_child_value(args, 0);
    if (!sim_attr_has_flag(attr->chrc, "write")) {
        sim_bluez_fail(invocation, "NotPermitted", "Write not permitted");
    } else if (is_busy(attr->device, attr->chrc, SIM_OP_WRITE)) {
        sim_bluez_fail(invocation, "InProgress", "In Progress");
    } else {
        const uint32_t ms = attr->device->adapter->bluez->options->att_ms;
        g_autoptr(GBytes) payload = g_variant_get_data_as_bytes(value);
        sim_device_later(attr->device, SIM_OP_WRITE, ms, attr->chrc, invocation, payload);
    }
}

static void
do_acquire(SimAttr *attr, GDBusMethodInvocation *invocation)
{
    SimBluez *bluez = attr->device->adapter->bluez;
    const uint32_t ms = bluez->options->att_ms;
    if (!sim_attr_has_flag(attr->chrc, "notify")) {
        sim_bluez_fail(invocation, "NotSupported", "Operation is not supported");
    } else if (attr->clients->len > 0) {
        sim_bluez_fail(invocation, "InProgress", "In Progress");
    } else if (attr->fd >= 0 || attr->acquiring || attr->debris) {
        sim_bluez_fail(invocation, "NotPermitted", "Notify acquired");
    } else {
        attr->acquiring = true;
        sim_device_later(attr->device, SIM_OP_ACQUIRE_SENT, ms / 2, attr->chrc, NULL, NULL);
        sim_device_later(attr->device, SIM_OP_ACQUIRE, ms, attr->chrc, invocation, NULL);
    }
}

static SimNotifyClient *
find_client(const SimAttr *attr, const char *sender)
{
    for (guint i = 0; i < attr->clients->len; i++) {
        SimNotifyClient *client = g_ptr_array_index(attr->clients, i);
        if (g_str_equal(client->sender, sender)) {
            return client;
        }
    }
    return NULL;
}

static void
update_notifying(SimAttr *attr)
{
    sim_bus_set(sim_device_bus(attr->device),
                attr->path,
                SIM_CHRC_IFACE,
                "Notifying",
                g_variant_new_boolean(attr->clients->len > 0));
    sim_attr_subscribe(attr);
}

static void
on_client_vanished(GDBusConnection *connection, const char *name, gpointer user_data)
{
    SimNotifyClient *client = user_data;
    SimAttr *attr = client->attr;
    g_ptr_array_remove(attr->clients, client);
    update_notifying(attr);
}

static void
do_start(SimAttr *attr, GDBusMethodInvocation *invocation)
{
    SimBluez *bluez = attr->device->adapter->bluez;
    const char *sender = g_dbus_method_invocation_get_sender(invocation);
    if (attr->fd >= 0 || attr->acquiring || attr->debris) {
        sim_bluez_fail(invocation, "NotPermitted", "Notify acquired");
        return;
    }
    if (!sim_attr_has_flag(attr->chrc, "notify") && !sim_attr_has_flag(attr->chrc, "indicate")) {
        sim_bluez_fail(invocation, "NotSupported", "Operation is not supported");
        return;
    }
    const SimNotifyClient *old = find_client(attr, sender);
    if (old != NULL && old->active) {
        sim_bluez_fail(invocation, "Failed", "Already notifying");
        return;
    }
    if (old != NULL) {
        sim_bluez_fail(invocation, "InProgress", "In Progress");
        return;
    }
    SimNotifyClient *client = g_new0(SimNotifyClient, 1);
    client->sender = g_strdup(sender);
    client->attr = attr;
    g_ptr_array_add(attr->clients, client);
    client->watch = g_bus_watch_name_on_connection(bluez->connection,
                                                   sender,
                                                   G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                   NULL,
                                                   on_client_vanished,
                                                   client,
                                                   NULL);
    sim_device_later(
        attr->device, SIM_OP_START_NOTIFY, bluez->options->att_ms, attr->chrc, invocation, NULL);
}

void
sim_attr_on_method(void *user_data,
                   const char *interface,
                   const char *method,
                   GVariant *args,
                   GDBusMethodInvocation *invocation)
{
    SimAttr *attr = user_data;
    if (g_str_equal(method, "StopNotify") && attr->debris) {
        attr->device->adapter->bluez->crash = true;
        g_object_unref(invocation); /* a segmentation fault answers nobody (F1) */
    } else if (g_str_equal(method, "StopNotify")) {
        g_dbus_method_invocation_return_value(invocation, NULL);
    } else if (!attr->device->connected || !attr->device->resolved) {
        sim_bluez_fail(invocation, "Failed", "Not connected");
    } else if (g_str_equal(method, "ReadValue")) {
        do_read(attr, args, invocation);
    } else if (g_str_equal(method, "WriteValue")) {
        do_write(attr, args, invocation);
    } else if (g_str_equal(method, "AcquireNotify")) {
        do_acquire(attr, invocation);
    } else {
        do_start(attr, invocation);
    }
}

static void
finish_read(SimAttr *attr, SimOp *op)
{
    const int64_t now = g_get_monotonic_time();
    g_autoptr(GByteArray) value = attr->chrc == SIM_CHRC_FEATURE
                                      ? sim_pen_read_feature(attr->device->pen, now)
                                      : sim_pen_read_clock(attr->device->pen, now);
    GVariant *bytes = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, value->data, value->len, 1);
    g_variant_ref_sink(bytes);
    sim_bus_emit(sim_device_bus(attr->device), attr->path, SIM_CHRC_IFACE, "Value", bytes);
    g_dbus_method_invocation_return_value(g_steal_pointer(&op->invocation),
                                          g_variant_new("(@ay)", bytes));
    g_variant_unref(bytes);
}

static void
finish_write(SimAttr *attr, SimOp *op)
{
    const int64_t now = g_get_monotonic_time();
    size_t n_bytes = 0;
    const uint8_t *bytes = g_bytes_get_data(op->payload, &n_bytes);
    const uint8_t code = attr->chrc == SIM_CHRC_RACP
                             ? sim_pen_write_racp(attr->device->pen, bytes, n_bytes, now)
                             : sim_pen_write_clock(attr->device->pen, bytes, n_bytes, now);
    if (code != SIM_ATT_OK) {
        fail_att(g_steal_pointer(&op->invocation), code);
        return;
    }
    g_dbus_method_invocation_return_value(g_steal_pointer(&op->invocation), NULL);
}

static void
finish_start(SimAttr *attr, SimOp *op)
{
    const char *sender = g_dbus_method_invocation_get_sender(op->invocation);
    SimNotifyClient *client = find_client(attr, sender);
    if (client != NULL) {
        client->active = true;
    }
    update_notifying(attr);
    g_dbus_method_invocation_return_value(g_steal_pointer(&op->invocation), NULL);
}

static void
finish_acquire(SimAttr *attr, SimOp *op)
{
    int pair[2] = { -1, -1 };
    attr->acquiring = false;
    if (socketpair(AF_LOCAL, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
        sim_bluez_fail(g_steal_pointer(&op->invocation), "Failed", g_strerror(errno));
        return;
    }
    attr->fd = pair[0];
    attr->hup = g_unix_fd_add(pair[0], G_IO_HUP, on_hup, attr);
    sim_bus_set(sim_device_bus(attr->device),
                attr->path,
                SIM_CHRC_IFACE,
                "NotifyAcquired",
                g_variant_new_boolean(TRUE));
    g_autoptr(GUnixFDList) fds = g_unix_fd_list_new_from_array(&pair[1], 1);
    const uint16_t mtu = (uint16_t)attr->device->adapter->bluez->options->mtu;
    g_dbus_method_invocation_return_value_with_unix_fd_list(
        g_steal_pointer(&op->invocation), g_variant_new("(hq)", 0, mtu), fds);
    sim_attr_subscribe(attr);
}

static void
drop_waiting(SimAttr *attr, const SimOp *op)
{
    if (op->kind == SIM_OP_ACQUIRE) {
        attr->acquiring = false;
    }
    if (op->kind == SIM_OP_START_NOTIFY && op->invocation != NULL) {
        SimNotifyClient *client =
            find_client(attr, g_dbus_method_invocation_get_sender(op->invocation));
        if (client != NULL && !client->active) {
            g_ptr_array_remove(attr->clients, client);
        }
    }
}

void
sim_gatt_finish(SimDevice *device, SimOp *op)
{
    SimAttr *attr = &device->attrs[op->chrc];
    const SimBluez *bluez = device->adapter->bluez;
    if (op->kind == SIM_OP_ACQUIRE_SENT) {
        if (sim_rng_percent(&device->adapter->bluez->rng, bluez->options->debris_pct)) {
            sim_bluez_say(bluez, "%s link falls during AcquireNotify", attr->path);
            sim_pen_drop_link(device->pen);
            return;
        }
        sim_pen_set_subscribed(device->pen, op->chrc, sim_device_secure(device));
        return;
    }
    if (!sim_device_secure(device)) {
        drop_waiting(attr, op);
        /* A refused CCC write leaves the same debris as a lost link (F1). */
        attr->debris = attr->debris || op->kind == SIM_OP_ACQUIRE;
        sim_bluez_fail(g_steal_pointer(&op->invocation), "NotPermitted", "Not paired");
        return;
    }
    if (op->kind == SIM_OP_READ) {
        finish_read(attr, op);
    } else if (op->kind == SIM_OP_WRITE) {
        finish_write(attr, op);
    } else if (op->kind == SIM_OP_START_NOTIFY) {
        finish_start(attr, op);
    } else if (op->kind == SIM_OP_ACQUIRE) {
        finish_acquire(attr, op);
    }
}

void
sim_gatt_cancel(SimDevice *device, SimOp *op)
{
    SimAttr *attr = &device->attrs[op->chrc];
    drop_waiting(attr, op);
    if (op->kind == SIM_OP_ACQUIRE) {
        /* Never answered, and nobody gets at it again before a restart (F1). */
        attr->debris = true;
        sim_bluez_say(device->adapter->bluez, "%s has debris", attr->path);
        return;
    }
    if (op->invocation != NULL) {
        fail_att(g_steal_pointer(&op->invocation), 0x0E);
    }
}

void
sim_gatt_notify(SimDevice *device, SimChrc chrc, const uint8_t *bytes, size_t n_bytes)
{
    SimAttr *attr = &device->attrs[chrc];
    SimBluez *bluez = device->adapter->bluez;
    if (attr->fd >= 0) {
        if (send(attr->fd, bytes, n_bytes, MSG_NOSIGNAL) < 0) {
            sim_bluez_say(bluez, "%s sendmsg: %s", attr->path, g_strerror(errno));
        }
        return;
    }
    if (attr->clients->len > 0) {
        GVariant *value = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes, n_bytes, 1);
        sim_bus_emit(bluez->bus, attr->path, SIM_CHRC_IFACE, "Value", value);
    }
}
