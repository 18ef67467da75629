/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * A thin object tree over GDBus registration. GDBus's own skeletons fold changes of a
 * property together in an idle handler and cannot leave a property out; bluetoothd does
 * neither, and a gateway must cope with what bluetoothd does.
 */
#include "bus.h"

#include <stdint.h>

#define PROPERTIES_IFACE "org.freedesktop.DBus.Properties"
#define MANAGER_IFACE    "org.freedesktop.DBus.ObjectManager"

typedef struct {
    char *path;               /* owned */
    GDBusInterfaceInfo *info; /* borrowed from the node info */
    GHashTable *properties;   /* owned; name to GVariant */
    SimBusMethod method;
    SimBusSetter setter;
    void *user_data; /* borrowed */
    guint registration;
    bool shown;
} Face;

struct SimBus {
    GDBusConnection *connection; /* ref */
    GDBusNodeInfo *info;         /* ref */
    GDBusNodeInfo *manager_info; /* owned */
    GPtrArray *faces;            /* owned; Face, in order of addition */
    guint registration;
};

static const char manager_xml[] =
    "<node><interface name='" MANAGER_IFACE "'>"
    "<method name='GetManagedObjects'>"
    "<arg type='a{oa{sa{sv}}}' name='objects' direction='out'/></method>"
    "<signal name='InterfacesAdded'><arg type='o'/><arg type='a{sa{sv}}'/></signal>"
    "<signal name='InterfacesRemoved'><arg type='o'/><arg type='as'/></signal>"
    "</interface></node>";

static void
face_free(gpointer data)
{
    Face *face = data;
    g_free(face->path);
    g_hash_table_unref(face->properties);
    g_free(face);
}

static Face *
find_face(const SimBus *self, const char *path, const char *interface)
{
    for (guint i = 0; i < self->faces->len; i++) {
        Face *face = g_ptr_array_index(self->faces, i);
        if (g_str_equal(face->path, path) && g_str_equal(face->info->name, interface)) {
            return face;
        }
    }
    return NULL;
}

static GVariant *
describe_face(const Face *face)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sv}"));
    GHashTableIter iter;
    gpointer name = NULL;
    gpointer value = NULL;
    g_hash_table_iter_init(&iter, face->properties);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        g_variant_builder_add(&builder, "{sv}", (const char *)name, (GVariant *)value);
    }
    return g_variant_builder_end(&builder);
}

/* All interfaces of a path, or only those not announced yet. */
static GVariant *
describe_path(const SimBus *self, const char *path, bool unshown_only)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sa{sv}}"));
    for (guint i = 0; i < self->faces->len; i++) {
        const Face *face = g_ptr_array_index(self->faces, i);
        if (g_str_equal(face->path, path) && (unshown_only ? !face->shown : face->shown)) {
            g_variant_builder_add(&builder, "{s@a{sv}}", face->info->name, describe_face(face));
        }
    }
    return g_variant_builder_end(&builder);
}

static void
on_manager_method(GDBusConnection *connection,
                  const char *sender,
                  const char *path,
                  const char *interface,
                  const char *method,
                  GVariant *args,
                  GDBusMethodInvocation *invocation,
                  gpointer user_data)
{
    const SimBus *self = user_data;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{oa{sa{sv}}}"));
    for (guint i = 0; i < self->faces->len; i++) {
        const Face *face = g_ptr_array_index(self->faces, i);
        if (face->shown && g_hash_table_add(seen, face->path)) {
            g_variant_builder_add(
                &builder, "{o@a{sa{sv}}}", face->path, describe_path(self, face->path, false));
        }
    }
    g_dbus_method_invocation_return_value(invocation, g_variant_new("(a{oa{sa{sv}}})", &builder));
}

