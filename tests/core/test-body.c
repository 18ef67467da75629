/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Bodies there and back over their whole ranges, and everything that a body may not be,
 * written as protobuf by hand because the encoder refuses to.
 */
#include "core/body.h"
#include "core/crc32c.h"
#include "core/wire.h"
#include "gen.h"

#include <glib.h>

#include <string.h>

#define BODY_MAX (PEN_RECORD_MAX - PEN_RECORD_HEADER_SIZE - PEN_RECORD_CRC_SIZE)

static const PenBodyKind kinds[] = {
    PEN_BODY_SESSION_BEGIN,
    PEN_BODY_SESSION_END,
    PEN_BODY_SAMPLES,
    PEN_BODY_CARTRIDGE_ATTACHED,
    PEN_BODY_CARTRIDGE_REMOVED,
    PEN_BODY_DEPTH_SETTING,
    PEN_BODY_BUTTON,
    PEN_BODY_FAULT,
    PEN_BODY_CLOCK_SET,
    PEN_BODY_RANGE_END,
    PEN_BODY_HOLE,
    PEN_BODY_HEAD,
};

static size_t
frame(const uint8_t *body, size_t n_body, uint8_t *out)
{
    memset(out, 0, PEN_RECORD_HEADER_SIZE);
    pen_wire_put(out, 2, PEN_RECORD_HEADER_SIZE + n_body + PEN_RECORD_CRC_SIZE);
    pen_wire_put(out + 6, 4, 7);
    memcpy(out + PEN_RECORD_HEADER_SIZE, body, n_body);
    pen_wire_put(
        out + PEN_RECORD_HEADER_SIZE + n_body, 4, pen_crc32c(out, PEN_RECORD_HEADER_SIZE + n_body));
    return PEN_RECORD_HEADER_SIZE + n_body + PEN_RECORD_CRC_SIZE;
}

/* The frame must be right; what the body is, is the answer. */
static PenStatus
decode_bytes(const uint8_t *body, size_t n_body, PenBody *out)
{
    uint8_t record[PEN_RECORD_MAX + 64];
    PenRecordHeader header;
    const size_t n = frame(body, n_body, record);

    g_assert_cmpint(pen_record_check(record, n, &header), ==, PEN_STATUS_OK);
    return pen_record_decode(record, n, out);
}

static PenStatus
encode(const PenBody *body, uint8_t *out, size_t *n_out)
{
    const PenRecordHeader header = { .number = 1 };

    return pen_record_encode(&header, body, out, PEN_RECORD_MAX, n_out);
}

static void
assert_same(const PenBody *a, const PenBody *b)
{
    /* Both were zeroed before they were filled, so bytes between members agree too. */
    g_assert_true(memcmp(a, b, sizeof *a) == 0);
}

static void
test_there_and_back(gconstpointer data)
{
    const PenBodyKind kind = *(const PenBodyKind *)data;

    for (uint32_t seed = 1; seed <= 150; seed++) {
        Gen gen = gen_new(seed);
        const PenRecordHeader sent = gen_header(&gen);
        PenRecordHeader got;
        PenBody body;
        PenBody back;
        uint8_t first[PEN_RECORD_MAX];
        uint8_t second[PEN_RECORD_MAX];
        size_t n_first = 0;
        size_t n_second = 0;

        gen_body(&gen, kind, &body);
        memset(&back, 0, sizeof back);
        g_assert_cmpint(
            pen_record_encode(&sent, &body, first, sizeof first, &n_first), ==, PEN_STATUS_OK);
        g_assert_cmpint(pen_record_check(first, n_first, &got), ==, PEN_STATUS_OK);
        g_assert_cmpuint(got.length_bytes, ==, n_first);
        g_assert_cmpuint(got.guard, ==, sent.guard);
        g_assert_cmpuint(got.number, ==, sent.number);
        g_assert_cmpuint(got.session, ==, sent.session);
        g_assert_cmpuint(got.boot, ==, sent.boot);
        g_assert_cmpuint(got.tick, ==, sent.tick);
        g_assert_cmpint(pen_record_decode(first, n_first, &back), ==, PEN_STATUS_OK);
        assert_same(&body, &back);
        g_assert_cmpint(
            pen_record_encode(&got, &back, second, sizeof second, &n_second), ==, PEN_STATUS_OK);
        g_assert_cmpuint(n_first, ==, n_second);
        g_assert_true(memcmp(first, second, n_first) == 0);
    }
}

