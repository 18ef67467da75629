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
dup_bluez_reason(PdBluezClient *bluez)
{
    if (!pd_bluez_client_has_owner(bluez)) {
        return g_strdup("bluetoothd is not running; the pen is connected as soon as it does");
    }
    if (pd_bluez_client_is_mute(bluez)) {
        return g_strdup("bluetoothd does not answer; it is asked every 5 s, and restarted when "
                        "no pen is in a session, every 2 minutes at most");
    }
    return g_strdup("bluetoothd is starting; the pen is connected in a moment");
}

static char *
dup_idle_reason(PdPen *self)
{
    if (self->is_suspended) {
        return g_strdup("an enrolment window is open for this pen; it is connected when that ends");
    }
    if (self->manager->is_asleep) {
        return g_strdup("the machine is going to sleep; the pen is connected again when it wakes");
    }
    if (!pd_bluez_client_is_up(self->manager->bluez)) {
        return dup_bluez_reason(self->manager->bluez);
    }
    if (pd_pen_is_crowded_out(self)) {
        return g_strdup_printf(
            "every adapter it is bonded to holds its %u links; it is linked when "
            "one ends, and idle pens take turns of about 30 s",
            self->manager->config.links_per_adapter);
    }
    const PdBluezAdapter *adapter = find_unbonded_adapter(self);
    if (adapter == NULL) {
        return g_strdup("no Bluetooth adapter is there and on; the pen is connected as soon as "
                        "one is");
    }
    return g_strdup_printf("not bonded on adapter %s (%s); put the pen in pairing mode and run "
                           "pentelctl enroll %s --adapter %s; it is connected from then on",
                           adapter->name,
                           adapter->address,
                           self->info->serial,
                           adapter->name);
}

/* When the state's timer runs out, for people; a long wait also by the clock on the wall. */
static char *
dup_when(const PdPen *self)
{
    const int64_t left_s =
        (self->due_us - g_get_monotonic_time() + G_USEC_PER_SEC / 2) / G_USEC_PER_SEC;

    if (self->timer == 0 || left_s < 1) {
        return g_strdup("in a moment");
    }
    if (left_s < 60) {
        return g_strdup_printf("in %d s", (int)left_s);
    }
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autoptr(GDateTime) then = g_date_time_add_seconds(now, (gdouble)left_s);
    g_autofree char *clock = g_date_time_format(then, "%H:%M");
    return g_strdup_printf("in %d min, at %s", (int)((left_s + 30) / 60), clock);
}

/* Of a state that waits: why, what next, when. */
static char *
dup_wait_reason(const PdPen *self, const char *what, const char *next)
{
    g_autofree char *when = dup_when(self);

    return self->detail != NULL ? g_strdup_printf("%s (%s); %s %s", what, self->detail, next, when)
                                : g_strdup_printf("%s; %s %s", what, next, when);
}

static char *
dup_state_reason(const PdPen *self)
{
    const PenLinkState state = self->state.state;
    const char *reason = pen_link_state_reason(state);
    const char *why = self->state.why != NULL ? self->state.why : reason;

    switch (state) {
    case PEN_LINK_PAUSE:
        return dup_wait_reason(self, why, "tried again");
    case PEN_LINK_NEEDS_ENROL:
    case PEN_LINK_IN_USE:
    case PEN_LINK_REFUSED:
    case PEN_LINK_NOISY:
        return dup_wait_reason(self, reason, "next");
    case PEN_LINK_STUCK:
        return dup_wait_reason(self, reason, "looked at again");
    case PEN_LINK_AWAIT:
    case PEN_LINK_CLOSING:
        return why != reason ? g_strdup_printf("%s; %s", why, reason) : g_strdup(reason);
    case PEN_LINK_IDLE:
    case PEN_LINK_RESOLVE:
    case PEN_LINK_FEATURE:
    case PEN_LINK_SUBSCRIBE:
    case PEN_LINK_CLOCK:
    case PEN_LINK_STREAM:
    case PEN_LINK_N_STATES:
        return self->detail != NULL ? g_strdup_printf("%s (%s)", reason, self->detail)
                                    : g_strdup(reason);
    }
    return g_strdup(reason);
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
    if (self->is_held && self->wants_connect) {
        return g_strdup("an enrolment window is scanning; connected as soon as it pauses, "
                        "within 5 s");
    }
    return dup_state_reason(self);
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
    const bool is_idle = self->state.state == PEN_LINK_IDLE;
    g_autofree char *now =
        g_strdup_printf("%s %d %u %d %s %s",
                        pd_pen_get_state(self),
                        (int)self->state.state,
                        pd_pen_get_n_malformed(self),
                        self->device != NULL ? pd_bluez_device_get_battery_pct(self->device) : 255,
                        self->detail != NULL ? self->detail : "",
                        is_idle ? pd_pen_get_reason(self) : "");
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
