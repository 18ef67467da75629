/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * Passes by their definition, the slow and plain way: all contact of a session at once,
 * sorted lists instead of histograms. It shares nothing with the gateway's fold, which
 * is what makes agreement mean something.
 */
#include "passes.h"

#define LIFT_US        800000u
#define MIN_CONTACT_US 300000u

static int
compare_depth(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static SimDepth
summarise_depth(GArray *depths)
{
    SimDepth depth = { 0 };
    if (depths->len == 0) {
        return depth;
    }
    g_array_sort(depths, compare_depth);
    const uint64_t n = depths->len;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < depths->len; i++) {
        sum += g_array_index(depths, uint32_t, i);
    }
    depth.valid = true;
    depth.min_um = g_array_index(depths, uint32_t, 0);
    depth.max_um = g_array_index(depths, uint32_t, n - 1u);
    depth.median_um = g_array_index(depths, uint32_t, (n - 1u) / 2u);
    depth.p95_um = g_array_index(depths, uint32_t, (n * 95u + 99u) / 100u - 1u);
    /* All samples of a pen stand for the same interval, so the weights cancel. */
    depth.mean_um = (uint32_t)((2u * sum + n) / (2u * n));
    return depth;
}

/* A marker inside a touch makes two of it. */
static GArray *
split_at_markers(const GArray *runs, const GArray *markers)
{
    GArray *parts = g_array_new(FALSE, FALSE, sizeof(SimRun));
    for (uint32_t i = 0; i < runs->len; i++) {
        SimRun rest = g_array_index(runs, SimRun, i);
        for (uint32_t j = 0; j < markers->len; j++) {
            const uint64_t at = g_array_index(markers, uint64_t, j);
            if (at > rest.start && at < rest.end) {
                const SimRun part = { rest.start, at };
                g_array_append_val(parts, part);
                rest.start = at;
            }
        }
        g_array_append_val(parts, rest);
    }
    return parts;
}

static bool
has_marker(const GArray *markers, uint64_t from, uint64_t to)
{
    for (uint32_t j = 0; j < markers->len; j++) {
        const uint64_t at = g_array_index(markers, uint64_t, j);
        if (at >= from && at <= to) {
            return true;
        }
    }
    return false;
}

/* Index of the first touch that no longer belongs to the pass beginning at @first. */
static uint32_t
find_pass_end(const GArray *parts, const GArray *markers, uint32_t first)
{
    uint32_t next = first + 1u;
    while (next < parts->len) {
        const uint64_t up = g_array_index(parts, SimRun, next - 1u).end;
        const uint64_t down = g_array_index(parts, SimRun, next).start;
        if (down - up >= LIFT_US || has_marker(markers, up, down)) {
            return next;
        }
        next++;
    }
    return next;
}

static void
find_needles(const GArray *needles, SimPass *pass)
{
    const SimNeedles *known = NULL;
    for (uint32_t i = 0; i < needles->len; i++) {
        const SimNeedles *one = &g_array_index(needles, SimNeedles, i);
        if (one->tick_us <= pass->start_us) {
            known = one;
        }
    }
    if (known == NULL || !known->has_needles) {
        return;
    }
    const uint64_t product = (uint64_t)pass->rate_mhz * pass->contact_us * known->needles;
    pass->has_punctures = true;
    pass->punctures = (product + 500000000u) / 1000000000u;
}

/* Samples taken during one of the touches first..last-1. */
static void
summarise_pass(const GArray *parts,
               uint32_t first,
               uint32_t last,
               const GArray *samples,
               GArray *session_depths,
               SimPass *pass)
{
    g_autoptr(GArray) depths = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    uint64_t rate_sum = 0;
    for (uint32_t i = 0; i < samples->len; i++) {
        const SimSample *sample = &g_array_index(samples, SimSample, i);
        for (uint32_t j = first; j < last; j++) {
            const SimRun *run = &g_array_index(parts, SimRun, j);
            if (sample->tick_us >= run->start && sample->tick_us < run->end) {
                g_array_append_val(depths, sample->depth_um);
                g_array_append_val(session_depths, sample->depth_um);
                rate_sum += (uint64_t)sample->rate_dhz * 100u;
                break;
            }
        }
    }
    pass->depth = summarise_depth(depths);
    if (depths->len > 0) {
        pass->rate_mhz = (uint32_t)((2u * rate_sum + depths->len) / (2u * (uint64_t)depths->len));
    }
}

GArray *
sim_passes_find(const GArray *runs,
                const GArray *samples,
                const GArray *markers,
                const GArray *needles,
                SimTotals *totals_out)
{
    g_autoptr(GArray) parts = split_at_markers(runs, markers);
    g_autoptr(GArray) session_depths = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    GArray *passes = g_array_new(FALSE, FALSE, sizeof(SimPass));
    *totals_out = (SimTotals){ 0 };
    for (uint32_t first = 0; first < parts->len;) {
        const uint32_t last = find_pass_end(parts, markers, first);
        SimPass pass = { .start_us = g_array_index(parts, SimRun, first).start };
        pass.elapsed_us = g_array_index(parts, SimRun, last - 1u).end - pass.start_us;
        for (uint32_t i = first; i < last; i++) {
            const SimRun *run = &g_array_index(parts, SimRun, i);
            pass.contact_us += run->end - run->start;
        }
        totals_out->all_contact_us += pass.contact_us;
        if (pass.contact_us >= MIN_CONTACT_US) {
            totals_out->contact_us += pass.contact_us;
            summarise_pass(parts, first, last, samples, session_depths, &pass);
            find_needles(needles, &pass);
            g_array_append_val(passes, pass);
        }
        first = last;
    }
    totals_out->depth = summarise_depth(session_depths);
    return passes;
}
