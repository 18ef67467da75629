/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl export: one session or a range, to a file that is whole or not there, or to
 * standard output.
 */
#include "ctl/args.h"
#include "ctl/command.h"
#include "ctl/export_format.h"
#include "ctl/paging.h"
#include "ctl/run.h"
#include "lib/dict.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static CtlExit
check_words(const CtlArgs *args)
{
    const bool has_filter =
        args->has[CTL_OPTION_PEN] || args->has[CTL_OPTION_SINCE] || args->has[CTL_OPTION_UNTIL];

    if (!ctl_args_check_word(args, CTL_OPTION_FORMAT)) {
        return CTL_EXIT_USAGE;
    }
    if (args->n_operands > 0 && has_filter) {
        return ctl_fail(CTL_EXIT_USAGE,
                        "one session or a range, not both; leave out the ID, or --pen, --since "
                        "and --until");
    }
    if (args->n_operands == 0 && !has_filter) {
        return ctl_fail(CTL_EXIT_USAGE,
                        "what to export is missing; type for example: pentelctl export --since "
                        "today -o today.jsonl");
    }
    return CTL_EXIT_OK;
}

/* The id stands in every line as it is, so it must be what an id is. */
static CtlExit
write_session(CtlRun *run, const CtlFormat *format, CtlSink *sink, GVariant *session)
{
    const char *id = cli_dict_get_text(session, "id");

    if (id == NULL || !g_uuid_string_is_valid(id)) {
        return ctl_fail(CTL_EXIT_FAILED,
                        "penteld gave a session without an id; see: journalctl -u penteld");
    }
    const CtlExit exit_code = format->write(run, sink, id);
    sink->n_sessions += exit_code == CTL_EXIT_OK;
    return exit_code;
}

static CtlExit
export_one(CtlRun *run, const CtlFormat *format, CtlSink *sink)
{
    g_autoptr(GVariant) reply = NULL;
    const CtlExit exit_code = ctl_run_call(run,
                                           "export the session",
                                           CLI_BUS_LOG1,
                                           "GetSession",
                                           g_variant_new("(s)", run->args.operands[0]),
                                           "(a{sv})",
                                           &reply);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_autoptr(GVariant) session = g_variant_get_child_value(reply, 0);
    return write_session(run, format, sink, session);
}

static CtlExit
export_page(CtlRun *run, const CtlFormat *format, CtlSink *sink, GVariant *page)
{
    const gsize n = g_variant_n_children(page);

    for (gsize i = 0; i < n && ctl_sink_poll(sink); i++) {
        g_autoptr(GVariant) session = g_variant_get_child_value(page, i);
        const CtlExit exit_code = write_session(run, format, sink, session);
        if (exit_code != CTL_EXIT_OK) {
            return exit_code;
        }
    }
    return CTL_EXIT_OK;
}

static CtlExit
export_range(CtlRun *run, const CtlFormat *format, CtlSink *sink)
{
    CtlPaging paging = { 0 };
    CtlExit exit_code = ctl_paging_init(&paging, run, G_MAXUINT64);

    while (exit_code == CTL_EXIT_OK && sink->error == 0) {
        g_autoptr(GVariant) page = NULL;
        exit_code = ctl_paging_next(&paging, &page);
        if (exit_code != CTL_EXIT_OK || page == NULL) {
            break;
        }
        exit_code = export_page(run, format, sink, page);
    }
    ctl_paging_clear(&paging);
    return exit_code;
}

/* A reader of standard output that left has what it wanted. */
static CtlExit
judge_sink(const CtlSink *sink, bool is_file)
{
    if (sink->error == 0 || (sink->error == EPIPE && !is_file)) {
        return CTL_EXIT_OK;
    }
    return ctl_fail(CTL_EXIT_FAILED,
                    "cannot write the export: %s; %s",
                    g_strerror(sink->error),
                    sink->error == ENOSPC ? "free some space or choose another place"
                                          : "choose another place with -o");
}

static CtlExit
write_all(CtlRun *run, CtlSink *sink, bool is_file)
{
    const char *name = run->args.values[CTL_OPTION_FORMAT];
    const CtlFormat *format = ctl_format_find(name != NULL ? name : "jsonl");
    CtlExit exit_code = CTL_EXIT_OK;

    if (format->header != NULL) {
        g_string_append(sink->pending, format->header);
    }
    if (run->args.n_operands > 0) {
        exit_code = export_one(run, format, sink);
    } else {
        exit_code = export_range(run, format, sink);
    }
    if (exit_code != CTL_EXIT_OK) {
        g_string_truncate(sink->pending, 0);
        ctl_sink_finish(sink);
        return exit_code;
    }
    ctl_sink_finish(sink);
    return judge_sink(sink, is_file);
}

static CtlExit
print_result(const CtlRun *run, const CtlSink *sink)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *file =
        g_filename_to_utf8(run->args.values[CTL_OPTION_OUTPUT], -1, NULL, NULL, NULL);
    CliJson json = CLI_JSON_INIT(out);

    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "file", file);
    cli_json_uint(&json, "sessions", sink->n_sessions);
    cli_json_uint(&json, "bytes", sink->n_bytes);
    cli_json_close(&json, '}');
    g_string_append_c(out, '\n');
    return ctl_print(out, NULL);
}

static CtlExit
fail_file(const GError *error)
{
    g_autofree char *text = cli_text_escape(error->message, g_get_charset(NULL));

    return ctl_fail(CTL_EXIT_FAILED, "%s; choose another place with -o", text);
}

static CtlExit
export_to_file(CtlRun *run, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CliFile) file = cli_file_new(path, &error);
    CtlSink sink;

    if (file == NULL) {
        return fail_file(error);
    }
    ctl_sink_init(&sink, cli_file_get_fd(file));
    CtlExit exit_code = write_all(run, &sink, true);
    if (exit_code == CTL_EXIT_OK && !cli_file_commit(file, &error)) {
        exit_code = fail_file(error);
    }
    if (exit_code == CTL_EXIT_OK && run->is_json) {
        exit_code = print_result(run, &sink);
    }
    ctl_sink_clear(&sink);
    return exit_code;
}

static CtlExit
export_to_stdout(CtlRun *run)
{
    CtlSink sink;

    ctl_sink_init(&sink, STDOUT_FILENO);
    const CtlExit exit_code = write_all(run, &sink, false);
    ctl_sink_clear(&sink);
    return exit_code;
}

CtlExit
ctl_export(CtlRun *run)
{
    const char *path = run->args.values[CTL_OPTION_OUTPUT];
    const CtlExit exit_code = check_words(&run->args);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    if (path == NULL || strcmp(path, "-") == 0) {
        return export_to_stdout(run);
    }
    return export_to_file(run, path);
}
