/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/record.h"
#include "model.h"

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/* What really happened in one pen's sessions, from the physics, never from records. */
typedef struct SimTruth SimTruth;

SimTruth *sim_truth_new(uint64_t log_id, uint32_t tick_unit);
void sim_truth_free(SimTruth *self);

/** A session began: @step is its session_begin, @number its number. */
void sim_truth_begin(SimTruth *self, uint32_t number, uint32_t boot, const SimStep *step);

/** Anything that was recorded in the session under way, its own number included. */
void sim_truth_record(SimTruth *self, uint32_t number, const SimStep *step);

/**
 * The session ended.
 *
 * @number: of session_end. @contact: as the model says. @end_tick: of session_end;
 * ignored for a reset, as the session then ends with what was last recorded.
 */
void sim_truth_end(
    SimTruth *self, uint32_t number, uint64_t end_tick, uint32_t cause, const GArray *contact);

/** Number of sessions ended so far. */
uint32_t sim_truth_count_ended(const SimTruth *self);

/** Append the sessions as a JSON array; @contact of the one under way, or NULL. */
void sim_truth_write(const SimTruth *self, const GArray *contact, GString *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SimTruth, sim_truth_free)
