/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/fhir_client.h"
#include "sync/fhir_map.h"
#include "sync/sink.h"

/* What deliveries to one server share. Borrowed for the call. */
typedef struct {
    FhirClient *client;
    const FhirSettings *settings;
    FhirMapping mapping;
    guint n_entries_max; /* of a Bundle; halved when the server finds one too large */
    GHashTable *devices; /* owned by the sink; ids of Devices that the server has as they are */
} FhirDesk;

/**
 * Bring one session to the server, or redact it, and read back that it is there.
 *
 * Somebody else's write in between is read, merged and tried again a few times.
 * @outcome: set, in every case.
 */
void fhir_deliver(FhirDesk *desk,
                  const SyncDelivery *delivery,
                  SyncOutcome *outcome,
                  GCancellable *cancellable);
