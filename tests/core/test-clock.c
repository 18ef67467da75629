/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Placing ticks on the wall clock: exact where it was read, within its bound everywhere,
 * and no time at all where nothing is known.
 */
#include "core/clock.h"
#include "core/record.h"
#include "core/sha1.h"
#include "gen.h"

#include <glib.h>

#include <stdlib.h>
#include <string.h>

#define SECOND_US   INT64_C(1000000)
#define WALL_2026   (INT64_C(1780000000) * SECOND_US)
#define WALL_2038   (INT64_C(2147483647) * SECOND_US)
#define WALL_1969   (INT64_C(-86400) * SECOND_US)
#define TICK_MAX_US ((UINT64_C(1) << 48) - 1u)

static const int64_t walls_us[] = { WALL_2026, WALL_2038, WALL_1969, 0 };

static void
assert_placed(const PenAnchor *anchors,
              size_t n,
              uint32_t boot,
              uint64_t tick_us,
              int64_t wall_us,
              uint32_t error_us)
{
    int64_t got_us = 0;
    uint32_t got_error_us = 0;

    g_assert_true(pen_clock_place(anchors, n, boot, tick_us, &got_us, &got_error_us));
    g_assert_cmpint(got_us, ==, wall_us);
    g_assert_cmpuint(got_error_us, ==, error_us);
}

static void
test_nowhere(void)
{
    const PenAnchor anchor = { .boot = 7, .tick_us = 5, .wall_us = WALL_2026 };
    int64_t wall_us = 4711;
    uint32_t error_us = 4711;

    g_assert_false(pen_clock_place(NULL, 0, 7, 5, &wall_us, &error_us));
    g_assert_false(pen_clock_place(&anchor, 1, 8, 5, &wall_us, &error_us));
    g_assert_cmpint(wall_us, ==, 4711);
    g_assert_cmpuint(error_us, ==, 4711);
}

/* One anchor: offset from it, before and after, 50 us of error for every second away. */
static void
test_one(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(walls_us); i++) {
        const PenAnchor anchor = {
            .boot = 1,
            .tick_us = 100000000,
            .wall_us = walls_us[i],
            .error_us = 900,
        };
        assert_placed(&anchor, 1, 1, 100000000, walls_us[i], 900);
        assert_placed(&anchor, 1, 1, 110000000, walls_us[i] + 10 * SECOND_US, 1400);
        assert_placed(&anchor, 1, 1, 0, walls_us[i] - 100 * SECOND_US, 5900);
    }
    /* The bound does not wrap, however long ago. */
    const PenAnchor early = { .boot = 1, .wall_us = WALL_2026, .error_us = UINT32_MAX - 1u };
    assert_placed(&early, 1, 1, TICK_MAX_US, WALL_2026 + (int64_t)TICK_MAX_US, UINT32_MAX);
}

static void
test_on_anchors(void)
{
    PenAnchor anchors[8];

    for (uint32_t seed = 1; seed <= 100; seed++) {
        Gen gen = gen_new(seed);
        uint64_t tick_us = gen_range(&gen, 0, 1000000);
        int64_t wall_us = walls_us[seed % G_N_ELEMENTS(walls_us)];
        for (size_t i = 0; i < G_N_ELEMENTS(anchors); i++) {
            const uint64_t step_us = gen_range(&gen, 1000000, 3600000000);
            tick_us += step_us;
            wall_us += (int64_t)step_us + (int64_t)gen_range(&gen, 0, 40);
            anchors[i] = (PenAnchor){
                .boot = 2,
                .tick_us = tick_us,
                .wall_us = wall_us,
                .wall_synced = true,
                .error_us = (uint32_t)gen_range(&gen, 50, 20000),
            };
        }
        for (size_t i = 0; i < G_N_ELEMENTS(anchors); i++) {
            const PenAnchor *anchor = &anchors[(i + seed) % G_N_ELEMENTS(anchors)];
            assert_placed(anchors,
                          G_N_ELEMENTS(anchors),
                          2,
                          anchor->tick_us,
                          anchor->wall_us,
                          anchor->error_us);
        }
    }
}

