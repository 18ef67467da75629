/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A backup for a stream: the next piece when the client took the one before.
 */
#include "service/backup_source.h"

struct PdServiceBackup {
    int n_refs;              /* the stream's, and one for a piece on its way */
    PdService *service;      /* ref */
    PdBackup *backup;        /* owned */
    PdServiceStream *stream; /* borrowed; NULL once closed */
};

PdServiceBackup *
pd_service_backup_new(PdService *service, PdBackup *backup)
{
    PdServiceBackup *self = g_new0(PdServiceBackup, 1);

    self->n_refs = 1;
    service->n_refs++;
    self->service = service;
    self->backup = backup;
    return self;
}

void
pd_service_backup_free(PdServiceBackup *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    if (self->service->is_closed) {
        pd_backup_free(self->backup);
    } else {
        pd_store_backup_drop(self->service->store, self->backup);
    }
    pd_service_unref(self->service);
    g_free(self);
}

static void
take_piece(PdServiceBackup *self, GAsyncResult *result)
{
    g_autoptr(GError) error = NULL;
    gsize n_bytes = 0;

    if (self->service->is_closed || self->stream == NULL) {
        return;
    }
    g_autoptr(GBytes) piece = pd_store_backup_read_finish(self->service->store, result, &error);
    if (piece == NULL) {
        g_warning("a backup breaks off: %s", error->message);
        pd_service_stream_close(self->stream);
        return;
    }
    const void *bytes = g_bytes_get_data(piece, &n_bytes);
    if (n_bytes == 0) {
        pd_service_stream_end(self->stream);
    } else {
        pd_service_stream_push(self->stream, bytes, n_bytes);
    }
}

static void
on_piece(GObject *object, GAsyncResult *result, gpointer user_data)
{
    PdServiceBackup *self = user_data;

    take_piece(self, result);
    pd_service_backup_free(self);
}

static void
on_pull(void *source, PdServiceStream *stream)
{
    PdServiceBackup *self = source;

    self->stream = stream;
    if (self->service->is_closed) {
        return;
    }
    self->n_refs++;
    pd_store_backup_read_async(
        self->service->store, self->backup, self->service->cancellable, on_piece, self);
}

static void
on_closed(void *source, PdServiceStream *stream)
{
    PdServiceBackup *self = source;

    self->stream = NULL;
    pd_service_backup_free(self);
}

const PdServiceStreamSource *
pd_service_backup_get_funcs(void)
{
    static const PdServiceStreamSource funcs = { .pull = on_pull, .closed = on_closed };

    return &funcs;
}
