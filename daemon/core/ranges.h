/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A set of record numbers as sorted, disjoint, non-adjacent closed ranges.
 * Grows on the heap only when a new gap appears; at most PEN_RANGES_MAX ranges,
 * so a hostile pen cannot grow it without bound.
 */
#define PEN_RANGES_MAX 65536u

typedef struct {
    uint32_t first;
    uint32_t last;
} PenRange;

typedef struct {
    PenRange *ranges; /* owned */
    size_t n_ranges;
    size_t n_allocated;
} PenRanges;

void pen_ranges_init(PenRanges *self);
void pen_ranges_clear(PenRanges *self);

/** Add first..last. Errors: false when memory or PEN_RANGES_MAX ran out; set unchanged. */
bool pen_ranges_add(PenRanges *self, uint32_t first, uint32_t last);

bool pen_ranges_contains(const PenRanges *self, uint32_t number);

/** Largest n such that from..n are all in the set; else from - 1, and 0 for @from 0. */
uint32_t pen_ranges_contiguous_from(const PenRanges *self, uint32_t from);

/**
 * First range of numbers within first..last that are not in the set, cut to @n_max
 * numbers. Returns false when none is missing.
 */
bool pen_ranges_first_missing(
    const PenRanges *self, uint32_t first, uint32_t last, uint32_t n_max, PenRange *missing_out);

/** Count of numbers in the set. */
uint64_t pen_ranges_count(const PenRanges *self);
