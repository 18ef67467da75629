/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Which windows are asked for, and what a pen that loses, lies or has nothing does to
 * them. The pen is a few lines of luck with a seed.
 */
#include "pen/backfill.h"

#define LOG_ID UINT64_C(0x1122334455667788)

static PdProgress *
progress_new(uint32_t newest)
{
    PenRanges none;
    PdProgress *progress = NULL;

    pen_ranges_init(&none);
    progress = pd_progress_new(LOG_ID, &none);
    pd_progress_raise(progress, newest);
    return progress;
}

static void
test_sizes(void)
{
    static const struct {
        uint32_t record_bytes;
        uint16_t mtu;
        uint32_t n_numbers;
    } rows[] = {
        { 0, 247, 64 },                     /* a guess of 160 bytes */
        { 0, 23, 7 },                       /* 9 segments each */
        { 110, 23, 10 },                    /* 6 segments each, as F4 says */
        { 110, 185, 64 },                   /* one */
        { 182, 185, 32 },                   /* one byte too long for one */
        { 181, 185, 64 },  { 1024, 23, 1 }, /* 54 segments */
        { 1024, 517, 32 }, { 1024, 4, 1 },  /* no MTU at all: still asks for one */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        PdBackfill backfill;
        pd_backfill_init(&backfill);
        pd_backfill_set_record(&backfill, rows[i].record_bytes, rows[i].mtu);
        g_assert_cmpuint(pd_backfill_get_numbers(&backfill), ==, rows[i].n_numbers);
        pd_backfill_clear(&backfill);
    }
}

static void
test_order(void)
{
    g_autoptr(PdProgress) progress = progress_new(1000);
    PdBackfill backfill;
    PenRange window;

    pd_backfill_init(&backfill);
    pd_progress_settle(progress, 1, 99);
    pd_progress_settle(progress, 110, 900);
    pd_progress_settle(progress, 950, 1000);
    /* The running session's gap comes first, then the oldest. */
    g_assert_true(pd_backfill_next(&backfill, progress, 1, 1000, 800, &window));
    g_assert_cmpuint(window.first, ==, 901);
    g_assert_cmpuint(window.last, ==, 949);
    g_assert_true(pd_backfill_next(&backfill, progress, 1, 1000, 0, &window));
    g_assert_cmpuint(window.first, ==, 100);
    g_assert_cmpuint(window.last, ==, 109);
    /* What is older than the oldest cannot be had. */
    g_assert_true(pd_backfill_next(&backfill, progress, 105, 1000, 0, &window));
    g_assert_cmpuint(window.first, ==, 105);
    pd_progress_settle(progress, 901, 949);
    g_assert_false(pd_backfill_next(&backfill, progress, 110, 1000, 0, &window));
    pd_backfill_clear(&backfill);
}

static void
test_adapts(void)
{
    g_autoptr(PdProgress) progress = progress_new(UINT32_MAX);
    PdBackfill backfill;
    PenRange window;
    static const uint32_t shrinking[] = { 64, 32, 16, 8, 4 };

    pd_backfill_init(&backfill);
    for (size_t i = 0; i < G_N_ELEMENTS(shrinking); i++) {
        g_assert_cmpuint(pd_backfill_get_numbers(&backfill), ==, shrinking[i]);
        g_assert_true(pd_backfill_next(&backfill, progress, 1, UINT32_MAX, 0, &window));
        g_assert_cmpuint(window.last - window.first + 1, ==, shrinking[i]);
        g_assert_cmpuint(
            pd_backfill_judge(&backfill, progress, &window), ==, window.last - window.first + 1);
    }
    /* Two clean windows double it. */
    pd_progress_settle(progress, 1, 1000);
    window = (PenRange){ .first = 1, .last = 2 };
    g_assert_cmpuint(pd_backfill_get_numbers(&backfill), ==, 2);
    g_assert_cmpuint(pd_backfill_judge(&backfill, progress, &window), ==, 0);
    g_assert_cmpuint(pd_backfill_get_numbers(&backfill), ==, 2);
    g_assert_cmpuint(pd_backfill_judge(&backfill, progress, &window), ==, 0);
    g_assert_cmpuint(pd_backfill_get_numbers(&backfill), ==, 4);
    for (int i = 0; i < 100; i++) {
        (void)pd_backfill_judge(&backfill, progress, &window);
    }
    g_assert_cmpuint(pd_backfill_get_numbers(&backfill), ==, 64);
    pd_backfill_clear(&backfill);
}

