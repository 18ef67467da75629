/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#define SYNC_SINK_BACKOFF_FIRST_MS    1000u
#define SYNC_SINK_BACKOFF_MAX_MS      300000u
#define SYNC_SESSION_BACKOFF_FIRST_MS 15000u
#define SYNC_SESSION_BACKOFF_MAX_MS   3600000u

/**
 * How long to wait after @n_failed tries in vain, at least @asked_ms.
 *
 * Doubles from @first_ms up to @max_ms. @random: any number; spreads the result over
 * three quarters to five quarters, so that a thousand gateways do not come back at once.
 * What a server asked for counts up to @max_ms and is never shortened.
 */
uint32_t sync_backoff_ms(
    uint32_t n_failed, uint32_t first_ms, uint32_t max_ms, uint32_t asked_ms, uint32_t random);
