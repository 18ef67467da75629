/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * Walks a drawn session block by block: what the sensors read, when a record is due, what
 * comes between sessions. What is polled (dial, button, cartridge) ends the block under
 * way, so that the ticks of a session's records never fall. What a gateway should
 * conclude from it is truth.c's.
 */
#include "model_internal.h"
#include "record.pb-c.h"

#define BLOCK_SAMPLES 10u

static bool
is_contact(const Plan *plan, uint64_t tick)
{
    for (uint32_t i = 0; i < plan->runs->len; i++) {
        const SimRun *run = &g_array_index(plan->runs, SimRun, i);
        if (tick < run->start) {
            return false;
        }
        if (tick < run->end) {
            return true;
        }
    }
    return false;
}

/* What the sensors read at an instant. The noise is a hash of the time in the session,
 * so it does not depend on how the session is cut into blocks. */
static void
read_sensors(const SimModel *self, uint64_t tick, PenSamples *samples)
{
    const uint64_t noise = sim_rng_mix(self->config.seed ^ (tick - self->plan.begin) ^
                                       ((uint64_t)self->n_begun << 48));
    const bool contact = is_contact(&self->plan, tick);
    const uint32_t i = samples->n++;
    const uint32_t depth = self->setting_um + (uint32_t)(noise % 81u);
    samples->depth_um[i] = (uint16_t)(depth > 40u ? depth - 40u : 0u);
    const uint32_t rate = self->plan.rate_dhz - (contact ? 45u : 0u);
    samples->rate_dhz[i] = (uint16_t)(rate + (uint32_t)((noise >> 16) % 13u));
    const uint32_t load = contact ? 320u + self->setting_um / 10u : 90u;
    samples->load_permille[i] = (uint16_t)(load + (uint32_t)((noise >> 32) % 31u));
}

static void
push_run(PenSamples *samples, uint64_t length)
{
    samples->run_ticks[samples->n_runs++] = (uint32_t)length;
}

/* The contact within start..end as alternating durations, lifted first. */
static bool
cut_runs(const Plan *plan, uint64_t start, uint64_t end, PenSamples *samples)
{
    uint64_t at = start;
    for (uint32_t i = 0; i < plan->runs->len; i++) {
        const SimRun *run = &g_array_index(plan->runs, SimRun, i);
        const uint64_t from = MAX(run->start, start);
        const uint64_t to = MIN(run->end, end);
        if (from >= to) {
            continue;
        }
        push_run(samples, from - at);
        push_run(samples, to - from);
        at = to;
    }
    const bool any = samples->n_runs > 0;
    if (at < end) {
        push_run(samples, end - at);
    }
    return any;
}

static void
step_record(SimModel *self, uint64_t tick, uint64_t due, const PenBody *body)
{
    self->step.kind = SIM_STEP_RECORD;
    self->step.tick = tick;
    self->step.due = due;
    self->step.body = *body;
    self->has_step = true;
}

static void
step_reset(SimModel *self)
{
    self->step = (SimStep){ .kind = SIM_STEP_RESET, .due = self->plan.cut };
    self->has_step = true;
    self->continues = true;
    self->phase = PHASE_GAP;
    self->gap_done = true;
    self->cursor = 0;
}

/* The next block, up to the next thing that is polled. Returns false when it was left out. */
static bool
step_block(SimModel *self, uint64_t limit)
{
    const uint64_t interval = sim_model_interval(self->config.tick_unit);
    const uint64_t start = self->cursor;
    const uint64_t end = MIN(start + BLOCK_SAMPLES * interval, limit);
    if (end > self->plan.cut) {
        step_reset(self);
        return true;
    }
    PenBody body = { .kind = PEN_BODY_SAMPLES };
    body.samples.interval_ticks = (uint32_t)interval;
    for (uint64_t tick = start; tick < end; tick += interval) {
        read_sensors(self, tick, &body.samples);
    }
    const bool any = cut_runs(&self->plan, start, end, &body.samples);
    self->cursor = end;
    if (!any && self->config.sparse) {
        return false;
    }
    step_record(self, start, end, &body);
    return true;
}

