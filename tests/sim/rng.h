/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * A small seeded generator (splitmix64): the same seed gives the same treatment on
 * every machine, which no libc promises for its own.
 */
typedef struct {
    uint64_t state;
} SimRng;

/** Mix 64 bits; also a hash of a number without state. */
static inline uint64_t
sim_rng_mix(uint64_t value)
{
    uint64_t z = value + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t
sim_rng_next(SimRng *self)
{
    const uint64_t value = sim_rng_mix(self->state);
    self->state += 0x9E3779B97F4A7C15u;
    return value;
}

/** Even number in low..high, both included. */
static inline uint64_t
sim_rng_range(SimRng *self, uint64_t low, uint64_t high)
{
    return low + sim_rng_next(self) % (high - low + 1u);
}

/** True in @percent of the calls. */
static inline bool
sim_rng_percent(SimRng *self, double percent)
{
    return (double)(sim_rng_next(self) % 1000000u) < percent * 10000.0;
}
