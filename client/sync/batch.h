/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"
#include "sync/state.h"

/* Who a batch works for and with. Borrowed until its completion. */
typedef struct {
    GDBusConnection *bus;
    SyncState *state;
    const SyncSinkFuncs *funcs;
    SyncSink *sink;
    const SyncSetup *setup;
    bool wants_raw;
} SyncWork;

/* Where the trouble was that a batch reports. */
typedef enum {
    SYNC_TROUBLE_NONE = 0,
    SYNC_TROUBLE_PENTELD, /* could not be asked */
    SYNC_TROUBLE_OPEN,    /* the sink could not be opened */
    SYNC_TROUBLE_SINK,    /* it was open and then could not */
    SYNC_TROUBLE_STATE,   /* our own file */
} SyncTrouble;

typedef struct {
    SyncTrouble trouble;
    uint32_t after_ms; /* as the sink asked, 0 when it did not */
    guint n_delivered;
    guint n_tried; /* sessions whose outcome is remembered */
} SyncBatchReport;

/**
 * Deliver sessions: ask penteld for each, hand them to the sink in a worker thread, and
 * remember how it went.
 *
 * @due: of SyncPending, taken over. Owns: @work is borrowed until the completion.
 */
void sync_batch_run_async(const SyncWork *work,
                          GPtrArray *due,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data);

/**
 * @report_out: filled in every case.
 *
 * Returns false with the words for any trouble. Errors: of D-Bus, SYNC_ERROR, as
 * report.trouble says.
 */
bool sync_batch_run_finish(GAsyncResult *result, SyncBatchReport *report_out, GError **error);
