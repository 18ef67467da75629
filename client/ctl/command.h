/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "lib/bus.h"
#include "lib/fault.h"
#include "lib/term.h"

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * The command table: verbs, their operands and options. What reads the command line, the
 * help, the completions and the man page all follow it.
 */

/* What a word can be completed to. */
typedef enum {
    CTL_WORD_ANY = 0,
    CTL_WORD_PEN,
    CTL_WORD_SESSION,
    CTL_WORD_FILE,
    CTL_WORD_VERB,
    CTL_WORD_LIST, /* of CtlOption.words */
} CtlWord;

typedef enum {
    CTL_OPTION_HELP = 0,
    CTL_OPTION_JSON,
    CTL_OPTION_VERSION,
    CTL_OPTION_GENERATE,
    CTL_OPTION_ADAPTER,
    CTL_OPTION_TIMEOUT,
    CTL_OPTION_FORCE,
    CTL_OPTION_PEN,
    CTL_OPTION_SINCE,
    CTL_OPTION_UNTIL,
    CTL_OPTION_STATE,
    CTL_OPTION_TEXT,
    CTL_OPTION_LIMIT,
    CTL_OPTION_ALL,
    CTL_OPTION_CURSOR,
    CTL_OPTION_PATIENT,
    CTL_OPTION_OPERATOR,
    CTL_OPTION_ZONE,
    CTL_OPTION_NOTE,
    CTL_OPTION_REACTION,
    CTL_OPTION_ORDER,
    CTL_OPTION_PASS,
    CTL_OPTION_CLOSE,
    CTL_OPTION_FORMAT,
    CTL_OPTION_OUTPUT,
    CTL_OPTION_REASON,
    CTL_OPTION_RELEASE,
    CTL_OPTION_ANCHOR,
    CTL_OPTION_ANCHOR_CHECK,
    CTL_OPTION_N,
} CtlOptionId;

#define CTL_HAS(option) (1u << CTL_OPTION_##option)

typedef struct {
    const char *name;  /* without dashes */
    char letter;       /* 0 when there is none */
    const char *value; /* name of its value, NULL for a switch */
    const char *help;
    CtlWord word;
    const char *words; /* separated by blanks, for CTL_WORD_LIST */
} CtlOption;

/* The command line, taken apart. */
typedef struct {
    bool has[CTL_OPTION_N];
    const char *values[CTL_OPTION_N]; /* borrowed from argv */
    const char **operands;            /* owned array of borrowed words; the verb is not one */
    guint n_operands;
    const char *verb; /* borrowed; NULL when there is none */
} CtlArgs;

/* One run of a verb. */
typedef struct {
    CtlArgs args;   /* owned */
    CliTerm out;    /* standard output */
    CliBus *bus;    /* owned; NULL until ctl_run_open_bus() */
    bool is_json;   /* --json */
    int64_t now_us; /* wall clock at the start */
} CtlRun;

typedef struct {
    const char *name;
    const char *operands; /* as in the usage, "" when there are none */
    guint n_operands_min;
    guint n_operands_max;
    CtlWord word; /* what an operand is */
    uint32_t options;
    const char *summary;     /* for the list of verbs */
    const char *description; /* for its own help and the man page; paragraphs by empty lines */
    const char *example;
    CtlExit (*run)(CtlRun *run);
} CtlCommand;

/** The verbs. Owns: static. */
const CtlCommand *ctl_command_list(guint *n_out);

/** A verb by its name, NULL when there is none. Owns: static. */
const CtlCommand *ctl_command_find(const char *name);

/** An option. Owns: static. */
const CtlOption *ctl_option_get(CtlOptionId id);

/** True when the help and the completions of @command name option @id. */
bool ctl_command_shows(const CtlCommand *command, CtlOptionId id);

CtlExit ctl_status(CtlRun *run);
CtlExit ctl_pens(CtlRun *run);
CtlExit ctl_enroll(CtlRun *run);
CtlExit ctl_forget(CtlRun *run);
CtlExit ctl_sessions(CtlRun *run);
CtlExit ctl_show(CtlRun *run);
CtlExit ctl_watch(CtlRun *run);
CtlExit ctl_annotate(CtlRun *run);
CtlExit ctl_export(CtlRun *run);
CtlExit ctl_verify(CtlRun *run);
CtlExit ctl_backup(CtlRun *run);
CtlExit ctl_hold(CtlRun *run);
CtlExit ctl_erase(CtlRun *run);
CtlExit ctl_sync(CtlRun *run);
CtlExit ctl_import(CtlRun *run);
CtlExit ctl_doctor(CtlRun *run);
