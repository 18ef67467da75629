/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What every verb needs: the bus, one line for what went wrong, and output that notices
 * a full disk and a reader that left.
 */
#include "ctl/run.h"

#include "lib/json.h"
#include "lib/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

CtlExit
ctl_fail(CtlExit exit_code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    fprintf(stderr, "pentelctl: %s\n", text);
    return exit_code;
}

CtlExit
ctl_fail_error(const char *doing, const GError *error)
{
    CtlExit exit_code = CTL_EXIT_FAILED;
    g_autofree char *text = cli_fault_describe(doing, error, &exit_code);

    return ctl_fail(exit_code, "%s", text);
}

CtlExit
ctl_run_open_bus(CtlRun *run, const char *doing)
{
    g_autoptr(GError) error = NULL;

    if (run->bus == NULL) {
        run->bus = cli_bus_open(&error);
    }
    return run->bus != NULL ? CTL_EXIT_OK : ctl_fail_error(doing, error);
}

CtlExit
ctl_run_call(CtlRun *run,
             const char *doing,
             const char *interface,
             const char *method,
             GVariant *arguments,
             const char *reply_type,
             GVariant **reply_out)
{
    g_autoptr(GVariant) sunk = arguments != NULL ? g_variant_ref_sink(arguments) : NULL;
    g_autoptr(GError) error = NULL;
    const CtlExit exit_code = ctl_run_open_bus(run, doing);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    GVariant *reply =
        cli_bus_call(run->bus, interface, method, sunk, reply_type, CLI_BUS_TIMEOUT_MS, &error);
    if (reply == NULL) {
        return ctl_fail_error(doing, error);
    }
    *reply_out = reply;
    return CTL_EXIT_OK;
}

CtlExit
ctl_print(GString *text, bool *has_reader_out)
{
    const int number = cli_output_write(STDOUT_FILENO, text->str, text->len);

    g_string_truncate(text, 0);
    if (has_reader_out != NULL) {
        *has_reader_out = number != EPIPE;
    }
    if (number == 0 || number == EPIPE) {
        return CTL_EXIT_OK;
    }
    return ctl_fail(CTL_EXIT_FAILED,
                    "cannot write the output: %s; look at where it goes to",
                    g_strerror(number));
}

CtlExit
ctl_run_say(CtlRun *run, const char *doing, const char *method, const char *id, GVariant *arguments)
{
    g_autoptr(GVariant) reply = NULL;
    const CtlExit exit_code =
        ctl_run_call(run, doing, CLI_BUS_LOG1, method, arguments, "(t)", &reply);
    guint64 seq = 0;

    if (exit_code != CTL_EXIT_OK || !run->is_json) {
        return exit_code;
    }
    g_autoptr(GString) out = g_string_new(NULL);
    CliJson json = CLI_JSON_INIT(out);
    g_variant_get(reply, "(t)", &seq);
    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "id", id);
    cli_json_uint(&json, "seq", seq);
    cli_json_close(&json, '}');
    g_string_append_c(out, '\n');
    return ctl_print(out, NULL);
}
