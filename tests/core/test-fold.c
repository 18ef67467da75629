/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The fold against a naive second one on random sessions, against itself whatever the
 * order of arrival, and against a few sessions small enough to work out by hand.
 */
#include "core/fold.h"
#include "core/ranges.h"
#include "gen.h"
#include "reference.h"

#include <glib.h>

#include <stdlib.h>
#include <string.h>

#define SESSION 100u

/* Records as they lie in a store: bytes and what is known of them. */
typedef struct {
    PenRecordHeader header;
    size_t n_bytes;
    uint8_t bytes[PEN_RECORD_MAX];
} Stored;

static void
on_pass(void *user_data, uint32_t index, const PenPass *pass)
{
    RefResult *out = user_data;

    g_assert_cmpuint(index, ==, out->passes->len);
    g_array_append_vals(out->passes, pass, 1);
}

static void
add_event(RefResult *out, PenBodyKind kind, uint64_t at_us, uint32_t value, const char *text)
{
    RefEvent event = { .kind = kind, .at_us = at_us, .value = value };

    g_strlcpy(event.text, text, sizeof event.text);
    g_array_append_val(out->events, event);
}

static void
on_setting(void *user_data, uint64_t tick_us, uint32_t depth_um)
{
    add_event(user_data, PEN_BODY_DEPTH_SETTING, tick_us, depth_um, "");
}

static void
on_cartridge(void *user_data, uint64_t tick_us, const PenCartridge *cartridge)
{
    add_event(user_data, PEN_BODY_CARTRIDGE_ATTACHED, tick_us, cartridge->needles, cartridge->id);
}

static void
on_fault(void *user_data, uint64_t tick_us, uint32_t code, const char *text)
{
    add_event(user_data, PEN_BODY_FAULT, tick_us, code, text);
}

static void
fold_stored(const Stored *stored, size_t n, uint32_t tick_unit, RefResult *out)
{
    static const PenFoldSink sink = { on_pass, on_setting, on_cartridge, on_fault };
    const PenFoldConfig config = PEN_FOLD_DEFAULT;
    PenFold *fold = g_malloc(pen_fold_size());

    pen_fold_begin(fold, &config, tick_unit, &sink, out);
    for (size_t i = 0; i < n; i++) {
        (void)pen_fold_push(fold, &stored[i].header, stored[i].bytes, stored[i].n_bytes);
    }
    pen_fold_end(fold, &out->session);
    g_free(fold);
}

static void
assert_same_depth(const PenDepth *a, const PenDepth *b)
{
    g_assert_cmpint(a->valid, ==, b->valid);
    g_assert_cmpuint(a->min_um, ==, b->min_um);
    g_assert_cmpuint(a->median_um, ==, b->median_um);
    g_assert_cmpuint(a->p95_um, ==, b->p95_um);
    g_assert_cmpuint(a->max_um, ==, b->max_um);
    g_assert_cmpuint(a->mean_um, ==, b->mean_um);
}

static void
assert_same_pass(const PenPass *a, const PenPass *b)
{
    g_assert_cmpuint(a->start_us, ==, b->start_us);
    g_assert_cmpuint(a->elapsed_us, ==, b->elapsed_us);
    g_assert_cmpuint(a->contact_us, ==, b->contact_us);
    assert_same_depth(&a->depth, &b->depth);
    g_assert_cmpuint(a->rate_mhz, ==, b->rate_mhz);
    g_assert_cmpint(a->has_punctures, ==, b->has_punctures);
    g_assert_cmpuint(a->punctures, ==, b->punctures);
    g_assert_cmpint(a->incomplete, ==, b->incomplete);
    g_assert_cmpint(a->has_rate, ==, b->has_rate);
}

static void
assert_same_session(const PenSessionFold *a, const PenSessionFold *b)
{
    g_assert_cmpint(a->has_begin, ==, b->has_begin);
    g_assert_cmpint(a->has_end, ==, b->has_end);
    g_assert_cmpuint(a->end_cause, ==, b->end_cause);
    g_assert_cmpint(a->has_continues, ==, b->has_continues);
    g_assert_cmpuint(a->continues, ==, b->continues);
    g_assert_cmpuint(a->boot, ==, b->boot);
    g_assert_cmpuint(a->start_us, ==, b->start_us);
    g_assert_cmpuint(a->end_us, ==, b->end_us);
    g_assert_cmpuint(a->contact_us, ==, b->contact_us);
    g_assert_cmpuint(a->all_contact_us, ==, b->all_contact_us);
    g_assert_cmpuint(a->n_passes, ==, b->n_passes);
    assert_same_depth(&a->depth, &b->depth);
    g_assert_cmpuint(a->first, ==, b->first);
    g_assert_cmpuint(a->last, ==, b->last);
    g_assert_cmpuint(a->n_bad, ==, b->n_bad);
}

