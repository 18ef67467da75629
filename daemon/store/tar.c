/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Headers of tar members; what is not exactly a plain file is refused.
 */
#include "store/tar.h"

#include <glib.h>

#include <stdio.h>
#include <string.h>

/* Where the fields lie, POSIX.1-1988. */
enum {
    AT_NAME = 0,
    AT_MODE = 100,
    AT_UID = 108,
    AT_GID = 116,
    AT_SIZE = 124,
    AT_MTIME = 136,
    AT_SUM = 148,
    AT_TYPE = 156,
    AT_MAGIC = 257,
};

#define DIGITS_SIZE  11 /* octal digits of size and time, then a NUL */
#define DIGITS_SHORT 7
#define SUM_SIZE     8

/* The checksum counts its own field as blanks. */
static unsigned
sum_of(const uint8_t header[PD_TAR_BLOCK])
{
    unsigned sum = 0;

    for (size_t i = 0; i < PD_TAR_BLOCK; i++) {
        sum += i >= AT_SUM && i < AT_SUM + SUM_SIZE ? ' ' : header[i];
    }
    return sum;
}

static void
put_octal(uint8_t *at, int n_digits, uint64_t value)
{
    for (int i = n_digits - 1; i >= 0; i--) {
        at[i] = (uint8_t)('0' + (value & 7));
        value >>= 3;
    }
}

static bool
get_octal(const uint8_t *at, int n_digits, uint64_t *value_out)
{
    uint64_t value = 0;

    for (int i = 0; i < n_digits; i++) {
        if (at[i] < '0' || at[i] > '7') {
            return false;
        }
        value = value << 3 | (uint64_t)(at[i] - '0');
    }
    *value_out = value;
    return true;
}

void
pd_tar_header(const char *name, uint64_t size, int64_t mtime_s, uint8_t out[PD_TAR_BLOCK])
{
    static const char magic[] = { 'u', 's', 't', 'a', 'r', '\0', '0', '0' };

    memset(out, 0, PD_TAR_BLOCK);
    g_strlcpy((char *)out + AT_NAME, name, PD_TAR_NAME_MAX);
    put_octal(out + AT_MODE, DIGITS_SHORT, 0600);
    put_octal(out + AT_UID, DIGITS_SHORT, 0);
    put_octal(out + AT_GID, DIGITS_SHORT, 0);
    put_octal(out + AT_SIZE, DIGITS_SIZE, size);
    put_octal(out + AT_MTIME, DIGITS_SIZE, mtime_s > 0 ? (uint64_t)mtime_s : 0);
    out[AT_TYPE] = '0';
    memcpy(out + AT_MAGIC, magic, sizeof magic);
    put_octal(out + AT_SUM, 6, sum_of(out));
    out[AT_SUM + 7] = ' ';
}

bool
pd_tar_parse(const uint8_t header[PD_TAR_BLOCK], char name_out[PD_TAR_NAME_MAX], uint64_t *size_out)
{
    uint64_t sum = 0;

    if (memcmp(header + AT_MAGIC, "ustar", 5) != 0 || header[AT_TYPE] != '0' ||
        header[PD_TAR_NAME_MAX - 1] != '\0' || !get_octal(header + AT_SUM, 6, &sum) ||
        sum != sum_of(header) || !get_octal(header + AT_SIZE, DIGITS_SIZE, size_out)) {
        return false;
    }
    memcpy(name_out, header + AT_NAME, PD_TAR_NAME_MAX);
    return true;
}
