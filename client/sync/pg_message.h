/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"

/** Append a delivery, which is no erasure, as the JSON object that pg/put.sql reads. */
void sync_pg_append_message(GString *out, const SyncDelivery *delivery);

/**
 * The records of a delivery as the text of a bytea[].
 *
 * Owns: the caller's; NULL when they cannot be read.
 */
char *sync_pg_read_records(const SyncDelivery *delivery);
