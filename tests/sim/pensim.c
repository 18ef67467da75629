/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * pensim: virtual pens behind a simulated bluetoothd on a private bus, polkit and systemd
 * stubs beside it; or, with --peripheral, on adapters of the real bluetoothd. The truth of
 * what the pens did goes into a file.
 *
 * Prints READY when every name is owned or every pen can be found, and DONE when the last treatment
 * is over. SIGTERM ends it; SIGUSR1 restarts bluetoothd; SIGUSR2 turns polkit's answer; SIGHUP
 * unplugs the first adapter and, the next time, plugs it in again under another name.
 */
#include "bluez.h"
#include "options.h"
#include "pen.h"
#include "peripheral.h"
#include "polkit.h"
#include "systemd.h"

#include <glib-unix.h>
#include <glib/gstdio.h>

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS        10
#define TRUTH_EVERY_US 200000

typedef struct {
    SimOptions options;
    GMainLoop *loop;             /* owned */
    GPtrArray *pens;             /* owned; SimPen */
    GDBusConnection *connection; /* owned; of the stubs */
    SimPeripheral *peripheral;   /* owned; NULL with a simulated bluetoothd */
    SimBluez *bluez;             /* owned; NULL with the real one */
    SimPolkit *polkit;           /* owned; may be NULL */
    SimSystemd *systemd;         /* owned; NULL without bluez */
    char *address;               /* owned; of the bus */
    uint64_t truth_version;      /* as written */
    int64_t truth_at_us;         /* when it was written, 0 never */
    int64_t done_at_us;          /* 0: not yet */
    uint32_t n_unplugged;        /* SIGHUPs so far */
    bool ready;                  /* said so */
} App;

static bool
is_done(const App *app)
{
    for (guint i = 0; i < app->pens->len; i++) {
        if (!sim_pen_is_done(g_ptr_array_index(app->pens, i))) {
            return false;
        }
    }
    return true;
}

static uint64_t
sum_versions(const App *app)
{
    uint64_t sum = 0;
    for (guint i = 0; i < app->pens->len; i++) {
        sum += sim_pen_get_truth_version(g_ptr_array_index(app->pens, i));
    }
    return sum;
}

/* Readers see the old file or the new one, never half of it. */
static void
write_truth(App *app)
{
    if (app->options.truth == NULL) {
        return;
    }
    app->truth_version = sum_versions(app);
    g_autoptr(GString) out = g_string_new(NULL);
    g_string_append_printf(out,
                           "{\"seed\":%" G_GUINT64_FORMAT ",\"done\":%s,\"pens\":[\n",
                           app->options.seed,
                           is_done(app) ? "true" : "false");
    for (guint i = 0; i < app->pens->len; i++) {
        g_string_append(out, i > 0 ? ",\n" : "");
        sim_pen_write_truth(g_ptr_array_index(app->pens, i), out);
    }
    g_string_append(out, "\n]}\n");
    g_autoptr(GError) error = NULL;
    g_autofree char *part = g_strdup_printf("%s.part", app->options.truth);
    if (!g_file_set_contents_full(
            part, out->str, (gssize)out->len, G_FILE_SET_CONTENTS_NONE, 0644, &error) ||
        g_rename(part, app->options.truth) != 0) {
        g_printerr("pensim: cannot write %s: %s\n",
                   app->options.truth,
                   error != NULL ? error->message : g_strerror(errno));
    }
}

static void
say_done(App *app, int64_t now)
{
    app->done_at_us = now;
    write_truth(app);
    puts("DONE");
    (void)fflush(stdout);
}

static void
say_ready(App *app)
{
    app->ready = true;
    puts("READY");
    (void)fflush(stdout);
}

/* Without its bus nobody can meet a pen any more, nor tell pensim to end. */
static void
on_bus_closed(GDBusConnection *connection, gboolean vanished, GError *error, gpointer user_data)
{
    App *app = user_data;
    if (!vanished || connection != app->connection) {
        return;
    }
    if (!app->options.reconnect || app->bluez == NULL) {
        g_main_loop_quit(app->loop);
        return;
    }
    g_clear_pointer(&app->systemd, sim_systemd_free);
    g_clear_pointer(&app->polkit, sim_polkit_free);
    sim_bluez_stop(app->bluez);
    g_clear_object(&app->connection);
}

static bool
open_bus(App *app, GError **error)
{
    app->connection =
        g_dbus_connection_new_for_address_sync(app->address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL,
                                               NULL,
                                               error);
    if (app->connection == NULL) {
        return false;
    }
    (void)g_signal_connect(app->connection, "closed", G_CALLBACK(on_bus_closed), app);
    return true;
}

static bool
start_stubs(App *app, GError **error)
{
    if (app->options.polkit != SIM_POLKIT_ABSENT) {
        app->polkit = sim_polkit_new(app->connection, app->options.polkit, error);
        if (app->polkit == NULL) {
            return false;
        }
    }
    if (app->options.no_bluez) {
        return true;
    }
    app->systemd = sim_systemd_new(app->connection, app->bluez, error);
    return app->systemd != NULL && sim_bluez_start(app->bluez, error);
}

/* The pens have treated on meanwhile. */
static void
look_for_bus(App *app)
{
    g_autoptr(GError) error = NULL;
    if (app->connection == NULL && open_bus(app, NULL) && !start_stubs(app, &error)) {
        g_printerr("pensim: %s\n", error->message);
        g_main_loop_quit(app->loop);
    }
}

