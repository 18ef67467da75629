/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Objects by hand on the bus, so that a test also sees what a well-behaved object
 * manager would never do.
 */
#include "fake-bluez.h"

#include <gio/gunixfdlist.h>

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

typedef struct {
    char *path;
    const GDBusInterfaceInfo *info;
    GVariant *properties;
    guint id;
} FakeObject;

static const char manager_xml[] =
    "<node><interface name='" OBJECT_MANAGER "'><method name='GetManagedObjects'>"
    "<arg type='a{oa{sa{sv}}}' direction='out'/></method></interface></node>";

static void
fake_object_free(gpointer data)
{
    FakeObject *object = data;

    g_free(object->path);
    g_variant_unref(object->properties);
    g_free(object);
}

static void
answer_acquire(FakeBluez *self, GDBusMethodInvocation *invocation)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), ==, 0);
    self->notify_fd = fds[0];
    g_autoptr(GUnixFDList) list = g_unix_fd_list_new_from_array(&fds[1], 1);
    g_dbus_method_invocation_return_value_with_unix_fd_list(
        invocation, g_variant_new("(hq)", 0, 185), list);
}

static void
on_method(GDBusConnection *bus,
          const char *sender,
          const char *path,
          const char *interface,
          const char *method,
          GVariant *parameters,
          GDBusMethodInvocation *invocation,
          gpointer user_data)
{
    FakeBluez *self = user_data;
    const char *answer = g_hash_table_lookup(self->answers, method);
    g_autofree char *arguments = g_variant_print(parameters, FALSE);

    g_string_append_printf(self->calls, "%s %s %s;", method, path, arguments);
    if (answer == NULL) {
        g_ptr_array_add(self->held, invocation);
        return;
    }
    const char *bar = strchr(answer, '|');
    if (bar != NULL) {
        g_autofree char *name = g_strndup(answer, (size_t)(bar - answer));
        g_dbus_method_invocation_return_dbus_error(invocation, name, bar + 1);
    } else if (strcmp(method, "AcquireNotify") == 0) {
        answer_acquire(self, invocation);
    } else if (strcmp(method, "ReadValue") == 0) {
        g_dbus_method_invocation_return_value(
            invocation,
            g_variant_new("(@ay)", g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, "\1\0\3", 3, 1)));
    } else {
        g_dbus_method_invocation_return_value(invocation, NULL);
    }
}

static void
on_manager_method(GDBusConnection *bus,
                  const char *sender,
                  const char *path,
                  const char *interface,
                  const char *method,
                  GVariant *parameters,
                  GDBusMethodInvocation *invocation,
                  gpointer user_data)
{
    FakeBluez *self = user_data;
    GVariantBuilder objects;

    g_variant_builder_init(&objects, G_VARIANT_TYPE("a{oa{sa{sv}}}"));
    /* Last first: a client may not count on parents coming before children. */
    for (guint i = self->objects->len; i > 0; i--) {
        const FakeObject *object = self->objects->pdata[i - 1];
        GVariantBuilder interfaces;

        g_variant_builder_init(&interfaces, G_VARIANT_TYPE("a{sa{sv}}"));
        g_variant_builder_add(&interfaces, "{s@a{sv}}", object->info->name, object->properties);
        g_variant_builder_add(&objects, "{oa{sa{sv}}}", object->path, &interfaces);
    }
    g_dbus_method_invocation_return_value(invocation, g_variant_new("(a{oa{sa{sv}}})", &objects));
}

static FakeObject *
find_object(const FakeBluez *self, const char *path, const char *interface)
{
    for (guint i = 0; i < self->objects->len; i++) {
        FakeObject *object = self->objects->pdata[i];

        if (strcmp(object->path, path) == 0 && strcmp(object->info->name, interface) == 0) {
            return object;
        }
    }
    g_assert_not_reached();
}

static GVariant *
on_get_property(GDBusConnection *bus,
                const char *sender,
                const char *path,
                const char *interface,
                const char *property,
                GError **error,
                gpointer user_data)
{
    const FakeObject *object = find_object(user_data, path, interface);
    GVariant *value = g_variant_lookup_value(object->properties, property, NULL);

    if (value == NULL) {
        g_set_error_literal(error, G_DBUS_ERROR, G_DBUS_ERROR_FAILED, "unknown");
    }
    return value;
}

static const GDBusInterfaceVTable object_vtable = { .method_call = on_method,
                                                    .get_property = on_get_property };
static const GDBusInterfaceVTable manager_vtable = { .method_call = on_manager_method };

static void
emit(FakeBluez *self, const char *path, const char *interface, const char *name, GVariant *values)
{
    g_assert_true(
        g_dbus_connection_emit_signal(self->bus, NULL, path, interface, name, values, NULL));
}

