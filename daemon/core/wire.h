/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Read an unsigned little-endian integer of @n_bytes, at most 8. */
static inline uint64_t
pen_wire_get(const uint8_t *bytes, size_t n_bytes)
{
    uint64_t value = 0;

    for (size_t i = n_bytes; i > 0; i--) {
        value = value << 8 | bytes[i - 1];
    }
    return value;
}

/** Write the low @n_bytes of @value, little endian. */
static inline void
pen_wire_put(uint8_t *bytes, size_t n_bytes, uint64_t value)
{
    for (size_t i = 0; i < n_bytes; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
}