/* A number that never comes is asked for five times and holds up nothing (F3, P33). */
static void
test_gives_up(void)
{
    g_autoptr(PdProgress) progress = progress_new(200);
    PdBackfill backfill;
    PenRange window;
    uint32_t n_asked = 0;
    uint32_t n_windows = 0;

    pd_backfill_init(&backfill);
    while (pd_backfill_next(&backfill, progress, 1, 200, 0, &window)) {
        n_asked += window.first <= 50 && 50 <= window.last ? 1u : 0u;
        pd_progress_settle(progress, window.first, MIN(window.last, 49u));
        pd_progress_settle(progress, MAX(window.first, 51u), window.last);
        (void)pd_backfill_judge(&backfill, progress, &window);
        g_assert_cmpuint(++n_windows, <, 50);
    }
    g_assert_cmpuint(n_asked, ==, 5);
    g_assert_cmpuint(pd_progress_count_missing(progress, 1, 200), ==, 1);
    /* It comes after all: nothing is missing. */
    pd_backfill_clear(&backfill);
    pd_backfill_init(&backfill);
    g_assert_true(pd_backfill_next(&backfill, progress, 1, 200, 0, &window));
    g_assert_cmpuint(window.first, ==, 50);
    g_assert_cmpuint(window.last, ==, 50);
    pd_backfill_clear(&backfill);
}

/* Whatever is lost: no window beyond 64 segments, every number comes, few are asked twice. */
static void
test_property(void)
{
    for (guint32 seed = 1; seed <= 200; seed++) {
        g_autoptr(GRand) luck = g_rand_new_with_seed(seed);
        const uint32_t newest = (uint32_t)g_rand_int_range(luck, 1, 3000);
        const uint16_t mtu = (uint16_t)g_rand_int_range(luck, 23, 518);
        const uint32_t record_bytes = (uint32_t)g_rand_int_range(luck, 29, 1025);
        const double loss = g_rand_double_range(luck, 0, 0.4);
        const uint32_t n_segments = (record_bytes + mtu - 5u) / (mtu - 4u);
        g_autoptr(PdProgress) progress = progress_new(newest);
        PdBackfill backfill;
        PenRange window;
        uint32_t n_windows = 0;

        pd_backfill_init(&backfill);
        pd_backfill_set_record(&backfill, record_bytes, mtu);
        while (pd_backfill_next(&backfill, progress, 1, newest, 0, &window)) {
            const uint32_t n_numbers = window.last - window.first + 1;
            g_assert_cmpuint(window.first, >=, 1);
            g_assert_cmpuint(window.last, <=, newest);
            g_assert_true(n_numbers == 1 || n_numbers * n_segments <= PD_BACKFILL_SEGMENTS_MAX);
            for (uint32_t number = window.first; number <= window.last; number++) {
                if (g_rand_double(luck) >= loss) {
                    pd_progress_settle(progress, number, number);
                }
            }
            (void)pd_backfill_judge(&backfill, progress, &window);
            g_assert_cmpuint(++n_windows, <, newest * PD_BACKFILL_TRIES_MAX + 1);
        }
        /* At most the given-up ones are missing: loss^5 of all. */
        g_assert_cmpuint(pd_progress_count_missing(progress, 1, newest), <=, newest / 20 + 2);
        pd_backfill_clear(&backfill);
    }
}

static PenRecordHeader
header_of(uint32_t number, uint32_t session)
{
    return (PenRecordHeader){ .number = number, .session = session };
}

static void
test_progress(void)
{
    g_autoptr(PdProgress) progress = progress_new(0);
    PenRecordHeader header = header_of(1, 1);

    g_assert_false(pd_progress_take(progress, &header, false));
    header = header_of(2, 1);
    g_assert_false(pd_progress_take(progress, &header, false));
    g_assert_cmpuint(pd_progress_get_session(progress), ==, 1);
    header = header_of(5, 1);
    g_assert_true(pd_progress_take(progress, &header, false)); /* 3 and 4 are missing */
    header = header_of(3, 1);
    g_assert_false(pd_progress_take(progress, &header, false)); /* late, no new gap */
    g_assert_cmpuint(pd_progress_get_session(progress), ==, 1);
    header = header_of(6, 1);
    g_assert_false(pd_progress_take(progress, &header, true));
    g_assert_cmpuint(pd_progress_get_session(progress), ==, 0); /* it ended */
    g_assert_cmpuint(pd_progress_get_newest(progress), ==, 6);
    g_assert_cmpuint(pd_progress_count_missing(progress, 1, 6), ==, 1);
    g_assert_cmpuint(pd_progress_count_missing(progress, 5, 4), ==, 0);
    g_assert_cmpuint(pd_progress_count_missing(progress, 0, UINT32_MAX), ==, UINT32_MAX - 4);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backfill/sizes", test_sizes);
    g_test_add_func("/backfill/order", test_order);
    g_test_add_func("/backfill/adapts", test_adapts);
    g_test_add_func("/backfill/gives-up", test_gives_up);
    g_test_add_func("/backfill/property", test_property);
    g_test_add_func("/backfill/progress", test_progress);
    return g_test_run();
}
