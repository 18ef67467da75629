/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Cuts a pipe into messages and notices an end inside one.
 */
#include "lib/delimited.h"

#define LENGTH_MAX ((uint64_t)16 << 20)

void
cli_delimited_init(CliDelimited *self)
{
    *self = (CliDelimited){ .pending = g_byte_array_new() };
}

void
cli_delimited_clear(CliDelimited *self)
{
    g_clear_pointer(&self->pending, g_byte_array_unref);
}

void
cli_delimited_push(CliDelimited *self, const void *bytes, guint n_bytes)
{
    if (self->done > 0) {
        g_byte_array_remove_range(self->pending, 0, (guint)self->done);
        self->done = 0;
    }
    g_byte_array_append(self->pending, bytes, n_bytes);
}

CliDelimitedStatus
cli_delimited_read_length(const uint8_t *bytes,
                          size_t n_bytes,
                          size_t *n_header_out,
                          uint64_t *length_out)
{
    uint64_t length = 0;
    size_t n_header = 0;
    bool is_last = false;

    for (unsigned shift = 0; !is_last; shift += 7) {
        if (n_header == n_bytes) {
            return CLI_DELIMITED_MORE;
        }
        const uint8_t byte = bytes[n_header++];
        length |= (uint64_t)(byte & 0x7f) << shift;
        is_last = byte < 0x80;
        if (length > LENGTH_MAX || (!is_last && shift >= 28)) {
            return CLI_DELIMITED_BAD;
        }
    }
    *n_header_out = n_header;
    *length_out = length;
    return CLI_DELIMITED_MESSAGE;
}

CliDelimitedStatus
cli_delimited_take(CliDelimited *self, const uint8_t **bytes_out, size_t *n_bytes_out)
{
    const uint8_t *bytes = self->pending->data + self->done;
    const size_t n_left = self->pending->len - self->done;
    uint64_t length = 0;
    size_t n_header = 0;
    const CliDelimitedStatus status = cli_delimited_read_length(bytes, n_left, &n_header, &length);

    if (status != CLI_DELIMITED_MESSAGE) {
        return status;
    }
    if (n_left - n_header < length) {
        return CLI_DELIMITED_MORE;
    }
    *bytes_out = bytes + n_header;
    *n_bytes_out = (size_t)length;
    self->done += n_header + (size_t)length;
    return CLI_DELIMITED_MESSAGE;
}

bool
cli_delimited_is_whole(const CliDelimited *self)
{
    return self->done == self->pending->len;
}

void
cli_delimited_append_length(GByteArray *out, size_t n_bytes)
{
    do {
        const uint8_t byte = (uint8_t)((n_bytes & 0x7f) | (n_bytes > 0x7f ? 0x80 : 0));
        g_byte_array_append(out, &byte, 1);
        n_bytes >>= 7;
    } while (n_bytes > 0);
}
