/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Which windows are asked for, and what a pen that loses, lies or has nothing does to
 * them. The pen is a few lines of luck with a seed.
 */
#include "fake-store.h"
#include "pen/backfill.h"
#include "pen/intake.h"

#include <string.h>

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
        uint32_t n_record_segments;
        uint32_t n_numbers;
    } rows[] = { { 0, 64 }, { 1, 64 }, { 2, 32 }, { 6, 10 }, { 33, 1 }, { 54, 1 }, { 1024, 1 } };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        PdBackfill backfill;
        pd_backfill_init(&backfill);
        /* Nothing is known of the first records, so few are asked for. */
        pd_backfill_set_record(&backfill, 0);
        g_assert_cmpuint(pd_backfill_get_numbers(&backfill), ==, PD_BACKFILL_BEGIN);
        backfill.n_numbers = PD_BACKFILL_SEGMENTS_MAX;
        pd_backfill_set_record(&backfill, rows[i].n_record_segments);
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
    backfill.n_numbers = PD_BACKFILL_SEGMENTS_MAX;
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
    backfill.n_numbers = PD_BACKFILL_SEGMENTS_MAX;
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
        const double loss = g_rand_double_range(luck, 0, 0.4);
        const uint32_t n_segments = (uint32_t)g_rand_int_range(luck, 1, 60);
        g_autoptr(PdProgress) progress = progress_new(newest);
        PdBackfill backfill;
        PenRange window;
        uint32_t n_windows = 0;

        pd_backfill_init(&backfill);
        pd_backfill_set_record(&backfill, n_segments);
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

/* A pen's end of one link: what it sends for a window goes through the intake. */
typedef struct {
    PdIntake intake;
    PdBackfill backfill;
    size_t n_segment; /* bytes that the pen puts into one */
    uint8_t counter;
    uint32_t n_sent; /* segments of the window */
    uint32_t n_windows;
    uint32_t n_segments_max; /* of a window of more than one number */
} Link;

static void
send_record(Link *link, uint32_t number, uint32_t n_samples)
{
    const PenRecordHeader header = {
        .guard = (uint32_t)LOG_ID, .number = number, .session = 1, .boot = 1
    };
    PenBody body = { .kind = PEN_BODY_SAMPLES };
    uint8_t bytes[PEN_RECORD_MAX];
    size_t n_bytes = 0;
    PdIntakeResult result;

    body.samples.interval_ticks = 20000;
    body.samples.n = n_samples;
    body.samples.load_unknown = true;
    body.samples.n_runs = 1;
    body.samples.run_ticks[0] = n_samples * 20000;
    for (uint32_t i = 0; i < n_samples; i++) {
        body.samples.depth_um[i] = i % 2 == 0 ? 1 : 4000;
        body.samples.rate_dhz[i] = i % 2 == 0 ? 1 : 4000;
    }
    g_assert_cmpint(
        pen_record_encode(&header, &body, bytes, sizeof bytes, &n_bytes), ==, PEN_STATUS_OK);
    for (size_t at = 0; at < n_bytes; at += link->n_segment) {
        const size_t n_part = MIN(n_bytes - at, link->n_segment);
        uint8_t segment[512] = { 0 };

        segment[0] = (uint8_t)((uint32_t)link->counter++ << 2 | (at == 0 ? PEN_SEGMENT_FIRST : 0u) |
                               (at + n_part == n_bytes ? PEN_SEGMENT_LAST : 0u));
        memcpy(segment + 1, bytes + at, n_part);
        pd_intake_push(&link->intake, PD_STREAM_STORED, segment, n_part + 1, &result);
        link->n_sent++;
    }
}

/* Every record is fetched; those of @long_at have @n_long samples, the others ten. */
static void
fetch_all(Link *link, size_t n_segment, uint32_t newest, uint32_t long_at, uint32_t n_long)
{
    g_autoptr(PdProgress) progress = progress_new(newest);
    PdStore store = { 0 };
    PenRange window;

    *link = (Link){ .n_segment = n_segment };
    pthread_mutex_init(&store.lock, NULL);
    pd_intake_init(&link->intake, &store, progress);
    pd_backfill_init(&link->backfill);
    for (;;) {
        pd_backfill_set_record(&link->backfill, link->intake.counts.n_record_segments);
        if (!pd_backfill_next(&link->backfill, progress, 1, newest, 0, &window)) {
            break;
        }
        link->n_sent = 0;
        for (uint32_t number = window.first; number <= window.last; number++) {
            send_record(link, number, number == long_at ? n_long : 10);
        }
        if (window.last > window.first) {
            link->n_segments_max = MAX(link->n_segments_max, link->n_sent);
        }
        g_assert_cmpuint(pd_backfill_judge(&link->backfill, progress, &window), ==, 0);
        g_assert_cmpuint(++link->n_windows, <=, newest);
    }
    pd_backfill_clear(&link->backfill);
    pd_intake_clear(&link->intake);
    pthread_mutex_destroy(&store.lock);
}

/* One long record does not make a pen send the short ones one by one (F4). */
static void
test_long_record(void)
{
    Link link;

    fetch_all(&link, 19, 203, 2, 230);
    g_assert_cmpuint(link.n_windows, <, 75);
    g_assert_cmpuint(link.n_segments_max, <=, PD_BACKFILL_SEGMENTS_MAX);
    /* The same without it, and where a record is one segment. */
    fetch_all(&link, 19, 203, 0, 0);
    g_assert_cmpuint(link.n_windows, <, 40);
    g_assert_cmpuint(link.n_segments_max, <=, PD_BACKFILL_SEGMENTS_MAX);
    fetch_all(&link, 240, 1000, 0, 0);
    g_assert_cmpuint(link.n_windows, <, 28);
    g_assert_cmpuint(link.n_segments_max, ==, PD_BACKFILL_SEGMENTS_MAX);
}

/* A pen may send less in a segment than the MTU allows: only what came tells. */
static void
test_short_segments(void)
{
    Link link;

    for (size_t n_segment = 4; n_segment < 60; n_segment++) {
        fetch_all(&link, n_segment, 100, 0, 0);
        g_assert_cmpuint(link.n_segments_max, <=, PD_BACKFILL_SEGMENTS_MAX);
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

/* The record that may have ended the session is lost; one that follows says more. */
static void
test_lost_end(void)
{
    g_autoptr(PdProgress) progress = progress_new(0);
    PenRecordHeader header = header_of(2, 1);

    (void)pd_progress_take(progress, &header, false);
    pd_progress_settle(progress, 1, 1);
    g_assert_cmpuint(pd_progress_get_session(progress), ==, 1);
    pd_progress_settle(progress, 3, 3);
    g_assert_cmpuint(pd_progress_get_session(progress), ==, 0);
    header = header_of(4, 1);
    g_assert_false(pd_progress_take(progress, &header, false));
    g_assert_cmpuint(pd_progress_get_session(progress), ==, 1);
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
    g_test_add_func("/backfill/long-record", test_long_record);
    g_test_add_func("/backfill/short-segments", test_short_segments);
    g_test_add_func("/backfill/progress", test_progress);
    g_test_add_func("/backfill/lost-end", test_lost_end);
    return g_test_run();
}
