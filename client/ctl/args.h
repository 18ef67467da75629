/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"

/**
 * Copy the command line and blank in @argv what other users must not read in a process title:
 * all words but verbs and the names of options.
 *
 * Owns: the caller's, NULL-terminated.
 */
char **ctl_args_take(int argc, char **argv);

/**
 * Take a command line apart; options may stand before and after the verb.
 *
 * Returns NULL, or what is wrong and what to type, in one line that is the caller's.
 * Owns: @args_out borrows from @argv; clear it with ctl_args_clear() in either case.
 */
char *ctl_args_parse(int argc, char *const *argv, CtlArgs *args_out);

/** That there is no verb of this name, and which was meant. Owns: the caller's. */
char *ctl_args_dup_no_verb(const char *typed);

/** Whether the options and operands are those of @command. Returns as ctl_args_parse(). */
char *ctl_args_check(const CtlArgs *args, const CtlCommand *command);

void ctl_args_clear(CtlArgs *args);

/**
 * Read an option as a number; @number_out keeps its value when the option is not given.
 *
 * Returns false when it is no number from @min to @max: then one line was printed.
 */
bool ctl_args_get_number(
    const CtlArgs *args, CtlOptionId id, guint64 min, guint64 max, guint64 *number_out);

/** Read an option as a time in microseconds. As ctl_args_get_number(). */
bool ctl_args_get_time(const CtlRun *run, CtlOptionId id, bool is_end, int64_t *wall_us_out);

/** Whether an option's value is one of its words, or it is not given. As ctl_args_get_number(). */
bool ctl_args_check_word(const CtlArgs *args, CtlOptionId id);
