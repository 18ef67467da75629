/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Executes the link table for one pen: performs one action per step and turns what
 * came of it into the next event. Which device of which adapter is used is decided
 * here; what a link does once it is up is link.c's.
 */
#include "bluez/error.h"
#include "pen/pen.h"

#define CONNECT_TIMEOUT_MS   PD_BLUEZ_CONNECT_TIMEOUT_MS /* F22 */
#define FAILURES_PER_ADAPTER 3u
#define FAILED_PENALTY       1000u
#define QUICK_US             1000000 /* F11: within 1 s */
#define HEARD_US             5000000 /* F11: an advert in the last 5 s */

PdPenCall *
pd_pen_call_new(PdPen *self)
{
    PdPenCall *call = g_new0(PdPenCall, 1);

    call->pen = pd_pen_ref(self);
    call->attempt = self->attempt;
    return call;
}

void
pd_pen_call_free(PdPenCall *self)
{
    pd_pen_unref(self->pen);
    g_free(self);
}

PdPen *
pd_pen_call_get(const PdPenCall *self)
{
    const bool is_current = self->pen->manager != NULL && self->attempt == self->pen->attempt;

    return is_current ? self->pen : NULL;
}

/* The device of this pen on one of its adapters, if it can be used now. */
static PdBluezDevice *
get_usable(PdPen *self, const char *adapter_address)
{
    PdBluezClient *bluez = self->manager->bluez;
    const PdBluezAdapter *adapter = pd_bluez_client_get_adapter(bluez, adapter_address);

    if (adapter == NULL || !adapter->powered || !adapter->le_central) {
        return NULL;
    }
    PdBluezDevice *device =
        pd_bluez_client_get_device(bluez, adapter->address, self->info->address);
    if (device == NULL || !pd_bluez_device_is_bonded(device) || pd_bluez_device_is_stuck(device)) {
        return NULL;
    }
    return device;
}

/* Lower is better. An adapter that failed this pen three times lets the others try. */
static uint32_t
rate_device(const PdPen *self, const PdBluezDevice *device)
{
    const char *adapter = pd_bluez_device_get_adapter(device);
    const bool has_failed = self->state.n_failed >= FAILURES_PER_ADAPTER && self->device == device;

    return pd_slots_count_others(self, adapter) + (has_failed ? FAILED_PENALTY : 0);
}

PdBluezDevice *
pd_pen_pick_device(PdPen *self)
{
    PdBluezDevice *best = NULL;
    uint32_t best_rate = 0;

    for (char **adapter = self->info->adapters; adapter != NULL && *adapter != NULL; adapter++) {
        PdBluezDevice *device = get_usable(self, *adapter);

        if (device == NULL) {
            continue;
        }
        if (pd_bluez_device_is_connected(device)) {
            return device; /* P17 */
        }
        if (pd_slots_is_full(self, *adapter)) {
            continue;
        }
        const uint32_t rate = rate_device(self, device);
        if (best == NULL || rate < best_rate) {
            best = device;
            best_rate = rate;
        }
    }
    return best;
}

bool
pd_pen_is_crowded_out(PdPen *self)
{
    bool any = false;

    for (char **adapter = self->info->adapters; adapter != NULL && *adapter != NULL; adapter++) {
        const bool is_usable = get_usable(self, *adapter) != NULL;

        if (is_usable && !pd_slots_is_full(self, *adapter)) {
            return false;
        }
        any = any || is_usable;
    }
    return any;
}

static void
set_device(PdPen *self, PdBluezDevice *device)
{
    PdBluezDevice *before = self->device;

    self->device = device != NULL ? pd_bluez_device_ref(device) : NULL;
    g_clear_pointer(&before, pd_bluez_device_unref);
}

static gboolean
on_timer(gpointer user_data)
{
    PdPen *self = user_data;

    self->timer = 0;
    pd_pen_feed(self,
                self->state.state == PEN_LINK_RESOLVE ? PEN_LINK_EV_UNRESOLVED : PEN_LINK_EV_TIMER);
    return G_SOURCE_REMOVE;
}

void
pd_pen_arm_timer(PdPen *self, uint32_t delay_ms)
{
    /* Jitter, so that pens do not try in step (F22). */
    const gint32 extra_ms = g_rand_int_range(self->manager->rand, 0, (gint32)delay_ms / 4 + 1);

    g_clear_handle_id(&self->timer, g_source_remove);
    self->due_us = g_get_monotonic_time() + (int64_t)(delay_ms + (guint)extra_ms) * 1000;
    self->timer = g_timeout_add(delay_ms + (guint)extra_ms, on_timer, self);
}

