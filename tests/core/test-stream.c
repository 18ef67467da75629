/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * From notifications to records: however a stream is cut, the same records come out, and
 * whatever is lost, doubled or swapped on the way, nothing that was never sent does.
 */
#include "core/crc32c.h"
#include "core/segment.h"
#include "core/wire.h"
#include "gen.h"

#include <glib.h>

#include <string.h>

#define N_RECORDS    20u
#define SEGMENTS_MAX 64u

typedef struct {
    uint8_t bytes[517];
    size_t n_bytes;
} Segment;

static GPtrArray *
make_records(Gen *gen)
{
    g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

    for (uint32_t i = 0; i < N_RECORDS; i++) {
        uint8_t bytes[PEN_RECORD_MAX];
        const size_t n = gen_record(gen, bytes);
        g_ptr_array_add(records, g_bytes_new(bytes, n));
    }
    return g_steal_pointer(&records);
}

static GArray *
cut(Gen *gen, const GPtrArray *records, size_t mtu)
{
    GArray *stream = g_array_new(FALSE, FALSE, sizeof(Segment));
    uint8_t counter = (uint8_t)gen_range(gen, 0, 63);

    for (guint i = 0; i < records->len; i++) {
        uint8_t parts[SEGMENTS_MAX][517];
        size_t n_bytes[SEGMENTS_MAX];
        size_t n_record = 0;
        const uint8_t *record = g_bytes_get_data(g_ptr_array_index(records, i), &n_record);
        const size_t each = mtu != 0 ? mtu : (size_t)gen_range(gen, 23, 517);
        const size_t n = gen_segments(record, n_record, each, &counter, parts, n_bytes);
        for (size_t k = 0; k < n; k++) {
            Segment segment = { .n_bytes = n_bytes[k] };
            memcpy(segment.bytes, parts[k], n_bytes[k]);
            g_array_append_val(stream, segment);
        }
    }
    return stream;
}

/* What comes out whole, in order. */
static GPtrArray *
reassemble(const GArray *stream)
{
    GPtrArray *whole = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    PenReassembly reassembly;

    pen_reassembly_init(&reassembly);
    for (guint i = 0; i < stream->len; i++) {
        const Segment *segment = &g_array_index(stream, Segment, i);
        const uint8_t *record = NULL;
        size_t n_record = 0;
        PenRecordHeader header;
        if (pen_reassembly_push(
                &reassembly, segment->bytes, segment->n_bytes, &record, &n_record) ==
                PEN_STATUS_OK &&
            pen_record_check(record, n_record, &header) == PEN_STATUS_OK) {
            g_ptr_array_add(whole, g_bytes_new(record, n_record));
        }
    }
    return whole;
}

static void
test_rechunked(void)
{
    for (uint32_t seed = 1; seed <= 40; seed++) {
        Gen gen = gen_new(seed);
        g_autoptr(GPtrArray) records = make_records(&gen);
        for (size_t mtu = 22u; mtu <= 517u; mtu += 1u + seed) {
            /* 0: each record by another MTU, as no link does */
            g_autoptr(GArray) stream = cut(&gen, records, mtu == 22u ? 0 : mtu);
            g_autoptr(GPtrArray) whole = reassemble(stream);
            g_assert_cmpuint(whole->len, ==, records->len);
            for (guint i = 0; i < whole->len; i++) {
                g_assert_true(
                    g_bytes_equal(g_ptr_array_index(whole, i), g_ptr_array_index(records, i)));
            }
        }
    }
}

static void
test_every_mtu(void)
{
    Gen gen = gen_new(99);
    g_autoptr(GPtrArray) records = make_records(&gen);

    for (size_t mtu = 23; mtu <= 517; mtu++) {
        g_autoptr(GArray) stream = cut(&gen, records, mtu);
        g_autoptr(GPtrArray) whole = reassemble(stream);
        g_assert_cmpuint(whole->len, ==, records->len);
    }
}

