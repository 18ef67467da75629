/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"

/** A delivery as a pentel.v1.Delivery with its length in front. @records_at: in records.pb.
 * Owns: the caller's. */
GByteArray *sync_delivery_to_message(const SyncDelivery *delivery,
                                     uint64_t records_at,
                                     const char *json);

/** The same as a line of JSON. Owns: the caller's. */
GString *sync_delivery_to_line(const SyncDelivery *delivery, const char *json);
