/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/spool.h"

#include <sys/types.h>

/**
 * Find where the whole parts of a file of @size bytes end, in constant memory.
 *
 * Returns false, with errno, when it cannot be read.
 */
bool sync_spool_find_whole(int fd, SyncSpoolForm form, off_t size, off_t *whole_out);