static void
assert_same(const RefResult *a, const RefResult *b)
{
    g_assert_cmpuint(a->passes->len, ==, b->passes->len);
    for (guint i = 0; i < a->passes->len; i++) {
        assert_same_pass(&g_array_index(a->passes, PenPass, i),
                         &g_array_index(b->passes, PenPass, i));
    }
    g_assert_cmpuint(a->events->len, ==, b->events->len);
    for (guint i = 0; i < a->events->len; i++) {
        const RefEvent *left = &g_array_index(a->events, RefEvent, i);
        const RefEvent *right = &g_array_index(b->events, RefEvent, i);
        g_assert_cmpint(left->kind, ==, right->kind);
        g_assert_cmpuint(left->at_us, ==, right->at_us);
        g_assert_cmpuint(left->value, ==, right->value);
        g_assert_cmpstr(left->text, ==, right->text);
    }
    assert_same_session(&a->session, &b->session);
}

static GArray *
store(const GArray *records)
{
    GArray *stored = g_array_new(FALSE, TRUE, sizeof(Stored));

    for (guint i = 0; i < records->len; i++) {
        const RefRecord *record = &g_array_index(records, RefRecord, i);
        Stored one = { 0 };
        const PenStatus status = pen_record_encode(
            &record->header, &record->body, one.bytes, sizeof one.bytes, &one.n_bytes);
        g_assert_cmpint(status, ==, PEN_STATUS_OK);
        g_assert_cmpint(pen_record_check(one.bytes, one.n_bytes, &one.header), ==, PEN_STATUS_OK);
        g_array_append_val(stored, one);
    }
    return stored;
}

static void
assert_as_reference(const GArray *records, uint32_t tick_unit, RefResult *out)
{
    const PenFoldConfig config = PEN_FOLD_DEFAULT;
    g_autoptr(GArray) stored = store(records);
    RefResult expected;

    ref_result_init(&expected);
    ref_fold((const RefRecord *)(const void *)records->data,
             records->len,
             &config,
             tick_unit,
             &expected);
    fold_stored((const Stored *)(const void *)stored->data, stored->len, tick_unit, out);
    assert_same(out, &expected);
    ref_result_clear(&expected);
}

/* Durations at which pass/1 decides, one tick to either side, and any other. */
static uint64_t
draw_ticks(Gen *gen, uint32_t tick_unit)
{
    static const uint64_t edges_us[] = { 800000, 300000, 150000, 100000, 400000 };
    const uint64_t edge_us = edges_us[gen_range(gen, 0, G_N_ELEMENTS(edges_us) - 1u)];
    const uint64_t edge = tick_unit == 1 ? edge_us * 32768u / 1000000u : edge_us;

    switch (gen_range(gen, 0, 5)) {
    case 0:
        return edge - 1u;
    case 1:
        return edge + 1u;
    case 2:
        return gen_range(gen, 1, edge);
    case 3:
        return gen_range(gen, 1, 2u * edge);
    default:
        return edge;
    }
}

/* A block whose last run is stretched until whole intervals fit. */
static void
draw_samples(Gen *gen, uint32_t tick_unit, PenSamples *out)
{
    uint64_t sum = 0;

    out->n = (uint32_t)gen_range(gen, 1, 40);
    out->n_runs = (uint32_t)gen_range(gen, 1, 6);
    for (uint32_t i = 0; i < out->n_runs; i++) {
        const bool begins_in_contact = i == 0 && gen_percent(gen, 40);
        out->run_ticks[i] = begins_in_contact ? 0 : (uint32_t)draw_ticks(gen, tick_unit);
        sum += out->run_ticks[i];
    }
    const uint32_t rest = (uint32_t)(sum % out->n);
    const uint32_t more = sum == 0 ? out->n : (out->n - rest) % out->n;
    out->run_ticks[out->n_runs - 1u] += more;
    out->interval_ticks = (uint32_t)((sum + more) / out->n);
    out->rate_unknown = gen_percent(gen, 40);
    out->load_unknown = true;
    for (uint32_t i = 0; i < out->n; i++) {
        out->depth_um[i] = (uint16_t)gen_range(gen, 0, gen_percent(gen, 5) ? 4095 : 300);
        out->rate_dhz[i] = (uint16_t)(out->rate_unknown ? 0 : gen_range(gen, 0, 10000));
    }
}

