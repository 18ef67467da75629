/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * What a treatment will be, drawn as a whole: touches and lifts to the tick, dial and
 * cartridge and button on the sample grid, and the moment when the power fails.
 */
#include "model_internal.h"
#include "record.pb-c.h"

uint64_t
sim_ticks_from_us(uint64_t us, uint32_t unit)
{
    if (unit == PENTEL__V1__TICK_UNIT__TICK_UNIT_1_32768_SECOND) {
        return us / 1000000u * 32768u + us % 1000000u * 32768u / 1000000u;
    }
    return us;
}

uint64_t
sim_ticks_to_us(uint64_t ticks, uint32_t unit)
{
    if (unit == PENTEL__V1__TICK_UNIT__TICK_UNIT_1_32768_SECOND) {
        return ticks / 32768u * 1000000u + ticks % 32768u * 1000000u / 32768u;
    }
    return ticks;
}

uint32_t
sim_model_interval(uint32_t unit)
{
    return (uint32_t)sim_ticks_from_us(20000u, unit);
}

uint64_t
sim_model_draw_us(SimModel *self, uint64_t low_us, uint64_t high_us)
{
    return sim_ticks_from_us(sim_rng_range(&self->rng, low_us, high_us), self->config.tick_unit);
}

static void
touch(SimModel *self, uint64_t length)
{
    const SimRun run = { self->cursor, self->cursor + length };
    g_array_append_val(self->plan.runs, run);
    self->cursor = run.end;
}

/* A pass as a person means it: touches with short lifts between. One lift in sixteen is
 * a microsecond short of ending the pass. */
static void
draw_pass(SimModel *self)
{
    const uint64_t n = sim_rng_range(&self->rng, 1, 4);
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0) {
            const bool edge = sim_rng_percent(&self->rng, 6);
            self->cursor += edge ? sim_ticks_from_us(799999, self->config.tick_unit)
                                 : sim_model_draw_us(self, 30000, 700000);
        }
        touch(self, sim_model_draw_us(self, 320000, 1400000));
    }
}

/* A touch too short to count, or just long enough. */
static void
draw_blip(SimModel *self)
{
    const uint64_t kind = sim_rng_range(&self->rng, 0, 5);
    if (kind == 0) {
        touch(self, sim_ticks_from_us(299999, self->config.tick_unit));
        return;
    }
    if (kind == 1) {
        touch(self, sim_ticks_from_us(300000, self->config.tick_unit));
        return;
    }
    touch(self, sim_model_draw_us(self, 10000, 140000));
    if (kind == 2) {
        self->cursor += sim_model_draw_us(self, 15000, 100000);
        touch(self, sim_model_draw_us(self, 10000, 140000));
    }
}

/* The lift between two passes; one in sixteen just ends the pass. */
static void
draw_pause(SimModel *self)
{
    const bool edge = sim_rng_percent(&self->rng, 6);
    self->cursor += edge ? sim_ticks_from_us(800000, self->config.tick_unit)
                         : sim_model_draw_us(self, 900000, 2200000);
}

static uint64_t
on_grid(const SimModel *self, uint64_t tick)
{
    const uint64_t interval = sim_model_interval(self->config.tick_unit);
    const uint64_t offset = tick - self->plan.begin;
    return self->plan.begin + (offset + interval - 1u) / interval * interval;
}

static void
fill_cartridge(SimModel *self, PenCartridge *out)
{
    static const uint32_t needle_counts[] = { 7, 12, 14, 24, 36 };
    self->n_cartridges++;
    self->needles = needle_counts[sim_rng_range(&self->rng, 0, G_N_ELEMENTS(needle_counts) - 1)];
    g_snprintf(self->cartridge_id,
               sizeof self->cartridge_id,
               "C%04X-%03u",
               (unsigned)(self->config.seed & 0xFFFFu),
               self->n_cartridges);
    g_snprintf(out->id, sizeof out->id, "%s", self->cartridge_id);
    g_snprintf(out->lot, sizeof out->lot, "L2026-%02u", 1 + self->n_cartridges % 12);
    g_snprintf(out->expiry, sizeof out->expiry, "2028-01-31");
    out->has_needles = true;
    out->needles = self->needles;
}

static void
add_event(SimModel *self, uint64_t tick, const PenBody *body)
{
    const PlanEvent event = { on_grid(self, tick), *body };
    uint32_t at = self->plan.events->len;
    while (at > 0 && g_array_index(self->plan.events, PlanEvent, at - 1).tick > event.tick) {
        at--;
    }
    g_array_insert_val(self->plan.events, at, event);
}

