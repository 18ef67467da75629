/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Scanning for the pen of an enrolment window, and telling it from others before it is
 * bonded. No pen of ours connects meanwhile on that adapter, and none scans beside a
 * connect (P9); pens that lost their link are let in between.
 */
#include "pen/enrol.h"

#include <string.h>

#define POLL_MS           100
#define EXTRA_ADAPTER_US  10000000 /* for each adapter after the first */
#define FIRST_ADAPTER_US  10000000 /* then another hears better, perhaps */
#define NAMELESS_AFTER_US 3000000  /* then pens are tried whose name tells nothing */
#define SCAN_PAUSE_MS     3000     /* for pens that lost their link meanwhile (P9) */
#define SCAN_SLICE_US     5000000
#define SCAN_STALE_US     3000000 /* heard so long before the scan still counts */

static void
hold_all(PdEnrol *self, const char *adapter)
{
    for (guint i = 0; i < self->manager->pens->len; i++) {
        pd_pen_hold(g_ptr_array_index(self->manager->pens, i), adapter);
    }
}

static void
on_scan_stopped(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;

    /* A failure counts as stopped. */
    (void)pd_bluez_discovery_stop_finish(NULL, result, NULL);
    if (pd_enrol_is_over(self)) {
        return;
    }
    g_clear_pointer(&self->scanning, g_free);
    pd_enrol_release_all(self);
    if (self->device == NULL || !pd_bluez_device_is_present(self->device)) {
        pd_enrol_retry(self, "the pen was heard but is gone");
        return;
    }
    pd_enrol_link_device(self);
}

/* As far as a name can tell; the text is the radio's. */
static bool
is_named(const PdEnrol *self, const PdBluezDevice *device)
{
    const char *name = pd_bluez_device_get_name(device);

    return name != NULL && strstr(name, self->wanted) != NULL;
}

/* Owns: keeps its own reference of @device. */
static void
choose(PdEnrol *self, PdBluezDevice *device)
{
    self->step = PD_ENROL_STOP_SCAN;
    g_clear_handle_id(&self->timer_id, g_source_remove);
    self->device = pd_bluez_device_ref(device);
    self->is_guess = pd_enrol_is_search(self) && !is_named(self, device);
    pd_enrol_note_try(self, device);
    pd_bluez_discovery_stop_async(
        self->manager->bluez, self->scanning, NULL, on_scan_stopped, pd_enrol_ref(self));
}

static bool
has_refused(const PdEnrol *self, const char *address)
{
    const PdEnrolRefusal *refusal = g_hash_table_lookup(self->refused, address);

    return refusal != NULL && g_get_monotonic_time() < refusal->until_us;
}

/* A name need not hold the serial, so others are bonded and asked, when it had its time. */
static bool
is_time_to_guess(const PdEnrol *self)
{
    return !self->is_late && g_get_monotonic_time() - self->adapter_us > NAMELESS_AFTER_US;
}

/* Address of the only device that can be it, NULL = that is not known. Owns: the window's. */
static const char *
get_known_address(const PdEnrol *self)
{
    if (self->bonded->len > 0) {
        return self->address;
    }
    if (self->target != NULL) {
        return self->target->info->address;
    }
    return strchr(self->wanted, ':') != NULL ? self->wanted : NULL;
}

/* Why @device is not even tried, as far as can be said before it is bonded; NULL = it is. */
static const char *
find_objection(const PdEnrol *self, PdBluezDevice *device, bool may_guess)
{
    const char *address = pd_bluez_device_get_address(device);
    const char *known = get_known_address(self);

    if (known != NULL && g_ascii_strcasecmp(known, address) != 0) {
        return "it is another pen";
    }
    if (known != NULL) {
        return has_refused(self, address) ? "it refused to pair and is given time" : NULL;
    }
    if (pd_manager_find_by_address(self->manager, address) != NULL) {
        return "it is enrolled already";
    }
    if (has_refused(self, address)) {
        return "it was tried";
    }
    if (!pd_enrol_is_search(self) || is_named(self, device)) {
        return NULL;
    }
    return may_guess ? NULL : "its name does not hold the serial, and it was not tried yet";
}

static void
consider(PdEnrol *self, PdBluezDevice *device, bool may_guess)
{
    const int64_t heard_us = pd_bluez_device_get_heard_us(device);

    if (self->step != PD_ENROL_SCAN ||
        g_ascii_strcasecmp(pd_bluez_device_get_adapter(device), pd_enrol_get_adapter(self)) != 0 ||
        !pd_bluez_device_has_uuid(device, PD_PEN_SERVICE_UUID) || heard_us == 0 ||
        heard_us < self->scan_us - SCAN_STALE_US || pd_bluez_device_is_stuck(device)) {
        return;
    }
    const char *objection = find_objection(self, device, may_guess);
    if (objection == NULL) {
        choose(self, device);
    } else {
        pd_enrol_note_objection(self, device, objection);
    }
}

void
pd_enrol_on_device(PdEnrol *self, PdBluezDevice *device)
{
    self->heard_us = MAX(self->heard_us, pd_bluez_device_get_heard_us(device));
    consider(self, device, false);
}

/* The one whose name holds the serial goes first, whatever else is heard. */
static void
consider_all(PdEnrol *self)
{
    g_autoptr(GPtrArray) devices =
        pd_bluez_client_list_devices(self->manager->bluez, pd_enrol_get_adapter(self));

    for (guint i = 0; i < devices->len && self->step == PD_ENROL_SCAN; i++) {
        consider(self, g_ptr_array_index(devices, i), false);
    }
    for (guint i = 0; i < devices->len && self->step == PD_ENROL_SCAN && is_time_to_guess(self);
         i++) {
        consider(self, g_ptr_array_index(devices, i), true);
    }
}

