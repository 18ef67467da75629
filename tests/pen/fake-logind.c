/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Gives out the write end of a pipe as the lock; it is given back when the read end sees
 * that nobody has it any more.
 */
#include "fake-logind.h"

#include <gio/gunixfdlist.h>
#include <glib-unix.h>

#include <poll.h>
#include <unistd.h>

struct FakeLogind {
    GDBusConnection *bus; /* owned */
    GDBusNodeInfo *info;  /* owned */
    guint registration;
    guint n_asked;
    int lock_fd; /* our end; -1 = none given */
    bool refuses;
    GPtrArray *stalled; /* owned; GDBusMethodInvocation that are not answered, NULL = all are */
};

static const char xml[] = "<node><interface name='org.freedesktop.login1.Manager'>"
                          "<method name='Inhibit'>"
                          "<arg type='s' direction='in'/><arg type='s' direction='in'/>"
                          "<arg type='s' direction='in'/><arg type='s' direction='in'/>"
                          "<arg type='h' direction='out'/></method>"
                          "<signal name='PrepareForSleep'><arg type='b'/></signal>"
                          "</interface></node>";

static void
give_lock(FakeLogind *self, GDBusMethodInvocation *invocation)
{
    g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
    int ends[2];

    g_assert_true(g_unix_open_pipe(ends, FD_CLOEXEC, NULL));
    const int index = g_unix_fd_list_append(fds, ends[1], NULL);
    close(ends[1]);
    if (self->lock_fd >= 0) {
        close(self->lock_fd);
    }
    self->lock_fd = ends[0];
    g_dbus_method_invocation_return_value_with_unix_fd_list(
        invocation, g_variant_new("(h)", index), fds);
}

static void
on_method(GDBusConnection *bus,
          const char *sender,
          const char *path,
          const char *interface,
          const char *method,
          GVariant *args,
          GDBusMethodInvocation *invocation,
          gpointer user_data)
{
    FakeLogind *self = user_data;
    const char *what = NULL;
    const char *who = NULL;
    const char *why = NULL;
    const char *mode = NULL;

    g_variant_get(args, "(&s&s&s&s)", &what, &who, &why, &mode);
    g_assert_cmpstr(what, ==, "sleep");
    g_assert_cmpstr(who, ==, "penteld");
    g_assert_cmpstr(mode, ==, "delay");
    self->n_asked++;
    if (self->stalled != NULL) {
        g_ptr_array_add(self->stalled, g_object_ref(invocation));
        return;
    }
    if (self->refuses) {
        g_dbus_method_invocation_return_dbus_error(
            invocation, "org.freedesktop.DBus.Error.AccessDenied", "Permission denied");
        return;
    }
    give_lock(self, invocation);
}

FakeLogind *
fake_logind_new(const char *address, bool refuses)
{
    static const GDBusInterfaceVTable vtable = { .method_call = on_method };
    FakeLogind *self = g_new0(FakeLogind, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = NULL;

    self->lock_fd = -1;
    self->refuses = refuses;
    self->bus =
        g_dbus_connection_new_for_address_sync(address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL,
                                               NULL,
                                               &error);
    g_assert_no_error(error);
    self->info = g_dbus_node_info_new_for_xml(xml, &error);
    g_assert_no_error(error);
    self->registration = g_dbus_connection_register_object(self->bus,
                                                           "/org/freedesktop/login1",
                                                           self->info->interfaces[0],
                                                           &vtable,
                                                           self,
                                                           NULL,
                                                           &error);
    g_assert_no_error(error);
    reply = g_dbus_connection_call_sync(self->bus,
                                        "org.freedesktop.DBus",
                                        "/org/freedesktop/DBus",
                                        "org.freedesktop.DBus",
                                        "RequestName",
                                        g_variant_new("(su)", "org.freedesktop.login1", 7),
                                        G_VARIANT_TYPE("(u)"),
                                        G_DBUS_CALL_FLAGS_NONE,
                                        5000,
                                        NULL,
                                        &error);
    g_assert_no_error(error);
    return self;
}

void
fake_logind_free(FakeLogind *self)
{
    g_dbus_connection_unregister_object(self->bus, self->registration);
    (void)g_dbus_connection_close_sync(self->bus, NULL, NULL);
    g_object_unref(self->bus);
    g_dbus_node_info_unref(self->info);
    if (self->lock_fd >= 0) {
        close(self->lock_fd);
    }
    g_clear_pointer(&self->stalled, g_ptr_array_unref);
    g_free(self);
}

void
fake_logind_stall(FakeLogind *self)
{
    self->stalled = g_ptr_array_new_with_free_func(g_object_unref);
}

bool
fake_logind_is_held(FakeLogind *self)
{
    struct pollfd end = { .fd = self->lock_fd, .events = POLLIN };

    return self->lock_fd >= 0 && poll(&end, 1, 0) == 0;
}

guint
fake_logind_count_asked(const FakeLogind *self)
{
    return self->n_asked;
}

void
fake_logind_prepare(FakeLogind *self, bool going)
{
    g_dbus_connection_emit_signal(self->bus,
                                  NULL,
                                  "/org/freedesktop/login1",
                                  "org.freedesktop.login1.Manager",
                                  "PrepareForSleep",
                                  g_variant_new("(b)", going ? TRUE : FALSE),
                                  NULL);
}