/* No room is said, never overrun. */
static void
test_room(void)
{
    for (uint32_t seed = 1; seed <= 60; seed++) {
        Gen gen = gen_new(seed);
        PenRecordHeader header = gen_header(&gen);
        PenBody body;
        uint8_t out[PEN_RECORD_MAX];
        size_t n = 0;

        gen_body(&gen, gen_kind(&gen), &body);
        g_assert_cmpint(pen_record_encode(&header, &body, out, sizeof out, &n), ==, PEN_STATUS_OK);
        for (size_t room = 0; room < n; room++) {
            g_autofree uint8_t *exact = g_malloc(MAX(room, 1u));
            size_t n_written = 4711;
            g_assert_cmpint(pen_record_encode(&header, &body, exact, room, &n_written),
                            ==,
                            PEN_STATUS_NO_SPACE);
            g_assert_cmpuint(n_written, ==, 4711);
        }
    }
}

/* A block that says as much as a block may, and one sample more. */
static void
test_too_big(void)
{
    PenBody body = { .kind = PEN_BODY_SAMPLES };
    uint8_t out[PEN_RECORD_MAX];
    size_t n = 0;

    body.samples.n = PEN_SAMPLES_MAX;
    body.samples.interval_ticks = 1;
    body.samples.n_runs = 1;
    body.samples.run_ticks[0] = PEN_SAMPLES_MAX;
    g_assert_cmpint(encode(&body, out, &n), ==, PEN_STATUS_OK);
    for (uint32_t i = 0; i < PEN_SAMPLES_MAX; i += 2) {
        body.samples.depth_um[i] = 4095;
        body.samples.rate_dhz[i] = 10000;
        body.samples.load_permille[i] = 2000;
    }
    g_assert_cmpint(encode(&body, out, &n), ==, PEN_STATUS_NO_SPACE);
}

typedef struct {
    const char *name;
    const char *hex;
    PenStatus status;
} Case;

