/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What --dry-run does instead of delivering.
 */
#include "sync/dry.h"

#include "lib/dict.h"
#include "sync/database.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <stdio.h>

struct SyncSink {
    SyncInstance *instance; /* borrowed; outlives self */
};

SyncSink *
sync_dry_new(SyncInstance *instance)
{
    SyncSink *self = g_new0(SyncSink, 1);

    self->instance = instance;
    return self;
}

static void
destroy(SyncSink *self)
{
    g_free(self);
}

static bool
open_real(SyncSink *self, GCancellable *cancellable, GError **error)
{
    return self->instance->funcs->open(self->instance->sink, cancellable, error);
}

static void
say(const SyncDelivery *delivery)
{
    const char *pen = delivery->state != NULL ? cli_dict_get_text(delivery->state, "pen") : NULL;
    const char *state =
        delivery->state != NULL ? cli_dict_get_text(delivery->state, "state") : NULL;

    if (delivery->is_erased) {
        printf("would redact %s\n", delivery->session);
        return;
    }
    printf("would deliver %s: pen %s, %s, %u records\n",
           delivery->session,
           pen != NULL ? pen : "unknown",
           state != NULL ? state : "state unknown",
           (unsigned)delivery->n_settled);
}

static void
deliver(SyncSink *self,
        const SyncDelivery *const *deliveries,
        guint n_deliveries,
        SyncOutcome *outcomes,
        GCancellable *cancellable)
{
    for (guint i = 0; i < n_deliveries; i++) {
        say(deliveries[i]);
    }
}

static void
close_real(SyncSink *self)
{
    self->instance->funcs->close(self->instance->sink);
}

const SyncSinkFuncs sync_dry_funcs = {
    .kind = "dry-run",
    .may_send_unbound = true,
    .n_batch_max = 64,
    .destroy = destroy,
    .open = open_real,
    .deliver = deliver,
    .close = close_real,
};

char *
sync_dry_copy_state(const char *directory, GError **error)
{
    g_autofree char *from = g_build_filename(directory, "state.db", NULL);
    g_autofree char *copy = g_dir_make_tmp("pentel-sync-XXXXXX", error);
    bool is_damaged = false;

    if (copy == NULL || !g_file_test(from, G_FILE_TEST_EXISTS)) {
        return g_steal_pointer(&copy);
    }
    g_autofree char *to = g_build_filename(copy, "state.db", NULL);
    g_autoptr(SyncDb) db = sync_db_open(from, true, &is_damaged, error);
    if (db == NULL || !sync_db_run(db, sync_db_query(db, error, "vacuum into ?", "t", to), error)) {
        sync_dry_remove_state(copy);
        return NULL;
    }
    return g_steal_pointer(&copy);
}

void
sync_dry_remove_state(const char *path)
{
    static const char *const names[] = { "state.db", "state.db-wal", "state.db-shm", "lock" };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *file = g_build_filename(path, names[i], NULL);
        g_unlink(file);
    }
    g_rmdir(path);
}
