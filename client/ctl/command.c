/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what can be typed: the options, and the verbs that take them.
 */
#include "ctl/command.h"

#include "lib/time.h"

#include <string.h>

#define COMMON CTL_HAS(HELP) | CTL_HAS(JSON)
#define FILTER CTL_HAS(PEN) | CTL_HAS(SINCE) | CTL_HAS(UNTIL)

static const CtlOption options[] = {
    [CTL_OPTION_HELP] = { "help", 'h', NULL, "say what the verb does", CTL_WORD_ANY, NULL },
    [CTL_OPTION_JSON] = { "json", 0, NULL, "JSON instead of text", CTL_WORD_ANY, NULL },
    [CTL_OPTION_VERSION] = { "version", 'V', NULL, "say the version", CTL_WORD_ANY, NULL },
    [CTL_OPTION_GENERATE] = { "generate",
                              0,
                              "WHAT",
                              "print a text made from the command table",
                              CTL_WORD_LIST,
                              "man bash zsh" },
    [CTL_OPTION_ADAPTER] = { "adapter",
                             0,
                             "ADAPTER",
                             "use this adapter only: hci0 or its address",
                             CTL_WORD_ANY,
                             NULL },
    [CTL_OPTION_TIMEOUT] = { "timeout",
                             0,
                             "SECONDS",
                             "look this long, 1 to 300 (default 60)",
                             CTL_WORD_ANY,
                             NULL },
    [CTL_OPTION_FORCE] = { "force",
                           0,
                           NULL,
                           "even if the pen holds records that nobody has read",
                           CTL_WORD_ANY,
                           NULL },
    [CTL_OPTION_PEN] = { "pen", 0, "SERIAL", "of this pen only", CTL_WORD_PEN, NULL },
    [CTL_OPTION_SINCE] = { "since",
                           0,
                           "TIME",
                           "begun at this time or later",
                           CTL_WORD_LIST,
                           "today yesterday" },
    [CTL_OPTION_UNTIL] = { "until",
                           0,
                           "TIME",
                           "begun at this time or before; a day counts to its end",
                           CTL_WORD_LIST,
                           "today yesterday now" },
    [CTL_OPTION_STATE] = { "state",
                           0,
                           "STATE",
                           "live, open, partial, complete, lossy or closed-by",
                           CTL_WORD_LIST,
                           "live open partial complete lossy closed-by" },
    [CTL_OPTION_TEXT] = { "text",
                          0,
                          "TEXT",
                          "with this text in what was said about it",
                          CTL_WORD_ANY,
                          NULL },
    [CTL_OPTION_LIMIT] = { "limit",
                           'n',
                           "N",
                           "at most N sessions (default 50, with --json all)",
                           CTL_WORD_ANY,
                           NULL },
    [CTL_OPTION_ALL] = { "all", 0, NULL, "every session", CTL_WORD_ANY, NULL },
    [CTL_OPTION_CURSOR] = { "cursor",
                            0,
                            "CURSOR",
                            "go on where an earlier list ended",
                            CTL_WORD_ANY,
                            NULL },
    [CTL_OPTION_PATIENT] = { "patient",
                             0,
                             "TEXT",
                             "the clinic's own reference; not a name",
                             CTL_WORD_ANY,
                             NULL },
    [CTL_OPTION_OPERATOR] = { "operator", 0, "TEXT", "who treated", CTL_WORD_ANY, NULL },
    [CTL_OPTION_ZONE] = { "zone", 0, "TEXT", "where it was treated", CTL_WORD_ANY, NULL },
    [CTL_OPTION_NOTE] = { "note", 0, "TEXT", "anything else", CTL_WORD_ANY, NULL },
    [CTL_OPTION_PASS] = { "pass", 0, "N", "the zone is that of pass N only", CTL_WORD_ANY, NULL },
    [CTL_OPTION_CLOSE] = { "close",
                           0,
                           "REASON",
                           "close the session: the pen will not give the rest",
                           CTL_WORD_ANY,
                           NULL },
    [CTL_OPTION_FORMAT] = { "format",
                            'f',
                            "FORMAT",
                            "jsonl (default), csv-samples, csv-passes or pb",
                            CTL_WORD_LIST,
                            "jsonl csv-samples csv-passes pb" },
    [CTL_OPTION_OUTPUT] = { "output",
                            'o',
                            "FILE",
                            "write to FILE, which appears only when it is whole",
                            CTL_WORD_FILE,
                            NULL },
};

G_STATIC_ASSERT(G_N_ELEMENTS(options) == CTL_OPTION_N);

