/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Parts of pentelctl alone: the chart's envelope, CSV, framing, the live view, the command
 * line.
 */
#include "ctl/args.h"
#include "ctl/bins.h"
#include "ctl/chart.h"
#include "ctl/export_raw.h"
#include "ctl/live.h"
#include "ctl/live_draw.h"
#include "ctl/sink.h"
#include "lib/text.h"

#include <string.h>

#define STEP_US 20000

/* Whatever the number of columns, the extremes are those of the samples, none invented. */
static void
test_bins_envelope(void)
{
    g_autofree CtlBins *bins = g_new(CtlBins, 1);
    uint32_t min_um = UINT32_MAX;
    uint32_t max_um = 0;
    const uint32_t n = 200000; /* more than an hour */

    ctl_bins_init(bins);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t depth_um = i == 77777 ? 3999 : 500 + (uint32_t)g_test_rand_int_range(0, 400);
        const bool has_contact = i % 1000 < 800;
        ctl_bins_add(
            bins, 1000000 + (uint64_t)i * STEP_US, has_contact ? depth_um : 0, has_contact);
        min_um = has_contact ? MIN(min_um, depth_um) : min_um;
        max_um = has_contact ? MAX(max_um, depth_um) : max_um;
    }
    g_assert_cmpuint(max_um, ==, 3999);
    for (int n_columns = 1; n_columns < 400; n_columns += 37) {
        const uint64_t length_us = (uint64_t)n * STEP_US;
        CtlBin all = { .min_um = UINT32_MAX };
        for (int x = 0; x < n_columns; x++) {
            const CtlBin bin = ctl_bins_get(bins,
                                            length_us * (uint64_t)x / (uint64_t)n_columns,
                                            length_us * (uint64_t)(x + 1) / (uint64_t)n_columns);
            all.min_um = bin.n_contact > 0 ? MIN(all.min_um, bin.min_um) : all.min_um;
            all.max_um = bin.n_contact > 0 ? MAX(all.max_um, bin.max_um) : all.max_um;
        }
        g_assert_cmpuint(all.min_um, ==, min_um);
        g_assert_cmpuint(all.max_um, ==, max_um);
    }
}

static void
test_bins_gap(void)
{
    g_autofree CtlBins *bins = g_new(CtlBins, 1);

    ctl_bins_init(bins);
    ctl_bins_add(bins, 500, 700, true);
    ctl_bins_add(bins, 500 + 100000, 710, true);
    ctl_bins_add(bins, 500 + 2000000, 720, true);
    ctl_bins_add(bins, 400, 4000, true);
    g_assert_cmpuint(ctl_bins_get(bins, 40000, 60000).max_um, ==, 700);
    g_assert_cmpuint(ctl_bins_get(bins, 1000000, 1100000).n_samples, ==, 0);
    g_assert_cmpuint(ctl_bins_get(bins, 0, UINT64_MAX).max_um, ==, 720);
    g_assert_cmpuint(ctl_bins_get(bins, 10, 10).n_samples, ==, 0);
    ctl_bins_add(bins, UINT64_MAX, 730, true);
    g_assert_cmpuint(ctl_bins_get(bins, 0, UINT64_MAX).max_um, ==, 730);
}

static char *
draw(const CliTerm *term)
{
    g_autofree CtlBins *bins = g_new(CtlBins, 1);
    const CtlChartPass passes[] = { { 1, 2000000, 8000000 }, { 2, 12000000, 18000000 } };
    GString *out = g_string_new(NULL);

    ctl_bins_init(bins);
    for (uint64_t i = 0; i < 1000; i++) {
        const bool has_contact = (i >= 100 && i < 400) || (i >= 600 && i < 900);
        const uint32_t depth_um = i == 300 ? 1400 : has_contact ? 500 : 0;
        ctl_bins_add(bins, i * STEP_US, depth_um, has_contact);
    }
    const CtlChart chart = {
        .bins = bins, .length_us = 20000000, .passes = passes, .n_passes = 2, .has_passes = true
    };
    ctl_chart_render(&chart, term, out);
    return g_string_free(out, FALSE);
}

static void
test_chart_ascii(void)
{
    const CliTerm term = { .n_columns = 48 };
    g_autofree char *found = draw(&term);

    g_assert_cmpstr(found,
                    ==,
                    "  depth in mm\n"
                    "      |            #\n"
                    " 1.25 +            #\n"
                    "      |            #\n"
                    " 1.00 +            #\n"
                    "      |            #\n"
                    " 0.75 +            #\n"
                    "      |            #\n"
                    " 0.50 +    ############        ############\n"
                    "      |\n"
                    " 0.25 +\n"
                    "      |\n"
                    " 0.00 +\n"
                    "touch |    ============        ============\n"
                    " pass |    1-----------        2-----------\n"
                    "      ++---------+---------+---------+---------\n"
                    " min:s 0:00      0:05      0:10      0:15\n");
}

