/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Messages with their length in front (a protobuf varint), as penteld's pipes carry them,
 * cut out of bytes as they arrive.
 */
typedef struct {
    GByteArray *pending; /* owned */
    gsize done;          /* of pending */
} CliDelimited;

typedef enum {
    CLI_DELIMITED_MESSAGE = 0,
    CLI_DELIMITED_MORE, /* push more */
    CLI_DELIMITED_BAD,  /* a length over 16 MiB: not such a stream */
} CliDelimitedStatus;

void cli_delimited_init(CliDelimited *self);
void cli_delimited_clear(CliDelimited *self);

/** Append a chunk, far less than 4 GiB. Invalidates messages taken before. */
void cli_delimited_push(CliDelimited *self, const void *bytes, guint n_bytes);

/** Take the next message. Owns: @bytes_out borrows until the next push. */
CliDelimitedStatus cli_delimited_take(CliDelimited *self,
                                      const uint8_t **bytes_out,
                                      size_t *n_bytes_out);

/** Read only the length at the start of @bytes. @n_header_out: bytes that it takes. */
CliDelimitedStatus cli_delimited_read_length(const uint8_t *bytes,
                                             size_t n_bytes,
                                             size_t *n_header_out,
                                             uint64_t *length_out);

/** True when nothing is left over: the stream may end here. */
bool cli_delimited_is_whole(const CliDelimited *self);

/** Append the length that goes before a message of @n_bytes. */
void cli_delimited_append_length(GByteArray *out, size_t n_bytes);
