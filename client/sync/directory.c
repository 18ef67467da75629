/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Files in a directory: a session's state as one file, written whole or not at all.
 */
#include "sync/directory.h"

#include <glib/gstdio.h>

struct SyncSink {
    char *path; /* owned */
};

static SyncSink *
create(const SyncSetup *setup, GError **error)
{
    g_autofree char *path = sync_config_dup_text(setup->config, "directory", "path", NULL, error);

    if (path == NULL) {
        return NULL;
    }
    SyncSink *self = g_new0(SyncSink, 1);
    self->path = g_steal_pointer(&path);
    return self;
}

static void
destroy(SyncSink *self)
{
    g_free(self->path);
    g_free(self);
}

static bool
open_directory(SyncSink *self, GCancellable *cancellable, GError **error)
{
    if (g_mkdir_with_parents(self->path, 0750) != 0) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "cannot make %s; give its parent to user pentel-sync",
                    self->path);
        return false;
    }
    return true;
}

static void
deliver_one(SyncSink *self, const SyncDelivery *delivery, SyncOutcome *outcome)
{
    g_autofree char *name = g_strdup_printf("%s/%s.gvariant", self->path, delivery->session);
    g_autofree char *text =
        delivery->state != NULL ? g_variant_print(delivery->state, TRUE) : g_strdup("erased");
    g_autoptr(GError) error = NULL;

    if (!g_file_set_contents(name, text, -1, &error)) {
        sync_outcome_set(outcome, SYNC_RETRY, "%s", error->message);
    }
}

static void
deliver(SyncSink *self,
        const SyncDelivery *const *deliveries,
        guint n_deliveries,
        SyncOutcome *outcomes,
        GCancellable *cancellable)
{
    for (guint i = 0; i < n_deliveries; i++) {
        deliver_one(self, deliveries[i], &outcomes[i]);
    }
}

static void
close_directory(SyncSink *self)
{
}

const SyncSinkFuncs sync_directory_funcs = {
    .kind = "directory",
    .may_send_unbound = true,
    .may_raw = true,
    .n_batch_max = 64,
    .create = create,
    .destroy = destroy,
    .open = open_directory,
    .deliver = deliver,
    .close = close_directory,
};
