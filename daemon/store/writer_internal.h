/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/checkpoint.h"
#include "store/erase.h"
#include "store/ledger.h"
#include "store/lock.h"
#include "store/writer.h"

/* Shared by writer.c, which is the thread, and writer_state.c, which tells how it goes. */
struct PdWriter {
    PdWriterConfig config;
    GThread *thread;
    PdCheckpointer *checkpointer;
    PdQueue *queue;

    PdLock lock; /* guards the following */
    bool wall_synced;
    GHashTable *published; /* &log_id to PdLog */
    PdStoreHealth health;
    bool moved_aside;
    bool must_restart;

    /* The thread's own. */
    PdLedger ledger;
    PdBatch batch;
    int64_t derived_us;
    int64_t sealed_us;
    PdRetirement retired;
    int64_t witnessed_us;
    uint64_t witnessed_head;
    uint32_t n_contradicted; /* batches in a row */
    bool must_reload;        /* the ledger is ahead of a transaction that failed */
    bool is_suspect;         /* SQLite found damage: leave everything as it is */
    bool is_full;            /* the ballast was let go: no records before there is room again */
    int64_t retry_us;        /* no attempt before; 0 when the last one went well */
};

/** What a failure of SQLite means for the store. */
PdStoreState pd_writer_state_of(int code);

/** Say how it is, to the health and to the listener. */
void pd_writer_set_state(PdWriter *self, PdStoreState state, const char *message);

/** Say that the store needs another process, and why. Any thread. */
void pd_writer_ask_restart(PdWriter *self, const char *why);

/** Let other threads see what changed of each log. */
void pd_writer_publish(PdWriter *self);

/** Read counts and head; returns whether the journal grew. */
bool pd_writer_read_health(PdWriter *self);

/** The same, and tell the listener when it did. */
void pd_writer_update_health(PdWriter *self);
