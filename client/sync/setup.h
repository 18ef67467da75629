/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/options.h"
#include "sync/sink.h"

/* What an instance is: its configuration read, its sink made, nothing opened yet. */
typedef struct {
    SyncConfig *config; /* owned */
    char *gateway;      /* owned */
    const SyncSinkFuncs *funcs;
    SyncSink *sink;  /* owned */
    SyncSetup setup; /* borrows from the others and from the options */
    bool wants_raw;
    uint32_t poll_s; /* how often the journal is looked at without being told */
} SyncInstance;

/** Read the configuration and make the sink. Errors: SYNC_ERROR_CONFIG. Owns: clear in every case;
 * borrows @options. */
bool sync_instance_init(SyncInstance *self, const SyncOptions *options, GError **error);
void sync_instance_clear(SyncInstance *self);