/* Half way between two readings that lie 100 us apart from the tick's own pace. */
static void
test_between(void)
{
    const PenAnchor anchors[] = {
        { 1, 20000000, WALL_2038 + 20000100, true, 10 },
        { 1, 0, WALL_2038, true, 10 },
    };

    assert_placed(anchors, 2, 1, 10000000, WALL_2038 + 10000050, 512);
}

/* Unsynchronised readings do not count beside a synchronised one, but are better than none. */
static void
test_synced_first(void)
{
    PenAnchor anchors[] = {
        { 1, 1000000, WALL_2026, true, 100 },
        { 1, 61000000, WALL_2026 + 3600 * SECOND_US, false, 100 },
        { 1, 61000000, WALL_2026 - 500 * SECOND_US, false, 100 },
    };

    assert_placed(anchors, 3, 1, 61000000, WALL_2026 + 60 * SECOND_US, 3100);
    anchors[0].boot = 2;
    assert_placed(anchors, 3, 1, 61000000, WALL_2026 + 3600 * SECOND_US, 100);
}

/* Somebody set the wall clock between two readings: it is not smeared over the ticks, and
 * the bound says that either may be right. The last one is a leap second. */
static void
test_stepped(void)
{
    static const int64_t steps_us[] = {
        3600 * SECOND_US, -3600 * SECOND_US, 1 * SECOND_US, -1 * SECOND_US
    };

    for (size_t i = 0; i < G_N_ELEMENTS(steps_us); i++) {
        const PenAnchor anchors[] = {
            { 1, 0, WALL_2026, true, 100 },
            { 1, 100 * 1000000, WALL_2026 + 100 * SECOND_US + steps_us[i], true, 100 },
        };
        const uint32_t reach_us = (uint32_t)ABS(steps_us[i]) + 4600;
        assert_placed(anchors, 2, 1, 10000000, WALL_2026 + 10 * SECOND_US, reach_us);
        assert_placed(anchors, 2, 1, 90000000, WALL_2026 + 90 * SECOND_US + steps_us[i], reach_us);
    }
}

/* A gateway that woke in 1970 and got its time between two readings: the bound has no end. */
static void
test_stepped_far(void)
{
    const PenAnchor anchors[] = {
        { 1, 0, 5 * SECOND_US, true, 100 },
        { 1, 100 * 1000000, WALL_2038, true, 100 },
    };

    assert_placed(anchors, 2, 1, 10000000, 15 * SECOND_US, UINT32_MAX);
    assert_placed(anchors, 2, 1, 90000000, WALL_2038 - 10 * SECOND_US, UINT32_MAX);
}

/* Whatever the clock did between two readings, the true time by one of them is within the
 * bound: steps of any size and sign, anywhere between. */
static void
test_steps_are_bounded(void)
{
    for (uint32_t seed = 1; seed <= 2000; seed++) {
        Gen gen = gen_new(seed);
        const int64_t step_us =
            (int64_t)gen_range(&gen, 0, 8000) * SECOND_US / 2 - 2000 * SECOND_US;
        const uint64_t span_us = gen_range(&gen, 2, 4000000) * 1000u;
        const int64_t wall_us = walls_us[seed % G_N_ELEMENTS(walls_us)];
        const bool late_is_right = gen_percent(&gen, 50);
        const PenAnchor anchors[] = {
            { 1, 5000, wall_us, true, 100 },
            { 1, 5000 + span_us, wall_us + (int64_t)span_us + step_us, true, 100 },
        };
        const uint64_t at_us = gen_range(&gen, 0, span_us);
        const int64_t true_us = wall_us + (int64_t)at_us + (late_is_right ? step_us : 0);
        int64_t placed_us = 0;
        uint32_t error_us = 0;
        g_assert_true(pen_clock_place(anchors, 2, 1, 5000 + at_us, &placed_us, &error_us));
        /* A step within the drift that is allowed cannot be told from it. */
        if (ABS(step_us) > 0) {
            g_assert_cmpint(ABS(placed_us - true_us), <=, error_us);
        }
    }
}

