/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what pentel-sync(8) can be told, and where its files are.
 */
#include "sync/options.h"

#include "sync/error.h"

#include <string.h>

#define NAME_MAX_BYTES ((gsize)64)
#define CONFIG_DIR     "/etc/pentel/sync"
#define STATE_DIR      "/var/lib/pentel-sync"

bool
sync_name_is_valid(const char *name)
{
    const gsize length = strlen(name);

    if (length == 0 || length > NAME_MAX_BYTES || !g_ascii_isalpha(name[0])) {
        return false;
    }
    for (gsize i = 0; i < length; i++) {
        if (!g_ascii_isalnum(name[i]) && name[i] != '_' && name[i] != '-') {
            return false;
        }
    }
    return true;
}

static bool
take_name(SyncOptions *options, const char *const *words, GError **error)
{
    if (words == NULL || words[0] == NULL) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_USAGE,
                    "the name of the sink is missing; type for example: pentel-sync --once clinic");
        return false;
    }
    if (words[1] != NULL) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_USAGE,
                    "one sink at a time; start one pentel-sync for each");
        return false;
    }
    if (!sync_name_is_valid(words[0])) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_USAGE,
                    "that is no name of a sink; use letters, digits, - and _, a letter first, as "
                    "in " CONFIG_DIR "/clinic.conf");
        return false;
    }
    options->name = g_strdup(words[0]);
    return true;
}

static void
fill_paths(SyncOptions *options)
{
    if (options->config == NULL) {
        options->config = g_strdup_printf(CONFIG_DIR "/%s.conf", options->name);
    }
    if (options->state_dir == NULL) {
        const char *given = g_getenv("STATE_DIRECTORY");
        options->state_dir = given != NULL && strchr(given, ':') == NULL
                                 ? g_strdup(given)
                                 : g_build_filename(STATE_DIR, options->name, NULL);
    }
}

static bool
check(SyncOptions *options, GError **error)
{
    if (options->is_migrate && (options->is_once || options->is_dry_run)) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_USAGE,
                    "--migrate goes alone; deliver afterwards with --once");
        return false;
    }
    if (options->import_dir != NULL && (options->is_migrate || options->is_dry_run)) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_USAGE,
                    "--import goes with --once only; type: pentel-sync --once --import DIR NAME");
        return false;
    }
    return true;
}

bool
sync_options_parse(int argc, char **argv, SyncOptions *options_out, GError **error)
{
    gboolean is_once = FALSE;
    gboolean is_dry_run = FALSE;
    gboolean is_migrate = FALSE;
    gboolean is_version = FALSE;
    g_auto(GStrv) words = NULL;
    const GOptionEntry entries[] = {
        { "once", 0, 0, G_OPTION_ARG_NONE, &is_once, "Deliver what is due, then end", NULL },
        { "dry-run", 0, 0, G_OPTION_ARG_NONE, &is_dry_run, "Say what would be delivered", NULL },
        { "migrate", 0, 0, G_OPTION_ARG_NONE, &is_migrate, "Create or upgrade the sink", NULL },
        { "import",
          0,
          0,
          G_OPTION_ARG_FILENAME,
          &options_out->import_dir,
          "Take sets over",
          "DIR" },
        { "config", 0, 0, G_OPTION_ARG_FILENAME, &options_out->config, "Configuration", "FILE" },
        { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &options_out->state_dir, "State", "DIR" },
        { "version", 0, 0, G_OPTION_ARG_NONE, &is_version, "Say the version", NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &words, NULL, "NAME" },
        { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) failure = NULL;

    g_option_context_set_summary(context, "Carries recorded treatments to a sink.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &failure)) {
        g_set_error(
            error, SYNC_ERROR, SYNC_ERROR_USAGE, "%s; see: pentel-sync --help", failure->message);
        return false;
    }
    options_out->is_once = is_once || is_dry_run || options_out->import_dir != NULL;
    options_out->is_dry_run = is_dry_run;
    options_out->is_migrate = is_migrate;
    options_out->is_version = is_version;
    if (options_out->is_version) {
        return true;
    }
    if (!take_name(options_out, (const char *const *)words, error) || !check(options_out, error)) {
        return false;
    }
    fill_paths(options_out);
    return true;
}

void
sync_options_clear(SyncOptions *self)
{
    g_clear_pointer(&self->name, g_free);
    g_clear_pointer(&self->config, g_free);
    g_clear_pointer(&self->import_dir, g_free);
    g_clear_pointer(&self->state_dir, g_free);
}
