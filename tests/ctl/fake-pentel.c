/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A stand-in for penteld that answers as a scenario says. Usage:
 *     fake-pentel INTERFACES.xml SCENARIO
 * The scenario is a key file with a group a method, "Method" or "Method first-argument":
 *     reply   the reply as GVariant text
 *     error   name of an error instead, message its text
 *     file    for methods that give a pipe: what to write into it
 *     cut     die after so many bytes of it
 *     hold    keep the pipe open after the file, until the reader goes
 *     line_ms wait so long between its lines
 * Group "GetManagedObjects" makes it answer as bluetoothd does at "/", "LoadUnit" as systemd
 * does; groups "Unit PATH" hold a unit's properties (reply).
 * Key absent of group "penteld" leaves org.pentel to nobody.
 * Groups "Pen PATH" hold a pen's properties (reply), "names" lists other names to own, and
 * "clock" says by synced what systemd-timedated would.
 * Calls are printed to standard output. SIGHUP reads the scenario again and says that
 * pens changed.
 */
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    GKeyFile *scenario;          /* owned */
    const char *scenario_path;   /* borrowed from argv */
    GDBusNodeInfo *info;         /* owned */
    GDBusConnection *connection; /* owned */
    GMainLoop *loop;             /* owned */
} Fake;

typedef struct {
    char *bytes; /* owned */
    gsize n_bytes;
    guint64 cut;
    guint64 line_ms;
    gboolean hold;
    int fd;
} Pipe;

static gpointer
write_pipe(gpointer data)
{
    Pipe *pipe = data;
    gsize done = 0;

    while (done < pipe->n_bytes) {
        gsize n = pipe->n_bytes - done;
        const char *newline = pipe->line_ms > 0 ? memchr(pipe->bytes + done, '\n', n) : NULL;
        if (newline != NULL) {
            n = (gsize)(newline - pipe->bytes) + 1 - done;
        }
        if (pipe->cut > 0 && done + n > pipe->cut) {
            n = pipe->cut - done;
        }
        const ssize_t n_written = write(pipe->fd, pipe->bytes + done, n);
        if (n_written < 0) {
            break;
        }
        done += (gsize)n_written;
        if (pipe->cut > 0 && done >= pipe->cut) {
            _exit(9);
        }
        g_usleep(pipe->line_ms * 1000);
    }
    while (pipe->hold && write(pipe->fd, "{\"pen\":\"\"}\n", 11) > 0) {
        g_usleep(50000);
    }
    close(pipe->fd);
    g_free(pipe->bytes);
    g_free(pipe);
    return NULL;
}

/* Group of the call: with its first text argument, else of the method alone. */
static char *
group_of(Fake *fake, const char *method, GVariant *parameters)
{
    for (gsize i = 0; i < g_variant_n_children(parameters); i++) {
        g_autoptr(GVariant) child = g_variant_get_child_value(parameters, i);
        if (!g_variant_is_of_type(child, G_VARIANT_TYPE_STRING)) {
            continue;
        }
        g_autofree char *group =
            g_strdup_printf("%s %s", method, g_variant_get_string(child, NULL));
        if (g_key_file_has_group(fake->scenario, group)) {
            return g_steal_pointer(&group);
        }
    }
    return g_strdup(method);
}

static GVariant *
parse_reply(Fake *fake, const char *group)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_key_file_get_string(fake->scenario, group, "reply", NULL);
    GVariant *value = g_variant_parse(NULL, text != NULL ? text : "()", NULL, NULL, &error);

    if (value == NULL) {
        g_printerr("%s: %s\n", group, error->message);
        _exit(2);
    }
    return value;
}

static void
reply_with_pipe(Fake *fake, const char *group, GDBusMethodInvocation *invocation)
{
    g_autofree char *path = g_key_file_get_string(fake->scenario, group, "file", NULL);
    g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
    Pipe *pipe = g_new0(Pipe, 1);
    int ends[2];

    if (!g_unix_open_pipe(ends, FD_CLOEXEC, NULL) ||
        !g_file_get_contents(path, &pipe->bytes, &pipe->n_bytes, NULL)) {
        _exit(2);
    }
    pipe->cut = g_key_file_get_uint64(fake->scenario, group, "cut", NULL);
    pipe->line_ms = g_key_file_get_uint64(fake->scenario, group, "line_ms", NULL);
    pipe->hold = g_key_file_get_boolean(fake->scenario, group, "hold", NULL);
    pipe->fd = ends[1];
    g_unix_fd_list_append(fds, ends[0], NULL);
    close(ends[0]);
    g_dbus_method_invocation_return_value_with_unix_fd_list(
        invocation, g_variant_new("(h)", 0), fds);
    g_dbus_connection_flush_sync(fake->connection, NULL, NULL); /* before it dies of a cut */
    g_thread_unref(g_thread_new("pipe", write_pipe, pipe));
}

