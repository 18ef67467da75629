/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A sorted array of disjoint ranges: numbers arrive nearly in order, so almost every
 * addition extends the last range.
 */
#include "core/ranges.h"

#include <stdlib.h>
#include <string.h>

void
pen_ranges_init(PenRanges *self)
{
    memset(self, 0, sizeof *self);
}

void
pen_ranges_clear(PenRanges *self)
{
    free(self->ranges);
    pen_ranges_init(self);
}

/* Index of the first range whose last is at or above @number. */
static size_t
lower_bound(const PenRanges *self, uint32_t number)
{
    size_t low = 0;
    size_t high = self->n_ranges;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->ranges[middle].last < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool
make_room(PenRanges *self)
{
    if (self->n_ranges < self->n_allocated) {
        return true;
    }
    if (self->n_ranges >= PEN_RANGES_MAX) {
        return false;
    }
    const size_t n_wanted = self->n_allocated == 0 ? 8 : self->n_allocated * 2;
    PenRange *ranges = realloc(self->ranges, n_wanted * sizeof *ranges);
    if (ranges == NULL) {
        return false;
    }
    self->ranges = ranges;
    self->n_allocated = n_wanted;
    return true;
}

static bool
insert_at(PenRanges *self, size_t at, uint32_t first, uint32_t last)
{
    if (!make_room(self)) {
        return false;
    }
    memmove(self->ranges + at + 1, self->ranges + at, (self->n_ranges - at) * sizeof *self->ranges);
    self->ranges[at] = (PenRange){ .first = first, .last = last };
    self->n_ranges++;
    return true;
}

bool
pen_ranges_add(PenRanges *self, uint32_t first, uint32_t last)
{
    if (first > last) {
        return true;
    }
    const size_t begin = lower_bound(self, first == 0 ? 0 : first - 1);
    size_t end = begin;
    while (end < self->n_ranges && (last == UINT32_MAX || self->ranges[end].first <= last + 1)) {
        end++;
    }
    if (begin == end) {
        return insert_at(self, begin, first, last);
    }
    PenRange *merged = &self->ranges[begin];
    const uint32_t merged_last = self->ranges[end - 1].last;
    merged->first = first < merged->first ? first : merged->first;
    merged->last = last > merged_last ? last : merged_last;
    memmove(merged + 1, self->ranges + end, (self->n_ranges - end) * sizeof *merged);
    self->n_ranges -= end - begin - 1;
    return true;
}

bool
pen_ranges_contains(const PenRanges *self, uint32_t number)
{
    const size_t at = lower_bound(self, number);

    return at < self->n_ranges && self->ranges[at].first <= number;
}

uint32_t
pen_ranges_contiguous_from(const PenRanges *self, uint32_t from)
{
    const size_t at = lower_bound(self, from);

    if (at < self->n_ranges && self->ranges[at].first <= from) {
        return self->ranges[at].last;
    }
    return from == 0 ? 0 : from - 1;
}

bool
pen_ranges_first_missing(
    const PenRanges *self, uint32_t first, uint32_t last, uint32_t n_max, PenRange *missing_out)
{
    size_t at = lower_bound(self, first);
    uint32_t start = first;

    if (first > last || n_max == 0) {
        return false;
    }
    if (at < self->n_ranges && self->ranges[at].first <= first) {
        if (self->ranges[at].last >= last) {
            return false;
        }
        start = self->ranges[at].last + 1;
        at++;
    }
    uint32_t end = last;
    if (at < self->n_ranges && self->ranges[at].first <= last) {
        end = self->ranges[at].first - 1;
    }
    if (end - start >= n_max) {
        end = start + n_max - 1;
    }
    *missing_out = (PenRange){ .first = start, .last = end };
    return true;
}

uint64_t
pen_ranges_count(const PenRanges *self)
{
    uint64_t count = 0;

    for (size_t i = 0; i < self->n_ranges; i++) {
        count += (uint64_t)self->ranges[i].last - self->ranges[i].first + 1;
    }
    return count;
}
