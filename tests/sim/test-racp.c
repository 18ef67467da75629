/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * The Record Access Control Point as pen-telemetry-service.md, 7, writes it, asked byte by
 * byte of a pen without a bus, in its own time.
 */
#include "core/record.h"
#include "pen.h"

#include <string.h>

#define TICK_US  5000
#define LIMIT_US INT64_C(120000000)

/* A gateway that hears everything. */
typedef struct {
    SimPen *pen; /* owned */
    int64_t now_us;
    bool linked;
    GByteArray *response; /* owned; the indications, one after another */
    guint n_responses;
    GByteArray *partial; /* owned; of the record under way */
    uint8_t counter;
    guint n_items; /* records and holes since the last request */
    guint n_ends;
    PenBody end; /* the last range_end */
} Bench;

static void
take_segment(Bench *bench, const uint8_t *bytes, size_t n_bytes)
{
    PenRecordHeader header = { 0 };
    PenBody body = { 0 };

    g_assert_cmpuint(n_bytes, >, 1);
    g_assert_cmpuint(bytes[0] >> 2, ==, bench->counter);
    bench->counter = (uint8_t)((bench->counter + 1u) & 63u);
    if ((bytes[0] & 1u) != 0) {
        g_byte_array_set_size(bench->partial, 0);
    }
    g_byte_array_append(bench->partial, bytes + 1, (guint)n_bytes - 1u);
    if ((bytes[0] & 2u) == 0) {
        return;
    }
    const uint8_t *record = bench->partial->data;
    const size_t n_record = bench->partial->len;
    g_assert_cmpint(pen_record_check(record, n_record, &header), ==, PEN_STATUS_OK);
    g_assert_cmpint(pen_record_decode(record, n_record, &body), ==, PEN_STATUS_OK);
    if (body.kind == PEN_BODY_RANGE_END) {
        g_assert_cmpuint(header.number, ==, 0);
        g_assert_cmpuint(header.session, ==, 0);
        bench->end = body;
        bench->n_ends++;
        return;
    }
    bench->n_items++;
}

static void
on_notify(void *user_data, SimChrc chrc, const uint8_t *bytes, size_t n_bytes)
{
    Bench *bench = user_data;

    if (chrc == SIM_CHRC_RACP) {
        g_byte_array_append(bench->response, bytes, (guint)n_bytes);
        bench->n_responses++;
    } else if (chrc == SIM_CHRC_STORED) {
        take_segment(bench, bytes, n_bytes);
    }
}

static void
on_closed(void *user_data)
{
    Bench *bench = user_data;

    bench->linked = false;
}

static void
link_up(Bench *bench)
{
    static const SimLinkOps ops = { .notify = on_notify, .closed = on_closed };

    bench->linked = true;
    bench->counter = 0;
    sim_pen_link_up(bench->pen, &ops, bench, bench->now_us);
    sim_pen_set_subscribed(bench->pen, SIM_CHRC_RACP, true);
    sim_pen_set_subscribed(bench->pen, SIM_CHRC_STORED, true);
}

static void
step(Bench *bench)
{
    bench->now_us += TICK_US;
    sim_pen_tick(bench->pen, bench->now_us);
}

static PenFeature
read_feature(Bench *bench)
{
    g_autoptr(GByteArray) value = sim_pen_read_feature(bench->pen, bench->now_us);
    PenFeature feature = { 0 };

    g_assert_cmpint(pen_feature_decode(value->data, value->len, &feature), ==, PEN_STATUS_OK);
    return feature;
}

static SimOptions
make_options(void)
{
    return (SimOptions){
        .seed = 5,
        .n_pens = 1,
        .n_sessions = 3,
        .passes_min = 4,
        .passes_max = 4,
        .capacity = 40,
        .mtu = 64,
        .rate = 2000,
        .speed = 50.0,
    };
}

/* A pen that has treated, or one that never will: it waits for a bond nobody makes. */
static void
bench_init(Bench *bench, const SimOptions *options)
{
    memset(bench, 0, sizeof *bench);
    bench->now_us = 1000000;
    bench->response = g_byte_array_new();
    bench->partial = g_byte_array_new();
    bench->pen = sim_pen_new(options, 0, bench->now_us);
    while (!options->wait_for_bond && !sim_pen_is_done(bench->pen)) {
        g_assert_cmpint(bench->now_us, <, LIMIT_US);
        step(bench);
    }
    link_up(bench);
}