/* A pen whose pace wanders within the assumed drift, second by second. */
typedef struct {
    double tick_us[20001]; /* pen time at each second of the true one */
} Drifting;

static void
drift(Gen *gen, Drifting *out)
{
    double ppm = 0;

    for (size_t i = 1; i < G_N_ELEMENTS(out->tick_us); i++) {
        if (gen_percent(gen, 1)) {
            ppm = gen_percent(gen, 50) ? 49.9 : -49.9;
        } else if (gen_percent(gen, 1)) {
            ppm = (double)gen_range(gen, 0, 998) / 10.0 - 49.9;
        }
        out->tick_us[i] = out->tick_us[i - 1] + 1e6 * (1.0 + ppm * 1e-6);
    }
}

static uint64_t
read_tick_us(const Drifting *pen, size_t second, uint32_t tick_unit)
{
    const uint64_t us = (uint64_t)pen->tick_us[second];

    return tick_unit == 1 ? pen_ticks_to_us((uint64_t)(pen->tick_us[second] * 0.032768), 1) : us;
}

static void
test_drifting(void)
{
    g_autofree Drifting *pen = g_new0(Drifting, 1);
    uint64_t n_tight = 0;

    for (uint32_t seed = 1; seed <= 60; seed++) {
        Gen gen = gen_new(seed);
        const uint32_t tick_unit = seed % 2u;
        const int64_t wall0_us = walls_us[seed % G_N_ELEMENTS(walls_us)];
        PenAnchor anchors[12];
        const size_t n = (size_t)gen_range(&gen, 1, G_N_ELEMENTS(anchors));
        memset(pen, 0, sizeof *pen);
        drift(&gen, pen);
        for (size_t i = 0; i < n; i++) {
            const size_t second = (size_t)gen_range(&gen, 0, G_N_ELEMENTS(pen->tick_us) - 1u);
            const uint32_t error_us = (uint32_t)gen_range(&gen, 200, 20000);
            const int64_t off_us = (int64_t)gen_range(&gen, 0, 2u * (error_us - 50u));
            anchors[i] = (PenAnchor){
                .boot = 1,
                .tick_us = read_tick_us(pen, second, tick_unit),
                .wall_us = wall0_us + (int64_t)second * SECOND_US + off_us - (error_us - 50),
                .wall_synced = true,
                .error_us = error_us,
            };
        }
        for (size_t second = 0; second < G_N_ELEMENTS(pen->tick_us); second += 7) {
            int64_t wall_us = 0;
            uint32_t error_us = 0;
            const uint64_t tick_us = read_tick_us(pen, second, tick_unit);
            g_assert_true(pen_clock_place(anchors, n, 1, tick_us, &wall_us, &error_us));
            const int64_t off_us = wall_us - (wall0_us + (int64_t)second * SECOND_US);
            g_assert_cmpint(ABS(off_us), <=, error_us);
            n_tight += (uint64_t)ABS(off_us) * 2u > error_us ? 1u : 0u;
        }
    }
    /* A bound that nothing comes near would be no bound. */
    g_assert_cmpuint(n_tight, >, 1000);
}

