/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/record.h"

/**
 * Encode a body as protobuf, without frame.
 *
 * Errors: NO_SPACE: longer than @n_out. BAD_BODY: a value is out of its range.
 * Source: pen-telemetry-service.md, "Bodies".
 */
PEN_MUST_CHECK PenStatus pen_body_encode(const PenBody *body,
                                         uint8_t *out,
                                         size_t n_out,
                                         size_t *n_written_out);

/**
 * Whether every value of @body is in its range and they agree with each other.
 *
 * Source: pen-telemetry-service.md, "Bodies".
 */
bool pen_body_is_valid(const PenBody *body);

/** Whether @text is UTF-8 without control characters: it ends up on buses and terminals. */
bool pen_body_is_text(const char *text);

/** Copy protobuf text into a field of @n_out bytes. False when NULL, too long or no text. */
bool pen_body_copy_text(const char *text, char *out, size_t n_out);
