/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Holds core against vectors.txt, which an encoder that shares no code with it made
 * from the profile alone.
 */
#include "core/crc32c.h"
#include "core/record.h"
#include "core/segment.h"

#include <glib.h>

#include <string.h>

#define BYTES_MAX 2048u

static size_t
parse_hex(const char *hex, uint8_t *out)
{
    const size_t n = strlen(hex) / 2u;

    g_assert_cmpuint(n, <=, BYTES_MAX);
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint8_t)((g_ascii_xdigit_value(hex[2 * i]) << 4) |
                           g_ascii_xdigit_value(hex[2 * i + 1]));
    }
    return n;
}

static char **
load_lines(void)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "vectors.txt", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return g_strsplit(g_strchomp(text), "\n", -1);
}

static char **
find_line(const char *first, const char *second)
{
    g_auto(GStrv) lines = load_lines();

    for (char **line = lines; *line != NULL; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);
        if (g_str_equal(words[0], first) && g_str_equal(words[1], second)) {
            return g_steal_pointer(&words);
        }
    }
    g_error("no vector %s %s", first, second);
}

static size_t
load_record(const char *name, uint8_t *out)
{
    g_auto(GStrv) words = find_line("record", name);

    return parse_hex(words[2], out);
}

static void
decode_vector(const char *name, PenRecordHeader *header, PenBody *body, PenStatus expected)
{
    uint8_t bytes[BYTES_MAX];
    const size_t n = load_record(name, bytes);

    g_assert_cmpint(pen_record_check(bytes, n, header), ==, PEN_STATUS_OK);
    g_assert_cmpuint(header->length_bytes, ==, n);
    g_assert_cmphex(header->guard, ==, 0x55667788u);
    g_assert_cmpint(pen_record_decode(bytes, n, body), ==, expected);
}

static void
test_crc(void)
{
    g_assert_cmphex(pen_crc32c((const uint8_t *)"123456789", 9), ==, 0xe3069283u);
}