void
fake_bluez_add(FakeBluez *self,
               const char *path,
               const GDBusInterfaceInfo *info,
               const char *properties)
{
    FakeObject *object = g_new0(FakeObject, 1);
    GVariantBuilder interfaces;

    object->path = g_strdup(path);
    object->info = info;
    object->properties = g_variant_parse(G_VARIANT_TYPE_VARDICT, properties, NULL, NULL, NULL);
    g_assert_nonnull(object->properties);
    object->id = g_dbus_connection_register_object(
        self->bus, path, (GDBusInterfaceInfo *)(uintptr_t)info, &object_vtable, self, NULL, NULL);
    g_assert_cmpuint(object->id, !=, 0);
    g_ptr_array_add(self->objects, object);
    g_variant_builder_init(&interfaces, G_VARIANT_TYPE("a{sa{sv}}"));
    g_variant_builder_add(&interfaces, "{s@a{sv}}", info->name, object->properties);
    emit(self,
         "/",
         OBJECT_MANAGER,
         "InterfacesAdded",
         g_variant_new("(oa{sa{sv}})", path, &interfaces));
}

void
fake_bluez_remove(FakeBluez *self, const char *path)
{
    for (guint i = self->objects->len; i > 0; i--) {
        const FakeObject *object = self->objects->pdata[i - 1];

        if (strcmp(object->path, path) == 0) {
            const char *interfaces[] = { object->info->name, NULL };
            emit(self,
                 "/",
                 OBJECT_MANAGER,
                 "InterfacesRemoved",
                 g_variant_new("(o^as)", path, interfaces));
            g_dbus_connection_unregister_object(self->bus, object->id);
            g_ptr_array_remove_index(self->objects, i - 1);
        }
    }
}

void
fake_bluez_change(FakeBluez *self, const char *path, const char *interface, const char *properties)
{
    GVariant *values = g_variant_parse(G_VARIANT_TYPE_VARDICT, properties, NULL, NULL, NULL);

    g_assert_nonnull(values);
    emit(self,
         path,
         "org.freedesktop.DBus.Properties",
         "PropertiesChanged",
         g_variant_new("(s@a{sv}as)", interface, values, NULL));
    g_variant_unref(values);
}

void
fake_bluez_set(FakeBluez *self, const char *path, const char *interface, const char *properties)
{
    FakeObject *object = find_object(self, path, interface);

    g_variant_unref(object->properties);
    object->properties = g_variant_parse(G_VARIANT_TYPE_VARDICT, properties, NULL, NULL, NULL);
    g_assert_nonnull(object->properties);
}

void
fake_bluez_answer(FakeBluez *self, const char *method, const char *answer)
{
    g_hash_table_replace(self->answers, g_strdup(method), g_strdup(answer));
}

FakeBluez *
fake_bluez_new(const char *bus_address)
{
    FakeBluez *self = g_new0(FakeBluez, 1);
    g_autoptr(GError) error = NULL;

    self->bus =
        g_dbus_connection_new_for_address_sync(bus_address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL,
                                               NULL,
                                               &error);
    g_assert_no_error(error);
    self->objects = g_ptr_array_new_with_free_func(fake_object_free);
    self->answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->held = g_ptr_array_new_with_free_func(g_object_unref);
    self->calls = g_string_new(NULL);
    self->notify_fd = -1;
    g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(manager_xml, NULL);
    self->manager_id = g_dbus_connection_register_object(
        self->bus, "/", node->interfaces[0], &manager_vtable, self, NULL, NULL);
    self->name_id = g_bus_own_name_on_connection(
        self->bus, "org.bluez", G_BUS_NAME_OWNER_FLAGS_NONE, NULL, NULL, NULL, NULL);
    fake_bluez_answer(self, "StopDiscovery", "org.bluez.Error.Failed|No discovery started");
    return self;
}

void
fake_bluez_free(FakeBluez *self)
{
    g_bus_unown_name(self->name_id);
    for (guint i = 0; i < self->objects->len; i++) {
        const FakeObject *object = self->objects->pdata[i];
        g_dbus_connection_unregister_object(self->bus, object->id);
    }
    g_dbus_connection_unregister_object(self->bus, self->manager_id);
    (void)g_dbus_connection_close_sync(self->bus, NULL, NULL);
    g_object_unref(self->bus);
    g_ptr_array_unref(self->objects);
    g_hash_table_unref(self->answers);
    g_ptr_array_unref(self->held);
    g_string_free(self->calls, TRUE);
    if (self->notify_fd >= 0) {
        close(self->notify_fd);
    }
    g_free(self);
}