static void
bench_clear(Bench *bench)
{
    sim_pen_link_down(bench->pen);
    sim_pen_free(bench->pen);
    g_byte_array_unref(bench->response);
    g_byte_array_unref(bench->partial);
}

static uint8_t
write_racp(Bench *bench, const uint8_t *bytes, size_t n_bytes)
{
    return sim_pen_write_racp(bench->pen, bytes, n_bytes, bench->now_us);
}

static void
forget_answers(Bench *bench)
{
    g_byte_array_set_size(bench->response, 0);
    bench->n_responses = 0;
    bench->n_items = 0;
    bench->n_ends = 0;
}

static void
await(Bench *bench, guint n_responses)
{
    const int64_t end_us = bench->now_us + 5000000;

    while (bench->n_responses < n_responses) {
        g_assert_cmpint(bench->now_us, <, end_us);
        step(bench);
    }
    for (int i = 0; i < 20; i++) {
        step(bench); /* nothing may follow */
    }
    g_assert_cmpuint(bench->n_responses, ==, n_responses);
}

static void
assert_response(const Bench *bench, const char *hex)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < bench->response->len; i++) {
        g_string_append_printf(text, "%02x", bench->response->data[i]);
    }
    g_assert_cmpstr(text->str, ==, hex);
}

/* @hex may contain the words OLDEST and NEWEST; spaces are for the reader. */
static size_t
parse_request(Bench *bench, const char *hex, uint8_t *out)
{
    const PenFeature feature = read_feature(bench);
    size_t n = 0;

    for (const char *at = hex; *at != '\0';) {
        if (*at == ' ') {
            at++;
        } else if (g_str_has_prefix(at, "OLDEST") || g_str_has_prefix(at, "NEWEST")) {
            const uint32_t le = GUINT32_TO_LE(*at == 'O' ? feature.oldest : feature.newest);
            memcpy(out + n, &le, 4);
            n += 4;
            at += 6;
        } else {
            out[n++] = (uint8_t)(g_ascii_xdigit_value(at[0]) << 4 | g_ascii_xdigit_value(at[1]));
            at += 2;
        }
    }
    return n;
}

static void
ask(Bench *bench, const char *hex)
{
    uint8_t request[16];
    const size_t n = parse_request(bench, hex, request);

    forget_answers(bench);
    g_assert_cmphex(write_racp(bench, request, n), ==, SIM_ATT_OK);
    await(bench, 1);
}

static void
assert_end(Bench *bench, uint32_t first, uint32_t last, guint n_sent)
{
    const PenFeature feature = read_feature(bench);

    g_assert_cmpuint(bench->n_ends, ==, 1);
    g_assert_cmpuint(bench->n_items, ==, n_sent);
    g_assert_cmpuint(bench->end.range_end.sent, ==, n_sent);
    g_assert_cmpuint(bench->end.range_end.first, ==, first);
    g_assert_cmpuint(bench->end.range_end.last, ==, last);
    g_assert_cmpuint(bench->end.range_end.oldest, ==, feature.oldest);
    g_assert_cmpuint(bench->end.range_end.newest, ==, feature.newest);
    g_assert_cmpuint(bench->end.range_end.marked, ==, feature.marked);
}

