/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/store.h"

#include <gio/gio.h>

#include <stdbool.h>

/*
 * A session as org.pentel.xml describes it. A key that is absent is unknown; nothing is
 * made up. Durations are rounded half up to milliseconds, error bounds upwards.
 */

/** The keys of ListSessions, and with @with_details those of GetSession. Owns: floating. */
GVariant *pd_service_session_to_variant(const PdSession *session, bool with_details);

/**
 * RFC 3339 UTC with milliseconds, rounded half up.
 *
 * Owns: the caller; NULL when @wall_us is 0 or beyond the calendar.
 */
char *pd_service_time_to_string(int64_t wall_us);
