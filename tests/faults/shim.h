/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

/*
 * What the campaign and the preloaded shim share: a page that is mapped by both, and a log
 * of what was done below the state directory. world.py and disk.py know both by heart.
 */
typedef enum {
    SHIM_OPS = 0,    /* operations below the root so far */
    SHIM_STOP_AT,    /* raise a signal at this operation; 0 never */
    SHIM_STOP_WITH,  /* which */
    SHIM_STOP_AFTER, /* once it is done, else before */
    SHIM_ERROR_FROM, /* operations from here ... */
    SHIM_ERROR_TO,   /* ... to before here fail, */
    SHIM_ERROR_PERMILLE,
    SHIM_ERROR_KIND,      /* with this errno; SHIM_SHORT: half is written */
    SHIM_LIES,            /* not 0: a sync says that it is done, and is not */
    SHIM_WALL_US,         /* added to the wall clock; signed */
    SHIM_MARKS,           /* marks sent so far */
    SHIM_MARK_STOP_AT,    /* raise a signal at this mark; 0 never */
    SHIM_MARK_STOP_AFTER, /* once it is sent, else before */
    SHIM_N_STOPPED,
    SHIM_N_ERRORS,
    SHIM_N_LIES,
    SHIM_N_SYNCS,
    SHIM_SEED,
    SHIM_N_STARTED,
    SHIM_SYNC_US,     /* how long a sync takes */
    SHIM_ERROR_INDEX, /* not 0: errors are for syncs of the index alone, not of its WAL */
    SHIM_N_WORDS,
} ShimWord;

#define SHIM_SHORT 1000

/* Followed by n_data bytes. A directory is named by its inode, as a file is. */
typedef struct {
    uint32_t kind;
    uint32_t n_data;
    uint64_t inode;
    uint64_t a;
    uint64_t b;
} ShimEntry;

enum {
    SHIM_WRITE = 'W',    /* a: offset; the bytes */
    SHIM_TRUNCATE = 'T', /* a: length */
    SHIM_SYNC = 'S',     /* of a file or a directory */
    SHIM_LIE = 'L',      /* the same, but nothing was done */
    SHIM_FAILED = 'X',   /* a sync that failed: what it was to write is given up */
    SHIM_CREATE = 'C',   /* inode: of the directory, a: of the file, b: 1 for a directory; name */
    SHIM_RENAME = 'R',   /* inode: from, a: to; both names, each with its NUL */
    SHIM_UNLINK = 'U',   /* inode: of the directory; name */
};