SimBus *
sim_bus_new(GDBusConnection *connection, GDBusNodeInfo *info, GError **error)
{
    static const GDBusInterfaceVTable vtable = { .method_call = on_manager_method };
    g_autoptr(SimBus) self = g_new0(SimBus, 1);
    self->connection = g_object_ref(connection);
    self->info = g_dbus_node_info_ref(info);
    self->faces = g_ptr_array_new_with_free_func(face_free);
    self->manager_info = g_dbus_node_info_new_for_xml(manager_xml, error);
    if (self->manager_info == NULL) {
        return NULL;
    }
    self->registration = g_dbus_connection_register_object(
        connection, "/", self->manager_info->interfaces[0], &vtable, self, NULL, error);
    return self->registration != 0 ? g_steal_pointer(&self) : NULL;
}

void
sim_bus_free(SimBus *self)
{
    if (self == NULL) {
        return;
    }
    for (guint i = 0; i < self->faces->len; i++) {
        const Face *face = g_ptr_array_index(self->faces, i);
        g_dbus_connection_unregister_object(self->connection, face->registration);
    }
    if (self->registration != 0) {
        g_dbus_connection_unregister_object(self->connection, self->registration);
    }
    g_ptr_array_unref(self->faces);
    g_clear_pointer(&self->manager_info, g_dbus_node_info_unref);
    g_dbus_node_info_unref(self->info);
    g_object_unref(self->connection);
    g_free(self);
}

static void
on_method(GDBusConnection *connection,
          const char *sender,
          const char *path,
          const char *interface,
          const char *method,
          GVariant *args,
          GDBusMethodInvocation *invocation,
          gpointer user_data)
{
    const Face *face = user_data;
    if (face->method == NULL) {
        g_dbus_method_invocation_return_dbus_error(
            invocation, "org.freedesktop.DBus.Error.UnknownMethod", method);
        return;
    }
    face->method(face->user_data, interface, method, args, invocation);
}

static GVariant *
on_get(GDBusConnection *connection,
       const char *sender,
       const char *path,
       const char *interface,
       const char *property,
       GError **error,
       gpointer user_data)
{
    const Face *face = user_data;
    GVariant *value = g_hash_table_lookup(face->properties, property);
    if (value == NULL) {
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_PROPERTY, "no %s now", property);
        return NULL;
    }
    return g_variant_ref(value);
}

static gboolean
on_set(GDBusConnection *connection,
       const char *sender,
       const char *path,
       const char *interface,
       const char *property,
       GVariant *value,
       GError **error,
       gpointer user_data)
{
    const Face *face = user_data;
    if (face->setter == NULL || !face->setter(face->user_data, property, value)) {
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_PROPERTY_READ_ONLY, "%s", property);
        return FALSE;
    }
    return TRUE;
}

void
sim_bus_add(SimBus *self,
            const char *path,
            const char *interface,
            SimBusMethod method,
            SimBusSetter setter,
            void *user_data)
{
    static const GDBusInterfaceVTable vtable = {
        .method_call = on_method,
        .get_property = on_get,
        .set_property = on_set,
    };
    g_autoptr(GError) error = NULL;
    Face *face = g_new0(Face, 1);
    face->path = g_strdup(path);
    face->info = g_dbus_node_info_lookup_interface(self->info, interface);
    g_assert(face->info != NULL);
    face->properties =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_variant_unref);
    face->method = method;
    face->setter = setter;
    face->user_data = user_data;
    face->registration = g_dbus_connection_register_object(
        self->connection, path, face->info, &vtable, face, NULL, &error);
    if (face->registration == 0) {
        g_warning("cannot export %s: %s", path, error->message);
    }
    g_ptr_array_add(self->faces, face);
}

static void
emit(SimBus *self, const char *path, const char *interface, const char *signal, GVariant *args)
{
    g_dbus_connection_emit_signal(self->connection, NULL, path, interface, signal, args, NULL);
}