static void
test_reports(void)
{
    const SimOptions options = make_options();
    Bench bench;
    bench_init(&bench, &options);
    const PenFeature log = read_feature(&bench);

    g_assert_cmpuint(log.oldest, >, 1);
    g_assert_cmpuint(log.newest - log.oldest + 1u, ==, options.capacity);
    ask(&bench, "01 01");
    assert_response(&bench, "06000101");
    assert_end(&bench, 1, UINT32_MAX, options.capacity);
    ask(&bench, "01 03 01 02000000");
    assert_end(&bench, 2, UINT32_MAX, options.capacity);
    ask(&bench, "01 04 01 01000000 OLDEST");
    assert_end(&bench, 1, log.oldest, 1);
    ask(&bench, "01 04 01 NEWEST ffffffff");
    assert_end(&bench, log.newest, UINT32_MAX, 1);
    ask(&bench, "01 05");
    assert_end(&bench, log.oldest, log.oldest, 1);
    ask(&bench, "01 06");
    assert_end(&bench, log.newest, log.newest, 1);
    ask(&bench, "07 06");
    assert_response(&bench, "080001000000");
    assert_end(&bench, log.newest, log.newest, 1);
    ask(&bench, "01 04 01 01000000 01000000"); /* overwritten long ago */
    assert_response(&bench, "06000106");
    assert_end(&bench, 1, 1, 0);
    ask(&bench, "07 04 01 01000000 01000000");
    assert_response(&bench, "06000706");
    assert_end(&bench, 1, 1, 0);
    ask(&bench, "04 01");
    assert_response(&bench, "050028000000");
    g_assert_cmpuint(bench.n_ends + bench.n_items, ==, 0);
    bench_clear(&bench);
}

static void
test_empty_log(void)
{
    SimOptions options = make_options();
    Bench bench;
    options.wait_for_bond = true;
    bench_init(&bench, &options);
    const PenFeature log = read_feature(&bench);

    g_assert_cmpuint(log.oldest + log.newest + log.marked, ==, 0);
    g_assert_cmpuint(log.free_permille, ==, 1000);
    ask(&bench, "01 01");
    assert_response(&bench, "06000106");
    assert_end(&bench, 1, UINT32_MAX, 0);
    ask(&bench, "01 05");
    assert_end(&bench, 0, 0, 0);
    ask(&bench, "01 06");
    assert_end(&bench, 0, 0, 0);
    ask(&bench, "04 01");
    assert_response(&bench, "050000000000");
    ask(&bench, "02 02 01 01000000");
    assert_response(&bench, "06000205");
    bench_clear(&bench);
}

/* The order of the checks, one rule of the document a line. */
static void
test_refusals(void)
{
    static const struct {
        const char *request;
        const char *response;
    } cases[] = {
        { "00 00", "06000002" },
        { "05 00", "06000502" },
        { "06 00", "06000602" },
        { "08 00", "06000802" },
        { "ff 01", "0600ff02" },
        { "01 00", "06000103" },
        { "01 07", "06000103" },
        { "04 07 02", "06000403" },
        { "02 00", "06000203" },
        { "02 07 01 01000000", "06000203" },
        { "02 01", "06000204" },
        { "02 03 01 01000000", "06000204" },
        { "01 03", "06000105" },
        { "01 03 02", "06000109" },
        { "01 04 02 01000000 02000000", "06000109" },
        { "01 04 01 01000000", "06000105" },
        { "01 03 01 01000000 00", "06000105" },
        { "01 01 01", "06000105" },
        { "01 05 01", "06000105" },
        { "01 03 01 00000000", "06000105" },
        { "01 04 01 00000000 01000000", "06000105" },
        { "01 04 01 02000000 01000000", "06000105" },
        { "02 02", "06000205" },
        { "02 02 02 01000000", "06000209" },
        { "02 02 01 00000000", "06000205" },
        { "02 02 01 ffffffff", "06000205" },
        { "02 02 01 010000", "06000205" },
        { "03 00", "06000307" },
        { "03 01", "06000303" },
        { "03 00 00", "06000305" },
    };
    const SimOptions options = make_options();
    Bench bench;
    bench_init(&bench, &options);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].request);
        ask(&bench, cases[i].request);
        assert_response(&bench, cases[i].response);
        g_assert_cmpuint(bench.n_ends + bench.n_items, ==, 0);
    }
    g_assert_cmpuint(read_feature(&bench).marked, ==, 0);
    bench_clear(&bench);
}

