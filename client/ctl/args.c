/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Takes the command line apart by the command table, and decides what a wrong word gets
 * for an answer: always what to type instead.
 */
#include "ctl/args.h"

#include "ctl/run.h"
#include "lib/text.h"
#include "lib/time.h"

#include <string.h>

static char *
with_suggestion(const char *kind, const char *typed, const char *prefix, const char *const *words)
{
    g_autofree char *shown = cli_text_escape(typed, true);
    const char *nearest = cli_text_nearest(typed + strspn(typed, "-"), words);

    if (nearest == NULL) {
        return g_strdup_printf("there is no %s \"%s\"; see: pentelctl --help", kind, shown);
    }
    return g_strdup_printf(
        "there is no %s \"%s\"; did you mean %s%s?", kind, shown, prefix, nearest);
}

static char *
no_such_option(const char *typed, uint32_t allowed)
{
    const char *words[CTL_OPTION_N + 1] = { NULL };
    guint n_words = 0;

    for (CtlOptionId id = 0; id < CTL_OPTION_N; id++) {
        if ((allowed & (1u << id)) != 0) {
            words[n_words++] = ctl_option_get(id)->name;
        }
    }
    return with_suggestion("option", typed, "--", words);
}

char *
ctl_args_dup_no_verb(const char *typed)
{
    guint n = 0;
    const CtlCommand *commands = ctl_command_list(&n);
    g_autofree const char **words = g_new0(const char *, n + 1);

    for (guint i = 0; i < n; i++) {
        words[i] = commands[i].name;
    }
    return with_suggestion("verb", typed, "", words);
}

static CtlOptionId
find_long(const char *name, size_t n_name)
{
    for (CtlOptionId id = 0; id < CTL_OPTION_N; id++) {
        const char *known = ctl_option_get(id)->name;
        if (strlen(known) == n_name && strncmp(known, name, n_name) == 0) {
            return id;
        }
    }
    return CTL_OPTION_N;
}

static CtlOptionId
find_letter(char letter)
{
    for (CtlOptionId id = 0; id < CTL_OPTION_N; id++) {
        if (letter != 0 && ctl_option_get(id)->letter == letter) {
            return id;
        }
    }
    return CTL_OPTION_N;
}

/* Sets option @id; takes the next word as its value when @attached is NULL. */
static char *
set_option(
    CtlArgs *args, CtlOptionId id, const char *attached, int argc, char *const *argv, int *index)
{
    const CtlOption *option = ctl_option_get(id);

    if (option->value == NULL && attached != NULL) {
        return g_strdup_printf("--%s takes no value; type --%s alone", option->name, option->name);
    }
    if (option->value != NULL && attached == NULL) {
        if (*index + 1 >= argc) {
            return g_strdup_printf(
                "--%s needs a value; type --%s %s", option->name, option->name, option->value);
        }
        attached = argv[++*index];
    }
    args->has[id] = true;
    args->values[id] = attached;
    return NULL;
}

static char *
parse_long(CtlArgs *args, int argc, char *const *argv, int *index)
{
    const char *name = argv[*index] + 2;
    const size_t n_name = strcspn(name, "=");
    const CtlOptionId id = find_long(name, n_name);

    if (id == CTL_OPTION_N) {
        g_autofree char *typed = g_strndup(argv[*index], n_name + 2);
        return no_such_option(typed, UINT32_MAX & ~CTL_HAS(GENERATE));
    }
    return set_option(args, id, name[n_name] == '=' ? name + n_name + 1 : NULL, argc, argv, index);
}

static char *
parse_letters(CtlArgs *args, int argc, char *const *argv, int *index)
{
    for (const char *at = argv[*index] + 1; *at != '\0'; at++) {
        const CtlOptionId id = find_letter(*at);
        if (id == CTL_OPTION_N) {
            g_autofree char *shown = cli_text_escape(argv[*index], true);
            return g_strdup_printf("there is no option \"%s\"; see: pentelctl --help", shown);
        }
        const bool takes_rest = ctl_option_get(id)->value != NULL && at[1] != '\0';
        char *wrong = set_option(args, id, takes_rest ? at + 1 : NULL, argc, argv, index);
        if (wrong != NULL || ctl_option_get(id)->value != NULL) {
            return wrong;
        }
    }
    return NULL;
}

static void
add_operand(CtlArgs *args, const char *word)
{
    if (args->verb == NULL) {
        args->verb = word;
    } else {
        args->operands[args->n_operands++] = word;
    }
}

/* How much of a word says nothing about anybody. */
static size_t
count_harmless(const char *word)
{
    if (ctl_command_find(word) != NULL) {
        return strlen(word);
    }
    if (word[0] != '-') {
        return 0;
    }
    return word[1] == '-' ? strcspn(word, "=") : MIN(strlen(word), 2u);
}