static void
test_begin(void)
{
    PenRecordHeader header;
    PenBody body;

    decode_vector("session-begin", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(header.number, ==, 7);
    g_assert_cmpuint(header.session, ==, 7);
    g_assert_cmpuint(header.boot, ==, 3);
    g_assert_cmpuint(header.tick, ==, 1000000);
    g_assert_cmpint(body.kind, ==, PEN_BODY_SESSION_BEGIN);
    g_assert_false(body.begin.has_continues);
    g_assert_true(body.begin.has_cartridge);
    g_assert_cmpstr(body.begin.cartridge.id, ==, "CART-0001");
    g_assert_cmpstr(body.begin.cartridge.lot, ==, "L2026-07");
    g_assert_cmpstr(body.begin.cartridge.expiry, ==, "2028-01-31");
    g_assert_true(body.begin.cartridge.has_needles);
    g_assert_cmpuint(body.begin.cartridge.needles, ==, 14);
    g_assert_cmpuint(body.begin.depth_setting_um, ==, 1500);
    g_assert_cmpstr(body.begin.firmware, ==, "1.4.2");

    decode_vector("session-begin-continues", &header, &body, PEN_STATUS_OK);
    g_assert_true(body.begin.has_continues);
    g_assert_cmpuint(body.begin.continues, ==, 7);
    g_assert_false(body.begin.has_cartridge);
}

static void
test_samples(void)
{
    static const uint16_t depth_um[] = { 1500, 1510, 1490, 1500, 1500 };
    static const uint16_t load[] = { 300, 310, 305, 300, 300 };
    static const uint32_t runs[] = { 12345, 80000, 7655 };
    PenRecordHeader header;
    PenBody body;

    decode_vector("samples", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.samples.interval_ticks, ==, 20000);
    g_assert_cmpuint(body.samples.n, ==, 5);
    g_assert_true(memcmp(body.samples.depth_um, depth_um, sizeof depth_um) == 0);
    g_assert_true(memcmp(body.samples.load_permille, load, sizeof load) == 0);
    g_assert_cmpuint(body.samples.rate_dhz[4], ==, 1166);
    g_assert_cmpuint(body.samples.n_runs, ==, 3);
    g_assert_true(memcmp(body.samples.run_ticks, runs, sizeof runs) == 0);

    decode_vector("samples-no-rate", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.samples.n, ==, 1);
    g_assert_cmpuint(body.samples.rate_dhz[0], ==, 0);
}

static void
test_small_bodies(void)
{
    PenRecordHeader header;
    PenBody body;

    decode_vector("cartridge-attached", &header, &body, PEN_STATUS_OK);
    g_assert_cmpint(body.kind, ==, PEN_BODY_CARTRIDGE_ATTACHED);
    g_assert_false(body.cartridge.has_needles);
    decode_vector("cartridge-removed", &header, &body, PEN_STATUS_OK);
    g_assert_cmpstr(body.cartridge.id, ==, "C2");
    decode_vector("depth-setting", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.depth_setting.depth_um, ==, 750);
    decode_vector("button", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.button.button, ==, 1);
    decode_vector("fault", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.fault.code, ==, 42);
    g_assert_cmpstr(body.fault.text, ==, "motor stalled");
    decode_vector("clock-set", &header, &body, PEN_STATUS_OK);
    g_assert_cmpint(body.clock_set.unix_us, ==, G_GINT64_CONSTANT(1780000000000000));
    decode_vector("session-end", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.end.cause, ==, 3);
    decode_vector("unknown-body", &header, &body, PEN_STATUS_UNKNOWN);
    decode_vector("tick-max", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(header.tick, ==, G_GUINT64_CONSTANT(0xffffffffffff));
}

static void
test_control_items(void)
{
    PenRecordHeader header;
    PenBody body;

    decode_vector("range-end", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(header.number, ==, 0);
    g_assert_cmpuint(body.range_end.first, ==, 7);
    g_assert_cmpuint(body.range_end.last, ==, 16);
    g_assert_cmpuint(body.range_end.sent, ==, 10);
    g_assert_cmpuint(body.range_end.newest, ==, 17);
    decode_vector("hole", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.hole.number, ==, 5);
    g_assert_cmpuint(body.hole.cause, ==, 1);
    decode_vector("head", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.head.free_permille, ==, 900);
}

/* The range as asked for each operator, and what an empty log answers. */
static void
test_range_ends(void)
{
    static const struct {
        const char *name;
        uint32_t first, last, sent, newest;
    } cases[] = {
        { "range-end-all", 1, UINT32_MAX, 17, 17 },
        { "range-end-le", 1, 9, 9, 17 },
        { "range-end-ge", 12, UINT32_MAX, 6, 17 },
        { "range-end-range", 7, 16, 10, 17 },
        { "range-end-first", 1, 1, 1, 17 },
        { "range-end-last", 17, 17, 1, 17 },
        { "range-end-nothing-found", 20, 30, 0, 17 },
        { "range-end-empty-all", 1, UINT32_MAX, 0, 0 },
        { "range-end-empty-first", 0, 0, 0, 0 },
        { "range-end-empty-last", 0, 0, 0, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        PenRecordHeader header;
        PenBody body;
        decode_vector(cases[i].name, &header, &body, PEN_STATUS_OK);
        g_assert_cmpint(body.kind, ==, PEN_BODY_RANGE_END);
        g_assert_cmpuint(header.number, ==, 0);
        g_assert_cmpuint(header.session, ==, 0);
        g_assert_cmpuint(body.range_end.first, ==, cases[i].first);
        g_assert_cmpuint(body.range_end.last, ==, cases[i].last);
        g_assert_cmpuint(body.range_end.sent, ==, cases[i].sent);
        g_assert_cmpuint(body.range_end.oldest, ==, cases[i].newest > 0 ? 1 : 0);
        g_assert_cmpuint(body.range_end.newest, ==, cases[i].newest);
        g_assert_cmpuint(body.range_end.marked, ==, cases[i].newest > 0 ? 6 : 0);
    }
}

/* Fields left out, zeros that are said, and other ends of the ranges. */
static void
test_edges(void)
{
    PenRecordHeader header;
    PenBody body;

    decode_vector("head-empty", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.head.oldest + body.head.newest + body.head.marked, ==, 0);
    g_assert_cmpuint(body.head.free_permille, ==, 1000);
    decode_vector("hole-torn", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.hole.number, ==, UINT32_MAX);
    g_assert_cmpuint(body.hole.cause, ==, 2);
    decode_vector("cartridge-attached-needles", &header, &body, PEN_STATUS_OK);
    g_assert_true(body.cartridge.has_needles);
    g_assert_cmpuint(body.cartridge.needles, ==, 0);
    g_assert_cmpstr(body.cartridge.expiry, ==, "2028-02-29");
    decode_vector("cartridge-removed-unknown", &header, &body, PEN_STATUS_OK);
    g_assert_cmpint(body.kind, ==, PEN_BODY_CARTRIDGE_REMOVED);
    g_assert_cmpstr(body.cartridge.id, ==, "");
    decode_vector("depth-setting-zero", &header, &body, PEN_STATUS_OK);
    g_assert_cmpint(body.kind, ==, PEN_BODY_DEPTH_SETTING);
    g_assert_cmpuint(body.depth_setting.depth_um, ==, 0);
    decode_vector("button-other", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.button.button, ==, 2);
    decode_vector("fault-utf8", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.fault.code, ==, UINT32_MAX);
    g_assert_cmpstr(body.fault.text, ==, "61 °C");
    decode_vector("clock-set-before-1970", &header, &body, PEN_STATUS_OK);
    g_assert_cmpint(body.clock_set.unix_us, ==, -1);
    g_assert_cmpuint(body.clock_set.source, ==, 4);
    decode_vector("session-end-battery", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.end.cause, ==, 4);
}

static void
test_blocks(void)
{
    PenRecordHeader header;
    PenBody body;

    decode_vector("samples-lifted", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.samples.n_runs, ==, 1);
    g_assert_cmpuint(body.samples.run_ticks[0], ==, 60000);
    decode_vector("samples-contact", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.samples.n_runs, ==, 2);
    g_assert_cmpuint(body.samples.run_ticks[0], ==, 0);
    g_assert_cmpuint(body.samples.load_permille[2], ==, 0);
    g_assert_false(body.samples.rate_unknown);
    g_assert_true(body.samples.load_unknown);
    decode_vector("samples-32768", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(pen_ticks_to_us(header.tick, 1), ==, 2000000);
    g_assert_cmpuint(body.samples.depth_um[1], ==, 4095);
    g_assert_cmpuint(body.samples.rate_dhz[1], ==, 10000);
    g_assert_cmpuint(body.samples.load_permille[1], ==, 2000);
    decode_vector("samples-most", &header, &body, PEN_STATUS_OK);
    g_assert_cmpuint(body.samples.n, ==, PEN_SAMPLES_MAX);
    g_assert_cmpuint(body.samples.n_runs, ==, PEN_CONTACT_RUNS_MAX);
    g_assert_cmpuint(body.samples.run_ticks[63], ==, 194);
}

/* What the other encoder wrote, this one writes too, to the byte. */
static void
test_same_bytes(void)
{
    g_auto(GStrv) lines = load_lines();
    unsigned n_seen = 0;

    for (char **line = lines; *line != NULL; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);
        uint8_t bytes[BYTES_MAX];
        uint8_t again[PEN_RECORD_MAX];
        size_t n_again = 0;
        PenRecordHeader header;
        PenBody body;
        if (!g_str_equal(words[0], "record") || g_str_equal(words[1], "unknown-body")) {
            continue;
        }
        const size_t n = parse_hex(words[2], bytes);
        g_test_message("%s", words[1]);
        g_assert_cmpint(pen_record_check(bytes, n, &header), ==, PEN_STATUS_OK);
        g_assert_cmpint(pen_record_decode(bytes, n, &body), ==, PEN_STATUS_OK);
        g_assert_cmpint(
            pen_record_encode(&header, &body, again, sizeof again, &n_again), ==, PEN_STATUS_OK);
        g_assert_cmpuint(n_again, ==, n);
        g_assert_true(memcmp(again, bytes, n) == 0);
        n_seen++;
    }
    g_assert_cmpuint(n_seen, >=, 30);
}

static void
test_segments(gconstpointer data)
{
    g_auto(GStrv) words = find_line("segments", data);
    uint8_t expected[BYTES_MAX];
    const size_t n_expected = load_record("samples", expected);
    PenReassembly reassembly;
    const uint8_t *record = NULL;
    size_t n_record = 0;

    pen_reassembly_init(&reassembly);
    for (char **word = words + 2; *word != NULL; word++) {
        uint8_t segment[BYTES_MAX];
        const size_t n = parse_hex(*word, segment);
        const PenStatus status = pen_reassembly_push(&reassembly, segment, n, &record, &n_record);
        g_assert_cmpint(status, ==, word[1] == NULL ? PEN_STATUS_OK : PEN_STATUS_AGAIN);
    }
    g_assert_cmpuint(n_record, ==, n_expected);
    g_assert_true(memcmp(record, expected, n_expected) == 0);
}

static void
test_feature(void)
{
    g_auto(GStrv) words = find_line("feature", "plain");
    uint8_t bytes[BYTES_MAX];
    const size_t n = parse_hex(words[2], bytes);
    PenFeature feature;

    g_assert_cmpint(pen_feature_decode(bytes, n, &feature), ==, PEN_STATUS_OK);
    g_assert_cmpstr(feature.serial, ==, "PT-0001");
    g_assert_cmphex(feature.log_id, ==, G_GUINT64_CONSTANT(0x1122334455667788));
    g_assert_cmpuint(feature.newest, ==, 17);
    g_assert_cmpuint(feature.tick_now, ==, 2000000);
    bytes[0] = 2;
    g_assert_cmpint(pen_feature_decode(bytes, n, &feature), ==, PEN_STATUS_VERSION);

    g_auto(GStrv) empty = find_line("feature", "empty-32768");
    const size_t n_empty = parse_hex(empty[2], bytes);
    g_assert_cmpint(pen_feature_decode(bytes, n_empty, &feature), ==, PEN_STATUS_OK);
    g_assert_cmpstr(feature.serial, ==, "a.Z_9-");
    g_assert_cmpuint(feature.oldest + feature.newest + feature.marked, ==, 0);
    g_assert_cmpuint(feature.tick_unit, ==, 1);
    g_assert_cmpuint(feature.tick_now, ==, G_GUINT64_CONSTANT(0xffffffffffff));
}

static void
test_session_id(void)
{
    g_auto(GStrv) lines = load_lines();
    unsigned n_seen = 0;

    for (char **line = lines; *line != NULL; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);
        uint8_t uuid[16];
        char text[37];
        if (!g_str_equal(words[0], "session-id")) {
            continue;
        }
        pen_session_uuid(g_ascii_strtoull(words[1], NULL, 16),
                         (uint32_t)g_ascii_strtoull(words[2], NULL, 10),
                         uuid);
        pen_uuid_format(uuid, text);
        g_assert_cmpstr(text, ==, words[3]);
        n_seen++;
    }
    g_assert_cmpuint(n_seen, ==, 3);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vectors/crc", test_crc);
    g_test_add_func("/vectors/session-begin", test_begin);
    g_test_add_func("/vectors/samples", test_samples);
    g_test_add_func("/vectors/small-bodies", test_small_bodies);
    g_test_add_func("/vectors/control-items", test_control_items);
    g_test_add_func("/vectors/range-ends", test_range_ends);
    g_test_add_func("/vectors/edges", test_edges);
    g_test_add_func("/vectors/blocks", test_blocks);
    g_test_add_func("/vectors/same-bytes", test_same_bytes);
    g_test_add_data_func("/vectors/segments/23", "23", test_segments);
    g_test_add_data_func("/vectors/segments/64", "64", test_segments);
    g_test_add_data_func("/vectors/segments/247", "247", test_segments);
    g_test_add_func("/vectors/feature", test_feature);
    g_test_add_func("/vectors/session-id", test_session_id);
    return g_test_run();
}
