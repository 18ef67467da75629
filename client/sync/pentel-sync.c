/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentel-sync: carries the journal to one sink. Here the command line is taken apart and
 * what went wrong becomes one line and an exit code.
 */
#include "sync/run.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* The journal gets the fields, a terminal one line without GLib's ornaments. */
static GLogWriterOutput
write_log(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
    if (g_log_writer_is_journald(fileno(stderr))) {
        return g_log_writer_journald(level, fields, n_fields, user_data);
    }
    if (g_log_writer_default_would_drop(level, G_LOG_DOMAIN)) {
        return G_LOG_WRITER_HANDLED;
    }
    for (gsize i = 0; i < n_fields; i++) {
        if (g_strcmp0(fields[i].key, "MESSAGE") == 0) {
            fprintf(stderr, "pentel-sync: %s\n", (const char *)fields[i].value);
        }
    }
    return G_LOG_WRITER_HANDLED;
}

static SyncExit
run(const SyncOptions *options, SyncInstance *instance, GError **error)
{
    if (options->is_version) {
        printf("pentel-sync %s\n", PENTEL_VERSION);
        return SYNC_EXIT_OK;
    }
    if (!sync_instance_init(instance, options, error)) {
        return sync_exit_of(*error);
    }
    return options->is_migrate ? sync_run_migrate(instance, error)
                               : sync_run(options, instance, error);
}

int
main(int argc, char **argv)
{
    SyncOptions options = { 0 };
    SyncInstance instance = { 0 };
    g_autoptr(GError) error = NULL;
    SyncExit code = SYNC_EXIT_USAGE;

    (void)setlocale(LC_ALL, "");
    (void)signal(SIGPIPE, SIG_IGN);
    g_log_set_writer_func(write_log, NULL, NULL);
    if (sync_options_parse(argc, argv, &options, &error)) {
        code = run(&options, &instance, &error);
    }
    if (error != NULL) {
        fprintf(stderr, "pentel-sync: %s\n", error->message);
    }
    sync_instance_clear(&instance);
    sync_options_clear(&options);
    return (int)code;
}