char **
ctl_args_take(int argc, char **argv)
{
    g_auto(GStrv) words = g_new0(char *, (gsize)argc + 1);

    for (int i = 0; i < argc; i++) {
        words[i] = g_strdup(argv[i]);
        if (i > 0) {
            const size_t n_kept = count_harmless(argv[i]);
            memset(argv[i] + n_kept, 0, strlen(argv[i]) - n_kept);
        }
    }
    return g_steal_pointer(&words);
}

char *
ctl_args_parse(int argc, char *const *argv, CtlArgs *args_out)
{
    bool is_plain = false;

    *args_out = (CtlArgs){ .operands = g_new0(const char *, (gsize)argc + 1) };
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        char *wrong = NULL;
        if (is_plain || word[0] != '-' || word[1] == '\0') {
            add_operand(args_out, word);
        } else if (strcmp(word, "--") == 0) {
            is_plain = true;
        } else if (word[1] == '-') {
            wrong = parse_long(args_out, argc, argv, &i);
        } else {
            wrong = parse_letters(args_out, argc, argv, &i);
        }
        if (wrong != NULL) {
            return wrong;
        }
    }
    if (args_out->verb != NULL && ctl_command_find(args_out->verb) == NULL &&
        strcmp(args_out->verb, "help") != 0) {
        return ctl_args_dup_no_verb(args_out->verb);
    }
    return NULL;
}

static char *
usage_of(const CtlCommand *command)
{
    return g_strdup_printf("pentelctl %s%s%s",
                           command->name,
                           command->operands[0] != '\0' ? " " : "",
                           command->operands);
}

/* D-Bus carries UTF-8 only; the name of a file may be anything. */
static bool
is_utf8(const CtlArgs *args)
{
    for (guint i = 0; i < args->n_operands; i++) {
        if (!g_utf8_validate(args->operands[i], -1, NULL)) {
            return false;
        }
    }
    for (CtlOptionId id = 0; id < CTL_OPTION_N; id++) {
        if (args->values[id] != NULL && id != CTL_OPTION_OUTPUT &&
            !g_utf8_validate(args->values[id], -1, NULL)) {
            return false;
        }
    }
    return true;
}

char *
ctl_args_check(const CtlArgs *args, const CtlCommand *command)
{
    g_autofree char *usage = usage_of(command);

    if (!is_utf8(args)) {
        return g_strdup_printf("a word is not UTF-8; see: pentelctl %s --help", command->name);
    }
    for (CtlOptionId id = 0; id < CTL_OPTION_N; id++) {
        const uint32_t bit = 1u << id;
        if (args->has[id] && (bit & (command->options | CTL_HAS(VERSION))) == 0) {
            return g_strdup_printf("%s has no option --%s; see: pentelctl %s --help",
                                   command->name,
                                   ctl_option_get(id)->name,
                                   command->name);
        }
    }
    if (args->n_operands < command->n_operands_min) {
        return g_strdup_printf("%s needs %s; type: %s", command->name, command->operands, usage);
    }
    if (args->n_operands > command->n_operands_max) {
        g_autofree char *shown = cli_text_escape(args->operands[command->n_operands_max], true);
        return g_strdup_printf("\"%s\" is one word too many; type: %s", shown, usage);
    }
    return NULL;
}

void
ctl_args_clear(CtlArgs *args)
{
    g_clear_pointer(&args->operands, g_free);
}

bool
ctl_args_get_number(
    const CtlArgs *args, CtlOptionId id, guint64 min, guint64 max, guint64 *number_out)
{
    if (!args->has[id]) {
        return true;
    }
    if (g_ascii_string_to_unsigned(args->values[id], 10, min, max, number_out, NULL)) {
        return true;
    }
    g_autofree char *shown = cli_text_escape(args->values[id], true);
    ctl_fail(CTL_EXIT_USAGE,
             "--%s takes a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
             ", not \"%s\"; see: pentelctl %s --help",
             ctl_option_get(id)->name,
             min,
             max,
             shown,
             args->verb);
    return false;
}

bool
ctl_args_get_time(const CtlRun *run, CtlOptionId id, bool is_end, int64_t *wall_us_out)
{
    const CtlArgs *args = &run->args;

    if (!args->has[id] || cli_time_parse(args->values[id], is_end, run->now_us, wall_us_out)) {
        return true;
    }
    g_autofree char *shown = cli_text_escape(args->values[id], true);
    ctl_fail(CTL_EXIT_USAGE,
             "--%s does not understand \"%s\"; type " CLI_TIME_FORMS,
             ctl_option_get(id)->name,
             shown);
    return false;
}

bool
ctl_args_check_word(const CtlArgs *args, CtlOptionId id)
{
    const CtlOption *option = ctl_option_get(id);

    if (!args->has[id]) {
        return true;
    }
    g_auto(GStrv) words = g_strsplit(option->words, " ", -1);
    if (g_strv_contains((const char *const *)words, args->values[id])) {
        return true;
    }
    g_autofree char *shown = cli_text_escape(args->values[id], true);
    g_autofree char *list = g_strjoinv(", ", words);
    ctl_fail(CTL_EXIT_USAGE, "there is no %s \"%s\"; type one of: %s", option->name, shown, list);
    return false;
}