static void
step_run(SimModel *self)
{
    while (!self->has_step) {
        const bool more = self->i_event < self->plan.events->len;
        const PlanEvent *event =
            more ? &g_array_index(self->plan.events, PlanEvent, self->i_event) : NULL;
        if (event != NULL && event->tick == self->cursor) {
            if (event->body.kind == PEN_BODY_DEPTH_SETTING) {
                self->setting_um = event->body.depth_setting.depth_um;
            }
            self->i_event++;
            step_record(self, event->tick, event->tick, &event->body);
            return;
        }
        if (self->cursor == self->plan.end) {
            self->phase = PHASE_CLOSE;
            return;
        }
        (void)step_block(self, event != NULL ? event->tick : self->plan.end);
    }
}

static void
step_gap(SimModel *self)
{
    if (self->n_begun == self->config.n_sessions && !self->continues) {
        self->phase = PHASE_DONE;
        return;
    }
    if (!self->gap_done && self->n_begun > 0) {
        self->gap_done = true;
        if (self->config.clock_jump && sim_rng_percent(&self->rng, 50)) {
            self->step = (SimStep){ .kind = SIM_STEP_JUMP, .due = self->cursor };
            self->step.jump = sim_model_draw_us(self, 1000000, 600000000);
            self->cursor += self->step.jump;
            self->has_step = true;
            return;
        }
        if (sim_rng_percent(&self->rng, 20)) {
            PenBody body = { .kind = PEN_BODY_FAULT };
            body.fault.code = 3;
            g_snprintf(body.fault.text, sizeof body.fault.text, "charger contact");
            self->cursor += sim_model_draw_us(self, 50000, 300000);
            step_record(self, self->cursor, self->cursor, &body);
            return;
        }
    }
    self->cursor += sim_model_draw_us(self, 400000, 1500000);
    sim_model_draw_plan(self);
    self->n_begun += self->continues ? 0u : 1u;
    self->continues = false;
    self->gap_done = false;
    self->phase = PHASE_BEGIN;
}

static void
make_step(SimModel *self)
{
    switch (self->phase) {
    case PHASE_GAP:
        step_gap(self);
        return;
    case PHASE_BEGIN:
        self->phase = PHASE_RUN;
        step_record(self, self->plan.begin, self->plan.begin, &self->plan.begin_body);
        return;
    case PHASE_RUN:
        step_run(self);
        return;
    case PHASE_CLOSE: {
        PenBody body = { .kind = PEN_BODY_SESSION_END };
        body.end.cause = self->plan.cause;
        self->cursor = self->plan.close;
        self->phase = PHASE_GAP;
        step_record(self, self->plan.close, self->plan.close, &body);
        return;
    }
    case PHASE_DONE:
        self->step = (SimStep){ .kind = SIM_STEP_DONE, .due = UINT64_MAX };
        self->has_step = true;
        return;
    }
}

SimModel *
sim_model_new(const SimModelConfig *config)
{
    SimModel *self = g_new0(SimModel, 1);
    self->config = *config;
    self->rng.state = config->seed;
    self->plan.runs = g_array_new(FALSE, FALSE, sizeof(SimRun));
    self->plan.events = g_array_new(FALSE, FALSE, sizeof(PlanEvent));
    return self;
}

void
sim_model_free(SimModel *self)
{
    if (self == NULL) {
        return;
    }
    g_array_unref(self->plan.runs);
    g_array_unref(self->plan.events);
    g_free(self);
}

const SimStep *
sim_model_peek(SimModel *self, uint64_t now)
{
    if (!self->started) {
        self->started = true;
        self->cursor = now;
    }
    while (!self->has_step) {
        make_step(self);
    }
    return &self->step;
}

void
sim_model_pop(SimModel *self)
{
    if (self->step.kind != SIM_STEP_DONE) {
        self->has_step = false;
    }
}

const GArray *
sim_model_get_contact(const SimModel *self)
{
    return self->plan.runs;
}
