/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/clock.h"
#include "core/record.h"

#include <gio/gio.h>

/*
 * Samples as JSON lines, one object a sample. The shapes are those of org.pentel.xml,
 * StreamSession and FollowLive.
 */

/** Append @text as a JSON string with its quotes. */
void pd_service_json_append_string(GString *out, const char *text);

/**
 * Lines of a stored block: tick_us, wall_us or null, depth_um, rate_dhz, load_permille,
 * contact. A block is placed by its first sample; within it the pen's clock counts.
 *
 * @anchors: of the whole log, any order.
 */
void pd_service_sample_lines_append_stored(GString *out,
                                           const PenRecordHeader *header,
                                           const PenSamples *samples,
                                           uint32_t tick_unit,
                                           const GArray *anchors);

/** Lines of a block as it arrives, with pen, session and number. @session: NULL outside one. */
void pd_service_sample_lines_append_live(GString *out,
                                         const char *pen,
                                         const char *session,
                                         const PenRecordHeader *header,
                                         const PenSamples *samples,
                                         uint32_t tick_unit);

/** The line {pen, event}. */
void pd_service_sample_lines_append_event(GString *out, const char *pen, const char *event);