static void
test_marks(void)
{
    const SimOptions options = make_options();
    Bench bench;
    bench_init(&bench, &options);
    const PenFeature log = read_feature(&bench);

    ask(&bench, "02 02 01 01000000"); /* below oldest */
    assert_response(&bench, "06000201");
    g_assert_cmpuint(read_feature(&bench).marked, ==, 1);
    ask(&bench, "02 02 01 NEWEST");
    assert_response(&bench, "06000201");
    ask(&bench, "02 02 01 OLDEST"); /* does not take the greater one back */
    assert_response(&bench, "06000201");
    g_assert_cmpuint(read_feature(&bench).marked, ==, log.newest);
    g_assert_cmpuint(read_feature(&bench).free_permille, ==, 1000);
    ask(&bench, "01 01"); /* a mark erases nothing */
    assert_end(&bench, 1, UINT32_MAX, options.capacity);
    bench_clear(&bench);
}

static void
test_att_errors(void)
{
    static const uint8_t request[12] = { 1, 1 };
    const SimOptions options = make_options();
    Bench bench;
    bench_init(&bench, &options);

    sim_pen_set_subscribed(bench.pen, SIM_CHRC_RACP, false);
    g_assert_cmphex(write_racp(&bench, request, 1), ==, SIM_ATT_INVALID_LENGTH);
    g_assert_cmphex(write_racp(&bench, request, 12), ==, SIM_ATT_INVALID_LENGTH);
    g_assert_cmphex(write_racp(&bench, request, 2), ==, SIM_ATT_CCC_IMPROPER);
    sim_pen_set_subscribed(bench.pen, SIM_CHRC_RACP, true);
    g_assert_cmphex(write_racp(&bench, request, 2), ==, SIM_ATT_OK);
    g_assert_cmphex(write_racp(&bench, request, 2), ==, SIM_ATT_PROCEDURE_RUNS);
    await(&bench, 1); /* the refused write neither ended nor doubled it */
    assert_end(&bench, 1, UINT32_MAX, options.capacity);
    bench_clear(&bench);
}

static void
begin_slow_report(Bench *bench)
{
    static const uint8_t all[] = { 1, 1 };

    forget_answers(bench);
    g_assert_cmphex(write_racp(bench, all, sizeof all), ==, SIM_ATT_OK);
    for (int i = 0; i < 20 && bench->n_items < 3; i++) {
        step(bench);
    }
    g_assert_cmpuint(bench->n_items, >=, 3);
    g_assert_cmpuint(bench->n_items, <, 30);
}

static void
test_abort(void)
{
    static const uint8_t abort_it[] = { 3, 0 };
    static const uint8_t bad_abort[] = { 3, 1 };
    static const uint8_t count_all[] = { 4, 1 };
    SimOptions options = make_options();
    Bench bench;
    options.rate = 200;
    bench_init(&bench, &options);

    begin_slow_report(&bench);
    g_assert_cmphex(write_racp(&bench, abort_it, 2), ==, SIM_ATT_OK);
    await(&bench, 1);
    assert_response(&bench, "06000301");
    g_assert_cmpuint(bench.n_ends, ==, 0);
    g_assert_cmpuint(bench.n_items, <, 30);

    begin_slow_report(&bench);
    g_assert_cmphex(write_racp(&bench, bad_abort, 2), ==, SIM_ATT_OK);
    await(&bench, 2); /* refused, and the report goes on to its end */
    assert_response(&bench, "0600030306000101");
    assert_end(&bench, 1, UINT32_MAX, options.capacity);

    options.slow_racp_ms = 500;
    forget_answers(&bench);
    g_assert_cmphex(write_racp(&bench, count_all, 2), ==, SIM_ATT_OK);
    g_assert_cmphex(write_racp(&bench, abort_it, 2), ==, SIM_ATT_OK);
    await(&bench, 2);
    assert_response(&bench, "05002800000006000307");
    bench_clear(&bench);
}

/* A report does not outlive its subscription, nor its link. */
static void
test_cut_off(void)
{
    SimOptions options = make_options();
    Bench bench;
    options.rate = 200;
    bench_init(&bench, &options);

    begin_slow_report(&bench);
    sim_pen_set_subscribed(bench.pen, SIM_CHRC_STORED, false);
    await(&bench, 1);
    assert_response(&bench, "06000108");
    g_assert_cmpuint(bench.n_ends, ==, 0);
    ask(&bench, "01 01");
    assert_response(&bench, "06000108");
    sim_pen_set_subscribed(bench.pen, SIM_CHRC_STORED, true);

    begin_slow_report(&bench);
    sim_pen_link_down(bench.pen);
    const guint n_items = bench.n_items;
    link_up(&bench);
    for (int i = 0; i < 200; i++) {
        step(&bench);
    }
    g_assert_cmpuint(bench.n_responses + bench.n_ends, ==, 0);
    g_assert_cmpuint(bench.n_items, ==, n_items);
    ask(&bench, "01 06");
    assert_response(&bench, "06000101");
    bench_clear(&bench);
}

