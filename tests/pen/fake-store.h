/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/store.h"

#include <pthread.h>

/* A store that only counts what the reader and the backfill hand it. */
struct PdStore {
    pthread_mutex_t lock;
    uint64_t n_appended;
    uint64_t last_log_id;
    uint32_t last_number;
    bool is_full;
    uint64_t slow_log_id; /* its records take 200 us each */
};
