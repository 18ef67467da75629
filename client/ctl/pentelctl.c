/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl: what people and scripts ask penteld, over D-Bus only. Here the command line
 * is taken apart and one verb is run; what there is to type is in command.c.
 */
#include "ctl/args.h"
#include "ctl/command.h"
#include "ctl/generate.h"
#include "ctl/help.h"
#include "ctl/run.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static CtlExit
print_help(const CtlCommand *command)
{
    g_autoptr(GString) out = g_string_new(NULL);

    ctl_help_append(out, command);
    return ctl_print(out, NULL);
}

static CtlExit
print_version(bool is_json)
{
    g_autoptr(GString) out = g_string_new(NULL);

    g_string_append_printf(
        out, is_json ? "{\"version\":\"%s\"}\n" : "pentelctl %s\n", PENTEL_VERSION);
    return ctl_print(out, NULL);
}

static CtlExit
run_verb(CtlRun *run, const CtlCommand *command)
{
    g_autofree char *wrong = ctl_args_check(&run->args, command);

    if (wrong != NULL) {
        return ctl_fail(CTL_EXIT_USAGE, "%s", wrong);
    }
    run->is_json = run->args.has[CTL_OPTION_JSON];
    run->now_us = g_get_real_time();
    run->out = cli_term_probe(STDOUT_FILENO);
    return command->run(run);
}

/* "pentelctl help show" is what people type who never read this one's help. */
static CtlExit
explain(const CtlArgs *args)
{
    const bool is_help = args->verb != NULL && strcmp(args->verb, "help") == 0;
    const char *verb = is_help ? args->operands[0] : args->verb;
    const CtlCommand *command = verb != NULL ? ctl_command_find(verb) : NULL;

    if (verb != NULL && command == NULL) {
        g_autofree char *wrong = ctl_args_dup_no_verb(verb);
        return ctl_fail(CTL_EXIT_USAGE, "%s", wrong);
    }
    return print_help(command);
}

static CtlExit
run_command_line(CtlRun *run, int argc, char *const *argv)
{
    CtlArgs *args = &run->args;
    g_autofree char *wrong = ctl_args_parse(argc, argv, args);

    if (wrong != NULL) {
        return ctl_fail(CTL_EXIT_USAGE, "%s", wrong);
    }
    if (args->has[CTL_OPTION_HELP] || (args->verb != NULL && strcmp(args->verb, "help") == 0)) {
        return explain(args);
    }
    if (args->has[CTL_OPTION_VERSION]) {
        return print_version(args->has[CTL_OPTION_JSON]);
    }
    if (args->verb == NULL && args->has[CTL_OPTION_GENERATE]) {
        return ctl_generate(run);
    }
    if (args->verb == NULL) {
        return ctl_fail(CTL_EXIT_USAGE, "what to do is missing; see: pentelctl --help");
    }
    return run_verb(run, ctl_command_find(args->verb));
}

int
main(int argc, char **argv)
{
    CtlRun run = { 0 };

    (void)setlocale(LC_ALL, "");
    (void)signal(SIGPIPE, SIG_IGN);
    g_auto(GStrv) words = ctl_args_take(argc, argv);
    const CtlExit exit_code = run_command_line(&run, argc, words);
    cli_bus_free(run.bus);
    ctl_args_clear(&run.args);
    return (int)exit_code;
}