/* Section 8.2: checks in order, and a write that leaves the tick alone. */
static void
test_clock(void)
{
    static const struct {
        uint8_t bytes[10];
        size_t n_bytes;
        uint8_t code;
    } cases[] = {
        { { 0x0e, 0x00, 0x98, 0x90, 0x36, 0x94, 0x07, 1, 0 }, 8, SIM_ATT_FORMAT },
        { { 0x0e, 0x00, 0x98, 0x90, 0x36, 0x94, 0x07, 1, 0 }, 10, SIM_ATT_FORMAT },
        { { 0x0f, 0x00, 0x98, 0x90, 0x36, 0x94, 0x07, 0, 0 }, 9, SIM_ATT_FORMAT },
        { { 0x0c, 0x00, 0x98, 0x90, 0x36, 0x94, 0x07, 0, 0 }, 9, SIM_ATT_FORMAT },
        { { 0x0e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0, 0 }, 9, SIM_ATT_SOURCE_QUALITY },
        { { 0x0e, 0x00, 0x98, 0x90, 0x36, 0x94, 0x07, 7, 0 }, 9, SIM_ATT_SOURCE_QUALITY },
        { { 0x0e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 1, 0 }, 9, SIM_ATT_OUT_OF_RANGE },
        { { 0x02, 0x7f, 0x9d, 0x9e, 0x25, 0x00, 0x00, 1, 0 }, 9, SIM_ATT_OUT_OF_RANGE },
        { { 0x02, 0x80, 0x9d, 0x9e, 0x25, 0x00, 0x00, 1, 0 }, 9, SIM_ATT_OK },
        { { 0x02, 0xff, 0x46, 0xfa, 0xbd, 0x00, 0x00, 1, 0 }, 9, SIM_ATT_OK },
        { { 0x02, 0x00, 0x47, 0xfa, 0xbd, 0x00, 0x00, 1, 0 }, 9, SIM_ATT_OUT_OF_RANGE },
        { { 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0 }, 9, SIM_ATT_OUT_OF_RANGE },
        { { 0xfe, 0x00, 0x98, 0x90, 0x36, 0x94, 0x07, 4, 99 }, 9, SIM_ATT_OK },
    };
    SimOptions options = make_options();
    Bench bench;
    options.wait_for_bond = true;
    bench_init(&bench, &options);
    g_autoptr(GByteArray) before = sim_pen_read_clock(bench.pen, bench.now_us);
    g_assert_cmpuint(before->len, ==, 11);
    g_assert_cmphex(before->data[0], ==, 0x2d);
    g_assert_cmpuint(before->data[7], ==, 0);
    g_assert_cmpuint(before->data[9], ==, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("write %zu", i);
        const uint8_t code =
            sim_pen_write_clock(bench.pen, cases[i].bytes, cases[i].n_bytes, bench.now_us);
        g_assert_cmphex(code, ==, cases[i].code);
    }
    g_autoptr(GByteArray) after = sim_pen_read_clock(bench.pen, bench.now_us);
    g_assert_true(memcmp(before->data, after->data, 7) == 0);
    g_assert_cmpuint(after->data[7], ==, 4);
    g_assert_cmpuint(after->data[9], ==, 0);
    bench_clear(&bench);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/racp/reports", test_reports);
    g_test_add_func("/racp/empty-log", test_empty_log);
    g_test_add_func("/racp/refusals", test_refusals);
    g_test_add_func("/racp/marks", test_marks);
    g_test_add_func("/racp/att-errors", test_att_errors);
    g_test_add_func("/racp/abort", test_abort);
    g_test_add_func("/racp/cut-off", test_cut_off);
    g_test_add_func("/clock/write", test_clock);
    return g_test_run();
}
