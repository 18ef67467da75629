/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The completion for zsh.
 */
#include "ctl/generate.h"

/* Inside single quotes; a colon or a bracket would end a description. */
static void
append_description(GString *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            g_string_append(out, "'\\''");
        } else if (*text == ':' || *text == '[' || *text == ']') {
            g_string_append_printf(out, "\\%c", *text);
        } else {
            g_string_append_c(out, *text);
        }
    }
}

static void
append_action(GString *out, CtlWord word, const char *words)
{
    switch (word) {
    case CTL_WORD_PEN:
        g_string_append(out, "_pentelctl_asked pens");
        return;
    case CTL_WORD_SESSION:
        g_string_append(out, "_pentelctl_asked sessions");
        return;
    case CTL_WORD_FILE:
        g_string_append(out, "_files");
        return;
    case CTL_WORD_LIST:
        g_string_append_printf(out, "(%s)", words);
        return;
    case CTL_WORD_ANY:
    case CTL_WORD_VERB:
        return;
    }
}

static void
append_option(GString *out, const CtlOption *option)
{
    for (int is_letter = 0; is_letter <= (option->letter != 0); is_letter++) {
        g_string_append(out, " \\\n                '");
        if (is_letter != 0) {
            g_string_append_printf(out, "-%c", option->letter);
        } else {
            g_string_append_printf(out, "--%s", option->name);
        }
        g_string_append_c(out, '[');
        append_description(out, option->help);
        g_string_append_c(out, ']');
        if (option->value != NULL) {
            g_string_append_printf(out, ":%s:", option->value);
            append_action(out, option->word, option->words);
        }
        g_string_append_c(out, '\'');
    }
}

static void
append_verb(GString *out, const CtlCommand *command)
{
    g_string_append_printf(out, "        %s)\n            _arguments", command->name);
    for (CtlOptionId id = 0; id < CTL_OPTION_N; id++) {
        if (ctl_command_shows(command, id)) {
            append_option(out, ctl_option_get(id));
        }
    }
    if (command->n_operands_max > 0) {
        g_string_append(out, " \\\n                '1:word:");
        append_action(out, command->word, NULL);
        g_string_append_c(out, '\'');
    }
    g_string_append(out, "\n            ;;\n");
}

void
ctl_generate_zsh(GString *out)
{
    guint n = 0;
    const CtlCommand *commands = ctl_command_list(&n);

    g_string_append(out,
                    "#compdef pentelctl\n# made from pentelctl's command table\n\n"
                    "_pentelctl_asked()\n{\n    local -a words\n"
                    "    words=(${(f)\"$(pentelctl --generate $1 2> /dev/null)\"})\n"
                    "    compadd -a words\n}\n\n"
                    "_pentelctl()\n{\n    local curcontext=$curcontext state line\n"
                    "    local -a verbs\n    typeset -A opt_args\n    verbs=(\n");
    for (guint i = 0; i < n; i++) {
        g_string_append_printf(out, "        '%s:", commands[i].name);
        append_description(out, commands[i].summary);
        g_string_append(out, "'\n");
    }
    g_string_append(out,
                    "    )\n    _arguments -C '1:verb:->verb' '*::word:->rest'\n"
                    "    case $state in\n    verb)\n        _describe verb verbs\n        ;;\n"
                    "    rest)\n        case $words[1] in\n");
    for (guint i = 0; i < n; i++) {
        append_verb(out, &commands[i]);
    }
    g_string_append(out, "        esac\n        ;;\n    esac\n}\n\n_pentelctl \"$@\"\n");
}
