/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * The physics of treatments: when the needles touch, how deep the dial stands, how
 * fast the motor turns, what is swapped and pressed, and when the power fails.
 *
 * A session is drawn as a whole, then walked block by block. Contact is exact to the
 * tick. What is polled (dial, button, cartridge) happens on the sample grid, and a
 * block ends there, so that the ticks of a session's records never fall. What a gateway
 * should conclude from it is truth.c's.
 */
#include "model.h"

#include "record.pb-c.h"

#define BLOCK_SAMPLES 10u

typedef struct {
    uint64_t tick;
    PenBody body;
} PlanEvent;

/* One session as it will go, unless the power fails at cut. */
typedef struct {
    uint64_t begin;
    uint64_t end;      /* of the last block */
    uint64_t close;    /* tick of session_end */
    uint64_t cut;      /* UINT64_MAX: none */
    GArray *runs;      /* owned; SimRun */
    GArray *events;    /* owned; PlanEvent, ascending */
    uint32_t rate_dhz; /* of the motor without load */
    uint32_t cause;
    PenBody begin_body;
} Plan;

typedef enum {
    PHASE_GAP = 0,
    PHASE_BEGIN,
    PHASE_RUN,
    PHASE_CLOSE,
    PHASE_DONE,
} Phase;

struct SimModel {
    SimModelConfig config;
    SimRng rng;
    Plan plan;
    Phase phase;
    uint64_t cursor; /* end of what was walked */
    uint32_t i_event;
    uint32_t n_begun; /* sessions, continuations not counted */
    uint32_t n_cartridges;
    uint32_t setting_um;
    uint32_t needles;
    char cartridge_id[32];
    bool continues;
    bool gap_done;
    bool started;
    bool has_step;
    SimStep step;
};

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

static uint64_t
draw_us(SimModel *self, uint64_t low_us, uint64_t high_us)
{
    return sim_ticks_from_us(sim_rng_range(&self->rng, low_us, high_us), self->config.tick_unit);
}

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
                                 : draw_us(self, 30000, 700000);
        }
        touch(self, draw_us(self, 320000, 1400000));
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
    touch(self, draw_us(self, 10000, 140000));
    if (kind == 2) {
        self->cursor += draw_us(self, 15000, 100000);
        touch(self, draw_us(self, 10000, 140000));
    }
}

/* The lift between two passes; one in sixteen just ends the pass. */
static void
draw_pause(SimModel *self)
{
    const bool edge = sim_rng_percent(&self->rng, 6);
    self->cursor +=
        edge ? sim_ticks_from_us(800000, self->config.tick_unit) : draw_us(self, 900000, 2200000);
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
    self->cursor += draw_us(self, 600000, 900000);
    PenBody body = { .kind = PEN_BODY_CARTRIDGE_REMOVED };
    g_snprintf(body.cartridge.id, sizeof body.cartridge.id, "%s", self->cartridge_id);
    add_event(self, self->cursor, &body);
    self->cursor += draw_us(self, 400000, 900000);
    body = (PenBody){ .kind = PEN_BODY_CARTRIDGE_ATTACHED };
    fill_cartridge(self, &body.cartridge);
    add_event(self, self->cursor, &body);
    self->cursor += draw_us(self, 300000, 600000);
}

static void
draw_contact(SimModel *self)
{
    const uint64_t n = sim_rng_range(&self->rng, self->config.passes_min, self->config.passes_max);
    self->cursor += draw_us(self, 200000, 1200000);
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
    self->cursor += draw_us(self, 300000, 1500000);
    self->plan.end = on_grid(self, self->cursor);
    self->plan.close = self->plan.end + draw_us(self, 0, 15000);
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

static void
draw_plan(SimModel *self)
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
            self->step.jump = draw_us(self, 1000000, 600000000);
            self->cursor += self->step.jump;
            self->has_step = true;
            return;
        }
        if (sim_rng_percent(&self->rng, 20)) {
            PenBody body = { .kind = PEN_BODY_FAULT };
            body.fault.code = 3;
            g_snprintf(body.fault.text, sizeof body.fault.text, "charger contact");
            self->cursor += draw_us(self, 50000, 300000);
            step_record(self, self->cursor, self->cursor, &body);
            return;
        }
    }
    self->cursor += draw_us(self, 400000, 1500000);
    draw_plan(self);
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
