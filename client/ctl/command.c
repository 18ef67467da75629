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
                           "live open partial complete lossy closed-by erased",
                           CTL_WORD_LIST,
                           "live open partial complete lossy closed-by erased" },
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
    [CTL_OPTION_REACTION] = { "reaction", 0, "TEXT", "how the skin answered", CTL_WORD_ANY, NULL },
    [CTL_OPTION_ORDER] = { "order",
                           0,
                           "TEXT",
                           "the order: ServiceRequest/ID, CarePlan/ID or a number",
                           CTL_WORD_ANY,
                           NULL },
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
    [CTL_OPTION_REASON] = { "reason",
                            0,
                            "TEXT",
                            "why; it stays in the journal",
                            CTL_WORD_ANY,
                            NULL },
    [CTL_OPTION_RELEASE] = { "release", 0, NULL, "let it be erased again", CTL_WORD_ANY, NULL },
    [CTL_OPTION_ANCHOR] = { "anchor",
                            0,
                            NULL,
                            "print one line about the journal, to be kept elsewhere",
                            CTL_WORD_ANY,
                            NULL },
    [CTL_OPTION_ANCHOR_CHECK] = { "anchor-check",
                                  0,
                                  "FILE",
                                  "the journal must hold what this line was printed of",
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
          CTL_HAS(REACTION) | CTL_HAS(ORDER) | CTL_HAS(PASS) | CTL_HAS(CLOSE),
      "say something about a session",
      "Says who was treated, by whom, where, how the skin answered and what it was part of, or "
      "closes a session that a lost pen left "
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
    { "verify",
      "",
      0,
      0,
      CTL_WORD_ANY,
      COMMON | CTL_HAS(ANCHOR) | CTL_HAS(ANCHOR_CHECK),
      "whether what is stored is what was written",
      "Walks the journal's chain, the records, what was derived from them and the sealed files, "
      "while penteld runs. Says where something is wrong and what; ends with 9 then.\n\n"
      "Found is what changed by itself, or was changed by somebody who does not know how it is "
      "hashed. Somebody who can write the store and does know can make all of it anew. Only a "
      "line of --anchor that was kept elsewhere shows that, and only for what was in the journal "
      "when it was printed; a session's records are in it from the moment it is complete.",
      "pentelctl verify --anchor > anchor-$(date +%F).txt",
      ctl_verify },
    { "backup",
      "FILE",
      1,
      1,
      CTL_WORD_FILE,
      COMMON,
      "copy the whole store to a file",
      "Writes a consistent copy of the store, as a tar archive, while penteld runs. The file "
      "appears under its name only when it is whole, and only its owner can read it. It holds "
      "everything about every patient: encrypt it where it is kept. To put it in place: stop "
      "penteld, then penteld --restore FILE as its user; see penteld(8).",
      "pentelctl backup /media/stick/pentel.tar",
      ctl_backup },
    { "hold",
      "ID",
      1,
      1,
      CTL_WORD_SESSION,
      COMMON | CTL_HAS(REASON) | CTL_HAS(RELEASE),
      "keep a session from being erased",
      "Holds a session: neither \"pentelctl erase\" nor the retention period removes it until it "
      "is released with --release.",
      "pentelctl hold 3f2a91c0 --reason \"case 12/2026\"",
      ctl_hold },
    { "erase",
      "[ID]",
      0,
      1,
      CTL_WORD_SESSION,
      COMMON | CTL_HAS(PATIENT) | CTL_HAS(REASON),
      "remove sessions for good",
      "Removes the content of one session, or of all sessions of --patient: its records, what was "
      "derived, what was said. It cannot be undone, and the records do not come back from a pen. "
      "The reason and who did it stay in the journal: leave names out of it. ID needs at least 8 "
      "digits. Backups that were made before still hold the sessions; a restore erases them "
      "again where the erasure is known.",
      "pentelctl erase --patient 4711 --reason \"asked by letter\"",
      ctl_erase },
    { "sync",
      "[retry NAME [ENTRY]]",
      0,
      3,
      CTL_WORD_ANY,
      COMMON,
      "what reached the clinic's records, and what waits",
      "Shows for each sink that runs what was delivered last, what waits and why, the last "
      "error and the next try. \"sync retry NAME\" tries now what waits there or was set aside: "
      "all of it, or the session ENTRY. Sinks are set up as pentel-sync.conf(5) says.",
      "pentelctl sync retry clinic 3f2a91c0",
      ctl_sync },
    { "import",
      "DIRECTORY [NAME]",
      1,
      2,
      CTL_WORD_FILE,
      COMMON,
      "bring another gateway's sealed files to a sink",
      "Hands the sealed sets of a directory sink, say on a stick, to the sink NAME that runs here; "
      "NAME may be left out when only one does. Each set is checked against its sums and against "
      "those beside it: one that is damaged or does not belong there is refused with the file and "
      "what to do, the others are taken. What is in them then counts as if the gateway that "
      "recorded it had come itself, and the medium may go. The same sets again, or older ones, "
      "change nothing. Ends with 9 when anything was refused.",
      "pentelctl import /media/stick/pentel clinic",
      ctl_import },
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