void
sim_bus_show(SimBus *self, const char *path)
{
    g_autoptr(GVariant) added = g_variant_ref_sink(describe_path(self, path, true));
    if (g_variant_n_children(added) == 0) {
        return;
    }
    for (guint i = 0; i < self->faces->len; i++) {
        Face *face = g_ptr_array_index(self->faces, i);
        if (g_str_equal(face->path, path)) {
            face->shown = true;
        }
    }
    emit(self, "/", MANAGER_IFACE, "InterfacesAdded", g_variant_new("(o@a{sa{sv}})", path, added));
}

void
sim_bus_remove(SimBus *self, const char *path, const char *interface)
{
    GVariantBuilder names;
    bool any = false;
    g_variant_builder_init(&names, G_VARIANT_TYPE("as"));
    for (guint i = self->faces->len; i > 0; i--) {
        Face *face = g_ptr_array_index(self->faces, i - 1);
        if (!g_str_equal(face->path, path) ||
            (interface != NULL && !g_str_equal(face->info->name, interface))) {
            continue;
        }
        if (face->shown) {
            g_variant_builder_add(&names, "s", face->info->name);
            any = true;
        }
        g_dbus_connection_unregister_object(self->connection, face->registration);
        g_ptr_array_remove_index(self->faces, i - 1);
    }
    if (!any) {
        g_variant_builder_clear(&names);
        return;
    }
    emit(self, "/", MANAGER_IFACE, "InterfacesRemoved", g_variant_new("(oas)", path, &names));
}

bool
sim_bus_has(const SimBus *self, const char *path, const char *interface)
{
    return find_face(self, path, interface) != NULL;
}

static void
emit_changed(SimBus *self, const Face *face, const char *property, GVariant *value)
{
    GVariantBuilder changed;
    GVariantBuilder invalidated;
    g_variant_builder_init(&changed, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_init(&invalidated, G_VARIANT_TYPE("as"));
    if (value != NULL) {
        g_variant_builder_add(&changed, "{sv}", property, value);
    } else {
        g_variant_builder_add(&invalidated, "s", property);
    }
    emit(self,
         face->path,
         PROPERTIES_IFACE,
         "PropertiesChanged",
         g_variant_new("(sa{sv}as)", face->info->name, &changed, &invalidated));
}

static void
set_property(SimBus *self,
             const char *path,
             const char *interface,
             const char *property,
             GVariant *value,
             bool always)
{
    g_autoptr(GVariant) owned = value != NULL ? g_variant_ref_sink(value) : NULL;
    Face *face = find_face(self, path, interface);
    if (face == NULL) {
        return;
    }
    GVariant *old = g_hash_table_lookup(face->properties, property);
    const bool equal = old == NULL || owned == NULL ? old == owned : g_variant_equal(old, owned);
    if (owned == NULL) {
        g_hash_table_remove(face->properties, property);
    } else {
        g_hash_table_insert(face->properties, g_strdup(property), g_variant_ref(owned));
    }
    if (face->shown && (always || !equal)) {
        emit_changed(self, face, property, owned);
    }
}

void
sim_bus_set(
    SimBus *self, const char *path, const char *interface, const char *property, GVariant *value)
{
    set_property(self, path, interface, property, value, false);
}

void
sim_bus_emit(
    SimBus *self, const char *path, const char *interface, const char *property, GVariant *value)
{
    set_property(self, path, interface, property, value, true);
}

bool
sim_bus_own_name(GDBusConnection *connection, const char *name, GError **error)
{
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(connection,
                                                            "org.freedesktop.DBus",
                                                            "/org/freedesktop/DBus",
                                                            "org.freedesktop.DBus",
                                                            "RequestName",
                                                            g_variant_new("(su)", name, 4),
                                                            G_VARIANT_TYPE("(u)"),
                                                            G_DBUS_CALL_FLAGS_NONE,
                                                            -1,
                                                            NULL,
                                                            error);
    if (reply == NULL) {
        return false;
    }
    uint32_t result = 0;
    g_variant_get(reply, "(u)", &result);
    if (result != 1) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, "%s has another owner", name);
        return false;
    }
    return true;
}
