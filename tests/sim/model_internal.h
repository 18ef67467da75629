/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

/* The model's state, shared by model_plan.c that draws a session and model.c that walks it. */
#include "model.h"

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

/** An even draw of microseconds, in ticks. */
uint64_t sim_model_draw_us(SimModel *self, uint64_t low_us, uint64_t high_us);

/** Draw the next session, from the cursor on; the cursor stays. */
void sim_model_draw_plan(SimModel *self);
