/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stddef.h>

/** Write all of @data. Errors: false with errno. */
bool pd_write_all(int fd, const void *data, size_t n_data);

/** Have the bytes of a file on the disk. Errors: PD_ERROR_STORE. */
bool pd_sync_file(const char *path, GError **error);

/** The same of the names in a directory. Errors: PD_ERROR_STORE. */
bool pd_sync_directory(const char *path, GError **error);