static void
harm(Gen *gen, GArray *stream)
{
    if (stream->len < 2) {
        return;
    }
    const guint at = (guint)gen_range(gen, 0, stream->len - 2u);
    Segment *one = &g_array_index(stream, Segment, at);
    Segment *next = &g_array_index(stream, Segment, at + 1u);
    const Segment copy = *one;

    switch (gen_range(gen, 0, 4)) {
    case 0:
        g_array_remove_index(stream, at);
        break;
    case 1:
        g_array_insert_val(stream, at, copy);
        break;
    case 2:
        *one = *next;
        *next = copy;
        break;
    case 3: /* exactly a whole turn of the counter is lost, unless the stream ends */
        g_array_remove_range(stream, at, MIN(64u, stream->len - at));
        break;
    default:
        one->n_bytes = (size_t)gen_range(gen, 0, one->n_bytes);
        break;
    }
}

/* Every whole record was sent; returns how many of @records came, in whatever number. */
static guint
count_known(GPtrArray *records, GPtrArray *whole)
{
    guint n_seen = 0;

    for (guint i = 0; i < whole->len; i++) {
        g_assert_true(g_ptr_array_find_with_equal_func(
            records, g_ptr_array_index(whole, i), g_bytes_equal, NULL));
    }
    for (guint i = 0; i < records->len; i++) {
        n_seen += g_ptr_array_find_with_equal_func(
                      whole, g_ptr_array_index(records, i), g_bytes_equal, NULL)
                      ? 1u
                      : 0u;
    }
    return n_seen;
}

static void
test_harmed(void)
{
    guint n_lost = 0;

    for (uint32_t seed = 1; seed <= 400; seed++) {
        Gen gen = gen_new(seed);
        g_autoptr(GPtrArray) records = make_records(&gen);
        g_autoptr(GPtrArray) later = make_records(&gen);
        g_autoptr(GArray) stream = cut(&gen, records, seed % 2u == 0 ? 23 : 64);
        for (uint64_t n = gen_range(&gen, 1, 6); n > 0; n--) {
            harm(&gen, stream);
        }
        g_autoptr(GPtrArray) whole = reassemble(stream);
        n_lost += records->len - count_known(records, whole);
        /* Whatever was left half done costs no record of those that follow. */
        g_autoptr(GArray) tail = cut(&gen, later, 23);
        g_array_append_vals(stream, tail->data, tail->len);
        g_autoptr(GPtrArray) all = reassemble(stream);
        for (guint i = 0; i < later->len; i++) {
            g_ptr_array_add(records, g_bytes_ref(g_ptr_array_index(later, i)));
        }
        (void)count_known(records, all);
        for (guint i = 0; i < later->len; i++) {
            const gpointer wanted = g_ptr_array_index(later, i);
            g_assert_true(g_ptr_array_find_with_equal_func(all, wanted, g_bytes_equal, NULL));
        }
    }
    g_assert_cmpuint(n_lost, >, 400);
}

/* After single losses exactly the records touched are missing. */
static void
test_one_lost(void)
{
    for (uint32_t seed = 1; seed <= 100; seed++) {
        Gen gen = gen_new(seed);
        g_autoptr(GPtrArray) records = make_records(&gen);
        g_autoptr(GArray) stream = cut(&gen, records, 23);
        g_array_remove_index(stream, (guint)gen_range(&gen, 0, stream->len - 1u));
        g_autoptr(GPtrArray) whole = reassemble(stream);
        g_assert_cmpuint(whole->len, ==, records->len - 1u);
        (void)count_known(records, whole);
    }
}