static bool
was_heard_lately(const PdPen *self)
{
    const int64_t heard_us = pd_bluez_device_get_heard_us(self->device);
    const int16_t floor_dbm = self->manager->config.rssi_floor_dbm;
    int16_t rssi_dbm = 0;

    return heard_us != 0 && g_get_monotonic_time() - heard_us < HEARD_US &&
           pd_bluez_device_get_rssi(self->device, &rssi_dbm) &&
           (floor_dbm == 0 || rssi_dbm >= floor_dbm);
}

/* What a Connect that did not succeed says of the pen (F11, P8, P10, P12). */
static PenLinkEvent
judge_connect_error(const PdPen *self, const GError *error)
{
    const bool was_quick = g_get_monotonic_time() - self->connect_us < QUICK_US;

    switch (pd_bluez_error_get_hint(error)) {
    case PD_BLUEZ_HINT_ABORT_BY_LOCAL:
    case PD_BLUEZ_HINT_NO_REPLY:
        if (!was_quick) {
            return PEN_LINK_EV_ABSENT;
        }
        return was_heard_lately(self) ? PEN_LINK_EV_ABORTED : PEN_LINK_EV_FAILED;
    case PD_BLUEZ_HINT_IN_PROGRESS:
        return PEN_LINK_EV_BUSY;
    case PD_BLUEZ_HINT_AUTH:
        return PEN_LINK_EV_AUTH;
    case PD_BLUEZ_HINT_BACK_OFF:
    case PD_BLUEZ_HINT_ALREADY_BONDED:
    case PD_BLUEZ_HINT_NOT_PERMITTED:
    case PD_BLUEZ_HINT_NO_OBJECT:
    case PD_BLUEZ_HINT_NOT_READY:
    case PD_BLUEZ_HINT_ATT:
    case PD_BLUEZ_HINT_REFUSED:
        return PEN_LINK_EV_UNKNOWN;
    case PD_BLUEZ_HINT_NOT_CONNECTED:
    case PD_BLUEZ_HINT_SERVICE_GONE:
    case PD_BLUEZ_HINT_CANCELLED:
        return PEN_LINK_EV_FAILED;
    }
    return PEN_LINK_EV_UNKNOWN;
}

static void
on_connected(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPenCall) call = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_device_connect_finish(NULL, result, &error);
    PdPen *self = pd_pen_call_get(call);

    if (self == NULL) {
        return;
    }
    g_clear_object(&self->connect);
    if (done) {
        self->link.is_ours = !self->found_linked || self->inherits_link;
        self->inherits_link = false;
        if (!pd_slots_keep(self)) {
            return;
        }
        pd_pen_feed(self,
                    pd_bluez_device_is_connected(self->device) ? PEN_LINK_EV_CONNECTED
                                                               : PEN_LINK_EV_ABORTED);
        return;
    }
    if (self->is_held) {
        self->wants_connect = true;
        return;
    }
    g_debug("%s: %s", self->info->serial, error->message);
    if (pd_bluez_error_get_hint(error) == PD_BLUEZ_HINT_NO_REPLY) {
        pd_bluez_client_probe(self->manager->bluez); /* it gives up by itself at 41.5 s (F22) */
    }
    pd_pen_feed(self, judge_connect_error(self, error));
}

static void
do_connect(PdPen *self)
{
    set_device(self, pd_pen_pick_device(self));
    self->attempt++;
    if (self->device == NULL) {
        pd_pen_feed(self, PEN_LINK_EV_NO_ADAPTER);
        return;
    }
    if (self->is_held) {
        self->wants_connect = true;
        return;
    }
    self->found_linked = pd_bluez_device_is_connected(self->device);
    self->connect_us = g_get_monotonic_time();
    self->connect = g_cancellable_new();
    pd_bluez_device_connect_async(
        self->device, CONNECT_TIMEOUT_MS, self->connect, on_connected, pd_pen_call_new(self));
}

static void
drop_connect(PdPen *self)
{
    self->wants_connect = false;
    if (self->connect != NULL) {
        self->attempt++; /* before: a completion may not be believed */
        g_cancellable_cancel(self->connect);
        g_clear_object(&self->connect);
    }
}

