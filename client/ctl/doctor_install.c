/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Whether the parts of an installation are there: the policies that let penteld have its
 * name and staff use it (P44), user and group, and the lockdown that a box which serves
 * nothing but pens should have (F5).
 */
#include "ctl/doctor.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GROUP     "pentel"
#define REINSTALL "type: apt install --reinstall penteld"
#define LOCKDOWN  "/usr/share/doc/penteld/examples/pentel-lockdown.conf"

static bool
has_either(const CtlDoctor *self, const char *place, const char *other)
{
    return ctl_doctor_has_file(self, place) || ctl_doctor_has_file(self, other);
}

static void
add_missing(CtlDoctor *self, const char *check, const char *what)
{
    ctl_findings_add(self->findings, check, CTL_SEVERITY_ERROR, REINSTALL, "%s", what);
}

static void
check_policies(CtlDoctor *self)
{
    const bool has_bus = has_either(
        self, "/usr/share/dbus-1/system.d/org.pentel.conf", "/etc/dbus-1/system.d/org.pentel.conf");
    const bool has_actions =
        ctl_doctor_has_file(self, "/usr/share/polkit-1/actions/org.pentel.policy");
    const bool has_rules = has_either(self,
                                      "/usr/share/polkit-1/rules.d/org.pentel.rules",
                                      "/etc/polkit-1/rules.d/org.pentel.rules");

    if (!has_bus) {
        add_missing(
            self, "policy", "the bus policy of penteld is missing: it cannot have its name");
    }
    if (!has_actions) {
        add_missing(self, "polkit", "the polkit actions of penteld are missing: all are refused");
    } else if (!has_rules) {
        add_missing(self,
                    "polkit",
                    "the polkit rules of penteld are missing: staff are refused, and it cannot "
                    "restart bluetooth.service");
    }
    if (has_bus && has_actions && has_rules) {
        ctl_findings_add(self->findings,
                         "policy",
                         CTL_SEVERITY_OK,
                         NULL,
                         "policies of bus and polkit are installed");
    }
}

/* Named, or to be had when somebody asks. */
static bool
is_on_offer(const CtlDoctor *self, const char *name)
{
    static const CliBusTarget target = { "org.freedesktop.DBus",
                                         "/org/freedesktop/DBus",
                                         "org.freedesktop.DBus",
                                         "ListActivatableNames" };
    g_autoptr(GVariant) reply =
        cli_bus_call_other(self->bus, &target, NULL, "(as)", CTL_DOCTOR_TIMEOUT_MS, NULL);
    g_autoptr(GVariant) list = reply != NULL ? g_variant_get_child_value(reply, 0) : NULL;
    g_autofree const char **names = list != NULL ? g_variant_get_strv(list, NULL) : NULL;

    return ctl_doctor_has_name(self, name) || (names != NULL && g_strv_contains(names, name));
}

static void
check_polkitd(CtlDoctor *self)
{
    if (self->bus != NULL && !is_on_offer(self, "org.freedesktop.PolicyKit1")) {
        ctl_findings_add(self->findings,
                         "polkit",
                         CTL_SEVERITY_ERROR,
                         "type: apt install polkitd",
                         "polkit is not there: penteld refuses everybody but root");
    }
}

/* The group, from the machine's own files in a test. Owns: static of libc. */
static const struct group *
find_group(const CtlDoctor *self)
{
    if (self->root[0] == '\0') {
        return getgrnam(GROUP);
    }
    g_autofree char *path = ctl_doctor_dup_path(self, "/etc/group");
    FILE *file = fopen(path, "re");
    const struct group *found = NULL;

    while (file != NULL && (found = fgetgrent(file)) != NULL) {
        if (strcmp(found->gr_name, GROUP) == 0) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

static const char *
get_user_name(void)
{
    const struct passwd *user = getpwuid(getuid());

    return user != NULL ? user->pw_name : "YOU";
}

/* Membership is given at log-in, so the process may lack what the group file says. */
static bool
is_in_group_file(const struct group *group, const char *user)
{
    for (char **member = group->gr_mem; member != NULL && *member != NULL; member++) {
        if (strcmp(*member, user) == 0) {
            return true;
        }
    }
    return false;
}

static bool
is_in_group_now(const struct group *group)
{
    gid_t groups[256];
    const int n = getgroups(G_N_ELEMENTS(groups), groups);

    for (int i = 0; i < n; i++) {
        if (groups[i] == group->gr_gid) {
            return true;
        }
    }
    return getgid() == group->gr_gid;
}

static void
check_group(CtlDoctor *self)
{
    const struct group *group = find_group(self);
    const char *user = get_user_name();

    if (group == NULL) {
        ctl_findings_add(self->findings,
                         "group",
                         CTL_SEVERITY_ERROR,
                         "type: systemd-sysusers; then: systemctl restart penteld",
                         "the user and group " GROUP " do not exist");
        return;
    }
    if (getuid() == 0) {
        ctl_findings_add(
            self->findings, "group", CTL_SEVERITY_OK, NULL, "root may do all that staff may");
        return;
    }
    if (is_in_group_now(group)) {
        ctl_findings_add(
            self->findings, "group", CTL_SEVERITY_OK, NULL, "%s is in the group " GROUP, user);
        return;
    }
    const bool is_late = is_in_group_file(group, user);
    g_autofree char *advice =
        is_late ? g_strdup("log out and in again: the group counts from then on")
                : g_strdup_printf("as root type: adduser %s " GROUP ", then log in again", user);
    ctl_findings_add(self->findings,
                     "group",
                     CTL_SEVERITY_WARNING,
                     advice,
                     is_late ? "%s is in the group " GROUP ", but was not at log-in"
                             : "%s is not in the group " GROUP,
                     user);
}

void
ctl_doctor_explain_refusal(CtlDoctor *self)
{
    const struct group *group = find_group(self);

    ctl_findings_add(self->findings,
                     "permission",
                     CTL_SEVERITY_ERROR,
                     group != NULL && is_in_group_now(group)
                         ? "the group does not count: see polkit here, and journalctl -u polkit"
                         : "see what is said of the group here",
                     "%s may not use penteld",
                     get_user_name());
}

static bool
is_locked_down(const CtlDoctor *self)
{
    static const char *const places[] = { "/etc/dbus-1/system-local.conf",
                                          "/etc/dbus-1/system.d/pentel-lockdown.conf" };

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = ctl_doctor_dup_path(self, places[i]);
        g_autofree char *text = NULL;

        if (g_file_get_contents(path, &text, NULL, NULL) &&
            strstr(text, "org.bluez.GattCharacteristic1") != NULL) {
            return true;
        }
    }
    return false;
}

static void
check_lockdown(CtlDoctor *self)
{
    if (is_locked_down(self)) {
        ctl_findings_add(self->findings,
                         "lockdown",
                         CTL_SEVERITY_OK,
                         NULL,
                         "only root and penteld may read and write pens");
        return;
    }
    ctl_findings_add(self->findings,
                     "lockdown",
                     CTL_SEVERITY_INFO,
                     "if pens are all it serves: cp " LOCKDOWN
                     " /etc/dbus-1/system-local.conf; systemctl reload dbus",
                     "every local user may read and write bonded pens");
}

void
ctl_doctor_check_install(CtlDoctor *self)
{
    check_policies(self);
    check_polkitd(self);
    check_group(self);
    check_lockdown(self);
}