static bool
is_anybody_waiting(const PdEnrol *self)
{
    for (guint i = 0; i < self->manager->pens->len; i++) {
        const PdPen *pen = g_ptr_array_index(self->manager->pens, i);

        if (pen->is_held && pen->wants_connect) {
            return true;
        }
    }
    return false;
}

static gboolean
on_scan_again(gpointer user_data)
{
    PdEnrol *self = user_data;

    self->timer_id = 0;
    pd_enrol_start_scan(self);
    return G_SOURCE_REMOVE;
}

void
pd_enrol_start_scan_in(PdEnrol *self, uint32_t pause_ms)
{
    pd_enrol_set_timer(self, pause_ms, on_scan_again);
}

static void
on_scan_paused(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;

    (void)pd_bluez_discovery_stop_finish(NULL, result, NULL);
    if (pd_enrol_is_over(self)) {
        return;
    }
    g_clear_pointer(&self->scanning, g_free);
    pd_enrol_release_all(self);
    pd_enrol_start_scan_in(self, self->pause_ms);
}

void
pd_enrol_scan_anew(PdEnrol *self, uint32_t pause_ms)
{
    self->step = PD_ENROL_OPEN;
    self->pause_ms = pause_ms;
    pd_bluez_discovery_stop_async(
        self->manager->bluez, pd_enrol_get_adapter(self), NULL, on_scan_paused, pd_enrol_ref(self));
}

static void
on_scan_moved(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;

    (void)pd_bluez_discovery_stop_finish(NULL, result, NULL);
    if (pd_enrol_is_over(self)) {
        return;
    }
    g_clear_pointer(&self->scanning, g_free);
    pd_enrol_release_all(self);
    g_ptr_array_add(self->adapters, g_ptr_array_steal_index(self->adapters, self->adapter_at));
    self->adapter_us = g_get_monotonic_time();
    pd_enrol_retry(self, NULL);
}

/* No bond yet, so it does not matter which adapter has the first: they take turns. */
static void
move_on(PdEnrol *self)
{
    self->step = PD_ENROL_OPEN;
    pd_bluez_discovery_stop_async(
        self->manager->bluez, self->scanning, NULL, on_scan_moved, pd_enrol_ref(self));
}

/* An extra adapter that does not hear or bond the pen is left; the pen says so later. */
static gboolean
on_scan_poll(gpointer user_data)
{
    PdEnrol *self = user_data;
    const guint timer_id = self->timer_id;
    const int64_t now_us = g_get_monotonic_time();

    if (self->bonded->len > 0 && now_us - self->adapter_us > EXTRA_ADAPTER_US) {
        self->timer_id = 0;
        self->step = PD_ENROL_OPEN;
        pd_enrol_skip_adapter(self, "it was not heard there");
        return G_SOURCE_REMOVE;
    }
    if (self->bonded->len == 0 && self->adapters->len > 1 &&
        now_us - self->adapter_us > FIRST_ADAPTER_US) {
        self->timer_id = 0;
        move_on(self);
        return G_SOURCE_REMOVE;
    }
    if (now_us - self->scan_us > SCAN_SLICE_US && is_anybody_waiting(self)) {
        self->timer_id = 0;
        pd_enrol_scan_anew(self, SCAN_PAUSE_MS);
        return G_SOURCE_REMOVE;
    }
    self->timer_id = 0; /* the watchdog may set another */
    if (pd_enrol_watch_discovery(self)) {
        return G_SOURCE_REMOVE;
    }
    self->timer_id = timer_id;
    consider_all(self);
    return self->step == PD_ENROL_SCAN ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void
on_scanning(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    GError *error = NULL;
    const bool done = pd_bluez_discovery_start_finish(NULL, result, &error);

    if (pd_enrol_is_over(self)) {
        g_clear_error(&error);
        return;
    }
    if (!done) {
        g_clear_pointer(&self->scanning, g_free);
        if (g_error_matches(error, PD_ERROR, PD_ERROR_NO_ADAPTER)) {
            pd_enrol_fail(self, error);
            return;
        }
        /* A Connect that is being given up takes a moment (P9). */
        const bool is_theirs = g_error_matches(error, PD_ERROR, PD_ERROR_BUSY) == FALSE ||
                               strstr(error->message, "org.bluez") != NULL;
        pd_enrol_set_problem(self, error->message);
        g_error_free(error);
        if (!is_theirs || !pd_enrol_watch_start(self)) {
            pd_enrol_start_scan_in(self, POLL_MS);
        }
        return;
    }
    self->step = PD_ENROL_SCAN;
    pd_enrol_set_timer(self, POLL_MS, on_scan_poll);
    consider_all(self);
}

void
pd_enrol_start_scan(PdEnrol *self)
{
    static const char *const uuids[] = { PD_PEN_SERVICE_UUID, NULL };

    hold_all(self, pd_enrol_get_adapter(self));
    self->scan_us = g_get_monotonic_time();
    self->scanning = g_strdup(pd_enrol_get_adapter(self));
    pd_bluez_discovery_start_async(
        self->manager->bluez, self->scanning, uuids, self->calls, on_scanning, pd_enrol_ref(self));
}