/* The counter alone tells of a lost segment, before any CRC is looked at. */
static void
test_counter(void)
{
    static const uint8_t pieces[][2] = {
        { 62u << 2 | PEN_SEGMENT_FIRST, 1 }, /* 62 opens a record, 63 is lost */
        { 0u << 2, 2 },
        { 1u << 2 | PEN_SEGMENT_LAST, 3 },
        { 2u << 2 | PEN_SEGMENT_FIRST, 4 },
        { 2u << 2, 5 }, /* the same counter once more */
        { 3u << 2 | PEN_SEGMENT_LAST, 6 },
        { 4u << 2 | PEN_SEGMENT_FIRST, 7 },
        { 5u << 2 | PEN_SEGMENT_LAST, 8 },
    };
    static const PenStatus expected[] = {
        PEN_STATUS_AGAIN,       PEN_STATUS_BAD_COUNTER, PEN_STATUS_BAD_COUNTER, PEN_STATUS_AGAIN,
        PEN_STATUS_BAD_COUNTER, PEN_STATUS_BAD_COUNTER, PEN_STATUS_AGAIN,       PEN_STATUS_OK,
    };
    PenReassembly reassembly;
    const uint8_t *record = NULL;
    size_t n_record = 0;

    pen_reassembly_init(&reassembly);
    for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
        const PenStatus status =
            pen_reassembly_push(&reassembly, pieces[i], sizeof pieces[i], &record, &n_record);
        g_assert_cmpint(status, ==, expected[i]);
    }
    g_assert_cmpuint(n_record, ==, 2);
    g_assert_true(record[0] == 7 && record[1] == 8);
    g_assert_cmpuint(reassembly.n_lost, >=, 2);
}

/* A pen that never sends a last segment, or too long a record, costs no more than itself. */
static void
test_endless(void)
{
    uint8_t segment[101] = { PEN_SEGMENT_FIRST };
    PenReassembly reassembly;
    const uint8_t *record = NULL;
    size_t n_record = 0;
    uint32_t n_too_long = 0;

    pen_reassembly_init(&reassembly);
    for (uint32_t i = 0; i < 5000; i++) {
        segment[0] = (uint8_t)((i % 64u) << 2 | (i == 0 ? PEN_SEGMENT_FIRST : 0u));
        const PenStatus status =
            pen_reassembly_push(&reassembly, segment, sizeof segment, &record, &n_record);
        n_too_long += status == PEN_STATUS_TOO_LONG;
        g_assert_cmpint(status, !=, PEN_STATUS_OK);
    }
    g_assert_cmpuint(n_too_long, ==, 1);

    Gen gen = gen_new(1);
    uint8_t bytes[PEN_RECORD_MAX];
    uint8_t parts[SEGMENTS_MAX][517];
    size_t n_bytes[SEGMENTS_MAX];
    uint8_t counter = 17;
    const size_t n_sent = gen_record(&gen, bytes);
    const size_t n = gen_segments(bytes, n_sent, 64, &counter, parts, n_bytes);
    PenStatus status = PEN_STATUS_AGAIN;
    for (size_t i = 0; i < n; i++) {
        status = pen_reassembly_push(&reassembly, parts[i], n_bytes[i], &record, &n_record);
    }
    g_assert_cmpint(status, ==, PEN_STATUS_OK);
    g_assert_cmpuint(n_record, ==, n_sent);
    g_assert_true(memcmp(record, bytes, n_sent) == 0);
}

/* 1024 bytes fit, one more does not. */
static void
test_longest(void)
{
    uint8_t segment[1 + PEN_RECORD_MAX + 1] = { PEN_SEGMENT_FIRST | PEN_SEGMENT_LAST };
    PenReassembly reassembly;
    const uint8_t *record = NULL;
    size_t n_record = 0;

    pen_reassembly_init(&reassembly);
    g_assert_cmpint(
        pen_reassembly_push(&reassembly, segment, 1 + PEN_RECORD_MAX, &record, &n_record),
        ==,
        PEN_STATUS_OK);
    g_assert_cmpuint(n_record, ==, PEN_RECORD_MAX);
    segment[0] |= 1u << 2;
    g_assert_cmpint(pen_reassembly_push(&reassembly, segment, sizeof segment, &record, &n_record),
                    ==,
                    PEN_STATUS_TOO_LONG);
    g_assert_cmpint(
        pen_reassembly_push(&reassembly, segment, 1, &record, &n_record), ==, PEN_STATUS_SHORT);
    g_assert_cmpint(
        pen_reassembly_push(&reassembly, segment, 0, &record, &n_record), ==, PEN_STATUS_SHORT);
}

