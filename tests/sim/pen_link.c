/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * What others see of a pen: its names, its bonds, whether it is in range, and its link.
 */
#include "pen_internal.h"

#include <math.h>
#include <string.h>

const char *
sim_pen_get_serial(const SimPen *self)
{
    return self->serial;
}

const char *
sim_pen_get_address(const SimPen *self)
{
    return self->address;
}

void
sim_pen_set_address(SimPen *self, const char *address)
{
    if (!g_str_equal(self->address, address)) {
        g_strlcpy(self->address, address, sizeof self->address);
        self->truth_version++;
    }
}

const char *
sim_pen_get_name(const SimPen *self)
{
    return self->name;
}

uint8_t
sim_pen_get_battery_pct(const SimPen *self)
{
    const uint32_t used = self->memory.newest / 600u;
    return (uint8_t)(used > 80u ? 15u : 95u - used);
}

bool
sim_pen_is_done(const SimPen *self)
{
    return self->done;
}

bool
sim_pen_is_reachable(const SimPen *self, int64_t mono_us)
{
    return self->booting_until_us == 0 && mono_us >= self->away_until_us && self->ops == NULL;
}

bool
sim_pen_is_linked(const SimPen *self)
{
    return self->ops != NULL;
}

bool
sim_pen_is_pairing(const SimPen *self, int64_t mono_us)
{
    return mono_us < self->pairing_until_us;
}

void
sim_pen_set_pairing(SimPen *self, int64_t until_mono_us)
{
    self->pairing_until_us = until_mono_us;
}

bool
sim_pen_has_bond(const SimPen *self, const char *adapter)
{
    return g_ptr_array_find_with_equal_func(self->bonds, adapter, g_str_equal, NULL);
}

void
sim_pen_add_bond(SimPen *self, const char *adapter)
{
    if (!sim_pen_has_bond(self, adapter)) {
        g_ptr_array_add(self->bonds, g_strdup(adapter));
        sim_pen_say(self, "bonds", self->bonds->len);
    }
}

void
sim_pen_drop_bonds(SimPen *self)
{
    g_ptr_array_set_size(self->bonds, 0);
}

void
sim_pen_leave(SimPen *self, int64_t until_mono_us)
{
    self->away_until_us = until_mono_us;
    sim_pen_drop_link(self);
}

void
sim_pen_link_up(SimPen *self, const SimLinkOps *ops, void *user_data, int64_t mono_us)
{
    sim_pen_link_down(self);
    self->ops = ops;
    self->ops_user_data = user_data;
    self->last_record_us = mono_us;
    self->next_head_us = 0;
    self->drop_at_us = 0;
    if (self->options->disconnect_every_ms > 0 && !sim_pen_is_calm(self)) {
        const double draw = (double)(1u + sim_rng_next(&self->rng) % 999999u) / 1000000.0;
        const double after_ms = -log(draw) * self->options->disconnect_every_ms;
        self->drop_at_us = mono_us + (int64_t)(after_ms * 1000.0) + 1;
    }
    sim_pen_say(self, "linked", 0);
}

void
sim_pen_link_down(SimPen *self)
{
    self->ops = NULL;
    self->ops_user_data = NULL;
    memset(self->subscribed, 0, sizeof self->subscribed);
    memset(self->counter, 0, sizeof self->counter);
    sim_racp_reset(self);
}

void
sim_pen_drop_link(SimPen *self)
{
    const SimLinkOps *ops = self->ops;
    void *user_data = self->ops_user_data;
    sim_pen_link_down(self);
    if (ops != NULL) {
        ops->closed(user_data);
    }
}

void
sim_pen_set_subscribed(SimPen *self, SimChrc chrc, bool subscribed)
{
    self->subscribed[chrc] = subscribed && self->ops != NULL;
}
