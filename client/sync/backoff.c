/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * How long to leave a sink alone that failed (P40).
 */
#include "sync/backoff.h"

uint32_t
sync_backoff_ms(
    uint32_t n_failed, uint32_t first_ms, uint32_t max_ms, uint32_t asked_ms, uint32_t random)
{
    uint64_t wait_ms = first_ms;

    for (uint32_t i = 1; i < n_failed && wait_ms < max_ms; i++) {
        wait_ms *= 2;
    }
    if (wait_ms > max_ms) {
        wait_ms = max_ms;
    }
    if (asked_ms > max_ms) {
        asked_ms = max_ms;
    }
    const uint64_t spread_ms = wait_ms / 2 * (random % 1024u) / 1024u;
    const uint64_t jittered_ms = wait_ms * 3 / 4 + spread_ms;
    if (asked_ms > jittered_ms) {
        return asked_ms + (uint32_t)(spread_ms < max_ms ? spread_ms / 4 : 0);
    }
    return (uint32_t)jittered_ms;
}
