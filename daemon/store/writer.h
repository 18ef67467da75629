/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/home.h"
#include "store/outbox.h"
#include "store/queue.h"

/*
 * The thread that owns the write connection: raw records in one transaction, then what
 * follows from them in another (F16).
 */
typedef struct PdWriter PdWriter;

typedef struct {
    PdHome *home;     /* borrowed */
    PdDb *db;         /* owned by the writer from here on */
    PdOutbox *outbox; /* borrowed */
    char *store_id;   /* borrowed */
    uint32_t commit_ms;
    uint32_t commit_records;
    uint32_t checkpoint_pages;
    uint32_t retention_days;
    PenFoldConfig fold;
    PdStoreListener listener;
    void *user_data;
} PdWriterConfig;

/** Load and start. @damaged_out: what cannot be loaded is damaged. Errors: PD_ERROR_STORE. */
PdWriter *pd_writer_start(const PdWriterConfig *config, bool *damaged_out, GError **error);

/** Commit what is queued, stop, close and free. Blocks. */
void pd_writer_stop(PdWriter *self);

/** Where records and jobs go. Owns: the writer. */
PdQueue *pd_writer_get_queue(PdWriter *self);

/** Durable or settled numbers. Any thread. */
void pd_writer_get_settled(PdWriter *self, uint64_t log_id, PenRanges *ranges_out);

/** As pd_store_dup_log_serial(). Any thread. */
char *pd_writer_dup_log_serial(PdWriter *self, uint64_t log_id);

/** Bad bodies and conflicts of a log since start. Any thread. */
uint32_t pd_writer_get_n_faulty(PdWriter *self, uint64_t log_id);

/** Whether the wall clock is synchronised, for what is written from now on. Any thread. */
void pd_writer_set_wall_synced(PdWriter *self, bool synced);

/** Counters, state, head, error. Owns: error is the caller's. Any thread. */
void pd_writer_get_health(PdWriter *self, PdStoreHealth *out);

/** As pd_store_must_restart(). Any thread. */
bool pd_writer_must_restart(PdWriter *self);

/** Let the health say that the old store was moved aside. Before anything else is told. */
void pd_writer_set_damaged(PdWriter *self, const char *what);
