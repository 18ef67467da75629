/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl doctor: checks from the operator's seat to the pens, each with what to do. It
 * asks penteld, and beside it the bus, systemd and the machine's own files, so that it has
 * something to say when any of them is missing. A check that cannot be made because an
 * earlier one failed is left out.
 */
#include "ctl/doctor.h"

#include "ctl/command.h"
#include "ctl/pen.h"
#include "ctl/run.h"
#include "lib/dict.h"

#include <string.h>
#include <unistd.h>

#define DISK_LOW_BYTES   (2ULL << 30)
#define DISK_EMPTY_BYTES (128ULL << 20)
#define ROOT_VARIABLE    "PENTEL_DOCTOR_ROOT" /* for tests: another machine's files */

char *
ctl_doctor_dup_path(const CtlDoctor *self, const char *path)
{
    return g_strconcat(self->root, path, NULL);
}

bool
ctl_doctor_has_file(const CtlDoctor *self, const char *path)
{
    g_autofree char *whole = ctl_doctor_dup_path(self, path);

    return g_file_test(whole, G_FILE_TEST_EXISTS);
}

char *
ctl_doctor_dup_line(const CtlDoctor *self, const char *path)
{
    g_autofree char *whole = ctl_doctor_dup_path(self, path);
    char *text = NULL;

    if (!g_file_get_contents(whole, &text, NULL, NULL)) {
        return NULL;
    }
    text[strcspn(text, "\n")] = '\0';
    return text;
}

bool
ctl_doctor_has_name(const CtlDoctor *self, const char *name)
{
    static const CliBusTarget target = {
        "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner"
    };
    gboolean has_owner = FALSE;

    if (self->bus == NULL) {
        return false;
    }
    g_autoptr(GVariant) reply = cli_bus_call_other(
        self->bus, &target, g_variant_new("(s)", name), "(b)", CTL_DOCTOR_TIMEOUT_MS, NULL);
    if (reply != NULL) {
        g_variant_get(reply, "(b)", &has_owner);
    }
    return has_owner != FALSE;
}

GVariant *
ctl_doctor_dup_properties(const CtlDoctor *self,
                          const char *service,
                          const char *path,
                          const char *interface)
{
    const CliBusTarget target = { service, path, CLI_BUS_PROPERTIES, "GetAll" };
    g_autoptr(GVariant) reply = cli_bus_call_other(self->bus,
                                                   &target,
                                                   g_variant_new("(s)", interface),
                                                   "(a{sv})",
                                                   CTL_DOCTOR_TIMEOUT_MS,
                                                   NULL);

    return reply != NULL ? g_variant_get_child_value(reply, 0) : NULL;
}

static void
add_call_error(CtlDoctor *self, const GError *error)
{
    const CliFault *fault = cli_fault_of(error);
    g_autoptr(GError) copy = g_error_copy(error);

    g_dbus_error_strip_remote_error(copy);
    if (fault->exit_code == CTL_EXIT_NO_PERMISSION) {
        ctl_doctor_explain_refusal(self);
        return;
    }
    if (fault->exit_code != CTL_EXIT_NO_DAEMON) {
        ctl_findings_add(self->findings,
                         "penteld",
                         CTL_SEVERITY_ERROR,
                         fault->advice,
                         "penteld says: %s",
                         copy->message);
    } else if (!ctl_doctor_explain_penteld(self)) {
        ctl_findings_add(
            self->findings, "penteld", CTL_SEVERITY_ERROR, fault->advice, "penteld is not running");
    }
}

static void
check_store(CtlDoctor *self)
{
    const char *state = cli_dict_get_text(self->health, "store_state");
    const char *error = cli_dict_get_text(self->health, "store_error");
    uint64_t head = 0;
    uint64_t n_sessions = 0;
    uint64_t n_bad = 0;

    if (state == NULL || strcmp(state, "ok") != 0) {
        ctl_findings_add(self->findings,
                         "store",
                         CTL_SEVERITY_ERROR,
                         "free disk space if it is full; else see: journalctl -u penteld",
                         "the store is %s%s%s",
                         state != NULL ? state : "in an unknown state",
                         error != NULL ? ": " : "",
                         error != NULL ? error : "");
    } else if (cli_dict_get_uint(self->health, "sessions", &n_sessions) &&
               cli_dict_get_uint(self->health, "journal_head", &head)) {
        ctl_findings_add(self->findings,
                         "store",
                         CTL_SEVERITY_OK,
                         NULL,
                         "%" G_GUINT64_FORMAT " sessions, journal at %" G_GUINT64_FORMAT,
                         n_sessions,
                         head);
    }
    if (cli_dict_get_uint(self->health, "records_bad", &n_bad) && n_bad > 0) {
        ctl_findings_add(self->findings,
                         "records",
                         CTL_SEVERITY_INFO,
                         "nothing is lost: they are kept as they came; update penteld or the pen",
                         "%" G_GUINT64_FORMAT " records could not be understood",
                         n_bad);
    }
}

