/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The set of numbers against a plain bitmap, at both ends of u32, and under a pen that
 * leaves a gap after every record.
 */
#include "core/ranges.h"
#include "gen.h"

#include <glib.h>

#include <string.h>

#define WINDOW 300u

/* Numbers @base .. @base + WINDOW - 1. */
typedef struct {
    uint32_t base;
    bool has[WINDOW];
} Bitmap;

static void
assert_normal(const PenRanges *ranges)
{
    for (size_t i = 0; i < ranges->n_ranges; i++) {
        g_assert_cmpuint(ranges->ranges[i].first, <=, ranges->ranges[i].last);
        if (i > 0) {
            g_assert_cmpuint(ranges->ranges[i].first, >, ranges->ranges[i - 1].last + 1u);
        }
    }
}

static void
assert_first_missing(Gen *gen, const Bitmap *bitmap, const PenRanges *ranges)
{
    const uint32_t from = (uint32_t)gen_range(gen, 0, WINDOW - 1u);
    const uint32_t to = (uint32_t)gen_range(gen, from, WINDOW - 1u);
    const uint32_t n_max = (uint32_t)gen_range(gen, 1, 80);
    uint32_t first = from;
    PenRange missing;

    while (first <= to && bitmap->has[first]) {
        first++;
    }
    const bool any =
        pen_ranges_first_missing(ranges, bitmap->base + from, bitmap->base + to, n_max, &missing);
    g_assert_cmpint(any, ==, first <= to);
    if (!any) {
        return;
    }
    uint32_t n = 0;
    while (first + n <= to && n < n_max && !bitmap->has[first + n]) {
        n++;
    }
    g_assert_cmpuint(missing.first, ==, bitmap->base + first);
    g_assert_cmpuint(missing.last, ==, bitmap->base + first + (n - 1u));
}

static void
assert_as_bitmap(Gen *gen, const Bitmap *bitmap, const PenRanges *ranges)
{
    uint64_t count = 0;

    assert_normal(ranges);
    for (uint32_t i = 0; i < WINDOW; i++) {
        g_assert_cmpint(pen_ranges_contains(ranges, bitmap->base + i), ==, bitmap->has[i]);
        count += bitmap->has[i] ? 1u : 0u;
    }
    g_assert_cmpuint(pen_ranges_count(ranges), ==, count);
    const uint32_t from = (uint32_t)gen_range(gen, 1, WINDOW - 1u);
    uint32_t to = from;
    while (to < WINDOW && bitmap->has[to]) {
        to++;
    }
    g_assert_cmpuint(
        pen_ranges_contiguous_from(ranges, bitmap->base + from), ==, bitmap->base + (to - 1u));
    assert_first_missing(gen, bitmap, ranges);
}

static void
test_model(void)
{
    static const uint32_t bases[] = { 0, 1, 1000000, UINT32_MAX - WINDOW + 1u };

    for (uint32_t seed = 1; seed <= 100; seed++) {
        Gen gen = gen_new(seed);
        Bitmap bitmap = { .base = bases[seed % G_N_ELEMENTS(bases)] };
        PenRanges ranges;
        pen_ranges_init(&ranges);
        const uint64_t longest = gen_range(&gen, 1, 40);
        for (uint32_t n = 0; n < 120; n++) {
            const uint32_t first = (uint32_t)gen_range(&gen, 0, WINDOW - 1u);
            const uint64_t wanted = gen_range(&gen, 1, longest);
            const uint32_t n_numbers = (uint32_t)MIN(wanted, WINDOW - first);
            const uint32_t low = bitmap.base + first;
            for (uint32_t i = 0; i < n_numbers; i++) {
                bitmap.has[first + i] = true;
            }
            g_assert_true(pen_ranges_add(&ranges, low, low + (n_numbers - 1u)));
            if (low > 0) {
                g_assert_true(pen_ranges_add(&ranges, low, low - 1u)); /* of no numbers */
            }
            assert_as_bitmap(&gen, &bitmap, &ranges);
        }
        pen_ranges_clear(&ranges);
        g_assert_cmpuint(pen_ranges_count(&ranges), ==, 0);
    }
}

static void
test_whole(void)
{
    PenRanges ranges;
    PenRange missing;

    pen_ranges_init(&ranges);
    g_assert_cmpuint(pen_ranges_contiguous_from(&ranges, 1), ==, 0);
    g_assert_cmpuint(pen_ranges_contiguous_from(&ranges, 0), ==, 0);
    g_assert_true(pen_ranges_first_missing(&ranges, 0, UINT32_MAX, UINT32_MAX, &missing));
    g_assert_cmpuint(missing.last, ==, UINT32_MAX - 1u);
    g_assert_true(pen_ranges_add(&ranges, 5, UINT32_MAX));
    g_assert_true(pen_ranges_add(&ranges, 0, 4));
    g_assert_cmpuint(ranges.n_ranges, ==, 1);
    g_assert_cmpuint(pen_ranges_count(&ranges), ==, UINT64_C(1) << 32);
    g_assert_cmpuint(pen_ranges_contiguous_from(&ranges, 1), ==, UINT32_MAX);
    g_assert_false(pen_ranges_first_missing(&ranges, 0, UINT32_MAX, 1, &missing));
    g_assert_false(pen_ranges_first_missing(&ranges, 9, 8, 1, &missing));
    pen_ranges_clear(&ranges);
}

/* Every second number: full at the limit, unchanged by refusal, open again when gaps close. */
static void
test_hostile(void)
{
    PenRanges ranges;
    PenRange missing;

    pen_ranges_init(&ranges);
    for (uint32_t i = 0; i < PEN_RANGES_MAX; i++) {
        g_assert_true(pen_ranges_add(&ranges, 2u * i + 10u, 2u * i + 10u));
    }
    g_assert_cmpuint(ranges.n_ranges, ==, PEN_RANGES_MAX);
    g_assert_cmpuint(ranges.n_allocated, <=, PEN_RANGES_MAX);
    g_assert_false(pen_ranges_add(&ranges, 1, 1));
    g_assert_false(pen_ranges_add(&ranges, UINT32_MAX, UINT32_MAX));
    g_assert_cmpuint(pen_ranges_count(&ranges), ==, PEN_RANGES_MAX);
    g_assert_false(pen_ranges_contains(&ranges, 1));
    g_assert_true(pen_ranges_add(&ranges, 2u * PEN_RANGES_MAX + 9u, 2u * PEN_RANGES_MAX + 9u));
    g_assert_true(pen_ranges_add(&ranges, 11, 11));
    g_assert_cmpuint(ranges.n_ranges, ==, PEN_RANGES_MAX - 1u);
    g_assert_true(pen_ranges_add(&ranges, 1, 1));
    g_assert_true(pen_ranges_first_missing(&ranges, 1, 100, 64, &missing));
    g_assert_cmpuint(missing.first, ==, 2);
    g_assert_cmpuint(missing.last, ==, 9);
    pen_ranges_clear(&ranges);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ranges/model", test_model);
    g_test_add_func("/ranges/whole", test_whole);
    g_test_add_func("/ranges/hostile", test_hostile);
    return g_test_run();
}