static void
draw_other(Gen *gen, PenBody *out)
{
    static const PenBodyKind others[] = {
        PEN_BODY_BUTTON, PEN_BODY_CARTRIDGE_ATTACHED, PEN_BODY_CARTRIDGE_REMOVED,
        PEN_BODY_FAULT,  PEN_BODY_DEPTH_SETTING,      PEN_BODY_CLOCK_SET,
    };

    gen_body(gen, others[gen_range(gen, 0, G_N_ELEMENTS(others) - 1u)], out);
    if (out->kind == PEN_BODY_BUTTON && gen_percent(gen, 70)) {
        out->button.button = 1;
    }
}

static void
append(GArray *records, const RefRecord *like, const PenBody *body)
{
    RefRecord record = *like;

    record.header.number = SESSION + records->len;
    record.header.session = SESSION;
    record.body = *body;
    g_array_append_val(records, record);
}

static GArray *
draw_session(Gen *gen, uint32_t tick_unit)
{
    GArray *records = g_array_new(FALSE, TRUE, sizeof(RefRecord));
    RefRecord like = { .header = { .boot = 3, .tick = gen_range(gen, 0, 1000000) } };
    PenBody body;

    gen_body(gen, PEN_BODY_SESSION_BEGIN, &body);
    append(records, &like, &body);
    for (uint64_t n = gen_range(gen, 0, 60); n > 0; n--) {
        memset(&body, 0, sizeof body);
        if (gen_percent(gen, 25)) {
            draw_other(gen, &body);
            append(records, &like, &body);
            continue;
        }
        body.kind = PEN_BODY_SAMPLES;
        draw_samples(gen, tick_unit, &body.samples);
        like.header.tick += gen_percent(gen, 60) ? 0 : draw_ticks(gen, tick_unit);
        append(records, &like, &body);
        like.header.tick += (uint64_t)body.samples.n * body.samples.interval_ticks;
    }
    if (gen_percent(gen, 80)) {
        gen_body(gen, PEN_BODY_SESSION_END, &body);
        const bool is_reset = gen_percent(gen, 30);
        like.header.boot += is_reset ? 1u : 0u;
        like.header.tick = is_reset ? 500 : like.header.tick + gen_range(gen, 0, 5000);
        append(records, &like, &body);
    }
    return records;
}

static void
lose_some(Gen *gen, GArray *records)
{
    const uint32_t percent = (uint32_t)gen_range(gen, 1, 30);

    /* A reset's end alone would tell nothing of the session's own boot: keep one more. */
    for (guint i = records->len; i > 0 && records->len > 2; i--) {
        if (i != 2 && gen_percent(gen, percent)) {
            g_array_remove_index(records, i - 1u);
        }
    }
}

static void
test_random(gconstpointer data)
{
    const bool with_holes = GPOINTER_TO_UINT(data) == 1u;
    uint64_t n_passes = 0;
    uint64_t n_incomplete = 0;

    for (uint32_t seed = 1; seed <= 400; seed++) {
        Gen gen = gen_new(seed);
        const uint32_t tick_unit = seed % 3u == 0;
        g_autoptr(GArray) records = draw_session(&gen, tick_unit);
        RefResult got;
        if (with_holes) {
            lose_some(&gen, records);
        }
        ref_result_init(&got);
        assert_as_reference(records, tick_unit, &got);
        n_passes += got.passes->len;
        for (guint i = 0; i < got.passes->len; i++) {
            n_incomplete += g_array_index(got.passes, PenPass, i).incomplete ? 1u : 0u;
        }
        ref_result_clear(&got);
    }
    g_assert_cmpuint(n_passes, >, 2000);
    g_assert_cmpuint(n_incomplete > 500, ==, with_holes);
}

static int
compare_numbers(const void *a, const void *b)
{
    const uint32_t left = ((const Stored *)a)->header.number;
    const uint32_t right = ((const Stored *)b)->header.number;

    return left < right ? -1 : left > right;
}

