/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PEN_SHA1_SIZE 20u

/** SHA-1 of at most 55 bytes in one block: only what UUIDv5 needs. */
void pen_sha1_short(const uint8_t *bytes, size_t n_bytes, uint8_t digest_out[PEN_SHA1_SIZE]);
