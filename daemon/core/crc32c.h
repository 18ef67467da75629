/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * Compute CRC-32C (Castagnoli, reflected, init and xorout 0xFFFFFFFF).
 *
 * Source: pen-telemetry-service.md, "CRC"; check value of "123456789" is 0xE3069283.
 */
uint32_t pen_crc32c(const uint8_t *bytes, size_t n_bytes);
