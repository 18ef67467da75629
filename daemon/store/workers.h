/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"
#include "store/outbox.h"

/*
 * A few threads that answer questions, each with a read connection of its own, begun when
 * they are needed.
 */
typedef struct PdWorkers PdWorkers;

typedef struct {
    /* On a worker. Returns what the task completes with; NULL is an error. Without a task it
     * is called with no database, and nobody hears of it. */
    gpointer (*run)(gpointer data, PdDb *db, GError **error);
    gpointer data; /* owned by the task */
    GDestroyNotify free_result;
    GTask *task; /* owned; NULL: run() frees @data */
} PdWork;

/** Owns: borrows @outbox. @path: the database. */
PdWorkers *pd_workers_new(const char *path, PdOutbox *outbox);

/** Answer what was asked, stop and free. Blocks. */
void pd_workers_stop(PdWorkers *self);

/** Queue a question. Owns: takes the content of @work. */
void pd_workers_push(PdWorkers *self, const PdWork *work);