static void
on_call(GDBusConnection *connection,
        const char *sender,
        const char *path,
        const char *interface,
        const char *method,
        GVariant *parameters,
        GDBusMethodInvocation *invocation,
        gpointer user_data)
{
    Fake *fake = user_data;
    g_autofree char *group = group_of(fake, method, parameters);
    g_autofree char *error = g_key_file_get_string(fake->scenario, group, "error", NULL);
    g_autofree char *message = g_key_file_get_string(fake->scenario, group, "message", NULL);
    g_autofree char *text = g_variant_print(parameters, FALSE);

    printf("%s%s\n", method, text);
    fflush(stdout);
    if (error != NULL) {
        g_dbus_method_invocation_return_dbus_error(
            invocation, error, message != NULL ? message : "something");
    } else if (g_key_file_has_key(fake->scenario, group, "file", NULL)) {
        reply_with_pipe(fake, group, invocation);
    } else if (!g_key_file_get_boolean(fake->scenario, group, "silent", NULL)) {
        g_dbus_method_invocation_return_value(invocation, parse_reply(fake, group));
    }
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
    Fake *fake = user_data;
    g_autofree char *pen = g_strdup_printf("Pen %s", path);
    g_autofree char *unit = g_strdup_printf("Unit %s", path);
    const char *group = g_str_has_prefix(interface, "org.freedesktop.systemd1.") ? unit : pen;

    if (strcmp(property, "NTPSynchronized") == 0) {
        return g_variant_new_boolean(
            g_key_file_get_boolean(fake->scenario, "clock", "synced", NULL));
    }

    if (!g_key_file_has_group(fake->scenario, group)) {
        return NULL;
    }
    g_autoptr(GVariant) properties = g_variant_ref_sink(parse_reply(fake, group));
    return g_variant_lookup_value(properties, property, NULL);
}

static const GDBusInterfaceVTable vtable = { .method_call = on_call, .get_property = on_get };

static void
export_from(Fake *fake, GDBusNodeInfo *node, const char *path, const char *interface)
{
    g_autoptr(GError) error = NULL;
    GDBusInterfaceInfo *info = g_dbus_node_info_lookup_interface(node, interface);

    if (info == NULL || g_dbus_connection_register_object(
                            fake->connection, path, info, &vtable, fake, NULL, &error) == 0) {
        g_printerr("%s on %s: %s\n", interface, path, error != NULL ? error->message : "unknown");
        _exit(2);
    }
}

static void
export_at(Fake *fake, const char *path, const char *interface)
{
    export_from(fake, fake->info, path, interface);
}

static void
export_clock(Fake *fake)
{
    g_autoptr(GDBusNodeInfo) info = g_dbus_node_info_new_for_xml(
        "<node><interface name='org.freedesktop.timedate1'>"
        "<property name='NTPSynchronized' type='b' access='read'/></interface></node>",
        NULL);

    if (g_key_file_has_group(fake->scenario, "clock")) {
        export_from(fake, info, "/org/freedesktop/timedate1", "org.freedesktop.timedate1");
    }
}

static void
export_bluez(Fake *fake)
{
    g_autoptr(GDBusNodeInfo) info = g_dbus_node_info_new_for_xml(
        "<node><interface name='org.freedesktop.DBus.ObjectManager'>"
        "<method name='GetManagedObjects'>"
        "<arg type='a{oa{sa{sv}}}' direction='out'/></method></interface></node>",
        NULL);

    if (g_key_file_has_group(fake->scenario, "GetManagedObjects")) {
        export_from(fake, info, "/", "org.freedesktop.DBus.ObjectManager");
    }
}

