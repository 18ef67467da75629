/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl doctor: checks from the operator's seat to the pens, each with what to do. A
 * check that cannot be made because an earlier one failed is left out.
 */
#include "ctl/command.h"
#include "ctl/finding.h"
#include "ctl/pen.h"
#include "ctl/run.h"
#include "lib/dict.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define GROUP              "pentel"
#define DISK_LOW_BYTES     (2ULL << 30)
#define DISK_EMPTY_BYTES   (128ULL << 20)
#define SERVICE_TIMEOUT_MS 5000
#define START_BLUETOOTH    "plug in an adapter, which starts it; else: systemctl start bluetooth"

/* Membership is given at log-in, so the process may lack what the group file says. */
static bool
is_in_group_file(const char *user)
{
    const struct group *group = getgrnam(GROUP);

    for (char **member = group != NULL ? group->gr_mem : NULL; member != NULL && *member != NULL;
         member++) {
        if (strcmp(*member, user) == 0) {
            return true;
        }
    }
    return false;
}

static void
add_permission(CtlFindings *findings)
{
    const struct passwd *user = getpwuid(getuid());
    const char *name = user != NULL ? user->pw_name : "YOU";
    g_autofree char *advice =
        is_in_group_file(name)
            ? g_strdup("log out and in again: the group counts from then on")
            : g_strdup_printf("as root type: adduser %s " GROUP ", then log in again", name);

    ctl_findings_add(
        findings, "permission", CTL_SEVERITY_ERROR, advice, "%s may not use penteld", name);
}

static void
add_call_error(CtlFindings *findings, const GError *error)
{
    const CliFault *fault = cli_fault_of(error);
    g_autoptr(GError) copy = g_error_copy(error);

    g_dbus_error_strip_remote_error(copy);
    if (fault->exit_code == CTL_EXIT_NO_PERMISSION) {
        add_permission(findings);
        return;
    }
    if (fault->exit_code == CTL_EXIT_NO_DAEMON) {
        ctl_findings_add(
            findings, "penteld", CTL_SEVERITY_ERROR, fault->advice, "penteld is not running");
        return;
    }
    ctl_findings_add(
        findings, "penteld", CTL_SEVERITY_ERROR, fault->advice, "penteld says: %s", copy->message);
}

static void
check_store(CtlFindings *findings, GVariant *health)
{
    const char *state = cli_dict_get_text(health, "store_state");
    const char *error = cli_dict_get_text(health, "store_error");
    uint64_t head = 0;
    uint64_t n_sessions = 0;
    uint64_t n_bad = 0;

    if (state == NULL || strcmp(state, "ok") != 0) {
        ctl_findings_add(findings,
                         "store",
                         CTL_SEVERITY_ERROR,
                         "free disk space if it is full; else see: journalctl -u penteld",
                         "the store is %s%s%s",
                         state != NULL ? state : "in an unknown state",
                         error != NULL ? ": " : "",
                         error != NULL ? error : "");
    } else if (cli_dict_get_uint(health, "sessions", &n_sessions) &&
               cli_dict_get_uint(health, "journal_head", &head)) {
        ctl_findings_add(findings,
                         "store",
                         CTL_SEVERITY_OK,
                         NULL,
                         "%" G_GUINT64_FORMAT " sessions, journal at %" G_GUINT64_FORMAT,
                         n_sessions,
                         head);
    }
    if (cli_dict_get_uint(health, "records_bad", &n_bad) && n_bad > 0) {
        ctl_findings_add(findings,
                         "records",
                         CTL_SEVERITY_INFO,
                         "nothing is lost: they are kept as they came; update penteld or the pen",
                         "%" G_GUINT64_FORMAT " records could not be understood",
                         n_bad);
    }
}

static void
check_disk(CtlFindings *findings, GVariant *health)
{
    uint64_t free_bytes = 0;

    if (!cli_dict_get_uint(health, "disk_free_bytes", &free_bytes)) {
        return;
    }
    const CtlSeverity severity = free_bytes < DISK_EMPTY_BYTES ? CTL_SEVERITY_ERROR
                                 : free_bytes < DISK_LOW_BYTES ? CTL_SEVERITY_WARNING
                                                               : CTL_SEVERITY_OK;
    g_autofree char *size = g_format_size(free_bytes);
    ctl_findings_add(findings,
                     "disk",
                     severity,
                     severity == CTL_SEVERITY_OK ? NULL
                                                 : "free space where penteld keeps its store",
                     "%s free",
                     size);
}

