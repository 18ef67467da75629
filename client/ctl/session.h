/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "lib/json.h"
#include "lib/term.h"

/* A session as Log1.ListSessions and Log1.GetSession give it. */

/** Append the session as an object of the JSON that pentelctl(1) describes. */
void ctl_session_append_json(CliJson *json, const char *key, GVariant *session);

/** As ctl_session_append_json(), with what only GetSession gives, and members before it. */
void ctl_session_append_json_members(CliJson *json, GVariant *session, bool is_full);

/** Depth @which (median, max, ...) of a session or pass as "0.75"; NULL unknown. Owns: the
 * caller's. */
char *ctl_session_dup_depth_mm(GVariant *dict, const char *which);

/** Duration under @key as "4:05"; NULL when unknown. Owns: the caller's. */
char *ctl_session_dup_duration(GVariant *dict, const char *key);

/** Number under @key; NULL when unknown. Owns: the caller's. */
char *ctl_session_dup_number(GVariant *dict, const char *key);

/** Start in the local zone; "~" before it when uncertain by over a minute. Owns: the caller's. */
char *ctl_session_dup_start(GVariant *session, bool with_seconds);

/** Colour of the session's state. */
CliColour ctl_session_get_colour(GVariant *session);

/** The zones, separated by commas; NULL when there are none. Owns: the caller's. */
char *ctl_session_dup_zones(GVariant *session);
