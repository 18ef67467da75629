/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * --help, made from the command table.
 */
#include "ctl/help.h"

#include "lib/text.h"
#include "lib/time.h"

#define WIDTH         79
#define OPTION_COLUMN 24

char *
ctl_help_dup_option(const CtlOption *option)
{
    g_autofree char *letter =
        option->letter != 0 ? g_strdup_printf("-%c, ", option->letter) : g_strdup("    ");

    return g_strdup_printf("%s--%s%s%s",
                           letter,
                           option->name,
                           option->value != NULL ? " " : "",
                           option->value != NULL ? option->value : "");
}

static void
append_options(GString *out, uint32_t which)
{
    for (CtlOptionId id = 0; id < CTL_OPTION_N; id++) {
        if ((which & (1u << id)) == 0) {
            continue;
        }
        g_autofree char *option = ctl_help_dup_option(ctl_option_get(id));
        g_string_append_printf(out, "  %-*s %s\n", OPTION_COLUMN, option, ctl_option_get(id)->help);
    }
}

static void
append_whole(GString *out)
{
    guint n = 0;
    const CtlCommand *commands = ctl_command_list(&n);

    g_string_append(out,
                    "Usage: pentelctl VERB [OPTIONS]\n\n"
                    "Shows what penteld recorded of the clinic's pens, and looks after them.\n\n"
                    "Verbs:\n");
    for (guint i = 0; i < n; i++) {
        g_autofree char *usage = g_strjoin(" ", commands[i].name, commands[i].operands, NULL);
        g_string_append_printf(out, "  %-17s %s\n", usage, commands[i].summary);
    }
    g_string_append(out, "\nOptions of every verb:\n");
    append_options(out, CTL_HAS(HELP) | CTL_HAS(JSON) | CTL_HAS(VERSION));
    g_string_append(out,
                    "\nExit codes: 0 well, 1 failed, 2 wrong words, 3 penteld not running,\n"
                    "4 not permitted, 5 not found, 6 no Bluetooth adapter, 7 timed out,\n"
                    "8 no bluetoothd.\n"
                    "\"pentelctl VERB --help\" says more, \"man pentelctl\" says all.\n");
}

static void
append_verb(GString *out, const CtlCommand *command)
{
    g_string_append_printf(out,
                           "Usage: pentelctl %s%s%s [OPTIONS]\n\n",
                           command->name,
                           command->operands[0] != '\0' ? " " : "",
                           command->operands);
    cli_text_append_wrapped(out, command->description, WIDTH, 0, 0, true);
    g_string_append(out, "\nOptions:\n");
    append_options(out, command->options);
    if (ctl_command_shows(command, CTL_OPTION_SINCE)) {
        g_string_append(out,
                        "\nA TIME is 2026-11-24, \"2026-11-24 14:30\", 14:30, today, yesterday,\n"
                        "\"2h ago\" (s, min, h, d, w) in the local zone, or RFC 3339.\n");
    }
    g_string_append_printf(out, "\nExample: %s\n", command->example);
}

void
ctl_help_append(GString *out, const CtlCommand *command)
{
    if (command != NULL) {
        append_verb(out, command);
    } else {
        append_whole(out);
    }
}
