/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/* Times as people type and read them; wall_us is microseconds since 1970 UTC. */

#define CLI_TIME_FORMS "a time such as 2026-11-24, \"2026-11-24 14:30\", today, \"2h ago\""

/**
 * Read a time as typed: RFC 3339; YYYY-MM-DD with or without HH:MM[:SS]; HH:MM of today;
 * now, today, yesterday; "N UNIT ago" with s, min, h, d, w. Without a zone it is local.
 *
 * @is_end: a whole day means its end, so that "until" includes that day.
 * Returns false when @text is none of these; @wall_us_out is untouched then.
 */
bool cli_time_parse(const char *text, bool is_end, int64_t now_us, int64_t *wall_us_out);

/** Read RFC 3339 as the bus gives it. */
bool cli_time_from_rfc3339(const char *text, int64_t *wall_us_out);

/** "2026-11-24T14:30:05.123Z". Owns: the caller's; NULL outside the years 1 to 9999. */
char *cli_time_to_rfc3339(int64_t wall_us);

/** "2026-11-24 14:30" in the local zone, with seconds when asked. Owns: the caller's. */
char *cli_time_to_local(int64_t wall_us, bool with_seconds);

/** A time of the bus in the local zone, "unknown" when @text is NULL or no time. Owns: the
 * caller's. */
char *cli_time_show(const char *text, bool with_seconds);

/** "4:05", "1:04:05". Owns: the caller's. */
char *cli_duration_show(uint64_t duration_ms);