/* Fields of Samples: 08 interval, 12 depths, 1a rates, 22 loads, 2a runs. */
static const Case cases[] = {
    { "no kind at all, an empty unknown field", "c0 06 00", PEN_STATUS_UNKNOWN },
    { "a later minor version's kind", "7a 02 08 01", PEN_STATUS_UNKNOWN },
    { "control kind of a later version", "ba 01 02 08 01", PEN_STATUS_UNKNOWN },
    { "known kind with an unknown field in it", "3a 04 08 01 50 09", PEN_STATUS_OK },
    { "known kind and an unknown field beside it", "3a 02 08 01 c0 06 05", PEN_STATUS_OK },
    { "message cut short", "3a 02 08", PEN_STATUS_BAD_BODY },
    { "length beyond the end", "3a 7f 08 01", PEN_STATUS_BAD_BODY },
    { "varint without an end", "3a 0b 08 ff ff ff ff ff ff ff ff ff ff", PEN_STATUS_BAD_BODY },
    { "field number 0", "02 02 08 01", PEN_STATUS_BAD_BODY },
    { "group, a wire type nobody writes", "3b 08 01 3c", PEN_STATUS_BAD_BODY },
    { "kind as a number", "38 01", PEN_STATUS_BAD_BODY },
    { "one sample, one run", "1a 0c 08 0a 12 01 00 2a 01 0a 1a 00 22 00", PEN_STATUS_OK },
    { "no samples", "1a 05 08 0a 2a 01 0a", PEN_STATUS_BAD_BODY },
    { "empty samples", "1a 00", PEN_STATUS_BAD_BODY },
    { "interval 0", "1a 06 12 01 00 2a 01 00", PEN_STATUS_BAD_BODY },
    { "no runs", "1a 05 08 0a 12 01 00", PEN_STATUS_BAD_BODY },
    { "runs too short by one", "1a 08 08 0a 12 01 00 2a 01 09", PEN_STATUS_BAD_BODY },
    { "runs too long by one", "1a 08 08 0a 12 01 00 2a 01 0b", PEN_STATUS_BAD_BODY },
    { "first run 0", "1a 09 08 0a 12 01 00 2a 02 00 0a", PEN_STATUS_OK },
    { "second run 0", "1a 09 08 0a 12 01 00 2a 02 0a 00", PEN_STATUS_BAD_BODY },
    { "third run 0", "1a 0a 08 0a 12 01 00 2a 03 04 06 00", PEN_STATUS_BAD_BODY },
    { "runs that add up only modulo 2^32",
      "1a 0d 08 0a 12 01 00 2a 06 ff ff ff ff 0f 0b",
      PEN_STATUS_BAD_BODY },
    { "depth 4095", "1a 09 08 0a 12 02 fe 3f 2a 01 0a", PEN_STATUS_OK },
    { "depth 4096", "1a 09 08 0a 12 02 80 40 2a 01 0a", PEN_STATUS_BAD_BODY },
    { "depth -1", "1a 08 08 0a 12 01 01 2a 01 0a", PEN_STATUS_BAD_BODY },
    { "depth falls below 0 on the way",
      "1a 0a 08 05 12 03 02 03 02 2a 01 0f",
      PEN_STATUS_BAD_BODY },
    { "depth delta -2^31", "1a 0c 08 0a 12 05 ff ff ff ff 0f 2a 01 0a", PEN_STATUS_BAD_BODY },
    { "rate 10000", "1a 0d 08 0a 12 01 00 1a 03 a0 9c 01 2a 01 0a", PEN_STATUS_OK },
    { "rate 10001", "1a 0d 08 0a 12 01 00 1a 03 a2 9c 01 2a 01 0a", PEN_STATUS_BAD_BODY },
    { "load 2000", "1a 0c 08 0a 12 01 00 22 02 a0 1f 2a 01 0a", PEN_STATUS_OK },
    { "load 2001", "1a 0c 08 0a 12 01 00 22 02 a2 1f 2a 01 0a", PEN_STATUS_BAD_BODY },
    { "two depths, one rate", "1a 0c 08 05 12 02 00 00 1a 01 00 2a 01 0a", PEN_STATUS_BAD_BODY },
    { "one depth, two loads", "1a 0c 08 0a 12 01 00 22 02 00 00 2a 01 0a", PEN_STATUS_BAD_BODY },
    { "depth setting 4095", "32 03 08 ff 1f", PEN_STATUS_OK },
    { "depth setting 4096", "32 03 08 80 20", PEN_STATUS_BAD_BODY },
    { "begin with depth setting 4096", "0a 03 18 80 20", PEN_STATUS_BAD_BODY },
    { "100 needles", "22 02 20 64", PEN_STATUS_OK },
    { "101 needles", "22 02 20 65", PEN_STATUS_BAD_BODY },
    { "begin with 101 needles", "0a 04 12 02 20 65", PEN_STATUS_BAD_BODY },
    { "text of bytes that are not UTF-8", "42 03 12 01 ff", PEN_STATUS_BAD_BODY },
    { "text cut in a letter", "42 03 12 01 c3", PEN_STATUS_BAD_BODY },
    { "text in two bytes where one does", "42 04 12 02 c0 af", PEN_STATUS_BAD_BODY },
    { "text with half a surrogate pair", "42 05 12 03 ed a0 80", PEN_STATUS_BAD_BODY },
    { "text beyond U+10FFFF", "42 06 12 04 f4 90 80 80", PEN_STATUS_BAD_BODY },
    { "text with the last letter there is", "42 06 12 04 f4 8f bf bf", PEN_STATUS_OK },
    { "text with an escape", "42 06 12 04 1b 5b 32 4a", PEN_STATUS_BAD_BODY },
    { "text with a line feed", "42 03 12 01 0a", PEN_STATUS_BAD_BODY },
    { "cartridge id not UTF-8", "22 03 0a 01 ff", PEN_STATUS_BAD_BODY },
    { "removed cartridge's id not UTF-8", "2a 03 0a 01 ff", PEN_STATUS_BAD_BODY },
    { "firmware not UTF-8", "0a 03 22 01 ff", PEN_STATUS_BAD_BODY },
};

static size_t
parse_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;

    for (const char *at = hex; *at != '\0'; at += *at == ' ' ? 1 : 2) {
        if (*at != ' ') {
            out[n++] = (uint8_t)(g_ascii_xdigit_value(at[0]) << 4 | g_ascii_xdigit_value(at[1]));
        }
    }
    return n;
}

static void
test_case(gconstpointer data)
{
    const Case *one = data;
    uint8_t bytes[64];
    PenBody body;
    PenBody before;

    memset(&body, 0x5a, sizeof body);
    before = body;
    const size_t n = parse_hex(one->hex, bytes);
    g_assert_cmpint(decode_bytes(bytes, n, &body), ==, one->status);
    if (one->status != PEN_STATUS_OK) {
        assert_same(&body, &before);
    }
}

