/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/record.h"
#include "rng.h"

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/* What the physics of one pen's treatments are drawn from. */
typedef struct {
    uint64_t seed;
    uint32_t n_sessions;
    uint32_t tick_unit;  /* Pentel__V1__TickUnit */
    uint32_t passes_min; /* intended passes per session */
    uint32_t passes_max;
    uint64_t reboot_every_us; /* mean treatment time between resets, 0 never */
    bool clock_jump;          /* the tick leaps forward between sessions */
    bool sparse;              /* blocks without contact are left out */
} SimModelConfig;

/* Closed-open interval of ticks of one boot. */
typedef struct {
    uint64_t start;
    uint64_t end;
} SimRun;

typedef enum {
    SIM_STEP_RECORD = 0, /* append body */
    SIM_STEP_RESET,      /* the pen loses power here */
    SIM_STEP_JUMP,       /* the tick leaps by jump */
    SIM_STEP_DONE,       /* nothing more, ever */
} SimStepKind;

/* The next thing that happens to the pen. */
typedef struct {
    SimStepKind kind;
    uint64_t due;  /* tick at which it can be acted upon */
    uint64_t tick; /* for the record's header */
    uint64_t jump; /* ticks, for JUMP */
    PenBody body;  /* for RECORD */
} SimStep;

typedef struct SimModel SimModel;

SimModel *sim_model_new(const SimModelConfig *config);
void sim_model_free(SimModel *self);

/**
 * Look at what happens next.
 *
 * @now: tick from which the first session may be planned; later ones follow from it.
 *
 * Owns: borrowed until sim_model_pop().
 */
const SimStep *sim_model_peek(SimModel *self, uint64_t now);

/** Take it as done. After a RESET the next step is on a new tick timeline. */
void sim_model_pop(SimModel *self);

/**
 * The contact of the session under way or just ended, exact to the tick, whether or
 * not any record tells of it.
 *
 * Owns: array of SimRun, ascending and disjoint, borrowed until the next session begins.
 */
const GArray *sim_model_get_contact(const SimModel *self);

/** Microseconds in ticks of @unit, rounded down. */
uint64_t sim_ticks_from_us(uint64_t us, uint32_t unit);

/** Ticks in microseconds, rounded down; the simulator's own, to check the core's. */
uint64_t sim_ticks_to_us(uint64_t ticks, uint32_t unit);

/** Ticks between two samples. */
uint32_t sim_model_interval(uint32_t unit);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SimModel, sim_model_free)