static gboolean
on_tick(gpointer user_data)
{
    App *app = user_data;
    const int64_t now = g_get_monotonic_time();
    for (guint i = 0; i < app->pens->len; i++) {
        sim_pen_tick(g_ptr_array_index(app->pens, i), now);
    }
    if (app->peripheral != NULL) {
        sim_peripheral_tick(app->peripheral, now);
        if (!app->ready && sim_peripheral_is_ready(app->peripheral)) {
            say_ready(app);
        }
    } else {
        sim_bluez_tick(app->bluez, now);
    }
    look_for_bus(app);
    if (app->done_at_us == 0 && is_done(app)) {
        say_done(app, now);
    }
    if (now - app->truth_at_us >= TRUTH_EVERY_US && app->truth_version != sum_versions(app)) {
        app->truth_at_us = now;
        write_truth(app);
    }
    const int64_t linger_us = (int64_t)app->options.linger_s * G_USEC_PER_SEC;
    if (app->done_at_us != 0 && linger_us >= 0 && now - app->done_at_us >= linger_us) {
        g_main_loop_quit(app->loop);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean
on_quit(gpointer user_data)
{
    App *app = user_data;
    g_main_loop_quit(app->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_restart(gpointer user_data)
{
    App *app = user_data;
    sim_bluez_restart(app->bluez);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_toggle(gpointer user_data)
{
    App *app = user_data;
    if (app->polkit != NULL) {
        sim_polkit_toggle(app->polkit);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean
on_unplug(gpointer user_data)
{
    App *app = user_data;
    app->n_unplugged++;
    if (app->n_unplugged % 2u == 1u) {
        sim_bluez_unplug(app->bluez, 0);
    } else {
        sim_bluez_plug(app->bluez, 0, app->options.n_adapters + app->n_unplugged / 2u - 1u);
    }
    return G_SOURCE_CONTINUE;
}

static char *
dup_address(const SimOptions *options, GError **error)
{
    if (options->bus == NULL) {
        return g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, error);
    }
    if (g_str_equal(options->bus, "session")) {
        return g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SESSION, NULL, error);
    }
    return g_strdup(options->bus);
}

static void
make_pens(App *app)
{
    const int64_t now = g_get_monotonic_time();
    const int64_t pairing_s = app->options.pairing_s;
    const int64_t until = pairing_s < 0 ? INT64_MAX : now + pairing_s * G_USEC_PER_SEC;
    app->pens = g_ptr_array_new_with_free_func((GDestroyNotify)sim_pen_free);
    for (uint32_t i = 0; i < app->options.n_pens; i++) {
        SimPen *pen = sim_pen_new(&app->options, i, now);
        sim_pen_set_pairing(pen, until);
        g_ptr_array_add(app->pens, pen);
    }
}

static bool
start(App *app, GError **error)
{
    app->address = dup_address(&app->options, error);
    if (app->address == NULL || !open_bus(app, error)) {
        return false;
    }
    make_pens(app);
    if (app->options.peripheral != NULL) {
        app->peripheral = sim_peripheral_new(&app->options, app->connection, app->pens, error);
        return app->peripheral != NULL;
    }
    app->bluez = sim_bluez_new(&app->options, app->address, app->pens);
    return start_stubs(app, error);
}

static void
run(App *app)
{
    app->loop = g_main_loop_new(NULL, FALSE);
    (void)g_unix_signal_add(SIGTERM, on_quit, app);
    (void)g_unix_signal_add(SIGINT, on_quit, app);
    if (app->bluez != NULL) {
        (void)g_unix_signal_add(SIGUSR1, on_restart, app);
        (void)g_unix_signal_add(SIGUSR2, on_toggle, app);
        (void)g_unix_signal_add(SIGHUP, on_unplug, app);
    }
    (void)g_timeout_add(TICK_MS, on_tick, app);
    write_truth(app);
    if (app->peripheral == NULL) {
        say_ready(app);
    }
    g_main_loop_run(app->loop);
    write_truth(app);
}

static void
app_clear(App *app)
{
    g_clear_pointer(&app->systemd, sim_systemd_free);
    g_clear_pointer(&app->polkit, sim_polkit_free);
    g_clear_pointer(&app->bluez, sim_bluez_free);
    g_clear_pointer(&app->peripheral, sim_peripheral_free);
    g_clear_pointer(&app->pens, g_ptr_array_unref);
    g_clear_pointer(&app->loop, g_main_loop_unref);
    g_clear_object(&app->connection);
    g_clear_pointer(&app->address, g_free);
    sim_options_clear(&app->options);
}

int
main(int argc, char **argv)
{
    App app = { 0 };
    g_autoptr(GError) error = NULL;
    setlocale(LC_ALL, "C");
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!sim_options_parse(&app.options, &argc, &argv, &error)) {
        g_printerr("pensim: %s\n", error->message);
        sim_options_clear(&app.options);
        return 2;
    }
    const bool started = start(&app, &error);
    if (started) {
        run(&app);
    } else {
        g_printerr("pensim: %s\n", error->message);
    }
    app_clear(&app);
    return started ? EXIT_SUCCESS : EXIT_FAILURE;
}
