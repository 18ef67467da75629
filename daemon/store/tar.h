/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As much of ustar (POSIX.1-1988) as a backup needs: plain files, in blocks of 512 bytes. */
#define PD_TAR_BLOCK    512u
#define PD_TAR_NAME_MAX 100u

/** Header of a plain file that its owner may read. @name: at most 99 bytes. */
void pd_tar_header(const char *name, uint64_t size, int64_t mtime_s, uint8_t out[PD_TAR_BLOCK]);

/** Read a header back. False when it is none of a plain file, or its sum is wrong. */
bool pd_tar_parse(const uint8_t header[PD_TAR_BLOCK],
                  char name_out[PD_TAR_NAME_MAX],
                  uint64_t *size_out);

/** Bytes up to the next block. */
static inline size_t
pd_tar_padding(uint64_t size)
{
    return (size_t)((PD_TAR_BLOCK - size % PD_TAR_BLOCK) % PD_TAR_BLOCK);
}
