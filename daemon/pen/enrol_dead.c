/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The watchdog of a window's discovery, which may die after hours and say nothing (P13).
 * Silence alone is what an empty room sounds like: it is answered by starting anew. What
 * bluetoothd itself shows to be dead climbs a ladder: start anew, switch the adapter off
 * and on if nobody is linked on it, restart bluetooth.service.
 */
#include "pen/enrol.h"

#define SILENT_US INT64_C(10000000)
/* Between two rounds of ten seconds bluetoothd pauses for about five. */
#define DEAD_US  INT64_C(12000000)
#define AGAIN_MS 500

static void
on_cycled(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_adapter_cycle_finish(NULL, result, &error);

    if (pd_enrol_is_over(self)) {
        return;
    }
    if (!done) {
        g_warning("enrolment: %s", error->message);
    }
    g_clear_pointer(&self->scanning, g_free);
    pd_enrol_start_scan_in(self, AGAIN_MS);
}

static void
cycle_adapter(PdEnrol *self)
{
    self->step = PD_ENROL_OPEN;
    pd_bluez_adapter_cycle_async(
        self->manager->bluez, pd_enrol_get_adapter(self), NULL, on_cycled, pd_enrol_ref(self));
}

/* Anybody's link: a keyboard is none of ours to end. */
static bool
is_anybody_linked(const PdEnrol *self)
{
    g_autoptr(GPtrArray) devices =
        pd_bluez_client_list_devices(self->manager->bluez, pd_enrol_get_adapter(self));

    for (guint i = 0; i < devices->len; i++) {
        if (pd_bluez_device_is_connected(g_ptr_array_index(devices, i))) {
            return true;
        }
    }
    return false;
}

static void
restart_service(PdEnrol *self)
{
    g_autofree char *why =
        g_strdup_printf("discovery on %s stays dead", pd_enrol_get_adapter(self));

    if (pd_cure_service(self->manager, why)) {
        pd_enrol_set_problem(self,
                             "discovery was dead, so bluetooth.service was restarted; enrol the "
                             "pen again");
        return; /* the window ends with bluetoothd */
    }
    pd_enrol_scan_anew(self, AGAIN_MS);
}

static void
climb(PdEnrol *self)
{
    self->dead_us = 0;
    self->n_rungs++;
    pd_enrol_set_problem(self, "bluetoothd says that it discovers, and does not");
    if (self->n_rungs == 1) {
        g_warning("discovery on %s is dead, starting it anew", pd_enrol_get_adapter(self));
        pd_enrol_scan_anew(self, AGAIN_MS);
    } else if (self->n_rungs == 2 && !is_anybody_linked(self)) {
        g_warning("discovery on %s is dead again, switching the adapter off and on",
                  pd_enrol_get_adapter(self));
        cycle_adapter(self);
    } else {
        restart_service(self);
    }
}

bool
pd_enrol_watch_discovery(PdEnrol *self)
{
    const int64_t now_us = g_get_monotonic_time();
    const PdBluezAdapter *adapter =
        pd_bluez_client_get_adapter(self->manager->bluez, pd_enrol_get_adapter(self));

    if (adapter == NULL) {
        return false;
    }
    if (adapter->discovering) {
        self->dead_us = 0;
        if (now_us - MAX(self->scan_us, self->heard_us) < SILENT_US) {
            return false;
        }
        g_debug("enrolment: nothing was heard for a while, scanning anew");
        pd_enrol_scan_anew(self, AGAIN_MS);
        return true;
    }
    self->dead_us = self->dead_us != 0 ? self->dead_us : now_us;
    if (now_us - self->dead_us < DEAD_US) {
        return false;
    }
    climb(self);
    return true;
}

bool
pd_enrol_watch_start(PdEnrol *self)
{
    const int64_t now_us = g_get_monotonic_time();

    self->dead_us = self->dead_us != 0 ? self->dead_us : now_us;
    if (now_us - self->dead_us < DEAD_US) {
        return false;
    }
    climb(self);
    return true;
}
