/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * bluetoothd and the adapters as the operator's own calls see them, so that it also works
 * when penteld does not; where bluetoothd does not let us ask, penteld's word counts.
 * The version is that of the installed bluetoothd: the running one tells it to nobody.
 */
#include "ctl/doctor.h"
#include "lib/dict.h"

#include <string.h>

#define BLUEZ           "org.bluez"
#define START_BLUETOOTH "plug in an adapter, which starts it; else: systemctl start bluetooth"
#define POWER_ON        "type: rfkill unblock bluetooth; bluetoothctl power on"

typedef struct {
    guint n_adapters;
    guint n_usable;
} Radio;

/* "5.82" as 582; 0 when it is not one. */
static guint
parse_version(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text != NULL ? text : "", ".", 2);

    if (g_strv_length(parts) != 2) {
        return 0;
    }
    return (guint)g_ascii_strtoull(parts[0], NULL, 10) * 100 +
           (guint)g_ascii_strtoull(parts[1], NULL, 10);
}

static char *
dup_bluez_version(const CtlDoctor *self)
{
    static const char *const places[] = { "/usr/libexec/bluetooth/bluetoothd",
                                          "/usr/lib/bluetooth/bluetoothd",
                                          "/usr/sbin/bluetoothd" };

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = ctl_doctor_dup_path(self, places[i]);
        char *argv[] = { path, (char[]){ "--version" }, NULL };
        char *said = NULL;

        if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE) && g_spawn_sync(NULL,
                                                                         argv,
                                                                         NULL,
                                                                         G_SPAWN_STDERR_TO_DEV_NULL,
                                                                         NULL,
                                                                         NULL,
                                                                         &said,
                                                                         NULL,
                                                                         NULL,
                                                                         NULL)) {
            return g_strstrip(said);
        }
    }
    return NULL;
}

/* EATT takes the order of one bearer away, which the pens' protocol counts on (F3, F18). */
static void
check_channels(CtlDoctor *self, guint version)
{
    g_autofree char *path = ctl_doctor_dup_path(self, "/etc/bluetooth/main.conf");
    g_autoptr(GKeyFile) file = g_key_file_new();

    if (version == 0 || version >= 570 ||
        !g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL) ||
        g_key_file_get_integer(file, "GATT", "Channels", NULL) == 1) {
        return;
    }
    ctl_findings_add(self->findings,
                     "config",
                     CTL_SEVERITY_WARNING,
                     "in /etc/bluetooth/main.conf: [GATT] Channels = 1; [General] ControllerMode "
                     "= le, if pens are all it serves",
                     "this BlueZ opens several channels to a pen");
}

/* F1: what penteld cures by a restart of bluetooth.service. */
static void
check_debris(CtlDoctor *self, guint version, const char *text)
{
    if (version == 0 || version >= 584) {
        return;
    }
    ctl_findings_add(
        self->findings,
        "debris",
        CTL_SEVERITY_INFO,
        "nothing to do: penteld restarts bluetooth.service then; 5.84 does not need it",
        "BlueZ %s can get stuck when a link drops as it comes up",
        text);
}

/* A pen is enrolled through an agent, which penteld has only while it enrols (F10). */
static void
check_agent(CtlDoctor *self, GVariant *objects)
{
    g_autoptr(GVariant) root = g_variant_lookup_value(objects, "/org/bluez", NULL);
    g_autoptr(GVariant) agents =
        root != NULL ? g_variant_lookup_value(root, BLUEZ ".AgentManager1", NULL) : NULL;

    if (agents != NULL) {
        ctl_findings_add(self->findings,
                         "agent",
                         CTL_SEVERITY_OK,
                         NULL,
                         "bluetoothd takes pairing agents; penteld has one while it enrols");
        return;
    }
    ctl_findings_add(self->findings,
                     "agent",
                     CTL_SEVERITY_ERROR,
                     "type: systemctl restart bluetooth",
                     "bluetoothd takes no pairing agent: no pen can be enrolled");
}

static void
check_adapter(CtlDoctor *self, Radio *radio, const char *name, GVariant *adapter)
{
    const char *address = cli_dict_get_text(adapter, "Address");
    g_autoptr(GVariant) roles = cli_dict_get(adapter, "Roles", "as");
    g_autofree const char **words = roles != NULL ? g_variant_get_strv(roles, NULL) : NULL;
    bool is_powered = false;

    address = address != NULL ? address : cli_dict_get_text(adapter, "address");
    address = address != NULL ? address : "?";
    radio->n_adapters++;
    if (words != NULL && !g_strv_contains(words, "central")) {
        ctl_findings_add(self->findings,
                         "adapter",
                         CTL_SEVERITY_WARNING,
                         "plug in an adapter that knows Bluetooth LE (4.0 or later)",
                         "%s %s cannot connect to Bluetooth LE devices",
                         name,
                         address);
        return;
    }
    if (!cli_dict_get_bool(adapter, "Powered", &is_powered)) {
        (void)cli_dict_get_bool(adapter, "powered", &is_powered);
    }
    radio->n_usable += is_powered ? 1u : 0u;
    ctl_findings_add(self->findings,
                     "adapter",
                     is_powered ? CTL_SEVERITY_OK : CTL_SEVERITY_WARNING,
                     is_powered ? NULL : POWER_ON,
                     is_powered ? "%s %s is on" : "%s %s is off",
                     name,
                     address);
}