/* Counts and lengths at their limits and one beyond: built, as nobody types 257 samples. */
static void
test_limits(void)
{
    for (size_t n = PEN_SAMPLES_MAX; n <= PEN_SAMPLES_MAX + 1u; n++) {
        uint8_t body[BODY_MAX] = { 0x1a, 0, 0, 0x08, 0x01, 0x12 };
        const size_t n_message = 2 + 3 + n + 4;
        pen_wire_put(body + 1, 2, (n_message & 0x7fu) | 0x80u | n_message >> 7 << 8);
        pen_wire_put(body + 6, 2, (n & 0x7fu) | 0x80u | n >> 7 << 8);
        uint8_t *runs = body + 8 + n;
        pen_wire_put(runs, 2, 0x022a);
        pen_wire_put(runs + 2, 2, (n & 0x7fu) | 0x80u | n >> 7 << 8);
        PenBody out;
        const PenStatus status = decode_bytes(body, 3 + n_message, &out);
        g_assert_cmpint(status, ==, n == PEN_SAMPLES_MAX ? PEN_STATUS_OK : PEN_STATUS_BAD_BODY);
    }
    for (size_t n = PEN_CONTACT_RUNS_MAX; n <= PEN_CONTACT_RUNS_MAX + 1u; n++) {
        uint8_t body[BODY_MAX] = { 0x1a, (uint8_t)(7 + n), 0x08, (uint8_t)n, 0x12, 1, 0, 0x2a };
        body[8] = (uint8_t)n;
        memset(body + 9, 1, n);
        PenBody out;
        const PenStatus status = decode_bytes(body, 9 + n, &out);
        g_assert_cmpint(
            status, ==, n == PEN_CONTACT_RUNS_MAX ? PEN_STATUS_OK : PEN_STATUS_BAD_BODY);
    }
    for (size_t n = PEN_TEXT_MAX; n <= PEN_TEXT_MAX + 1u; n++) {
        uint8_t body[BODY_MAX] = { 0x42, (uint8_t)(n + 2), 0x12, (uint8_t)n };
        memset(body + 4, 'x', n);
        PenBody out;
        const PenStatus status = decode_bytes(body, 4 + n, &out);
        g_assert_cmpint(status, ==, n == PEN_TEXT_MAX ? PEN_STATUS_OK : PEN_STATUS_BAD_BODY);
    }
}

/* What decode would refuse, encode refuses: a simulator cannot send it by mistake. */
static void
test_refused(void)
{
    uint8_t out[PEN_RECORD_MAX];
    size_t n = 0;
    PenBody good = { .kind = PEN_BODY_SAMPLES };
    good.samples.n = 2;
    good.samples.interval_ticks = 10;
    good.samples.n_runs = 1;
    good.samples.run_ticks[0] = 20;
    g_assert_cmpint(encode(&good, out, &n), ==, PEN_STATUS_OK);
    for (uint32_t i = 0; i < 7; i++) {
        PenBody bad = good;
        bad.samples.depth_um[1] = i == 0 ? 4096 : 0;
        bad.samples.rate_dhz[1] = i == 1 ? 10001 : 0;
        bad.samples.load_permille[1] = i == 2 ? 2001 : 0;
        bad.samples.run_ticks[0] = i == 3 ? 19 : 20;
        bad.samples.n = i == 4 ? 0 : 2;
        bad.samples.interval_ticks = i == 5 ? 0 : 10;
        bad.samples.n_runs = i == 6 ? 2 : 1;
        g_assert_cmpint(encode(&bad, out, &n), ==, PEN_STATUS_BAD_BODY);
    }
    PenBody needles = { .kind = PEN_BODY_CARTRIDGE_ATTACHED };
    needles.cartridge.has_needles = true;
    needles.cartridge.needles = 101;
    g_assert_cmpint(encode(&needles, out, &n), ==, PEN_STATUS_BAD_BODY);
    PenBody setting = { .kind = PEN_BODY_DEPTH_SETTING };
    setting.depth_setting.depth_um = 4096;
    g_assert_cmpint(encode(&setting, out, &n), ==, PEN_STATUS_BAD_BODY);
    PenBody text = { .kind = PEN_BODY_FAULT };
    text.fault.text[0] = '\xff';
    g_assert_cmpint(encode(&text, out, &n), ==, PEN_STATUS_BAD_BODY);
    PenBody unknown = { .kind = PEN_BODY_UNKNOWN };
    g_assert_cmpint(encode(&unknown, out, &n), ==, PEN_STATUS_BAD_BODY);
    unknown.kind = (PenBodyKind)15;
    g_assert_cmpint(encode(&unknown, out, &n), ==, PEN_STATUS_BAD_BODY);
}