static const CtlCommand commands[] = {
    { "status",
      "",
      0,
      0,
      CTL_WORD_ANY,
      COMMON,
      "whether penteld is well",
      "Says how penteld, its store, Bluetooth and the pens are, in a few lines. What is "
      "wrong and what to do about it is in \"pentelctl doctor\".",
      "pentelctl status",
      ctl_status },
    { "pens",
      "",
      0,
      0,
      CTL_WORD_ANY,
      COMMON,
      "the enrolled pens",
      "Lists the enrolled pens with their state, battery and when each was last heard. "
      "Below a pen that needs attention stands why, and what happens next.",
      "pentelctl pens",
      ctl_pens },
    { "enroll",
      "[PEN]",
      0,
      1,
      CTL_WORD_PEN,
      COMMON | CTL_HAS(ADAPTER) | CTL_HAS(TIMEOUT),
      "make a pen known to this gateway",
      "Waits for a pen in pairing mode and bonds with it. PEN is its serial or Bluetooth "
      "address; without it, the first pen found is taken. Afterwards compare the serial and "
      "the address shown with the label on the pen.",
      "pentelctl enroll PT-0001",
      ctl_enroll },
    { "forget",
      "SERIAL",
      1,
      1,
      CTL_WORD_PEN,
      COMMON | CTL_HAS(FORCE),
      "stop using a pen",
      "Stops using a pen. Its sessions stay. Refused while the pen holds records that were "
      "not read yet, unless --force is given: those records are then lost to this gateway.",
      "pentelctl forget PT-0001",
      ctl_forget },
    { "sessions",
      "",
      0,
      0,
      CTL_WORD_ANY,
      COMMON | FILTER | CTL_HAS(STATE) | CTL_HAS(TEXT) | CTL_HAS(LIMIT) | CTL_HAS(ALL) |
          CTL_HAS(CURSOR),
      "the recorded sessions, newest first",
      "Lists sessions in the order in which they arrived here, the newest first. Depth is the "
      "median in millimetres, MAX the deepest; a start marked ~ is uncertain by more than a "
      "minute.",
      "pentelctl sessions --pen PT-0001 --since yesterday",
      ctl_sessions },
    { "show",
      "ID",
      1,
      1,
      CTL_WORD_SESSION,
      COMMON,
      "one session: numbers, passes, depth over time",
      "Shows all that is known of one session. ID is the session's, or its first digits, "
      "at least 4. The chart shows the shallowest and the deepest sample of each column's "
      "span while the needles were in contact; nothing is averaged away.",
      "pentelctl show 3f2a91c0",
      ctl_show },
    { "watch",
      "[PEN]",
      0,
      1,
      CTL_WORD_PEN,
      COMMON,
      "what the pens do now",
      "Shows the pens as they treat, until q or Ctrl-C is pressed. Goes on by itself after "
      "penteld was started again. With --json, or when the output is no terminal, each live "
      "sample and event is a line of JSON.",
      "pentelctl watch",
      ctl_watch },
    { "annotate",
      "ID",
      1,
      1,
      CTL_WORD_SESSION,
      COMMON | CTL_HAS(PATIENT) | CTL_HAS(OPERATOR) | CTL_HAS(ZONE) | CTL_HAS(NOTE) |
          CTL_HAS(PASS) | CTL_HAS(CLOSE),
      "say something about a session",
      "Says who was treated, by whom, where, or closes a session that a lost pen left "
      "unfinished. Nothing is overwritten: a later word stands beside the earlier one. An "
      "empty text takes a word back.",
      "pentelctl annotate 3f2a91c0 --zone cheek-left --pass 2",
      ctl_annotate },
    { "export",
      "[ID]",
      0,
      1,
      CTL_WORD_SESSION,
      COMMON | FILTER | CTL_HAS(FORMAT) | CTL_HAS(OUTPUT),
      "write sessions to a file",
      "Writes one session, or all of --pen, --since and --until, newest arrival first. A file "
      "appears under its name only when it is whole.",
      "pentelctl export --since 2026-11-01 --format csv-passes -o november.csv",
      ctl_export },
    { "doctor",
      "",
      0,
      0,
      CTL_WORD_ANY,
      COMMON,
      "what is wrong, and what to do",
      "Checks everything between this terminal and the pens, and says for each finding what "
      "to do. It works without penteld, too. Ends with 1 when anything is in error. The "
      "version of BlueZ is that of the installed bluetoothd.",
      "pentelctl doctor",
      ctl_doctor },
};

const CtlCommand *
ctl_command_list(guint *n_out)
{
    *n_out = G_N_ELEMENTS(commands);
    return commands;
}

const CtlCommand *
ctl_command_find(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

const CtlOption *
ctl_option_get(CtlOptionId id)
{
    return &options[id];
}

bool
ctl_command_shows(const CtlCommand *command, CtlOptionId id)
{
    return (command->options & (1u << id)) != 0;
}
