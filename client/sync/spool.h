/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * A set of files that grow together in DIRECTORY/.open and one day appear, whole and under a
 * final name, as a directory of their own. What was flushed survives a power cut; a torn end
 * is cut off when the set is opened again. One thread.
 *
 * Errors of all: SYNC_ERROR_UNAVAILABLE, with the file's name.
 */
typedef struct SyncSpool SyncSpool;

/** How a file is divided, to find its last whole part. */
typedef enum {
    SYNC_SPOOL_DELIMITED = 0, /* messages with their length in front: NAME.pb */
    SYNC_SPOOL_LINES,         /* NAME.ndjson */
} SyncSpoolForm;

/** What the name of a file begins with that grows with the set and is not part of it in the
 * end. */
#define SYNC_SPOOL_WORK "."

/** Open or begin the set, full at @size_max bytes. Owns: free with sync_spool_free(). */
SyncSpool *sync_spool_open(const char *directory, uint64_t size_max, GError **error);
void sync_spool_free(SyncSpool *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncSpool, sync_spool_free)

/**
 * Append to the file @name (deliveries.pb, Procedure.ndjson), made when there is none.
 *
 * The form follows the ending: .pb or .ndjson. One part must be appended as a whole. A name
 * that begins with a capital is of a file made when the set is sealed: what a kill left of it
 * is gone when the set is opened again.
 */
bool sync_spool_append(
    SyncSpool *self, const char *name, const void *bytes, gsize n_bytes, GError **error);

/** Bytes in the file @name by now. */
uint64_t sync_spool_get_size(const SyncSpool *self, const char *name);

/** The file @name to read from; -1 when there is none. Owns: borrowed. */
int sync_spool_get_fd(const SyncSpool *self, const char *name);

/** Take everything out of the file @name; nothing when there is none. */
bool sync_spool_empty(SyncSpool *self, const char *name, GError **error);

/** Take back what was appended since the last flush. */
void sync_spool_rewind(SyncSpool *self);

/** Make durable what was appended. */
bool sync_spool_flush(SyncSpool *self, GError **error);

/** Whether it should be sealed before more is appended; it takes more all the same. */
bool sync_spool_is_full(const SyncSpool *self);

/** Day on which the set was begun, UTC, "2026-11-24". Owns: borrowed; NULL when it is empty. */
const char *sync_spool_get_day(const SyncSpool *self);

/**
 * Seal: write anchor.json and SHA256SUMS beside the files and give the set its final name,
 * DAY-NNN, of four digits and more from the thousandth set of a day on. The set is empty
 * afterwards.
 *
 * @anchor: members of the anchor's JSON object, without the braces, ending without a comma;
 * the hash of the set before is added. Nothing happens when the set is empty.
 */
bool sync_spool_seal(SyncSpool *self, const char *anchor, GError **error);
