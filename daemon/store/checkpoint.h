/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"

/*
 * Brings the WAL into the database on a thread and connection of its own, so that no commit
 * pays for it: when it has grown, and wholly when writing has paused (F14).
 *
 * SQLite counts pages as brought over that a checkpoint wrote without a sync, which it does
 * when somebody wrote or read meanwhile; the next whole one syncs them. If that sync fails,
 * Linux takes the pages for clean, nothing writes them again, and once the WAL begins anew a
 * power cut loses them. So after a sync that failed there is no checkpoint more: the WAL keeps
 * everything, and a new process, which counts nothing as brought over, begins at its first
 * frame.
 */
typedef struct PdCheckpointer PdCheckpointer;

typedef struct {
    int n_pages;       /* in the WAL, when a checkpoint begins */
    int n_alarm_pages; /* as many should never be there; after a failed sync: restart */
    int64_t idle_us;   /* a pause: all of the WAL is brought over */
    int64_t failed_us; /* after a failed sync: restart in the first pause after that time */
    /* That time has come. On a thread of the checkpointer's. */
    void (*must_restart)(void *user_data);
    void *user_data;
} PdCheckpointerConfig;

#define PD_CHECKPOINTER_DEFAULT                                                                    \
    ((PdCheckpointerConfig){ .n_pages = 1024,                                                      \
                             .n_alarm_pages = 16384, /* 64 MiB */                                  \
                             .idle_us = INT64_C(30000000),                                         \
                             .failed_us = INT64_C(3600000000) })

/** Start. @writer: its commits are counted from now on. Owns: copies @config. */
PdCheckpointer *pd_checkpointer_start(const PdCheckpointerConfig *config,
                                      const char *path,
                                      PdDb *writer,
                                      GError **error);

/** Stop. After the writer's thread ended, before its connection closes. NULL is nothing. */
void pd_checkpointer_stop(PdCheckpointer *self);

/** Tell that the writer finished a batch. */
void pd_checkpointer_written(PdCheckpointer *self);

/**
 * Empty the WAL on a connection of the caller's. @self: NULL where there is no other.
 * Returns false when a reader or a writer is in the way, or a sync has failed: later.
 */
bool pd_checkpointer_truncate(PdCheckpointer *self, PdDb *db);

/** Whether a sync has failed: the WAL must outlive the process. Any thread; NULL: no. */
bool pd_checkpointer_has_failed(PdCheckpointer *self);
