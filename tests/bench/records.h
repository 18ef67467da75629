/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BENCH_LOG_ID UINT64_C(0x1122334455667788)

/**
 * Encode record @number of an endless session that began with record 1: ten samples of
 * four noisy channels every 200 ms, as a pen at 50 samples/s sends them.
 *
 * @out: PEN_RECORD_MAX bytes. Returns the record's length.
 */
size_t bench_record(uint32_t number, uint8_t *out);

/** The same of log @log_id, where a session begins every @n_each records. */
size_t bench_record_of(uint64_t log_id, uint32_t number, uint32_t n_each, uint8_t *out);
