/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"

/** Say in one line on standard error what is wrong and what to do. Returns @exit_code. */
CtlExit ctl_fail(CtlExit exit_code, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** As ctl_fail(), for an error of a call while @doing ("list the pens"). */
CtlExit ctl_fail_error(const char *doing, const GError *error);

/** Connect to the bus unless connected. Errors: printed; the code for them is returned. */
CtlExit ctl_run_open_bus(CtlRun *run, const char *doing);

/**
 * Open the bus, call, and say what went wrong.
 *
 * Owns: *@reply_out is the caller's; set only when CTL_EXIT_OK is returned.
 */
CtlExit ctl_run_call(CtlRun *run,
                     const char *doing,
                     const char *interface,
                     const char *method,
                     GVariant *arguments,
                     const char *reply_type,
                     GVariant **reply_out);

/**
 * Write all of @text to standard output and empty it.
 *
 * A reader that went away is no error: @has_reader_out (may be NULL) says so.
 */
CtlExit ctl_print(GString *text, bool *has_reader_out);

/**
 * Call a @method of Log1 that says something about session @id and returns the journal's
 * seq of it: nothing is printed, with --json {id, seq}.
 */
CtlExit ctl_run_say(
    CtlRun *run, const char *doing, const char *method, const char *id, GVariant *arguments);
