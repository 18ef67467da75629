/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * The truth file against the records: what a reader of the records alone concludes by
 * pass/1, written a third time here, streaming, in ticks. Neither the gateway's fold nor
 * passes.c takes part, so the three can only agree by each being right.
 */
#include "pen_internal.h"
#include "record.pb-c.h"

#include <json-glib/json-glib.h>

#define LIFT_US        800000u
#define MIN_CONTACT_US 300000u

typedef struct {
    uint64_t start;
    uint64_t end;
    uint64_t contact;
    GArray *depths; /* owned; uint32_t */
    uint64_t rate_sum;
    uint32_t needles; /* 0 unknown */
    bool open;
} Under;

/* What the records of one session amount to. */
typedef struct {
    uint32_t tick_unit;
    uint32_t first;
    uint32_t last;
    uint32_t n_records;
    uint32_t n_samples;
    uint64_t contact;
    uint64_t all_contact;
    uint64_t begin;
    uint64_t end;
    uint32_t needles;
    Under pass;
    GArray *depths;  /* owned; of counted passes */
    GString *passes; /* owned; one line each */
    bool closed;
} Reading;

static uint64_t
us(const Reading *reading, uint64_t ticks)
{
    return reading->tick_unit == 0 ? ticks : ticks * UINT64_C(1000000) / 32768u;
}

static gint
compare(gconstpointer a, gconstpointer b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static char *
describe_depths(GArray *depths)
{
    if (depths->len == 0) {
        return g_strdup("none");
    }
    const guint n = depths->len;
    uint64_t sum = 0;
    g_array_sort(depths, compare);
    for (guint i = 0; i < n; i++) {
        sum += g_array_index(depths, uint32_t, i);
    }
    const guint p95 = (guint)((95u * (uint64_t)n + 99u) / 100u) - 1u;
    return g_strdup_printf("%u %u %u %u %u",
                           g_array_index(depths, uint32_t, 0),
                           g_array_index(depths, uint32_t, (n - 1) / 2),
                           g_array_index(depths, uint32_t, p95),
                           g_array_index(depths, uint32_t, n - 1),
                           (unsigned)((sum * 2 + n) / (2 * (uint64_t)n)));
}

static void
close_pass(Reading *reading)
{
    Under *pass = &reading->pass;
    if (!pass->open) {
        return;
    }
    pass->open = false;
    if (pass->contact >= MIN_CONTACT_US) {
        const guint n = pass->depths->len;
        const uint64_t mhz = n > 0 ? (pass->rate_sum * 200u + n) / (2u * (uint64_t)n) : 0;
        const uint64_t punctures =
            (mhz * pass->contact * pass->needles + UINT64_C(500000000)) / UINT64_C(1000000000);
        g_array_append_vals(reading->depths, pass->depths->data, n);
        g_autofree char *depth = describe_depths(pass->depths);
        reading->contact += pass->contact;
        g_string_append_printf(reading->passes,
                               "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
                               " %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " [%s]\n",
                               pass->start,
                               pass->end - pass->start,
                               pass->contact,
                               mhz,
                               pass->needles > 0 ? (gint64)punctures : -1,
                               depth);
    }
    g_array_set_size(pass->depths, 0);
}

static void
read_contact(Reading *reading, const PenSamples *block, uint64_t tick, uint64_t from, uint64_t to)
{
    Under *pass = &reading->pass;
    const uint64_t start = us(reading, tick + from);
    const uint64_t end = us(reading, tick + to);
    if (pass->open && start - pass->end >= LIFT_US) {
        close_pass(reading);
    }
    if (!pass->open) {
        pass->open = true;
        pass->start = start;
        pass->contact = 0;
        pass->rate_sum = 0;
        pass->needles = reading->needles;
    }
    pass->end = end;
    pass->contact += end - start;
    reading->all_contact += end - start;
    for (uint32_t i = 0; i < block->n; i++) {
        const uint64_t at = (uint64_t)i * block->interval_ticks;
        if (at >= from && at < to) {
            const uint32_t depth_um = block->depth_um[i];
            g_array_append_val(pass->depths, depth_um);
            pass->rate_sum += block->rate_dhz[i];
        }
    }
}

static void
read_samples(Reading *reading, uint64_t tick, const PenSamples *block)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < block->n_runs; i++) {
        const uint64_t to = at + block->run_ticks[i];
        if (i % 2u == 1u) {
            read_contact(reading, block, tick, at, to);
        }
        at = to;
    }
    g_assert_cmpuint(at, ==, (uint64_t)block->n * block->interval_ticks);
    g_assert_cmpuint(us(reading, tick), >=, reading->begin);
    reading->end = MAX(reading->end, us(reading, tick + at));
    reading->n_samples += block->n;
}

