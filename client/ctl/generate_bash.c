/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The completion for bash. Words that come from penteld are compared as they are:
 * "compgen -W" would expand them, so that the name of a pen could run a program.
 */
#include "ctl/generate.h"

static const char *
function_of(CtlWord word)
{
    switch (word) {
    case CTL_WORD_PEN:
        return "_pentelctl_asked pens";
    case CTL_WORD_SESSION:
        return "_pentelctl_asked sessions";
    case CTL_WORD_FILE:
        return "_pentelctl_files";
    case CTL_WORD_ANY:
    case CTL_WORD_VERB:
    case CTL_WORD_LIST:
        return NULL;
    }
    return NULL;
}

static void
append_options(GString *out, uint32_t which)
{
    for (CtlOptionId id = 0; id < CTL_OPTION_N; id++) {
        if ((which & (1u << id)) != 0) {
            g_string_append_printf(out, " --%s", ctl_option_get(id)->name);
        }
    }
}

/* What follows an option that takes a value. */
static void
append_values(GString *out)
{
    for (CtlOptionId id = 0; id < CTL_OPTION_N; id++) {
        const CtlOption *option = ctl_option_get(id);
        const char *function = function_of(option->word);
        if (option->value == NULL || id == CTL_OPTION_GENERATE) {
            continue;
        }
        g_string_append_printf(out, "    --%s", option->name);
        if (option->letter != 0) {
            g_string_append_printf(out, " | -%c", option->letter);
        }
        g_string_append(out, ")\n        ");
        if (option->words != NULL) {
            g_string_append_printf(out, "_pentelctl_words %s", option->words);
        } else {
            g_string_append(out, function != NULL ? function : "COMPREPLY=()");
        }
        g_string_append(out, "\n        return\n        ;;\n");
    }
}

static void
append_verb(GString *out, const CtlCommand *command)
{
    const char *function = function_of(command->word);

    g_string_append_printf(out, "    %s)\n        if [[ $cur == -* ]]; then\n", command->name);
    g_string_append(out, "            _pentelctl_words");
    append_options(out, command->options);
    if (function != NULL) {
        g_string_append_printf(out, "\n        else\n            %s", function);
    }
    g_string_append(out, "\n        fi\n        ;;\n");
}

static void
append_names(GString *out, const char *separator)
{
    guint n = 0;
    const CtlCommand *commands = ctl_command_list(&n);

    for (guint i = 0; i < n; i++) {
        g_string_append_printf(out, "%s%s", i > 0 ? separator : "", commands[i].name);
    }
}

void
ctl_generate_bash(GString *out)
{
    guint n = 0;
    const CtlCommand *commands = ctl_command_list(&n);

    g_string_append(
        out,
        "# bash completion for pentelctl; made from its command table\n"
        "_pentelctl_words()\n{\n    local word\n    for word in \"$@\"; do\n"
        "        [[ $word == \"$cur\"* ]] && COMPREPLY+=(\"$word\")\n    done\n}\n\n"
        "_pentelctl_asked()\n{\n    local -a words\n"
        "    mapfile -t words < <(pentelctl --generate \"$1\" 2> /dev/null)\n"
        "    _pentelctl_words \"${words[@]}\"\n}\n\n"
        "_pentelctl_files()\n{\n    compopt -o filenames 2> /dev/null\n"
        "    mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n}\n\n"
        "_pentelctl()\n{\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' i\n"
        "    COMPREPLY=()\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n        case ${COMP_WORDS[i]} in\n        ");
    append_names(out, " | ");
    g_string_append(out,
                    ")\n            verb=${COMP_WORDS[i]}\n            break\n            ;;\n"
                    "        esac\n    done\n    case $prev in\n");
    append_values(out);
    g_string_append(out, "    esac\n    case $verb in\n");
    for (guint i = 0; i < n; i++) {
        append_verb(out, &commands[i]);
    }
    g_string_append(out, "    *)\n        _pentelctl_words ");
    append_names(out, " ");
    append_options(out, CTL_HAS(HELP) | CTL_HAS(VERSION));
    g_string_append(out, "\n        ;;\n    esac\n}\n\ncomplete -F _pentelctl pentelctl\n");
}
