/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The texts that the build and the shells ask for. What a shell is to complete is limited
 * to characters that mean nothing to it.
 */
#include "ctl/generate.h"

#include "ctl/run.h"
#include "lib/dict.h"

#include <string.h>

#define WORDS_TIMEOUT_MS 2000
#define WORDS_MAX        100
#define ID_DIGITS        8

static void
append_word(GString *out, const char *word, gsize n_max)
{
    static const char safe[] = G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-";

    if (word != NULL && word[0] != '-' && word[strspn(word, safe)] == '\0') {
        g_string_append_printf(out, "%.*s\n", (int)n_max, word);
    }
}

static void
append_key(GString *out, GVariant *reply, const char *key, gsize n_max)
{
    g_autoptr(GVariant) list = g_variant_get_child_value(reply, 0);
    const gsize n = g_variant_n_children(list);

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) item = g_variant_get_child_value(list, i);
        append_word(out, cli_dict_get_text(item, key), n_max);
    }
}

static void
append_pens(GString *out, CliBus *bus)
{
    g_autoptr(GVariant) reply =
        cli_bus_call(bus, CLI_BUS_MANAGER1, "ListPens", NULL, "(aa{sv})", WORDS_TIMEOUT_MS, NULL);

    if (reply != NULL) {
        append_key(out, reply, "Serial", G_MAXINT);
    }
}

static void
append_sessions(GString *out, CliBus *bus)
{
    g_autoptr(GVariant) reply =
        cli_bus_call(bus,
                     CLI_BUS_LOG1,
                     "ListSessions",
                     g_variant_new_parsed("(@a{sv} {}, '', %u)", (guint32)WORDS_MAX),
                     "(aa{sv}s)",
                     WORDS_TIMEOUT_MS,
                     NULL);

    if (reply != NULL) {
        append_key(out, reply, "id", ID_DIGITS);
    }
}

/* A shell that completes must never see an error. */
static void
append_words(GString *out, void (*append)(GString *out, CliBus *bus))
{
    g_autoptr(CliBus) bus = cli_bus_open(NULL);

    if (bus != NULL) {
        append(out, bus);
    }
}

CtlExit
ctl_generate(CtlRun *run)
{
    const char *what = run->args.values[CTL_OPTION_GENERATE];
    g_autoptr(GString) out = g_string_new(NULL);

    if (strcmp(what, "man") == 0) {
        ctl_generate_man(out);
    } else if (strcmp(what, "bash") == 0) {
        ctl_generate_bash(out);
    } else if (strcmp(what, "zsh") == 0) {
        ctl_generate_zsh(out);
    } else if (strcmp(what, "pens") == 0) {
        append_words(out, append_pens);
    } else if (strcmp(what, "sessions") == 0) {
        append_words(out, append_sessions);
    } else {
        return ctl_fail(CTL_EXIT_USAGE,
                        "that cannot be generated; type one of: man, bash, zsh, pens, sessions");
    }
    return ctl_print(out, NULL);
}