static void
export_systemd(Fake *fake)
{
    g_autoptr(GDBusNodeInfo) info = g_dbus_node_info_new_for_xml(
        "<node><interface name='org.freedesktop.systemd1.Manager'>"
        "<method name='LoadUnit'><arg type='s' direction='in'/>"
        "<arg type='o' direction='out'/></method></interface>"
        "<interface name='org.freedesktop.systemd1.Unit'>"
        "<property name='LoadState' type='s' access='read'/>"
        "<property name='ActiveState' type='s' access='read'/></interface>"
        "<interface name='org.freedesktop.systemd1.Service'>"
        "<property name='Restart' type='s' access='read'/></interface></node>",
        NULL);
    g_auto(GStrv) groups = g_key_file_get_groups(fake->scenario, NULL);

    for (gsize i = 0; groups[i] != NULL; i++) {
        if (g_str_has_prefix(groups[i], "Unit ")) {
            export_from(fake, info, groups[i] + 5, "org.freedesktop.systemd1.Unit");
            export_from(fake, info, groups[i] + 5, "org.freedesktop.systemd1.Service");
        } else if (g_str_has_prefix(groups[i], "LoadUnit") && groups[i][8] == '\0') {
            export_from(
                fake, info, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
        }
    }
}

static void
export_pens(Fake *fake)
{
    g_auto(GStrv) groups = g_key_file_get_groups(fake->scenario, NULL);

    for (gsize i = 0; groups[i] != NULL; i++) {
        if (g_str_has_prefix(groups[i], "Pen ")) {
            export_at(fake, groups[i] + 4, "org.pentel.Pen1");
        }
    }
}

static void
load(Fake *fake)
{
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&fake->scenario, g_key_file_unref);
    fake->scenario = g_key_file_new();
    if (!g_key_file_load_from_file(fake->scenario, fake->scenario_path, G_KEY_FILE_NONE, &error)) {
        g_printerr("%s: %s\n", fake->scenario_path, error->message);
        _exit(2);
    }
}

static gboolean
on_hangup(gpointer user_data)
{
    Fake *fake = user_data;
    GVariant *changed = g_variant_new_parsed("('org.pentel.Pen1', @a{sv} {}, ['State'])");

    load(fake);
    g_dbus_connection_emit_signal(fake->connection,
                                  NULL,
                                  "/org/pentel/pens/any",
                                  "org.freedesktop.DBus.Properties",
                                  "PropertiesChanged",
                                  changed,
                                  NULL);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_end(gpointer user_data)
{
    Fake *fake = user_data;

    g_main_loop_quit(fake->loop);
    return G_SOURCE_REMOVE;
}

static void
own_names(Fake *fake)
{
    g_auto(GStrv) names = g_key_file_get_string_list(fake->scenario, "names", "own", NULL, NULL);

    for (gsize i = 0; names != NULL && names[i] != NULL; i++) {
        g_bus_own_name_on_connection(
            fake->connection, names[i], G_BUS_NAME_OWNER_FLAGS_NONE, NULL, NULL, NULL, NULL);
    }
}

static void
on_name(GDBusConnection *connection, const char *name, gpointer user_data)
{
    printf("READY\n");
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;
    Fake fake = { .loop = g_main_loop_new(NULL, FALSE) };

    if (argc != 3 || !g_file_get_contents(argv[1], &xml, NULL, &error)) {
        g_printerr("usage: fake-pentel INTERFACES.xml SCENARIO\n");
        return 2;
    }
    fake.info = g_dbus_node_info_new_for_xml(xml, &error);
    fake.scenario_path = argv[2];
    fake.connection = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &error);
    if (fake.info == NULL || fake.connection == NULL) {
        g_printerr("%s\n", error->message);
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    load(&fake);
    export_at(&fake, "/org/pentel/manager", "org.pentel.Manager1");
    export_at(&fake, "/org/pentel/manager", "org.pentel.Log1");
    export_pens(&fake);
    export_clock(&fake);
    export_bluez(&fake);
    export_systemd(&fake);
    own_names(&fake);
    const bool is_absent = g_key_file_get_boolean(fake.scenario, "penteld", "absent", NULL);
    g_bus_own_name_on_connection(fake.connection,
                                 is_absent ? "org.pentel.Absent" : "org.pentel",
                                 G_BUS_NAME_OWNER_FLAGS_NONE,
                                 on_name,
                                 NULL,
                                 NULL,
                                 NULL);
    g_unix_signal_add(SIGHUP, on_hangup, &fake);
    g_unix_signal_add(SIGTERM, on_end, &fake);
    g_main_loop_run(fake.loop);
    g_key_file_unref(fake.scenario);
    g_dbus_node_info_unref(fake.info);
    g_object_unref(fake.connection);
    g_main_loop_unref(fake.loop);
    return 0;
}
