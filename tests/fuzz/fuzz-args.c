/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Command lines: words, each with a NUL behind it. Whatever is typed, the answer is one
 * line that says what to type, or arguments that the verb takes.
 */
#include "ctl/args.h"
#include "ctl/run.h"
#include "fuzz.h"

#include <stdarg.h>
#include <string.h>

#define WORDS_MAX 64u

/* The table names what the verbs do; nothing is done here. */
#define DEFINE_VERB(name)                                                                          \
    CtlExit name(CtlRun *run)                                                                      \
    {                                                                                              \
        return run->is_json ? CTL_EXIT_OK : CTL_EXIT_FAILED;                                       \
    }

DEFINE_VERB(ctl_status)
DEFINE_VERB(ctl_pens)
DEFINE_VERB(ctl_enroll)
DEFINE_VERB(ctl_forget)
DEFINE_VERB(ctl_sessions)
DEFINE_VERB(ctl_show)
DEFINE_VERB(ctl_watch)
DEFINE_VERB(ctl_annotate)
DEFINE_VERB(ctl_export)
DEFINE_VERB(ctl_verify)
DEFINE_VERB(ctl_backup)
DEFINE_VERB(ctl_hold)
DEFINE_VERB(ctl_erase)
DEFINE_VERB(ctl_sync)
DEFINE_VERB(ctl_import)
DEFINE_VERB(ctl_doctor)

static void
check_line(const char *text)
{
    FUZZ_REQUIRE(text[0] != '\0' && strchr(text, '\n') == NULL && strchr(text, '\033') == NULL);
}

CtlExit
ctl_fail(CtlExit exit_code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    check_line(text);
    return exit_code;
}

static void
try_values(const CtlArgs *args, const CtlCommand *command)
{
    CtlRun run = { .args = *args, .now_us = INT64_C(1800000000000000) };
    guint64 number = 1;
    int64_t wall_us = 0;

    if (ctl_args_get_number(args, CTL_OPTION_LIMIT, 1, 1000, &number)) {
        FUZZ_REQUIRE(number >= 1 && number <= 1000);
    }
    (void)ctl_args_get_time(&run, CTL_OPTION_SINCE, false, &wall_us);
    (void)ctl_args_get_time(&run, CTL_OPTION_UNTIL, true, &wall_us);
    (void)ctl_args_check_word(args, CTL_OPTION_STATE);
    FUZZ_REQUIRE(args->n_operands >= command->n_operands_min &&
                 args->n_operands <= command->n_operands_max);
}

static void
try_line(int argc, char **argv)
{
    CtlArgs args;
    g_autofree char *wrong = ctl_args_parse(argc, argv, &args);

    if (wrong == NULL && args.verb != NULL && ctl_command_find(args.verb) != NULL) {
        const CtlCommand *command = ctl_command_find(args.verb);
        wrong = ctl_args_check(&args, command);
        if (wrong == NULL) {
            try_values(&args, command);
        }
    }
    if (wrong != NULL) {
        check_line(wrong);
    }
    ctl_args_clear(&args);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data)
{
    g_autofree char *text = g_malloc(n_data + 1);
    char *argv[WORDS_MAX + 2] = { (char[]){ "pentelctl" } };
    int argc = 1;

    if (n_data > 0) {
        memcpy(text, data, n_data);
    }
    text[n_data] = '\0';
    for (size_t at = 0; at < n_data && argc <= (int)WORDS_MAX; at += strlen(text + at) + 1) {
        argv[argc++] = text + at;
    }
    try_line(argc, argv);
    return 0;
}