static void
read_record(Reading *reading, const PenRecordHeader *header, const PenBody *body)
{
    const bool reset = body->kind == PEN_BODY_SESSION_END &&
                       body->end.cause == PENTEL__V1__END_CAUSE__END_CAUSE_RESET;
    reading->last = header->number;
    reading->n_records++;
    if (!reset) {
        reading->end = MAX(reading->end, us(reading, header->tick));
    }
    if (body->kind == PEN_BODY_SAMPLES) {
        read_samples(reading, header->tick, &body->samples);
    } else if (body->kind == PEN_BODY_SESSION_BEGIN) {
        reading->needles = body->begin.cartridge.needles;
    } else if (body->kind == PEN_BODY_CARTRIDGE_ATTACHED) {
        reading->needles = body->cartridge.needles;
    } else if (body->kind == PEN_BODY_CARTRIDGE_REMOVED) {
        reading->needles = 0;
    } else if (body->kind == PEN_BODY_BUTTON) {
        close_pass(reading);
    } else if (body->kind == PEN_BODY_SESSION_END) {
        reading->closed = true;
    }
}

/* A session's numbers as one text, from its records. */
static char *
describe_records(SimPen *pen, uint32_t number)
{
    Reading reading = { .tick_unit = pen->options->tick_unit, .first = number };
    reading.depths = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    reading.pass.depths = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    reading.passes = g_string_new(NULL);
    for (uint32_t n = number; n <= pen->memory.newest && !reading.closed; n++) {
        size_t n_bytes = 0;
        const uint8_t *bytes = g_bytes_get_data(sim_memory_get(&pen->memory, n), &n_bytes);
        PenRecordHeader header = { 0 };
        PenBody body = { 0 };
        g_assert_cmpint(pen_record_check(bytes, n_bytes, &header), ==, PEN_STATUS_OK);
        g_assert_cmpint(pen_record_decode(bytes, n_bytes, &body), ==, PEN_STATUS_OK);
        g_assert_cmpuint(header.number, ==, n);
        g_assert_cmpuint(header.session, ==, number);
        if (n == number) {
            reading.begin = reading.end = us(&reading, header.tick);
        }
        read_record(&reading, &header, &body);
    }
    close_pass(&reading);
    g_autofree char *depth = describe_depths(reading.depths);
    char *text = g_strdup_printf("%u..%u records %u samples %u elapsed %" G_GUINT64_FORMAT
                                 " contact %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " [%s]\n%s",
                                 reading.first,
                                 reading.last,
                                 reading.n_records,
                                 reading.n_samples,
                                 reading.end - reading.begin,
                                 reading.contact,
                                 reading.all_contact,
                                 depth,
                                 reading.passes->str);
    g_array_unref(reading.depths);
    g_array_unref(reading.pass.depths);
    g_string_free(reading.passes, TRUE);
    return text;
}

static uint64_t
get(JsonObject *object, const char *name)
{
    g_assert_true(json_object_has_member(object, name));
    return (uint64_t)json_object_get_int_member(object, name);
}

static char *
describe_depth(JsonObject *object)
{
    if (json_object_get_null_member(object, "depth_um")) {
        return g_strdup("none");
    }
    JsonObject *depth = json_object_get_object_member(object, "depth_um");
    return g_strdup_printf("%u %u %u %u %u",
                           (unsigned)get(depth, "min"),
                           (unsigned)get(depth, "median"),
                           (unsigned)get(depth, "p95"),
                           (unsigned)get(depth, "max"),
                           (unsigned)get(depth, "mean"));
}