static void
check_objects(CtlDoctor *self, Radio *radio, GVariant *objects)
{
    GVariantIter iter;
    const char *path = NULL;
    GVariant *faces = NULL;

    g_variant_iter_init(&iter, objects);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &path, &faces)) {
        g_autoptr(GVariant) adapter = g_variant_lookup_value(faces, BLUEZ ".Adapter1", NULL);
        const char *slash = strrchr(path, '/');

        if (adapter != NULL && slash != NULL) {
            check_adapter(self, radio, slash + 1, adapter);
        }
    }
    check_agent(self, objects);
}

static void
check_reported(CtlDoctor *self, Radio *radio)
{
    g_autoptr(GVariant) adapters = cli_dict_get(self->health, "adapters", "aa{sv}");
    const gsize n = adapters != NULL ? g_variant_n_children(adapters) : 0;

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) adapter = g_variant_get_child_value(adapters, i);
        const char *name = cli_dict_get_text(adapter, "name");

        check_adapter(self, radio, name != NULL ? name : "?", adapter);
    }
}

static bool
is_blocked(const CtlDoctor *self, const char *name, const char *kind)
{
    g_autofree char *path = g_strdup_printf("/sys/class/rfkill/%s/%s", name, kind);
    g_autofree char *value = ctl_doctor_dup_line(self, path);

    return g_strcmp0(value, "1") == 0;
}

/* Reports of switches that block Bluetooth; returns whether there is one. */
static bool
check_switches(CtlDoctor *self)
{
    g_autofree char *path = ctl_doctor_dup_path(self, "/sys/class/rfkill");
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    bool any = false;

    for (const char *name = directory != NULL ? g_dir_read_name(directory) : NULL; name != NULL;
         name = g_dir_read_name(directory)) {
        g_autofree char *type_path = g_strdup_printf("/sys/class/rfkill/%s/type", name);
        g_autofree char *type = ctl_doctor_dup_line(self, type_path);
        const bool is_hard = is_blocked(self, name, "hard");

        if (g_strcmp0(type, "bluetooth") != 0 || (!is_hard && !is_blocked(self, name, "soft"))) {
            continue;
        }
        any = true;
        ctl_findings_add(self->findings,
                         "rfkill",
                         CTL_SEVERITY_ERROR,
                         is_hard ? "use the machine's radio switch or its BIOS set-up"
                                 : "type: rfkill unblock bluetooth",
                         "Bluetooth is blocked by a %s switch (%s)",
                         is_hard ? "hardware" : "software",
                         name);
    }
    return any;
}

static bool
has_kernel_adapter(const CtlDoctor *self)
{
    g_autofree char *path = ctl_doctor_dup_path(self, "/sys/class/bluetooth");
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

    return directory != NULL && g_dir_read_name(directory) != NULL;
}

static void
judge(CtlDoctor *self, const Radio *radio, bool is_switched_off)
{
    if (radio->n_usable > 0) {
        return;
    }
    const char *advice = radio->n_adapters > 0      ? POWER_ON
                         : has_kernel_adapter(self) ? "see: journalctl -u bluetooth; dmesg"
                         : is_switched_off          ? "undo the switch above"
                                                    : "plug in a Bluetooth LE adapter";
    ctl_findings_add(self->findings,
                     "adapter",
                     CTL_SEVERITY_ERROR,
                     advice,
                     radio->n_adapters > 0 ? "no LE adapter is on: no pen can be reached"
                                           : "there is no adapter: no pen can be reached");
}

static GVariant *
dup_objects(const CtlDoctor *self)
{
    static const CliBusTarget target = {
        BLUEZ, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"
    };
    g_autoptr(GVariant) reply = cli_bus_call_other(
        self->bus, &target, NULL, "(a{oa{sa{sv}}})", CTL_DOCTOR_TIMEOUT_MS, NULL);

    return reply != NULL ? g_variant_get_child_value(reply, 0) : NULL;
}

static void
check_running(CtlDoctor *self, Radio *radio)
{
    g_autoptr(GVariant) objects = dup_objects(self);
    g_autofree char *text = dup_bluez_version(self);
    const guint version = parse_version(text);
    const char *seen = self->health != NULL ? cli_dict_get_text(self->health, "bluez") : NULL;

    ctl_findings_add(self->findings,
                     "bluetooth",
                     CTL_SEVERITY_OK,
                     NULL,
                     version != 0 ? "BlueZ %s is running" : "BlueZ is running, version unknown%s",
                     version != 0 ? text : "");
    if (g_strcmp0(seen, "absent") == 0) {
        ctl_findings_add(self->findings,
                         "bluetooth",
                         CTL_SEVERITY_ERROR,
                         "type: systemctl reload dbus; then: systemctl restart penteld",
                         "penteld does not see bluetoothd, which is running");
    }
    check_debris(self, version, text);
    check_channels(self, version);
    if (objects != NULL) {
        check_objects(self, radio, objects);
    } else if (self->health != NULL) {
        check_reported(self, radio);
    } else {
        ctl_findings_add(self->findings,
                         "bluetooth",
                         CTL_SEVERITY_ERROR,
                         "type: systemctl restart bluetooth",
                         "bluetoothd does not answer");
    }
}

void
ctl_doctor_check_radio(CtlDoctor *self)
{
    Radio radio = { 0 };

    if (ctl_doctor_has_name(self, BLUEZ)) {
        check_running(self, &radio);
    } else {
        ctl_findings_add(self->findings,
                         "bluetooth",
                         CTL_SEVERITY_ERROR,
                         START_BLUETOOTH,
                         "bluetoothd is not running: no pen can be reached");
    }
    ctl_doctor_check_bluetooth_unit(self);
    const bool is_switched_off = check_switches(self);
    if (ctl_doctor_has_name(self, BLUEZ)) {
        judge(self, &radio, is_switched_off);
    }
}
