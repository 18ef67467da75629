/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * One pen as others see it: its life as an object, its state and reason in words, what
 * is remembered of it.
 */
#include "pen/pen.h"

PdPen *
pd_pen_new(PdPenManager *manager, PdPenInfo *info)
{
    PdPen *self = g_new0(PdPen, 1);

    self->n_refs = 1;
    self->manager = manager;
    self->info = info;
    self->marked_us = g_get_monotonic_time();
    self->saved_us = self->marked_us;
    pen_link_init(&self->state);
    return self;
}

PdPen *
pd_pen_ref(PdPen *self)
{
    self->n_refs++;
    return self;
}

void
pd_pen_unref(PdPen *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    pd_pen_info_free(self->info);
    g_clear_pointer(&self->progress, pd_progress_unref);
    g_clear_pointer(&self->device, pd_bluez_device_unref);
    g_clear_object(&self->connect);
    g_free(self->detail);
    g_free(self->told);
    g_free(self->reason);
    g_free(self);
}

void
pd_pen_detach(PdPen *self)
{
    pd_pen_let_go(self);
    g_clear_handle_id(&self->timer, g_source_remove);
    self->manager = NULL;
}

bool
pd_pen_is_streaming(const PdPen *self)
{
    return self->state.state == PEN_LINK_STREAM;
}

bool
pd_pen_is_in_session(PdPen *self)
{
    return self->progress != NULL && pd_progress_get_session(self->progress) != 0;
}

uint32_t
pd_pen_get_n_malformed_on_air(PdPen *self)
{
    const PdIntakeCounts *counts =
        self->manager != NULL && self->link.epoch != 0
            ? pd_reader_get_counts(self->manager->reader, self->link.epoch)
            : NULL;

    return self->n_malformed_before + (counts != NULL ? counts->n_malformed : 0);
}

uint32_t
pd_pen_get_n_malformed(PdPen *self)
{
    const uint32_t n_faulty =
        self->manager != NULL ? pd_store_get_n_faulty(self->manager->store, self->info->log_id) : 0;

    return pd_pen_get_n_malformed_on_air(self) + n_faulty;
}

/* Missing numbers that a report has to bring; live gaps of a moment are none. */
static bool
is_backfilling(PdPen *self)
{
    return pd_racp_is_reporting(self);
}

/* An adapter that is on but holds no bond of this pen; NULL when there is none. */
static const PdBluezAdapter *
find_unbonded_adapter(PdPen *self)
{
    g_autoptr(GPtrArray) adapters = pd_bluez_client_list_adapters(self->manager->bluez);

    for (guint i = 0; i < adapters->len; i++) {
        const PdBluezAdapter *adapter = g_ptr_array_index(adapters, i);

        if (adapter->powered && adapter->le_central) {
            return adapter;
        }
    }
    return NULL;
}

const char *
pd_pen_get_state(PdPen *self)
{
    if (self->is_suspended) {
        return "connecting";
    }
    if (self->manager->is_asleep && self->state.state == PEN_LINK_IDLE) {
        return "absent";
    }
    if (self->state.state == PEN_LINK_IDLE && !pd_pen_is_crowded_out(self) &&
        find_unbonded_adapter(self) != NULL) {
        return "needs-enrol";
    }
    if (!pd_pen_is_streaming(self)) {
        return pen_link_state_name(self->state.state);
    }
    if (pd_pen_is_in_session(self)) {
        return "live";
    }
    return is_backfilling(self) ? "backfill" : "connected";
}

static char *
dup_idle_reason(PdPen *self)
{
    if (self->is_suspended) {
        return g_strdup("an enrolment window is open for this pen");
    }
    if (self->manager->is_asleep) {
        return g_strdup("the machine is going to sleep; the pen is connected again when it wakes");
    }
    if (!pd_bluez_client_is_up(self->manager->bluez)) {
        return g_strdup("bluetoothd is not running; the pen is connected as soon as it does");
    }
    if (pd_pen_is_crowded_out(self)) {
        return g_strdup_printf(
            "every adapter it is bonded to holds its %u links; it is linked when "
            "one ends, and idle pens take turns",
            self->manager->config.links_per_adapter);
    }
    const PdBluezAdapter *adapter = find_unbonded_adapter(self);
    if (adapter == NULL) {
        return g_strdup("no Bluetooth adapter is there and on; the pen is connected as soon as "
                        "one is");
    }
    return g_strdup_printf("not bonded on adapter %s (%s); put the pen in pairing mode and run "
                           "pentelctl enroll %s --adapter %s",
                           adapter->name,
                           adapter->address,
                           self->info->serial,
                           adapter->name);
}

static char *
dup_reason(PdPen *self)
{
    if (self->state.state == PEN_LINK_IDLE) {
        return dup_idle_reason(self);
    }
    if (pd_pen_is_streaming(self) && is_backfilling(self)) {
        return g_strdup_printf("linked, fetching records %u to %u",
                               self->link.racp.asked.first,
                               self->link.racp.asked.last);
    }
    const char *reason = pen_link_state_reason(self->state.state);
    if (self->is_held && self->wants_connect) {
        return g_strdup("an enrolment window is scanning; connected as soon as it pauses");
    }
    return self->detail != NULL ? g_strdup_printf("%s (%s)", reason, self->detail)
                                : g_strdup(reason);
}

const char *
pd_pen_get_reason(PdPen *self)
{
    g_free(self->reason);
    self->reason = dup_reason(self);
    return self->reason;
}

void
pd_pen_tell_changed(PdPen *self)
{
    PdPenManager *manager = self->manager;

    if (manager == NULL) {
        return;
    }
    /* Not the numbers of each window: nobody wants a signal for those. */
    g_autofree char *now =
        g_strdup_printf("%s %d %d %u %d %s",
                        pd_pen_get_state(self),
                        (int)self->state.state,
                        manager->is_asleep ? 1 : 0,
                        pd_pen_get_n_malformed(self),
                        self->device != NULL ? pd_bluez_device_get_battery_pct(self->device) : 255,
                        self->detail != NULL ? self->detail : "");
    if (g_strcmp0(now, self->told) == 0) {
        return;
    }
    g_free(self->told);
    self->told = g_steal_pointer(&now);
    if (manager->listener.pen_changed != NULL) {
        manager->listener.pen_changed(manager->user_data, self->info->serial);
    }
}

static void
on_saved(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPen) self = user_data;
    g_autoptr(GError) error = NULL;

    if (self->manager != NULL && !pd_store_save_pen_finish(self->manager->store, result, &error)) {
        g_warning("%s: not remembered: %s", self->info->serial, error->message);
    }
}

void
pd_pen_save(PdPen *self)
{
    self->saved_us = g_get_monotonic_time();
    pd_store_save_pen_async(self->manager->store, self->info, NULL, on_saved, pd_pen_ref(self));
}