static PenFeature
make_feature(Gen *gen)
{
    PenFeature feature;

    memset(&feature, 0, sizeof feature);
    feature.major = PEN_PROFILE_MAJOR;
    feature.minor = (uint8_t)gen_next(gen);
    g_strlcpy(feature.serial, gen_percent(gen, 50) ? "P" : "0123456789.ABCDEFGHIJ-abcdefghij", 33);
    gen_text(gen, feature.firmware, 32);
    gen_text(gen, feature.model, 32);
    feature.log_id = gen_percent(gen, 20) ? UINT64_MAX : gen_next(gen) | 1u;
    feature.boot = gen_u32(gen);
    feature.newest = gen_u32(gen);
    feature.oldest = feature.newest == 0 ? 0 : (uint32_t)gen_range(gen, 1, feature.newest);
    feature.marked = (uint32_t)gen_range(gen, 0, feature.newest);
    feature.overwritten_unmarked = gen_u32(gen);
    feature.overwritten_first = gen_u32(gen);
    feature.overwritten_last = gen_u32(gen);
    feature.sample_interval_ticks = gen_u32(gen);
    feature.strokes_per_rev_permille = gen_u32(gen);
    feature.capacity_records = gen_u32(gen);
    feature.free_permille = gen_u32(gen);
    feature.tick_unit = (uint32_t)gen_range(gen, 0, 1);
    feature.tick_now = gen_next(gen) & ((UINT64_C(1) << 48) - 1u);
    return feature;
}

static void
test_feature(void)
{
    for (uint32_t seed = 1; seed <= 200; seed++) {
        Gen gen = gen_new(seed);
        const PenFeature feature = make_feature(&gen);
        PenFeature back;
        uint8_t bytes[512];
        size_t n = 0;
        memset(&back, 0, sizeof back);
        g_assert_cmpint(pen_feature_encode(&feature, bytes, sizeof bytes, &n), ==, PEN_STATUS_OK);
        g_assert_cmpint(pen_feature_decode(bytes, n, &back), ==, PEN_STATUS_OK);
        g_assert_true(memcmp(&feature, &back, sizeof back) == 0);
        for (size_t shorter = 0; shorter < 2; shorter++) {
            g_assert_cmpint(pen_feature_decode(bytes, shorter, &back), ==, PEN_STATUS_SHORT);
        }
        /* A cut value never passes for another pen: log id and serial are required. */
        for (size_t shorter = 2; shorter < n; shorter++) {
            PenFeature cut;
            const PenStatus status = pen_feature_decode(bytes, shorter, &cut);
            g_assert_true(status == PEN_STATUS_BAD_BODY ||
                          (status == PEN_STATUS_OK && cut.log_id == feature.log_id));
        }
    }
}

static void
test_feature_refused(void)
{
    for (uint32_t i = 0; i < 9; i++) {
        Gen gen = gen_new(i);
        PenFeature feature = make_feature(&gen);
        PenFeature out = { .boot = 4711 };
        uint8_t bytes[512];
        size_t n = 0;
        feature.newest = 100;
        feature.oldest = i == 0 ? 101 : i == 1 ? 0 : 1;
        feature.marked = i == 2 ? 101 : 100;
        feature.log_id = i == 3 ? 0 : 1;
        g_strlcpy(feature.serial, i == 4 ? "" : i == 5 ? "A B" : "A", sizeof feature.serial);
        feature.tick_unit = i == 6 ? 2 : 1;
        g_strlcpy(feature.model, i == 7 ? "\xff" : "m", sizeof feature.model);
        feature.tick_now = i == 8 ? UINT64_C(1) << 48 : 0;
        g_assert_cmpint(pen_feature_encode(&feature, bytes, sizeof bytes, &n), ==, PEN_STATUS_OK);
        g_assert_cmpint(pen_feature_decode(bytes, n, &out), ==, PEN_STATUS_BAD_BODY);
        g_assert_cmpuint(out.boot, ==, 4711);
    }
    const uint8_t later[] = { 2, 7, 0xff };
    PenFeature out = { .boot = 4711 };
    g_assert_cmpint(pen_feature_decode(later, sizeof later, &out), ==, PEN_STATUS_VERSION);
    g_assert_cmpuint(out.major, ==, 2);
    g_assert_cmpuint(out.minor, ==, 7);
    g_assert_cmpuint(out.boot, ==, 4711);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/body/there-and-back/%d", (int)kinds[i]);
        g_test_add_data_func(path, &kinds[i], test_there_and_back);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdelimit(g_strdup(cases[i].name), " /", '-');
        g_autofree char *path = g_strconcat("/body/case/", name, NULL);
        g_test_add_data_func(path, &cases[i], test_case);
    }
    g_test_add_func("/body/room", test_room);
    g_test_add_func("/body/too-big", test_too_big);
    g_test_add_func("/body/limits", test_limits);
    g_test_add_func("/body/refused", test_refused);
    g_test_add_func("/feature/there-and-back", test_feature);
    g_test_add_func("/feature/refused", test_feature_refused);
    return g_test_run();
}
