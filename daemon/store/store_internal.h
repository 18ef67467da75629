/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/home.h"
#include "store/lock.h"
#include "store/outbox.h"
#include "store/store.h"
#include "store/workers.h"
#include "store/writer.h"

/* Shared by store.c, which writes, and ask.c, which reads. */
struct PdStore {
    PdHome home;
    char *id; /* owned */
    PdOutbox *outbox;
    PdWriter *writer;
    PdQueue *queue; /* borrowed from the writer */
    PdWorkers *workers;
    gint *is_backing_up;    /* atomic, in a reference-counted box; see ask_backup.c */
    struct PdStore **alive; /* reference-counted box; holds NULL once closed */
    PdLock lock;            /* guards the following */
    GHashTable *linked;     /* set of &log_id */
};