/* Every byte of a record counts, and so does its length. */
static void
test_damaged(void)
{
    for (uint32_t seed = 1; seed <= 100; seed++) {
        Gen gen = gen_new(seed);
        uint8_t bytes[PEN_RECORD_MAX + 1];
        PenRecordHeader header = { .number = 12345 };
        const size_t n = gen_record(&gen, bytes);
        for (size_t i = 0; i < n; i++) {
            const uint8_t flip = (uint8_t)gen_range(&gen, 1, 255);
            bytes[i] ^= flip;
            const PenStatus status = pen_record_check(bytes, n, &header);
            g_assert_cmpint(status, ==, i < 2 ? PEN_STATUS_BAD_LENGTH : PEN_STATUS_BAD_CRC);
            bytes[i] ^= flip;
        }
        for (size_t shorter = 0; shorter < n; shorter++) {
            const PenStatus status = pen_record_check(bytes, shorter, &header);
            g_assert_cmpint(status, ==, shorter < 29 ? PEN_STATUS_SHORT : PEN_STATUS_BAD_LENGTH);
        }
        g_assert_cmpint(
            pen_record_check(bytes, PEN_RECORD_MAX + 1, &header), ==, PEN_STATUS_TOO_LONG);
        g_assert_cmpuint(header.number, ==, 12345);
        g_assert_cmpint(pen_record_check(bytes, n, &header), ==, PEN_STATUS_OK);
    }
}

/* A frame without a body has a right CRC and a length that the profile forbids. */
static void
test_no_body(void)
{
    uint8_t bytes[28] = { sizeof bytes };
    PenRecordHeader header;
    PenBody body;

    pen_wire_put(bytes + 24, 4, pen_crc32c(bytes, 24));
    g_assert_cmpint(pen_record_check(bytes, sizeof bytes, &header), ==, PEN_STATUS_SHORT);
    g_assert_cmpint(pen_record_decode(bytes, sizeof bytes, &body), ==, PEN_STATUS_SHORT);
}

/* Bit by bit from the polynomial as the profile writes it, not from the table. */
static uint32_t
slow_crc(const uint8_t *bytes, size_t n)
{
    uint32_t crc = 0xffffffffu;

    for (size_t i = 0; i < n * 8u; i++) {
        const uint32_t bit = (uint32_t)(bytes[i / 8u] >> i % 8u) & 1u;
        crc = (crc >> 1) ^ (((crc ^ bit) & 1u) != 0 ? 0x82f63b78u : 0u);
    }
    return crc ^ 0xffffffffu;
}

static void
test_crc(void)
{
    g_assert_cmphex(pen_crc32c(NULL, 0), ==, 0);
    g_assert_cmphex(pen_crc32c((const uint8_t *)"123456789", 9), ==, 0xe3069283u);
    for (uint32_t seed = 1; seed <= 50; seed++) {
        Gen gen = gen_new(seed);
        uint8_t bytes[300];
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)gen_next(&gen);
        }
        const size_t n = (size_t)gen_range(&gen, 1, sizeof bytes);
        g_assert_cmphex(pen_crc32c(bytes, n), ==, slow_crc(bytes, n));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream/rechunked", test_rechunked);
    g_test_add_func("/stream/every-mtu", test_every_mtu);
    g_test_add_func("/stream/harmed", test_harmed);
    g_test_add_func("/stream/one-lost", test_one_lost);
    g_test_add_func("/stream/counter", test_counter);
    g_test_add_func("/stream/endless", test_endless);
    g_test_add_func("/stream/longest", test_longest);
    g_test_add_func("/stream/damaged", test_damaged);
    g_test_add_func("/stream/no-body", test_no_body);
    g_test_add_func("/stream/crc", test_crc);
    return g_test_run();
}
