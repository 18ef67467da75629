/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What systemd says of the two units that matter. Where there is no systemd on the bus,
 * nothing is said about units.
 */
#include "ctl/doctor.h"
#include "lib/dict.h"

#include <string.h>

#define SYSTEMD      "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

/* Loads it when need be, which starts nothing. NULL: no such thing is known. */
static GVariant *
load_unit(const CtlDoctor *self, const char *unit, char **path_out)
{
    static const CliBusTarget target = { SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager", "LoadUnit" };

    if (!ctl_doctor_has_name(self, SYSTEMD)) {
        return NULL;
    }
    g_autoptr(GVariant) reply = cli_bus_call_other(
        self->bus, &target, g_variant_new("(s)", unit), "(o)", CTL_DOCTOR_TIMEOUT_MS, NULL);
    if (reply == NULL) {
        return NULL;
    }
    g_variant_get(reply, "(o)", path_out);
    return ctl_doctor_dup_properties(self, SYSTEMD, *path_out, SYSTEMD ".Unit");
}

static bool
has_value(GVariant *unit, const char *key, const char *value)
{
    const char *found = cli_dict_get_text(unit, key);

    return found != NULL && strcmp(found, value) == 0;
}

/* True when the unit is in a state that explains why it does not run. */
static bool
explain(CtlDoctor *self, GVariant *unit, const char *check, const char *name, const char *package)
{
    g_autofree char *advice = NULL;

    if (has_value(unit, "LoadState", "not-found")) {
        advice = g_strdup_printf("type: apt install %s", package);
        ctl_findings_add(
            self->findings, check, CTL_SEVERITY_ERROR, advice, "%s.service is not installed", name);
        return true;
    }
    if (has_value(unit, "LoadState", "masked")) {
        advice = g_strdup_printf("type: systemctl unmask %s, then: systemctl start %s", name, name);
        ctl_findings_add(
            self->findings, check, CTL_SEVERITY_ERROR, advice, "%s.service is masked", name);
        return true;
    }
    if (has_value(unit, "ActiveState", "failed")) {
        advice = g_strdup_printf("see: journalctl -u %s; then: systemctl restart %s", name, name);
        ctl_findings_add(
            self->findings, check, CTL_SEVERITY_ERROR, advice, "%s.service has failed", name);
        return true;
    }
    return false;
}

/* Without it a crash of bluetoothd is the end of every link (P24). */
static void
check_restart(CtlDoctor *self, const char *path)
{
    g_autoptr(GVariant) service =
        ctl_doctor_dup_properties(self, SYSTEMD, path, SYSTEMD ".Service");
    const char *restart = service != NULL ? cli_dict_get_text(service, "Restart") : NULL;

    if (restart == NULL) {
        return;
    }
    if (strcmp(restart, "no") == 0) {
        ctl_findings_add(self->findings,
                         "restart",
                         CTL_SEVERITY_WARNING,
                         "type: systemctl edit bluetooth; write: [Service] Restart=on-failure",
                         "nobody starts bluetoothd again when it crashes");
        return;
    }
    ctl_findings_add(self->findings,
                     "restart",
                     CTL_SEVERITY_OK,
                     NULL,
                     "bluetooth.service has Restart=%s",
                     restart);
}

void
ctl_doctor_check_bluetooth_unit(CtlDoctor *self)
{
    g_autofree char *path = NULL;
    g_autoptr(GVariant) unit = load_unit(self, "bluetooth.service", &path);

    if (unit == NULL || explain(self, unit, "bluetooth", "bluetooth", "bluez")) {
        return;
    }
    check_restart(self, path);
}

bool
ctl_doctor_explain_penteld(CtlDoctor *self)
{
    g_autofree char *path = NULL;
    g_autoptr(GVariant) unit = load_unit(self, "penteld.service", &path);

    return unit != NULL && explain(self, unit, "penteld", "penteld", "penteld");
}
