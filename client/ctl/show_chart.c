/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The chart of pentelctl show: reads the samples through a pipe into bins and places the
 * passes beside them.
 */
#include "ctl/show_chart.h"

#include "ctl/chart.h"
#include "ctl/run.h"
#include "ctl/stream.h"
#include "lib/dict.h"
#include "lib/flat.h"
#include "lib/lines.h"
#include "lib/time.h"

typedef struct {
    CtlBins bins;
    bool has_end;  /* the line that says that all of them came */
    bool has_wall; /* the wall time of the first sample is known */
    int64_t first_wall_us;
} Samples;

static void
add_line(Samples *samples, char *line)
{
    CliFlat flat;
    int64_t tick_us = 0;
    int64_t depth_um = 0;
    bool has_contact = false;

    samples->has_end = ctl_stream_is_end(line);
    if (!cli_flat_parse(line, &flat) || !cli_flat_get_int(&flat, "tick_us", &tick_us) ||
        !cli_flat_get_int(&flat, "depth_um", &depth_um) || tick_us < 0 || depth_um < 0 ||
        depth_um > UINT16_MAX) {
        return;
    }
    cli_flat_get_bool(&flat, "contact", &has_contact);
    if (samples->bins.n_used == 0) {
        samples->has_wall = cli_flat_get_int(&flat, "wall_us", &samples->first_wall_us);
    }
    ctl_bins_add(&samples->bins, (uint64_t)tick_us, (uint32_t)depth_um, has_contact);
}

/* Returns whether all of them came. */
static bool
read_samples(Samples *samples, int fd)
{
    CliLines lines;
    CliLinesStatus status = CLI_LINES_MORE;

    cli_lines_init(&lines, fd);
    while (status == CLI_LINES_MORE) {
        status = cli_lines_read(&lines);
        for (char *line = cli_lines_take(&lines); line != NULL; line = cli_lines_take(&lines)) {
            add_line(samples, line);
        }
    }
    cli_lines_clear(&lines);
    return status == CLI_LINES_END && samples->has_end;
}

/* Where the session begins, so that samples, passes and the axis share one zero. */
static bool
session_start(GVariant *session, int64_t *wall_us_out)
{
    const char *text = cli_dict_get_text(session, "started_at");

    return text != NULL && cli_time_from_rfc3339(text, wall_us_out);
}

static bool
place_pass(GVariant *pass, int64_t zero_us, CtlChartPass *out)
{
    const char *text = cli_dict_get_text(pass, "started_at");
    int64_t wall_us = 0;
    uint64_t elapsed_ms = 0;
    uint64_t index = 0;

    if (text == NULL || !cli_time_from_rfc3339(text, &wall_us) || wall_us < zero_us ||
        !cli_dict_get_uint(pass, "elapsed_ms", &elapsed_ms) ||
        !cli_dict_get_uint(pass, "index", &index)) {
        return false;
    }
    out->index = (uint32_t)index;
    out->from_us = (uint64_t)(wall_us - zero_us);
    out->to_us = out->from_us + elapsed_ms * 1000;
    return true;
}

static GArray *
place_passes(GVariant *session, int64_t zero_us)
{
    g_autoptr(GVariant) passes = cli_dict_get(session, "passes", "aa{sv}");
    const gsize n = passes != NULL ? g_variant_n_children(passes) : 0;
    GArray *placed = g_array_new(FALSE, TRUE, sizeof(CtlChartPass));

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) pass = g_variant_get_child_value(passes, i);
        CtlChartPass one = { 0 };
        if (place_pass(pass, zero_us, &one)) {
            g_array_append_val(placed, one);
        }
    }
    return placed;
}

static void
draw(const Samples *samples, GVariant *session, const CliTerm *term, GString *out)
{
    int64_t zero_us = 0;
    uint64_t elapsed_ms = 0;
    CtlChart chart = { .bins = &samples->bins };

    chart.has_passes = session_start(session, &zero_us) && samples->has_wall;
    if (chart.has_passes && samples->first_wall_us > zero_us) {
        chart.offset_us = (uint64_t)(samples->first_wall_us - zero_us);
    }
    cli_dict_get_uint(session, "elapsed_ms", &elapsed_ms);
    chart.length_us = MAX(elapsed_ms * 1000, chart.offset_us + samples->bins.last_us + 1);
    g_autoptr(GArray) passes = place_passes(session, zero_us);
    chart.passes = (const CtlChartPass *)(const void *)passes->data;
    chart.n_passes = passes->len;
    ctl_chart_render(&chart, term, out);
}

CtlExit
ctl_show_chart(CtlRun *run, GVariant *session, GString *out)
{
    const char *id = cli_dict_get_text(session, "id");
    Samples samples = { 0 };
    CtlStream stream = { .fd = -1 };

    if (id == NULL) {
        return CTL_EXIT_OK;
    }
    const CtlExit exit_code = ctl_stream_open(&stream, run, "read the samples", id, "jsonl");
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    ctl_bins_init(&samples.bins);
    const bool is_whole = read_samples(&samples, stream.fd);
    ctl_stream_clear(&stream);
    if (samples.bins.n_used > 0) {
        g_string_append_c(out, '\n');
        draw(&samples, session, &run->out, out);
    }
    if (!is_whole) {
        g_string_append(out, "The chart is cut off: the samples ended early.\n");
    }
    return CTL_EXIT_OK;
}
