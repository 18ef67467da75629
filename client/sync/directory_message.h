/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"

/** Log1.GetSession's dictionary as JSON, keys as there. Owns: the caller's. */
char *sync_state_to_json(GVariant *state);

/** A delivery as a pentel.v1.Delivery with its length in front. Owns: the caller's. */
GByteArray *sync_delivery_to_message(const SyncDelivery *delivery, const char *json);

/** The same as a line of JSON. Owns: the caller's. */
GString *sync_delivery_to_line(const SyncDelivery *delivery, const char *json);
