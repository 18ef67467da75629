/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/records.h"

/*
 * Sealed segments: immutable files below raw/, a header, one zstd block per session, an
 * index at the end. Never migrated; a reader knows every version there was (F13).
 */
typedef struct PdSegmentWriter PdSegmentWriter;

/** Begin raw/YYYY-MM-N.seg under a temporary name. Errors: PD_ERROR_STORE. */
PdSegmentWriter *pd_segment_begin(const char *raw_directory, int64_t wall_us, GError **error);

/**
 * Add a session's records, one after another, ascending.
 *
 * @place_out: log_id and session are given, where the block lies is filled in; segment is
 * the name the file will have. Owns: the caller's to clear.
 */
bool pd_segment_add(PdSegmentWriter *self,
                    const uint8_t *records,
                    size_t n_bytes,
                    PdRecordPlace *place_inout,
                    GError **error);

/**
 * Add a block of another segment as it lies there: a damaged one stays what it is, and its
 * session unreadable, without being in anybody's way.
 *
 * @place_inout: where it lies; becomes where the copy lies. Errors: PD_ERROR_STORE.
 */
bool pd_segment_copy(PdSegmentWriter *self, PdRecordPlace *place_inout, GError **error);

/**
 * Write the index, sync, read every block back and compare, give the file its name, sync the
 * directory. Frees @self.
 */
bool pd_segment_commit(PdSegmentWriter *self, GError **error);

/** Delete what was begun. Frees @self. */
void pd_segment_abandon(PdSegmentWriter *self);

/** Whether a file's frame is whole; blocks are checked as they are read. Errors: what is not. */
bool pd_segment_check(const char *raw_directory, const char *name, GError **error);

/**
 * Records of a block, uncompressed.
 *
 * Errors: PD_ERROR_MALFORMED: gone, cut or its hash is wrong: only this session suffers.
 *         PD_ERROR_STORE: cannot be read now.
 */
GBytes *pd_segment_read_block(const char *raw_directory,
                              const PdRecordPlace *place,
                              GError **error);

/**
 * What the index of a file says of its blocks; NULL when it has no whole index.
 *
 * Owns: array of PdRecordPlace with a clear function, the caller's.
 */
GArray *pd_segment_list(const char *raw_directory, const char *name);