/* Between two passes the cartridge is changed. */
static void
draw_swap(SimModel *self)
{
    self->cursor += sim_model_draw_us(self, 600000, 900000);
    PenBody body = { .kind = PEN_BODY_CARTRIDGE_REMOVED };
    g_snprintf(body.cartridge.id, sizeof body.cartridge.id, "%s", self->cartridge_id);
    add_event(self, self->cursor, &body);
    self->cursor += sim_model_draw_us(self, 400000, 900000);
    body = (PenBody){ .kind = PEN_BODY_CARTRIDGE_ATTACHED };
    fill_cartridge(self, &body.cartridge);
    add_event(self, self->cursor, &body);
    self->cursor += sim_model_draw_us(self, 300000, 600000);
}

static void
draw_contact(SimModel *self)
{
    const uint64_t n = sim_rng_range(&self->rng, self->config.passes_min, self->config.passes_max);
    self->cursor += sim_model_draw_us(self, 200000, 1200000);
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0) {
            draw_pause(self);
            if (sim_rng_percent(&self->rng, 12)) {
                draw_swap(self);
            }
        }
        if (sim_rng_percent(&self->rng, 15)) {
            draw_blip(self);
            draw_pause(self);
        }
        draw_pass(self);
    }
    self->cursor += sim_model_draw_us(self, 300000, 1500000);
    self->plan.end = on_grid(self, self->cursor);
    self->plan.close = self->plan.end + sim_model_draw_us(self, 0, 15000);
}

/* Dial, marker button and faults, anywhere in the session. */
static void
draw_events(SimModel *self)
{
    const uint64_t interval = sim_model_interval(self->config.tick_unit);
    const uint64_t last = self->plan.end - interval;
    const uint64_t n_dials = sim_rng_range(&self->rng, 0, 3);
    for (uint64_t i = 0; i < n_dials; i++) {
        PenBody body = { .kind = PEN_BODY_DEPTH_SETTING };
        body.depth_setting.depth_um = (uint32_t)sim_rng_range(&self->rng, 1, 10) * 250u;
        add_event(self, sim_rng_range(&self->rng, self->plan.begin + interval, last), &body);
    }
    if (sim_rng_percent(&self->rng, 40)) {
        PenBody body = { .kind = PEN_BODY_BUTTON };
        body.button.button = 1;
        add_event(self, sim_rng_range(&self->rng, self->plan.begin + interval, last), &body);
    }
    if (sim_rng_percent(&self->rng, 10)) {
        PenBody body = { .kind = PEN_BODY_FAULT };
        body.fault.code = 17;
        g_snprintf(body.fault.text, sizeof body.fault.text, "motor load high");
        add_event(self, sim_rng_range(&self->rng, self->plan.begin + interval, last), &body);
    }
}

static void
draw_cut(SimModel *self)
{
    self->plan.cut = UINT64_MAX;
    if (self->config.reboot_every_us == 0) {
        return;
    }
    /* At most every second session part is cut, so that the treatment comes to an end. */
    const uint64_t mean = sim_ticks_from_us(self->config.reboot_every_us, self->config.tick_unit);
    const uint64_t at = sim_rng_range(&self->rng, 1, 2u * mean);
    if (self->plan.begin + at < self->plan.end && sim_rng_percent(&self->rng, 50)) {
        self->plan.cut = self->plan.begin + at;
    }
}

void
sim_model_draw_plan(SimModel *self)
{
    static const uint32_t causes[] = {
        PENTEL__V1__END_CAUSE__END_CAUSE_OPERATOR,
        PENTEL__V1__END_CAUSE__END_CAUSE_OPERATOR,
        PENTEL__V1__END_CAUSE__END_CAUSE_IDLE,
    };
    Plan *plan = &self->plan;
    g_array_set_size(plan->runs, 0);
    g_array_set_size(plan->events, 0);
    plan->begin = self->cursor;
    plan->cause = causes[sim_rng_range(&self->rng, 0, G_N_ELEMENTS(causes) - 1)];
    plan->rate_dhz = (uint32_t)sim_rng_range(&self->rng, 800, 1300);
    plan->begin_body = (PenBody){ .kind = PEN_BODY_SESSION_BEGIN };
    plan->begin_body.begin.has_continues = self->continues;
    plan->begin_body.begin.has_cartridge = true;
    fill_cartridge(self, &plan->begin_body.begin.cartridge);
    self->setting_um = (uint32_t)sim_rng_range(&self->rng, 1, 10) * 250u;
    plan->begin_body.begin.has_depth_setting = true;
    plan->begin_body.begin.depth_setting_um = self->setting_um;
    g_snprintf(plan->begin_body.begin.firmware, sizeof plan->begin_body.begin.firmware, "1.4.2");
    draw_contact(self);
    draw_events(self);
    draw_cut(self);
    self->cursor = plan->begin;
    self->i_event = 0;
}
