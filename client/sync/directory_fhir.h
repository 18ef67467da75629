/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/config.h"
#include "sync/sink.h"
#include "sync/spool.h"

/*
 * What a FHIR server would get of the deliveries in a set, as files of one resource type each
 * ([directory] fhir=yes): for a bulk import, or for whoever reads FHIR and not ours.
 */
typedef struct SyncDirectoryFhir SyncDirectoryFhir;

/**
 * Read the keys. @out: NULL when there are to be no such files.
 *
 * Owns: free with sync_directory_fhir_free(). Errors: SYNC_ERROR_CONFIG.
 */
bool sync_directory_fhir_new(SyncConfig *config, SyncDirectoryFhir **out, GError **error);
void sync_directory_fhir_free(SyncDirectoryFhir *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncDirectoryFhir, sync_directory_fhir_free)

/** Put down the resources of a delivery. @note_out: SyncOutcome.note. Errors: of the spool. */
bool sync_directory_fhir_append(const SyncDirectoryFhir *self,
                                SyncSpool *spool,
                                const SyncDelivery *delivery,
                                char **note_out,
                                GError **error);

/** Make Procedure.ndjson and the others of what was put down, before the set is sealed: each
 * resource once, as it was last. Errors: of the spool. */
bool sync_directory_fhir_finish(SyncSpool *spool, GError **error);