/* Arrives live, again by backfill, late and twice: what was kept folds as if in order. */
static void
test_any_arrival(void)
{
    for (uint32_t seed = 1; seed <= 100; seed++) {
        Gen gen = gen_new(seed);
        g_autoptr(GArray) records = draw_session(&gen, 0);
        g_autoptr(GArray) stored = store(records);
        g_autoptr(GArray) kept = g_array_new(FALSE, FALSE, sizeof(Stored));
        g_autoptr(GArray) arriving = g_array_new(FALSE, FALSE, sizeof(Stored));
        PenRanges ranges;
        PenRange missing;
        RefResult in_order;
        RefResult sorted;

        g_array_append_vals(arriving, stored->data, stored->len);
        g_array_append_vals(arriving, stored->data, stored->len / 2u);
        pen_ranges_init(&ranges);
        while (arriving->len > 0) {
            const guint at = (guint)gen_range(&gen, 0, arriving->len - 1u);
            const Stored one = g_array_index(arriving, Stored, at);
            g_array_remove_index_fast(arriving, at);
            if (!pen_ranges_contains(&ranges, one.header.number)) {
                g_assert_true(pen_ranges_add(&ranges, one.header.number, one.header.number));
                g_array_append_val(kept, one);
            }
        }
        const uint32_t last = SESSION + stored->len - 1u;
        g_assert_false(pen_ranges_first_missing(&ranges, SESSION, last, 64, &missing));
        g_assert_cmpuint(pen_ranges_contiguous_from(&ranges, SESSION), ==, last);
        g_assert_cmpuint(kept->len, ==, stored->len);
        qsort(kept->data, kept->len, sizeof(Stored), compare_numbers);
        ref_result_init(&in_order);
        ref_result_init(&sorted);
        fold_stored((const Stored *)(const void *)stored->data, stored->len, 0, &in_order);
        fold_stored((const Stored *)(const void *)kept->data, kept->len, 0, &sorted);
        assert_same(&in_order, &sorted);
        ref_result_clear(&in_order);
        ref_result_clear(&sorted);
        pen_ranges_clear(&ranges);
    }
}

/* One block: contact 200 ms, lifted @lift_us, contact @second_us. */
static uint32_t
count_passes(uint32_t lift_us, uint32_t second_us, uint64_t *contact_us)
{
    g_autoptr(GArray) records = g_array_new(FALSE, TRUE, sizeof(RefRecord));
    const RefRecord like = { .header = { .boot = 1, .tick = 1000 } };
    PenBody body = { .kind = PEN_BODY_SESSION_BEGIN };
    RefResult got;

    append(records, &like, &body);
    memset(&body, 0, sizeof body);
    body.kind = PEN_BODY_SAMPLES;
    body.samples.n = 1;
    body.samples.interval_ticks = 200000 + lift_us + second_us;
    body.samples.n_runs = 4;
    body.samples.run_ticks[1] = 200000;
    body.samples.run_ticks[2] = lift_us;
    body.samples.run_ticks[3] = second_us;
    append(records, &like, &body);
    ref_result_init(&got);
    assert_as_reference(records, 0, &got);
    const uint32_t n_passes = got.session.n_passes;
    *contact_us = got.session.contact_us;
    ref_result_clear(&got);
    return n_passes;
}

static void
test_edges(void)
{
    uint64_t contact_us = 0;

    g_assert_cmpuint(count_passes(799999, 100000, &contact_us), ==, 1);
    g_assert_cmpuint(contact_us, ==, 300000);
    g_assert_cmpuint(count_passes(799999, 99999, &contact_us), ==, 0);
    g_assert_cmpuint(contact_us, ==, 0);
    g_assert_cmpuint(count_passes(800000, 100000, &contact_us), ==, 0);
    g_assert_cmpuint(count_passes(800000, 300000, &contact_us), ==, 1);
    g_assert_cmpuint(contact_us, ==, 300000);
    g_assert_cmpuint(count_passes(800000, 299999, &contact_us), ==, 0);
}

/* Blocks that overlap, ticks that fall, other boots: counted, and nothing is made of them. */
static void
test_nonsense(void)
{
    g_autoptr(GArray) records = g_array_new(FALSE, TRUE, sizeof(RefRecord));
    RefRecord like = { .header = { .boot = 1, .tick = 1000000 } };
    PenBody body = { .kind = PEN_BODY_SESSION_BEGIN };
    PenBody button = { .kind = PEN_BODY_BUTTON };
    RefResult got;

    append(records, &like, &body);
    memset(&body, 0, sizeof body);
    body.kind = PEN_BODY_SAMPLES;
    body.samples.n = 1;
    body.samples.interval_ticks = 500000;
    body.samples.n_runs = 2;
    body.samples.run_ticks[1] = 500000;
    append(records, &like, &body);
    like.header.tick = 1499999;
    append(records, &like, &body);
    like.header = (PenRecordHeader){ .boot = 2, .tick = 3000000 };
    append(records, &like, &body);
    like.header = (PenRecordHeader){ .boot = 1, .tick = 9000000 };
    append(records, &like, &button);
    like.header.tick = 1500000;
    append(records, &like, &body);
    g_autoptr(GArray) stored = store(records);
    ref_result_init(&got);
    fold_stored((const Stored *)(const void *)stored->data, stored->len, 0, &got);
    g_assert_cmpuint(got.session.n_bad, ==, 2);
    g_assert_cmpuint(got.session.all_contact_us, ==, 1000000);
    g_assert_cmpuint(got.session.end_us, ==, 9000000);
    ref_result_clear(&got);
}

