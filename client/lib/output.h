/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/** Write all bytes, however often it takes. Returns 0 or the errno; blocks. */
int cli_output_write(int fd, const void *bytes, size_t n_bytes);