static void
check_adapter(CtlFindings *findings, GVariant *adapter, guint *n_powered)
{
    const char *name = cli_dict_get_text(adapter, "name");
    const char *address = cli_dict_get_text(adapter, "address");
    bool is_powered = false;

    if (cli_dict_get_bool(adapter, "powered", &is_powered) && is_powered) {
        *n_powered += 1;
        ctl_findings_add(findings,
                         "adapter",
                         CTL_SEVERITY_OK,
                         NULL,
                         "%s %s is on",
                         name != NULL ? name : "?",
                         address != NULL ? address : "?");
        return;
    }
    ctl_findings_add(findings,
                     "adapter",
                     CTL_SEVERITY_WARNING,
                     "type: rfkill unblock bluetooth; bluetoothctl power on",
                     "%s %s is off",
                     name != NULL ? name : "?",
                     address != NULL ? address : "?");
}

static void
check_adapters(CtlFindings *findings, GVariant *health)
{
    g_autoptr(GVariant) adapters = cli_dict_get(health, "adapters", "aa{sv}");
    const gsize n = adapters != NULL ? g_variant_n_children(adapters) : 0;
    const char *bluez = cli_dict_get_text(health, "bluez");
    guint n_powered = 0;

    if (bluez == NULL || strcmp(bluez, "absent") == 0) {
        ctl_findings_add(findings,
                         "bluetooth",
                         CTL_SEVERITY_ERROR,
                         START_BLUETOOTH,
                         "bluetoothd is not running: no pen can be reached");
        return;
    }
    const bool has_version = strcmp(bluez, "present") != 0;
    ctl_findings_add(findings,
                     "bluetooth",
                     CTL_SEVERITY_OK,
                     NULL,
                     "BlueZ %s",
                     has_version ? bluez : "is running");
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) adapter = g_variant_get_child_value(adapters, i);
        check_adapter(findings, adapter, &n_powered);
    }
    if (n_powered == 0) {
        ctl_findings_add(findings,
                         "adapter",
                         CTL_SEVERITY_ERROR,
                         n == 0 ? "plug in a Bluetooth LE adapter" : "switch an adapter on",
                         "no adapter is on: no pen can be reached");
    }
}

static void
check_health_findings(CtlFindings *findings, GVariant *health)
{
    g_autoptr(GVariant) list = cli_dict_get(health, "findings", "aa{sv}");
    const gsize n = list != NULL ? g_variant_n_children(list) : 0;

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) item = g_variant_get_child_value(list, i);
        const char *text = cli_dict_get_text(item, "text");
        ctl_findings_add(findings,
                         "penteld",
                         ctl_severity_from_text(cli_dict_get_text(item, "severity")),
                         cli_dict_get_text(item, "advice"),
                         "%s",
                         text != NULL ? text : "unknown");
    }
}

static void
check_pen(CtlFindings *findings, GVariant *pen)
{
    g_autofree char *trouble = ctl_pen_dup_trouble(pen);
    const char *serial = cli_dict_get_text(pen, "Serial");
    const char *state = cli_dict_get_text(pen, "State");
    const char *advice = "see: pentelctl pens";

    if (trouble == NULL) {
        ctl_findings_add(findings,
                         "pen",
                         CTL_SEVERITY_OK,
                         NULL,
                         "%s is %s",
                         serial != NULL ? serial : "?",
                         state != NULL ? state : "in an unknown state");
        return;
    }
    const CtlSeverity severity =
        ctl_pen_is_stopped(pen) ? CTL_SEVERITY_ERROR : CTL_SEVERITY_WARNING;
    g_autofree char *specific = ctl_pen_dup_advice(pen);
    ctl_findings_add(findings,
                     "pen",
                     severity,
                     specific != NULL ? specific : advice,
                     "%s: %s",
                     serial != NULL ? serial : "?",
                     trouble);
}