static void
check_resolved(PdPen *self)
{
    if (!pd_bluez_device_is_bonded(self->device)) {
        pd_pen_feed(self, PEN_LINK_EV_AUTH); /* F10: no GATT verb may follow */
    } else if (pd_bluez_device_is_ready(self->device, pd_pen_chars, PD_N_CHARS)) {
        pd_pen_feed(self, PEN_LINK_EV_RESOLVED);
    }
}

static void
on_disconnected(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPenCall) call = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_device_disconnect_finish(NULL, result, &error);
    PdPen *self = pd_pen_call_get(call);

    if (self == NULL) {
        return;
    }
    if (!done) {
        g_debug("%s: %s", self->info->serial, error->message);
    }
    if (!pd_bluez_device_is_connected(self->device)) {
        pd_pen_feed(self, PEN_LINK_EV_DONE);
    }
}

static void
do_disconnect(PdPen *self, uint32_t delay_ms)
{
    /* A link that another program made and uses is left to it; one that fails is not. */
    const bool is_theirs = !self->link.is_ours && self->state.after_close == PEN_LINK_IN_USE;

    pd_link_end(self);
    pd_pen_arm_timer(self, delay_ms);
    if (is_theirs || !pd_bluez_device_is_connected(self->device)) {
        pd_pen_feed(self, PEN_LINK_EV_DONE);
        return;
    }
    pd_bluez_device_disconnect_async(self->device, NULL, on_disconnected, pd_pen_call_new(self));
}

static void
perform(PdPen *self, const PenLinkStep *step)
{
    switch (step->action) {
    case PEN_LINK_DO_NOTHING:
        return;
    case PEN_LINK_DO_CONNECT:
        do_connect(self);
        return;
    case PEN_LINK_DO_WAIT:
        pd_link_end(self);
        pd_pen_arm_timer(self, step->delay_ms);
        return;
    case PEN_LINK_DO_RESOLVE:
        pd_link_init(self);
        pd_pen_arm_timer(self, step->delay_ms);
        check_resolved(self);
        return;
    case PEN_LINK_DO_READ_FEATURE:
        pd_link_read_feature(self);
        return;
    case PEN_LINK_DO_SUBSCRIBE:
        pd_link_subscribe(self);
        return;
    case PEN_LINK_DO_READ_CLOCK:
        pd_clock_read(self);
        return;
    case PEN_LINK_DO_STREAM:
        pd_link_stream(self);
        return;
    case PEN_LINK_DO_DISCONNECT:
        do_disconnect(self, step->delay_ms);
        return;
    case PEN_LINK_DO_CURE:
        pd_link_end(self);
        pd_cure_try(self);
        return;
    }
}

/* States in which words about an earlier failure are out of date. */
static bool
is_fresh(PenLinkState state)
{
    return state == PEN_LINK_IDLE || state == PEN_LINK_RESOLVE || state == PEN_LINK_STREAM;
}

static void
leave_state(PdPen *self, PenLinkState before, PenLinkEvent event)
{
    g_debug("%s: %s -> %s (event %u)",
            self->info->serial,
            pen_link_state_name(before),
            pen_link_state_name(self->state.state),
            (unsigned)event);
    g_clear_handle_id(&self->timer, g_source_remove);
    if (self->state.state == PEN_LINK_IDLE) {
        drop_connect(self);
        pd_link_end(self);
        set_device(self, NULL);
    }
    if (is_fresh(self->state.state)) {
        g_clear_pointer(&self->detail, g_free);
    }
}

void
pd_pen_feed(PdPen *self, PenLinkEvent event)
{
    const PenLinkState before = self->state.state;

    if (self->manager == NULL) {
        return;
    }
    const PenLinkStep step = pen_link_step(&self->state, event);
    if (self->state.state != before) {
        leave_state(self, before, event);
    }
    perform(self, &step);
    pd_pen_tell_changed(self);
}

void
pd_pen_feed_because(PdPen *self, PenLinkEvent event, char *detail)
{
    g_free(self->detail);
    self->detail = detail;
    pd_pen_feed(self, event);
}