/* A block that cannot be read lies between two that can: one pass, and it says so. */
static void
test_unreadable(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        g_autoptr(GArray) records = g_array_new(FALSE, TRUE, sizeof(RefRecord));
        RefRecord like = { .header = { .boot = 1, .tick = 1000 } };
        PenBody body = { .kind = PEN_BODY_SESSION_BEGIN };
        RefResult got;
        append(records, &like, &body);
        memset(&body, 0, sizeof body);
        body.kind = PEN_BODY_SAMPLES;
        body.samples.n = 1;
        body.samples.interval_ticks = 400000;
        body.samples.n_runs = 2;
        body.samples.run_ticks[1] = 400000;
        for (uint32_t k = 0; k < 3; k++) {
            append(records, &like, &body);
            like.header.tick += 400000;
        }
        g_autoptr(GArray) stored = store(records);
        Stored *middle = &g_array_index(stored, Stored, 2);
        /* Its first field is Samples; a length too far, or a kind of a later version. */
        middle->bytes[PEN_RECORD_HEADER_SIZE + (i == 0 ? 1 : 0)] = 0x7a;
        ref_result_init(&got);
        fold_stored((const Stored *)(const void *)stored->data, stored->len, 0, &got);
        g_assert_cmpuint(got.session.n_bad, ==, i == 0 ? 1 : 0);
        g_assert_cmpuint(got.passes->len, ==, 1);
        g_assert_cmpuint(g_array_index(got.passes, PenPass, 0).contact_us, ==, 800000);
        g_assert_cmpint(g_array_index(got.passes, PenPass, 0).incomplete, ==, i == 0);
        ref_result_clear(&got);
    }
}

static void
test_empty(void)
{
    RefResult got;

    ref_result_init(&got);
    fold_stored(NULL, 0, 0, &got);
    g_assert_cmpuint(got.session.n_passes, ==, 0);
    g_assert_false(got.session.depth.valid);
    ref_result_clear(&got);
}

/* The end that a reset wrote is of another boot: alone it says nothing of when. */
static void
test_has_time(void)
{
    const PenSessionFold reset = { .first = 9, .last = 9, .has_end = true, .end_cause = 3 };
    PenSessionFold other = reset;

    g_assert_false(pen_session_fold_has_time(&reset));
    other.first = 8;
    g_assert_true(pen_session_fold_has_time(&other));
    other = reset;
    other.end_cause = 1;
    g_assert_true(pen_session_fold_has_time(&other));
    other.has_end = false;
    g_assert_true(pen_session_fold_has_time(&other));
}

static void
test_definition(void)
{
    const PenFoldConfig config = PEN_FOLD_DEFAULT;
    const PenFoldConfig longest = { .lift_us = UINT32_MAX, .min_contact_us = UINT32_MAX };
    char text[64];

    pen_fold_definition(&config, text);
    g_assert_cmpstr(text, ==, "pass/1 lift=800ms min=300ms");
    pen_fold_definition(&longest, text);
    g_assert_cmpstr(text, ==, "pass/1 lift=4294967ms min=4294967ms");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/fold/random/whole", GUINT_TO_POINTER(0), test_random);
    g_test_add_data_func("/fold/random/with-holes", GUINT_TO_POINTER(1), test_random);
    g_test_add_func("/fold/any-arrival", test_any_arrival);
    g_test_add_func("/fold/edges", test_edges);
    g_test_add_func("/fold/nonsense", test_nonsense);
    g_test_add_func("/fold/unreadable", test_unreadable);
    g_test_add_func("/fold/empty", test_empty);
    g_test_add_func("/fold/has-time", test_has_time);
    g_test_add_func("/fold/definition", test_definition);
    return g_test_run();
}