static void
test_ticks(void)
{
    g_assert_cmpuint(pen_ticks_to_us(TICK_MAX_US, 0), ==, TICK_MAX_US);
    g_assert_cmpuint(pen_ticks_to_us(0, 1), ==, 0);
    g_assert_cmpuint(pen_ticks_to_us(1, 1), ==, 30);
    g_assert_cmpuint(pen_ticks_to_us(32767, 1), ==, 999969);
    g_assert_cmpuint(pen_ticks_to_us(32768, 1), ==, 1000000);
    g_assert_cmpuint(pen_ticks_to_us(TICK_MAX_US, 1), ==, UINT64_C(8589934591999969));
    for (uint32_t seed = 1; seed <= 200; seed++) {
        Gen gen = gen_new(seed);
        const uint64_t ticks = gen_next(&gen) & TICK_MAX_US;
        const uint64_t us = pen_ticks_to_us(ticks, 1);
        /* us <= ticks x 10^6 / 2^15 < us + 1 */
        __extension__ const unsigned __int128 exact = (unsigned __int128)ticks * 1000000u;
        g_assert_true((unsigned __int128)us * 32768u <= exact);
        g_assert_true(((unsigned __int128)us + 1u) * 32768u > exact);
    }
}

/* FIPS 180-4's "abc", the empty message, and the longest that fits one block. */
static void
test_sha1(void)
{
    static const struct {
        const char *text;
        const char *hex;
    } cases[] = {
        { "", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
        { "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t digest[PEN_SHA1_SIZE];
        char hex[2 * PEN_SHA1_SIZE + 1];
        pen_sha1_short((const uint8_t *)cases[i].text, strlen(cases[i].text), digest);
        for (size_t k = 0; k < sizeof digest; k++) {
            g_snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        }
        g_autofree char *expected =
            g_compute_checksum_for_string(G_CHECKSUM_SHA1, cases[i].text, -1);
        g_assert_cmpstr(hex, ==, expected);
        g_assert_true(cases[i].hex == NULL || g_str_equal(hex, cases[i].hex));
    }
}

/* UUIDv5 the long way: GLib's SHA-1 over namespace and name. */
static void
test_session_uuid(void)
{
    static const uint8_t space[16] = { 0x88, 0x63, 0x7b, 0x66, 0x0f, 0xea, 0x49, 0x08,
                                       0x8d, 0x1d, 0xa8, 0x63, 0x88, 0xda, 0x43, 0xa9 };

    for (uint32_t seed = 1; seed <= 100; seed++) {
        Gen gen = gen_new(seed);
        const uint64_t log_id = gen_next(&gen);
        const uint32_t session = gen_u32(&gen);
        const uint64_t log_id_be = GUINT64_TO_BE(log_id);
        const uint32_t session_be = GUINT32_TO_BE(session);
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
        uint8_t digest[20];
        gsize n_digest = sizeof digest;
        uint8_t uuid[16];
        char text[37];

        g_checksum_update(sum, space, sizeof space);
        g_checksum_update(sum, (const guchar *)&log_id_be, 8);
        g_checksum_update(sum, (const guchar *)&session_be, 4);
        g_checksum_get_digest(sum, digest, &n_digest);
        pen_session_uuid(log_id, session, uuid);
        pen_uuid_format(uuid, text);
        g_assert_true(g_uuid_string_is_valid(text));
        g_assert_cmpint(text[14], ==, '5');
        g_assert_nonnull(strchr("89ab", text[19]));
        digest[6] = (uint8_t)((digest[6] & 0x0fu) | 0x50u);
        digest[8] = (uint8_t)((digest[8] & 0x3fu) | 0x80u);
        g_assert_true(memcmp(uuid, digest, sizeof uuid) == 0);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clock/nowhere", test_nowhere);
    g_test_add_func("/clock/one", test_one);
    g_test_add_func("/clock/on-anchors", test_on_anchors);
    g_test_add_func("/clock/between", test_between);
    g_test_add_func("/clock/synced-first", test_synced_first);
    g_test_add_func("/clock/stepped", test_stepped);
    g_test_add_func("/clock/stepped-far", test_stepped_far);
    g_test_add_func("/clock/steps-are-bounded", test_steps_are_bounded);
    g_test_add_func("/clock/drifting", test_drifting);
    g_test_add_func("/clock/ticks", test_ticks);
    g_test_add_func("/id/sha1", test_sha1);
    g_test_add_func("/id/session-uuid", test_session_uuid);
    return g_test_run();
}