/* The same text, from the truth. */
static char *
describe_truth(JsonObject *session)
{
    GString *text = g_string_new(NULL);
    g_autofree char *depth = describe_depth(session);
    g_string_append_printf(text,
                           "%u..%u records %u samples %u elapsed %" G_GUINT64_FORMAT
                           " contact %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " [%s]\n",
                           (unsigned)get(session, "first"),
                           (unsigned)get(session, "last"),
                           (unsigned)get(session, "records"),
                           (unsigned)get(session, "samples"),
                           get(session, "elapsed_us"),
                           get(session, "contact_us"),
                           get(session, "all_contact_us"),
                           depth);
    JsonArray *passes = json_object_get_array_member(session, "passes");
    for (guint i = 0; i < json_array_get_length(passes); i++) {
        JsonObject *pass = json_array_get_object_element(passes, i);
        const bool known = !json_object_get_null_member(pass, "punctures");
        g_autofree char *pass_depth = describe_depth(pass);
        g_string_append_printf(text,
                               "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
                               " %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " [%s]\n",
                               get(pass, "start_tick_us"),
                               get(pass, "elapsed_us"),
                               get(pass, "contact_us"),
                               get(pass, "rate_mhz"),
                               known ? (gint64)get(pass, "punctures") : -1,
                               pass_depth);
    }
    return g_string_free(text, FALSE);
}

static uint32_t
check_pen(SimPen *pen)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;
    sim_pen_write_truth(pen, text);
    (void)json_parser_load_from_data(parser, text->str, (gssize)text->len, &error);
    g_assert_no_error(error);
    JsonObject *truth = json_node_get_object(json_parser_get_root(parser));
    JsonArray *sessions = json_object_get_array_member(truth, "sessions");
    uint32_t n_passes = 0;
    for (guint i = 0; i < json_array_get_length(sessions); i++) {
        JsonObject *session = json_array_get_object_element(sessions, i);
        g_autofree char *told = describe_truth(session);
        g_autofree char *read = describe_records(pen, (uint32_t)get(session, "number"));
        g_assert_cmpstr(told, ==, read);
        n_passes += (uint32_t)get(session, "pass_count");
    }
    return n_passes;
}

static void
treat_and_check(uint32_t tick_unit, uint32_t reboot_every_ms, bool clock_jump)
{
    uint32_t n_passes = 0;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        const SimOptions options = {
            .seed = seed,
            .n_pens = 1,
            .n_sessions = 3,
            .passes_min = 2,
            .passes_max = 9,
            .tick_unit = tick_unit,
            .capacity = 100000,
            .mtu = 247,
            .rate = 1000,
            .speed = 1.0,
            .reboot_every_ms = reboot_every_ms,
            .clock_jump = clock_jump,
        };
        g_autoptr(SimPen) pen = sim_pen_new(&options, seed % 3u, 0);
        for (int64_t now = 0; !sim_pen_is_done(pen); now += 10000) {
            g_assert_cmpint(now, <, INT64_C(3600000000));
            sim_pen_tick(pen, now);
        }
        n_passes += check_pen(pen);
    }
    g_assert_cmpuint(n_passes, >, 400);
}

static void
test_plain(void)
{
    treat_and_check(PENTEL__V1__TICK_UNIT__TICK_UNIT_MICROSECOND, 0, false);
}

static void
test_resets(void)
{
    treat_and_check(PENTEL__V1__TICK_UNIT__TICK_UNIT_MICROSECOND, 20000, true);
}

static void
test_coarse_ticks(void)
{
    treat_and_check(PENTEL__V1__TICK_UNIT__TICK_UNIT_1_32768_SECOND, 20000, false);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/truth/plain", test_plain);
    g_test_add_func("/truth/resets", test_resets);
    g_test_add_func("/truth/coarse-ticks", test_coarse_ticks);
    return g_test_run();
}