void
ctl_doctor_add_free_space(CtlDoctor *self, uint64_t free_bytes)
{
    const CtlSeverity severity = free_bytes < DISK_EMPTY_BYTES ? CTL_SEVERITY_ERROR
                                 : free_bytes < DISK_LOW_BYTES ? CTL_SEVERITY_WARNING
                                                               : CTL_SEVERITY_OK;
    g_autofree char *size = g_format_size(free_bytes);

    ctl_findings_add(self->findings,
                     "disk",
                     severity,
                     severity == CTL_SEVERITY_OK ? NULL
                                                 : "free space where penteld keeps its store",
                     "%s free",
                     size);
}

static void
check_health_findings(CtlDoctor *self)
{
    g_autoptr(GVariant) list = cli_dict_get(self->health, "findings", "aa{sv}");
    const gsize n = list != NULL ? g_variant_n_children(list) : 0;

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) item = g_variant_get_child_value(list, i);
        const char *text = cli_dict_get_text(item, "text");
        ctl_findings_add(self->findings,
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
check_pens(CtlDoctor *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = cli_bus_call(
        self->bus, CLI_BUS_MANAGER1, "ListPens", NULL, "(aa{sv})", CLI_BUS_TIMEOUT_MS, &error);

    if (reply == NULL) {
        add_call_error(self, error);
        return;
    }
    g_autoptr(GVariant) pens = g_variant_get_child_value(reply, 0);
    const gsize n = g_variant_n_children(pens);
    if (n == 0) {
        ctl_findings_add(self->findings,
                         "pen",
                         CTL_SEVERITY_INFO,
                         "put a pen into pairing mode and type: pentelctl enroll",
                         "no pen is enrolled");
    }
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) pen = g_variant_get_child_value(pens, i);
        check_pen(self->findings, pen);
    }
}

/* The same question that penteld asks for the anchors of its times. */
static void
check_clock(CtlDoctor *self)
{
    static const CliBusTarget target = {
        "org.freedesktop.timedate1", "/org/freedesktop/timedate1", CLI_BUS_PROPERTIES, "Get"
    };
    g_autoptr(GVariant) reply =
        cli_bus_call_other(self->bus,
                           &target,
                           g_variant_new("(ss)", "org.freedesktop.timedate1", "NTPSynchronized"),
                           "(v)",
                           CTL_DOCTOR_TIMEOUT_MS,
                           NULL);
    gboolean is_synced = FALSE;

    if (reply == NULL) {
        ctl_findings_add(self->findings,
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
    ctl_findings_add(self->findings,
                     "clock",
                     is_synced ? CTL_SEVERITY_OK : CTL_SEVERITY_WARNING,
                     is_synced ? NULL : "type: timedatectl set-ntp true",
                     is_synced ? "synchronised" : "not synchronised: times may be wrong");
}

/* Linux 6.1 can crash in its Bluetooth code when a bonded pen drops its link (F18). */
static void
check_kernel(CtlDoctor *self)
{
    g_autofree char *release = ctl_doctor_dup_line(self, "/proc/sys/kernel/osrelease");

    if (release == NULL || !g_str_has_prefix(release, "6.1.")) {
        return;
    }
    ctl_findings_add(self->findings,
                     "kernel",
                     CTL_SEVERITY_WARNING,
                     "install linux-image-amd64 (or -arm64) from Debian's backports",
                     "Bluetooth of Linux 6.1 may die when a pen drops its link");
}

static void
check_daemon(CtlDoctor *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = cli_bus_call(
        self->bus, CLI_BUS_MANAGER1, "Health", NULL, "(a{sv})", CLI_BUS_TIMEOUT_MS, &error);

    if (reply == NULL) {
        add_call_error(self, error);
        return;
    }
    self->health = g_variant_get_child_value(reply, 0);
    const char *version = cli_dict_get_text(self->health, "version");
    ctl_findings_add(self->findings,
                     "penteld",
                     CTL_SEVERITY_OK,
                     NULL,
                     "penteld %s is running",
                     version != NULL ? version : "of unknown version");
    check_health_findings(self);
    check_store(self);
}

static void
check_all(CtlDoctor *self)
{
    uint64_t free_bytes = 0;

    if (self->bus == NULL) {
        ctl_findings_add(self->findings,
                         "bus",
                         CTL_SEVERITY_ERROR,
                         "see: systemctl status dbus",
                         "the system's D-Bus cannot be reached");
    } else {
        ctl_findings_add(self->findings, "bus", CTL_SEVERITY_OK, NULL, "D-Bus answers");
        check_daemon(self);
    }
    if (self->health != NULL && cli_dict_get_uint(self->health, "disk_free_bytes", &free_bytes)) {
        ctl_doctor_add_free_space(self, free_bytes);
    }
    ctl_doctor_check_disk(self);
    if (self->bus != NULL) {
        ctl_doctor_check_radio(self);
    }
    if (self->health != NULL) {
        check_pens(self);
    }
    if (self->bus != NULL) {
        check_clock(self);
    }
    check_kernel(self);
    ctl_doctor_check_install(self);
}

CtlExit
ctl_doctor(CtlRun *run)
{
    g_autoptr(CtlFindings) findings = ctl_findings_new();
    g_autoptr(GString) out = g_string_new(NULL);
    const char *root = g_getenv(ROOT_VARIABLE);
    CtlDoctor self = { .findings = findings, .root = root != NULL ? root : "" };

    run->bus = cli_bus_open(NULL);
    self.bus = run->bus;
    check_all(&self);
    g_clear_pointer(&self.health, g_variant_unref);
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
