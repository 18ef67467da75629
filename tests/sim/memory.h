/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t first;
    uint32_t last;
} SimRange;

/* The pen's flash: survives its reboots. Caller-allocated. */
typedef struct {
    GPtrArray *records;  /* owned; GBytes by number - 1, NULL once overwritten */
    GHashTable *holes;   /* owned; number to Pentel__V1__HoleCause */
    GArray *torn;        /* owned; uint32_t, every hole there ever was, in order */
    GArray *overwritten; /* owned; SimRange of what was lost before anybody marked it */
    uint32_t capacity;   /* records */
    uint32_t oldest;     /* 0 when empty */
    uint32_t newest;     /* 0 when empty */
    uint32_t marked;
    uint32_t n_overwritten_unmarked;
} SimMemory;

void sim_memory_init(SimMemory *self, uint32_t capacity);
void sim_memory_clear(SimMemory *self);

/** Number the next record will get. */
uint32_t sim_memory_next(const SimMemory *self);

/** Append the next record; overwrites the oldest when full. Owns: takes @record. */
void sim_memory_append(SimMemory *self, GBytes *record);

/** Record of a number; NULL outside oldest..newest. Owns: borrowed until it is overwritten. */
GBytes *sim_memory_get(const SimMemory *self, uint32_t number);

/** Declare that @number cannot be produced any more. */
void sim_memory_tear(SimMemory *self, uint32_t number, uint32_t cause);

/** Cause of a hole; 0 when the number is none. */
uint32_t sim_memory_get_hole(const SimMemory *self, uint32_t number);

/** Mark <= n. Errors: false when n is 0 or beyond newest. */
bool sim_memory_mark(SimMemory *self, uint32_t number);

/** Room left without overwriting unmarked records. */
uint32_t sim_memory_get_free_permille(const SimMemory *self);

/** Last contiguous range overwritten unmarked; 0..0 when none. */
SimRange sim_memory_get_last_overwritten(const SimMemory *self);
