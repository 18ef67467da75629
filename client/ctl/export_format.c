/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The formats of an export: JSON lines, CSV of samples or passes, the raw records. Each
 * holds one line at a time.
 */
#include "ctl/export_format.h"

#include "ctl/export_raw.h"
#include "ctl/run.h"
#include "ctl/session.h"
#include "ctl/stream.h"
#include "lib/dict.h"
#include "lib/flat.h"
#include "lib/lines.h"
#include "lib/time.h"

#include <string.h>

#define DOING "export the session"

static CtlExit
get_session(CtlRun *run, const char *id, GVariant **session_out)
{
    g_autoptr(GVariant) reply = NULL;
    const CtlExit exit_code = ctl_run_call(
        run, DOING, CLI_BUS_LOG1, "GetSession", g_variant_new("(s)", id), "(a{sv})", &reply);

    if (exit_code == CTL_EXIT_OK) {
        *session_out = g_variant_get_child_value(reply, 0);
    }
    return exit_code;
}

/* Calls @write for every sample of a session; false from it ends the stream. */
static CtlExit
for_each_sample(CtlRun *run,
                CtlSink *sink,
                const char *id,
                bool (*write)(CtlSink *sink, const char *id, char *line))
{
    CtlStream stream = { .fd = -1 };
    CliLines lines;
    CliLinesStatus status = CLI_LINES_MORE;
    bool is_good = true;
    bool has_end = false;
    const CtlExit exit_code = ctl_stream_open(&stream, run, DOING, id, "jsonl");

    if (exit_code != CTL_EXIT_OK) {
        ctl_stream_clear(&stream);
        return exit_code;
    }
    cli_lines_init(&lines, stream.fd);
    while (status == CLI_LINES_MORE && is_good && sink->error == 0) {
        status = cli_lines_read(&lines);
        for (char *line = cli_lines_take(&lines); line != NULL && is_good;
             line = cli_lines_take(&lines)) {
            has_end = ctl_stream_is_end(line);
            is_good = has_end || (write(sink, id, line) && ctl_sink_poll(sink));
        }
    }
    cli_lines_clear(&lines);
    const bool is_whole = status == CLI_LINES_END && is_good && has_end;
    ctl_stream_clear(&stream);
    return is_whole || sink->error != 0 ? CTL_EXIT_OK : ctl_export_fail_cut(id);
}

static bool
write_json_sample(CtlSink *sink, const char *id, char *line)
{
    const size_t n = strlen(line);

    if (n < 3 || line[0] != '{' || line[n - 1] != '}') {
        return false;
    }
    g_string_append_printf(
        sink->pending, "{\"kind\":\"sample\",\"session\":\"%s\",%s\n", id, line + 1);
    return true;
}

static CtlExit
write_jsonl(CtlRun *run, CtlSink *sink, const char *id)
{
    g_autoptr(GVariant) session = NULL;
    CliJson json = CLI_JSON_INIT(sink->pending);
    const CtlExit exit_code = get_session(run, id, &session);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "kind", "session");
    ctl_session_append_json_members(&json, session, true);
    cli_json_close(&json, '}');
    g_string_append_c(sink->pending, '\n');
    return for_each_sample(run, sink, id, write_json_sample);
}

static void
append_tenths(GString *out, const CliFlat *flat, const char *key)
{
    int64_t tenths = 0;

    if (cli_flat_get_int(flat, key, &tenths) && tenths >= 0) {
        g_string_append_printf(
            out, "%" G_GINT64_FORMAT ".%u", tenths / 10, (unsigned)(tenths % 10));
    }
    g_string_append_c(out, ',');
}

static void
append_int(GString *out, const CliFlat *flat, const char *key)
{
    int64_t value = 0;

    if (cli_flat_get_int(flat, key, &value)) {
        g_string_append_printf(out, "%" G_GINT64_FORMAT, value);
    }
    g_string_append_c(out, ',');
}

