/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Places for links on an adapter (P18). Controllers hold few links and bluetoothd does not
 * say how many, so an administrator may. Then a pen in session keeps its place, also over
 * a lost link, and idle ones take turns: first what treats, then what has records to give.
 */
#include "pen/pen.h"

#define TURN_S         10
#define YIELD_US       (INT64_C(5) * G_USEC_PER_SEC)   /* over before the next turn */
#define IDLE_US        (INT64_C(30) * G_USEC_PER_SEC)  /* a link this old has told its news */
#define RESERVATION_US (INT64_C(600) * G_USEC_PER_SEC) /* a pen that stays away lost its place */

static bool
is_on(const PdPen *pen, const char *adapter)
{
    return pen->device != NULL &&
           g_ascii_strcasecmp(pd_bluez_device_get_adapter(pen->device), adapter) == 0;
}

/* Linked, or in a session whose link was lost a short while ago. */
static bool
has_place(PdPen *pen)
{
    return pd_bluez_device_is_connected(pen->device) ||
           (pd_pen_is_in_session(pen) &&
            g_get_real_time() - pen->info->last_seen_us < RESERVATION_US);
}

uint32_t
pd_slots_count_others(const PdPen *self, const char *adapter)
{
    const GPtrArray *pens = self->manager->pens;
    uint32_t n_places = 0;

    for (guint i = 0; i < pens->len; i++) {
        PdPen *other = g_ptr_array_index(pens, i);

        n_places += other != self && is_on(other, adapter) && has_place(other) ? 1u : 0u;
    }
    return n_places;
}

bool
pd_slots_is_full(const PdPen *self, const char *adapter)
{
    const uint32_t limit = self->manager->config.links_per_adapter;

    if (limit == 0) {
        return false;
    }
    /* Who has just made room lets the others in first. */
    if (self->yielded_us != 0 && g_get_monotonic_time() - self->yielded_us < YIELD_US) {
        return true;
    }
    return pd_slots_count_others(self, adapter) >= limit;
}

static bool
is_idle(PdPen *pen)
{
    return pd_pen_is_streaming(pen) && pen->link.is_ours && !pd_pen_is_in_session(pen) &&
           !pd_racp_is_reporting(pen);
}

/* The idle pen that is linked longest; @adapter NULL = on any. */
static PdPen *
find_idle(PdPenManager *self, const char *adapter)
{
    PdPen *found = NULL;

    for (guint i = 0; i < self->pens->len; i++) {
        PdPen *pen = g_ptr_array_index(self->pens, i);

        if (is_idle(pen) && (adapter == NULL || is_on(pen, adapter)) &&
            (found == NULL || pen->link.up_us < found->link.up_us)) {
            found = pen;
        }
    }
    return found;
}

static void
make_room(PdPen *pen)
{
    g_debug("%s: makes room", pen->info->serial);
    pen->yielded_us = g_get_monotonic_time();
    pd_pen_let_go(pen);
}

bool
pd_slots_keep(PdPen *self)
{
    const char *adapter = pd_bluez_device_get_adapter(self->device);
    const uint32_t limit = self->manager->config.links_per_adapter;

    if (limit == 0 || pd_slots_count_others(self, adapter) < limit) {
        return true;
    }
    /* Several may wait for their pens at once, so more can come than there is room for. */
    PdPen *idle = pd_pen_is_in_session(self) ? find_idle(self->manager, adapter) : NULL;
    make_room(idle != NULL ? idle : self);
    return idle != NULL;
}

/* Lets in whom there is a place for; returns whether any still waits. */
static bool
let_in(PdPenManager *self)
{
    bool is_crowded = false;

    for (guint i = 0; i < self->pens->len; i++) {
        PdPen *pen = g_ptr_array_index(self->pens, i);

        if (pen->state.state == PEN_LINK_IDLE) {
            pd_pen_replan(pen);
            is_crowded = is_crowded || pd_pen_is_crowded_out(pen);
        }
    }
    return is_crowded;
}

static gboolean
on_turn(gpointer user_data)
{
    PdPenManager *self = user_data;
    const int64_t now_us = g_get_monotonic_time();
    PdPen *idle = let_in(self) ? find_idle(self, NULL) : NULL;

    if (idle != NULL && now_us - idle->link.up_us >= IDLE_US) {
        make_room(idle);
    }
    return G_SOURCE_CONTINUE;
}

void
pd_slots_on_link_ended(PdPenManager *self)
{
    if (self->config.links_per_adapter != 0) {
        (void)let_in(self);
    }
}

void
pd_slots_start(PdPenManager *self)
{
    if (self->config.links_per_adapter != 0) {
        self->turn_timer = g_timeout_add_seconds(TURN_S, on_turn, self);
    }
}

void
pd_slots_stop(PdPenManager *self)
{
    g_clear_handle_id(&self->turn_timer, g_source_remove);
}