void
pd_pen_replan(PdPen *self)
{
    if (self->is_suspended || self->manager->is_asleep) {
        return;
    }
    if (self->device != NULL) {
        const PdBluezAdapter *adapter = pd_bluez_client_get_adapter(
            self->manager->bluez, pd_bluez_device_get_adapter(self->device));

        if (!pd_bluez_device_is_present(self->device) || adapter == NULL || !adapter->powered) {
            pd_pen_feed(self, PEN_LINK_EV_NO_ADAPTER);
        }
    }
    if (self->state.state == PEN_LINK_IDLE && pd_pen_pick_device(self) != NULL) {
        pd_pen_feed(self, PEN_LINK_EV_ADAPTER);
    }
    pd_pen_tell_changed(self);
}

static void
on_link_lost(PdPen *self)
{
    const bool was_quick = g_get_monotonic_time() - self->link.up_us < QUICK_US;

    if (self->connect != NULL) {
        return; /* its completion tells more */
    }
    if (self->link.has_acquire) {
        self->link.is_down = true; /* its answer, or none, tells debris (F1) */
        return;
    }
    pd_pen_feed(self,
                was_quick && self->state.state == PEN_LINK_RESOLVE ? PEN_LINK_EV_ABORTED
                                                                   : PEN_LINK_EV_DOWN);
}

void
pd_pen_on_device_changed(PdPen *self, PdBluezDevice *device, uint32_t changed)
{
    if (device != self->device) {
        if ((changed & PD_BLUEZ_DEVICE_CHANGE_PAIRED) != 0) {
            pd_pen_replan(self);
        }
        return;
    }
    if ((changed & PD_BLUEZ_DEVICE_CHANGE_CONNECTED) != 0) {
        if (!pd_bluez_device_is_connected(device)) {
            on_link_lost(self);
        } else if (self->state.state == PEN_LINK_PAUSE) {
            pd_pen_feed(self, PEN_LINK_EV_CONNECTED);
        }
    }
    const uint32_t resolving = PD_BLUEZ_DEVICE_CHANGE_RESOLVED | PD_BLUEZ_DEVICE_CHANGE_GATT |
                               PD_BLUEZ_DEVICE_CHANGE_PAIRED;
    if ((changed & resolving) != 0 && self->state.state == PEN_LINK_RESOLVE) {
        check_resolved(self);
    }
    if ((changed & PD_BLUEZ_DEVICE_CHANGE_BATTERY) != 0) {
        pd_pen_tell_changed(self);
    }
}

void
pd_pen_hold(PdPen *self, const char *adapter)
{
    if (self->device != NULL &&
        g_ascii_strcasecmp(pd_bluez_device_get_adapter(self->device), adapter) != 0) {
        return;
    }
    self->is_held = true;
    if (self->connect != NULL) {
        g_cancellable_cancel(self->connect);
    }
}

void
pd_pen_release(PdPen *self)
{
    if (!self->is_held) {
        return;
    }
    self->is_held = false;
    if (self->wants_connect) {
        self->wants_connect = false;
        do_connect(self);
    }
}

static void
on_let_go(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPenCall) call = user_data;

    (void)pd_bluez_device_disconnect_finish(NULL, result, NULL);
    call->pen->n_letting_go--;
}

void
pd_pen_let_go(PdPen *self)
{
    if (self->device != NULL && self->link.is_ours && pd_bluez_device_is_connected(self->device)) {
        self->n_letting_go++;
        pd_bluez_device_disconnect_async(self->device, NULL, on_let_go, pd_pen_call_new(self));
    }
    pd_pen_feed(self, PEN_LINK_EV_NO_ADAPTER);
}

void
pd_pen_suspend(PdPen *self)
{
    self->is_suspended = true;
    pd_pen_let_go(self);
}

void
pd_pen_resume(PdPen *self, bool is_linked_by_us)
{
    self->is_suspended = false;
    self->inherits_link = is_linked_by_us;
    pen_link_init(&self->state);
    g_clear_pointer(&self->detail, g_free);
    pd_pen_replan(self);
}

void
pd_pen_sleep(PdPen *self)
{
    /* Debris has no link to end, and its cure goes on after the wake. */
    if (self->state.state != PEN_LINK_STUCK) {
        pd_pen_let_go(self);
    }
    pd_pen_tell_changed(self);
}

void
pd_pen_wake(PdPen *self)
{
    if (self->state.state != PEN_LINK_STUCK) {
        pen_link_init(&self->state);
        g_clear_pointer(&self->detail, g_free);
    }
    pd_pen_replan(self);
}