static bool
write_csv_sample(CtlSink *sink, const char *id, char *line)
{
    CliFlat flat;
    int64_t wall_us = 0;
    bool has_contact = false;
    g_autofree char *time = NULL;

    if (!cli_flat_parse(line, &flat)) {
        return false;
    }
    if (cli_flat_get_int(&flat, "wall_us", &wall_us)) {
        time = cli_time_to_rfc3339(wall_us);
    }
    g_string_append_printf(sink->pending, "%s,", id);
    append_int(sink->pending, &flat, "tick_us");
    g_string_append_printf(sink->pending, "%s,", time != NULL ? time : "");
    append_int(sink->pending, &flat, "depth_um");
    append_tenths(sink->pending, &flat, "rate_dhz");
    append_int(sink->pending, &flat, "load_permille");
    if (cli_flat_get_bool(&flat, "contact", &has_contact)) {
        g_string_append_c(sink->pending, has_contact ? '1' : '0');
    }
    g_string_append_c(sink->pending, '\n');
    return true;
}

static CtlExit
write_csv_samples(CtlRun *run, CtlSink *sink, const char *id)
{
    return for_each_sample(run, sink, id, write_csv_sample);
}

static void
append_cell(GString *out, const char *text)
{
    ctl_csv_append(out, text);
    g_string_append_c(out, ',');
}

static void
append_number(GString *out, GVariant *dict, const char *key)
{
    g_autofree char *number = dict != NULL ? ctl_session_dup_number(dict, key) : NULL;

    append_cell(out, number);
}

static void
append_csv_pass(GString *out, GVariant *session, GVariant *pass)
{
    static const char *const depths[] = { "min", "median", "p95", "max", "mean" };
    g_autoptr(GVariant) depth = cli_dict_get(pass, "depth_um", "a{sv}");
    char rate[G_ASCII_DTOSTR_BUF_SIZE] = "";
    double rate_hz = 0;
    bool is_incomplete = false;

    append_cell(out, cli_dict_get_text(session, "id"));
    append_cell(out, cli_dict_get_text(session, "pen"));
    append_number(out, pass, "index");
    append_cell(out, cli_dict_get_text(pass, "started_at"));
    append_number(out, pass, "elapsed_ms");
    append_number(out, pass, "contact_ms");
    for (gsize i = 0; i < G_N_ELEMENTS(depths); i++) {
        append_number(out, depth, depths[i]);
    }
    if (cli_dict_get_double(pass, "rate_hz", &rate_hz)) {
        g_ascii_formatd(rate, sizeof rate, "%.15g", rate_hz);
    }
    append_cell(out, rate);
    append_number(out, pass, "punctures_estimate");
    append_cell(out, cli_dict_get_text(pass, "zone"));
    if (cli_dict_get_bool(pass, "incomplete", &is_incomplete)) {
        g_string_append_c(out, is_incomplete ? '1' : '0');
    }
    g_string_append_c(out, '\n');
}

static CtlExit
write_csv_passes(CtlRun *run, CtlSink *sink, const char *id)
{
    g_autoptr(GVariant) session = NULL;
    const CtlExit exit_code = get_session(run, id, &session);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_autoptr(GVariant) passes = cli_dict_get(session, "passes", "aa{sv}");
    const gsize n = passes != NULL ? g_variant_n_children(passes) : 0;
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) pass = g_variant_get_child_value(passes, i);
        append_csv_pass(sink->pending, session, pass);
        ctl_sink_poll(sink);
    }
    return CTL_EXIT_OK;
}

static CtlExit
write_raw(CtlRun *run, CtlSink *sink, const char *id)
{
    g_autoptr(GVariant) session = NULL;
    const CtlExit exit_code = get_session(run, id, &session);

    return exit_code == CTL_EXIT_OK ? ctl_export_raw(run, sink, id, session) : exit_code;
}

static const CtlFormat formats[] = {
    { "jsonl", NULL, write_jsonl },
    { "csv-samples",
      "session,tick_us,time,depth_um,rate_hz,load_permille,contact\n",
      write_csv_samples },
    { "csv-passes",
      "session,pen,index,started_at,elapsed_ms,contact_ms,depth_min_um,depth_median_um,"
      "depth_p95_um,depth_max_um,depth_mean_um,rate_hz,punctures_estimate,zone,incomplete\n",
      write_csv_passes },
    { "pb", NULL, write_raw },
};

const CtlFormat *
ctl_format_find(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}