static void
check_pens(CtlFindings *findings, CtlRun *run)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = cli_bus_call(
        run->bus, CLI_BUS_MANAGER1, "ListPens", NULL, "(aa{sv})", CLI_BUS_TIMEOUT_MS, &error);

    if (reply == NULL) {
        add_call_error(findings, error);
        return;
    }
    g_autoptr(GVariant) pens = g_variant_get_child_value(reply, 0);
    const gsize n = g_variant_n_children(pens);
    if (n == 0) {
        ctl_findings_add(findings,
                         "pen",
                         CTL_SEVERITY_INFO,
                         "put a pen into pairing mode and type: pentelctl enroll",
                         "no pen is enrolled");
    }
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) pen = g_variant_get_child_value(pens, i);
        check_pen(findings, pen);
    }
}

/* The same question that penteld asks for the anchors of its times. */
static void
check_clock(CtlFindings *findings, CtlRun *run)
{
    static const CliBusTarget target = {
        "org.freedesktop.timedate1", "/org/freedesktop/timedate1", CLI_BUS_PROPERTIES, "Get"
    };
    g_autoptr(GVariant) reply =
        cli_bus_call_other(run->bus,
                           &target,
                           g_variant_new("(ss)", "org.freedesktop.timedate1", "NTPSynchronized"),
                           "(v)",
                           SERVICE_TIMEOUT_MS,
                           NULL);
    gboolean is_synced = FALSE;

    if (reply == NULL) {
        ctl_findings_add(findings,
                         "clock",
                         CTL_SEVERITY_INFO,
                         "times are right only if something else keeps the clock",
                         "systemd-timedated cannot say whether the clock is synchronised");
        return;
    }
    g_autoptr(GVariant) boxed = g_variant_get_child_value(reply, 0);
    g_autoptr(GVariant) value = g_variant_get_variant(boxed);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN)) {
        is_synced = g_variant_get_boolean(value);
    }
    ctl_findings_add(findings,
                     "clock",
                     is_synced ? CTL_SEVERITY_OK : CTL_SEVERITY_WARNING,
                     is_synced ? NULL : "type: timedatectl set-ntp true",
                     is_synced ? "synchronised" : "not synchronised: times may be wrong");
}

/* Linux 6.1 can crash in its Bluetooth code when a bonded pen drops its link (F18). */
static void
check_kernel(CtlFindings *findings)
{
    struct utsname name;

    if (uname(&name) != 0 || !g_str_has_prefix(name.release, "6.1.")) {
        return;
    }
    ctl_findings_add(findings,
                     "kernel",
                     CTL_SEVERITY_WARNING,
                     "install linux-image-amd64 (or -arm64) from Debian's backports",
                     "Bluetooth of Linux 6.1 may die when a pen drops its link");
}

static void
check_daemon(CtlFindings *findings, CtlRun *run)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = cli_bus_call(
        run->bus, CLI_BUS_MANAGER1, "Health", NULL, "(a{sv})", CLI_BUS_TIMEOUT_MS, &error);

    if (reply == NULL) {
        add_call_error(findings, error);
        return;
    }
    g_autoptr(GVariant) health = g_variant_get_child_value(reply, 0);
    const char *version = cli_dict_get_text(health, "version");
    ctl_findings_add(findings,
                     "penteld",
                     CTL_SEVERITY_OK,
                     NULL,
                     "penteld %s is running",
                     version != NULL ? version : "of unknown version");
    check_health_findings(findings, health);
    check_store(findings, health);
    check_disk(findings, health);
    check_adapters(findings, health);
    check_pens(findings, run);
}

CtlExit
ctl_doctor(CtlRun *run)
{
    g_autoptr(CtlFindings) findings = ctl_findings_new();
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    run->bus = cli_bus_open(&error);
    if (run->bus == NULL) {
        ctl_findings_add(findings,
                         "bus",
                         CTL_SEVERITY_ERROR,
                         "see: systemctl status dbus",
                         "the system's D-Bus cannot be reached");
    } else {
        ctl_findings_add(findings, "bus", CTL_SEVERITY_OK, NULL, "D-Bus answers");
        check_daemon(findings, run);
        check_clock(findings, run);
    }
    check_kernel(findings);
    if (run->is_json) {
        ctl_findings_append_json(findings, out);
    } else {
        ctl_findings_append_text(findings, &run->out, out);
    }
    const CtlExit exit_code = ctl_print(out, NULL);
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    return ctl_findings_get_worst(findings) == CTL_SEVERITY_ERROR ? CTL_EXIT_FAILED : CTL_EXIT_OK;
}
