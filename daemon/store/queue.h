/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/ledger.h"

#include <gio/gio.h>

/*
 * What waits for the writer: records as bytes, bounded, and jobs. Decides when a group is
 * due: after commit_ms or commit_records for pen data, at once when somebody waits (F15).
 */
typedef struct PdQueue PdQueue;

/* Something to do inside the next transaction. */
typedef struct {
    /* On the writer thread. An error other than PD_ERROR_STORE is this job's alone; it must
     * not have changed anything then. NULL: nothing, but the commit. */
    bool (*run)(gpointer data, PdLedger *ledger, GError **error);
    gpointer data;       /* owned */
    GDestroyNotify free; /* of data */
    GTask *task;         /* owned; completes once durable. NULL: nobody waits */
    bool after_fold;     /* completes only when what is derived is written too */
} PdJob;

void pd_job_clear(PdJob *self);

/* What was taken from the queue, all of it kept until it is durable. */
typedef struct {
    GByteArray *records; /* per record: log id u64, length u16, bytes */
    size_t at;           /* up to here it is durable */
    GArray *jobs;        /* PdJob */
    bool is_last;
} PdBatch;

#define PD_BATCH_ITEM_HEADER 10u

PdQueue *pd_queue_new(uint32_t commit_ms, uint32_t commit_records);
void pd_queue_free(PdQueue *self);

/** As pd_store_append(). Any thread. */
bool pd_queue_append(PdQueue *self, uint64_t log_id, const uint8_t *record, size_t n_record);

/** Count something that was not worth queueing. */
void pd_queue_count_dropped(PdQueue *self);

/** Queue a job. Owns: takes the content of @job. Any thread. */
void pd_queue_submit(PdQueue *self, const PdJob *job);

/** Make the next batch due now, and the last. */
void pd_queue_stop(PdQueue *self);

/**
 * Wait until there is something to write and add it to @batch. Writer thread.
 *
 * @own_us: when the writer has something to do by itself, CLOCK_MONOTONIC, 0 never.
 * @retry_us: nothing but what somebody waits for is due before; 0 when all is well.
 */
void pd_queue_take(PdQueue *self, PdBatch *batch, int64_t own_us, int64_t retry_us);

/** Tell how much of the batch is not durable yet. */
void pd_queue_set_pending(PdQueue *self, size_t n_bytes);

void pd_queue_get_counts(PdQueue *self, uint64_t *n_bytes_out, uint64_t *n_dropped_out);
