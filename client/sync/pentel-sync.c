/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentel-sync: carries the journal to one sink. Here the parts are put together.
 */
#include "sync/setup.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>

static SyncExit
fail(const GError *error)
{
    fprintf(stderr, "pentel-sync: %s\n", error->message);
    return sync_exit_of(error);
}

int
main(int argc, char **argv)
{
    SyncOptions options = { 0 };
    SyncInstance instance = { 0 };
    g_autoptr(GError) error = NULL;
    SyncExit code = SYNC_EXIT_OK;

    (void)setlocale(LC_ALL, "");
    (void)signal(SIGPIPE, SIG_IGN);
    if (!sync_options_parse(argc, argv, &options, &error)) {
        code = fail(error);
    } else if (options.is_version) {
        printf("pentel-sync %s\n", PENTEL_VERSION);
    } else if (!sync_instance_init(&instance, &options, &error)) {
        code = fail(error);
    }
    sync_instance_clear(&instance);
    sync_options_clear(&options);
    return (int)code;
}
