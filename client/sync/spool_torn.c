/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Finds what a power cut tore off the end of a growing file.
 */
#include "sync/spool_torn.h"

#include "lib/delimited.h"

#include <string.h>
#include <unistd.h>

#define WINDOW     65536
#define HEADER_MAX 5u /* bytes of a message's length */

/* A piece of a file: one of any size is looked through in constant memory. */
typedef struct {
    int fd; /* borrowed */
    off_t start;
    gsize n_bytes;
    uint8_t bytes[WINDOW];
} Window;

static bool
move_window(Window *self, off_t start)
{
    const ssize_t n = pread(self->fd, self->bytes, sizeof self->bytes, start);

    self->start = start;
    self->n_bytes = n > 0 ? (gsize)n : 0;
    return n >= 0;
}

/* Where the message at @at ends; @at when no whole one is there. */
static bool
skip_message(Window *window, off_t at, off_t size, off_t *end_out)
{
    const off_t offset = at - window->start;
    const bool is_seen = offset >= 0 && (gsize)offset + HEADER_MAX <= window->n_bytes;
    size_t n_header = 0;
    uint64_t length = 0;

    if (!is_seen && !move_window(window, at)) {
        return false;
    }
    const gsize skipped = (gsize)(at - window->start);
    const bool is_message = cli_delimited_read_length(window->bytes + skipped,
                                                      window->n_bytes - skipped,
                                                      &n_header,
                                                      &length) == CLI_DELIMITED_MESSAGE;
    const off_t end = at + (off_t)n_header + (off_t)length;
    *end_out = is_message && end <= size ? end : at;
    return true;
}

static bool
find_whole_messages(Window *window, off_t size, off_t *whole_out)
{
    off_t end = 0;

    if (!move_window(window, 0)) {
        return false;
    }
    do {
        *whole_out = end;
        if (!skip_message(window, *whole_out, size, &end)) {
            return false;
        }
    } while (end > *whole_out);
    return true;
}

/* From the end backwards: only the last line can be torn. */
static bool
find_whole_lines(Window *window, off_t size, off_t *whole_out)
{
    *whole_out = 0;
    for (off_t end = size; end > 0 && *whole_out == 0;) {
        const off_t start = MAX(end - WINDOW, 0);
        if (!move_window(window, start)) {
            return false;
        }
        const gsize n = MIN(window->n_bytes, (gsize)(end - start));
        const uint8_t *last = n > 0 ? memrchr(window->bytes, '\n', n) : NULL;
        *whole_out = last != NULL ? start + (off_t)(last - window->bytes) + 1 : 0;
        end = start;
    }
    return true;
}

bool
sync_spool_find_whole(int fd, SyncSpoolForm form, off_t size, off_t *whole_out)
{
    g_autofree Window *window = g_new0(Window, 1);

    window->fd = fd;
    return form == SYNC_SPOOL_DELIMITED ? find_whole_messages(window, size, whole_out)
                                        : find_whole_lines(window, size, whole_out);
}