/* One peak of one sample is a full column in braille too, and no line is too long. */
static void
test_chart_braille(void)
{
    const CliTerm term = {
        .n_columns = 48, .has_utf8 = true, .has_cursor = true, .is_terminal = true
    };
    g_autofree char *found = draw(&term);
    g_auto(GStrv) lines = g_strsplit(found, "\n", -1);

    for (gsize i = 0; lines[i] != NULL; i++) {
        g_assert_cmpint(cli_text_width(lines[i]), <=, 48);
    }
    g_assert_cmpstr(lines[2], ==, " 1.25 ┤            ⡇");
    g_assert_cmpstr(lines[8], ==, " 0.50 ┤    ⣀⣀⣀⣀⣀⣀⣀⣀⣇⣀⣀⣀        ⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀");
}

static void
test_csv(void)
{
    static const struct {
        const char *text;
        const char *wanted;
    } rows[] = {
        { NULL, "" },
        { "", "" },
        { "cheek", "cheek" },
        { "a,b", "\"a,b\"" },
        { "say \"ah\"", "\"say \"\"ah\"\"\"" },
        { "two\nlines", "\"two\nlines\"" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        ctl_csv_append(out, rows[i].text);
        g_assert_cmpstr(out->str, ==, rows[i].wanted);
    }
}

/* Messages of 0, 3 and 300 bytes, fed in pieces of every size. */
static void
test_delimited(void)
{
    g_autoptr(GByteArray) stream = g_byte_array_new();
    static const guint8 zeros[300];

    g_byte_array_append(stream, (const guint8 *)"\0\3abc\254\2", 7);
    g_byte_array_append(stream, zeros, sizeof zeros);
    for (guint piece = 1; piece <= stream->len; piece++) {
        CtlDelimited delimited = { 0 };
        for (guint done = 0; done < stream->len; done += piece) {
            ctl_delimited_feed(&delimited, stream->data + done, MIN(piece, stream->len - done));
        }
        g_assert_true(ctl_delimited_is_whole(&delimited));
        g_assert_cmpuint(delimited.n_messages, ==, 3);
    }
    for (guint cut = 1; cut < stream->len; cut++) {
        CtlDelimited delimited = { 0 };
        ctl_delimited_feed(&delimited, stream->data, cut);
        g_assert_cmpint(ctl_delimited_is_whole(&delimited), ==, cut == 1 || cut == 5);
    }
    CtlDelimited endless = { 0 };
    ctl_delimited_feed(&endless, (const guint8 *)"\377\377\377\377\377\377", 6);
    g_assert_false(ctl_delimited_is_whole(&endless));
}

static bool
feed(CtlLive *live, const char *text)
{
    g_autofree char *line = g_strdup(text);

    return ctl_live_feed(live, line);
}

static void
feed_sample(CtlLive *live, unsigned tick_ms, unsigned depth_um, bool has_contact)
{
    g_autofree char *line = g_strdup_printf(
        "{\"pen\":\"P1\",\"session\":\"aaaa\",\"number\":1,\"tick_us\":%u000,\"depth_um\":%u,"
        "\"rate_dhz\":1167,\"load_permille\":400,\"contact\":%s}",
        tick_ms,
        depth_um,
        has_contact ? "true" : "false");

    ctl_live_feed(live, line);
}

static void
test_live(void)
{
    CtlLive live;

    ctl_live_init(&live);
    feed_sample(&live, 1000, 500, true);
    feed_sample(&live, 1020, 600, true);
    feed_sample(&live, 1010, 4000, true); /* sent again: known */
    feed_sample(&live, 1040, 0, false);
    feed_sample(&live, 5000, 700, true); /* nobody knows what was between */
    const CtlLivePen *pen = g_ptr_array_index(live.pens, 0);
    g_assert_cmpuint(pen->contact_us, ==, 40000);
    g_assert_cmpuint(pen->max_um, ==, 700);
    g_assert_cmpint(pen->tick_us, ==, 5000000);
    g_assert_true(feed(&live, "{\"pen\":\"P1\",\"event\":\"end\",\"session\":\"aaaa\"}"));
    g_assert_null(pen->session);
    g_assert_true(feed(&live, "{\"pen\":\"P1\",\"event\":\"begin\",\"session\":\"bbbb\"}"));
    g_assert_cmpuint(pen->max_um, ==, 0);
    g_assert_true(feed(&live, "{\"dropped\":12}"));
    g_assert_cmpuint(live.n_dropped, ==, 12);
    g_assert_false(feed(&live, "nonsense"));
    g_assert_false(feed(&live, "{\"pen\":\"\"}"));
    g_assert_false(feed(&live, "{\"pen\":\"P1\",\"tick_us\":-4}"));
    g_assert_cmpuint(live.n_bad, ==, 1);
    ctl_live_clear(&live);
}

/* Any number of pens on any size: never more rows or columns than there are. */
static void
test_live_frame(void)
{
    for (int n_pens = 0; n_pens < 30; n_pens += 3) {
        CtlLive live;
        ctl_live_init(&live);
        for (int i = 0; i < n_pens; i++) {
            g_autofree char *line = g_strdup_printf(
                "{\"pen\":\"PEN-WITH-A-LONG-NAME-%02d\",\"session\":\"aaaa\",\"tick_us\":5,"
                "\"depth_um\":900,\"contact\":true}",
                i);
            ctl_live_feed(&live, line);
        }
        for (int n_rows = 1; n_rows < 40; n_rows++) {
            const CliTerm term = { .n_columns = 40, .n_rows = n_rows, .has_utf8 = true };
            g_autoptr(GString) out = g_string_new(NULL);
            ctl_live_draw(&live, &term, "12:00:00", "waiting for penteld", out);
            g_auto(GStrv) lines = g_strsplit(out->str, "\r\n", -1);
            if (n_pens > n_rows && n_rows > 4) {
                g_assert_nonnull(strstr(out->str, " more: "));
            }
            g_assert_cmpint((int)g_strv_length(lines), <=, n_rows);
            for (gsize i = 0; lines[i] != NULL; i++) {
                char *end = strstr(lines[i], "\033[K");
                *(end != NULL ? end : lines[i]) = '\0';
                g_assert_cmpint(cli_text_width(lines[i]) - (i == 0 ? 3 : 0), <=, 39);
            }
        }
        ctl_live_clear(&live);
    }
}

typedef struct {
    const char *line;
    const char *wrong; /* beginning of the complaint, NULL when there is none */
} ArgsRow;

static const ArgsRow args_rows[] = {
    { "sesions", "there is no verb \"sesions\"; did you mean sessions?" },
    { "sessions --nonsense", "there is no option \"--nonsense\"" },
    { "sessions --limt 3", "there is no option \"--limt\"; did you mean --limit?" },
    { "sessions --limit", "--limit needs a value; type --limit N" },
    { "sessions --all=yes", "--all takes no value" },
    { "sessions -x", "there is no option \"-x\"" },
    { "sessions extra", "\"extra\" is one word too many; type: pentelctl sessions" },
    { "sessions --zone x", "sessions has no option --zone" },
    { "show", "show needs ID; type: pentelctl show ID" },
    { "show a b", "\"b\" is one word too many" },
    { "--json sessions -n20 --pen=PT-0001", NULL },
    { "show -- -x", NULL },
    { "export -fpb -o - 3f2a", NULL },
};

static void
test_args(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(args_rows); i++) {
        g_auto(GStrv) words = NULL;
        g_autofree char *line = g_strconcat("pentelctl ", args_rows[i].line, NULL);
        CtlArgs args;
        int n_words = 0;

        g_assert_true(g_shell_parse_argv(line, &n_words, &words, NULL));
        g_autofree char *parsed = ctl_args_parse(n_words, words, &args);
        g_autofree char *checked =
            parsed == NULL ? ctl_args_check(&args, ctl_command_find(args.verb)) : NULL;
        const char *wrong = parsed != NULL ? parsed : checked;
        if (args_rows[i].wrong == NULL) {
            g_assert_cmpstr(wrong, ==, NULL);
        } else {
            g_assert_nonnull(wrong);
            g_assert_true(g_str_has_prefix(wrong, args_rows[i].wrong));
        }
        ctl_args_clear(&args);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bins/envelope", test_bins_envelope);
    g_test_add_func("/bins/gap", test_bins_gap);
    g_test_add_func("/chart/ascii", test_chart_ascii);
    g_test_add_func("/chart/braille", test_chart_braille);
    g_test_add_func("/csv", test_csv);
    g_test_add_func("/delimited", test_delimited);
    g_test_add_func("/live/model", test_live);
    g_test_add_func("/live/frame", test_live_frame);
    g_test_add_func("/args", test_args);
    return g_test_run();
}
