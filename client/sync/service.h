/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/engine.h"

/* Sync1 on the bus: an engine and its state, shown to whoever may see them. Main thread. */
typedef struct SyncService SyncService;

/** Take calls. Owns: borrows @engine and @work until freed. Errors: of D-Bus. */
SyncService *sync_service_new(SyncEngine *engine, const SyncWork *work, GError **error);

/** True while a set is being taken over: it must not be freed then. */
bool sync_service_is_taking(const SyncService *self);
void sync_service_free(SyncService *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncService, sync_service_free)
