/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Pipes to clients, written by the main loop and never waited for (F14). A stream asks
 * its source for the next bytes when it has none left, so memory stays constant
 * however long the stream is. Main thread only.
 */
typedef struct PdServiceStreams PdServiceStreams;
typedef struct PdServiceStream PdServiceStream;

#define PD_SERVICE_STREAM_CHUNK 32768u /* what a source gives at a time, about */

typedef struct {
    uint32_t max_per_uid; /* 0 = 4 */
    uint32_t max_total;   /* 0 = 32 */
    uint32_t stall_ms;    /* without progress while something waits; 0 = 30000 */
} PdServiceStreamsConfig;

/* Where a stream's bytes come from. */
typedef struct {
    /* The stream is empty: push, end, or do so later. NULL when bytes come unasked. */
    void (*pull)(void *source, PdServiceStream *stream);
    /* The stream is over, whoever ended it; the source may be freed. */
    void (*closed)(void *source, PdServiceStream *stream);
} PdServiceStreamSource;

PdServiceStreams *pd_service_streams_new(const PdServiceStreamsConfig *config);

/** Close all streams; those still referenced stay as closed ones. */
void pd_service_streams_free(PdServiceStreams *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdServiceStreams, pd_service_streams_free)

/**
 * Take one of the places for @uid, before any work is done for it.
 *
 * Owns:   a reference; dropping the last one closes the stream and gives back the place.
 * Errors: PD_ERROR_BUSY: too many of this user, or of all.
 */
PdServiceStream *pd_service_stream_new(PdServiceStreams *streams, uint32_t uid, GError **error);
PdServiceStream *pd_service_stream_ref(PdServiceStream *self);
void pd_service_stream_unref(PdServiceStream *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdServiceStream, pd_service_stream_unref)

/**
 * Make the pipe and start. From here on the stream keeps itself until it is closed.
 *
 * Owns:   borrows @funcs and @source until closed() was called. Returns the client's
 *         end, the caller's to close; -1 on failure.
 * Errors: PD_ERROR_FAILED: no more descriptors; the stream is closed, @source untouched.
 */
int pd_service_stream_open(PdServiceStream *self,
                           const PdServiceStreamSource *funcs,
                           void *source,
                           GError **error);

/** Bytes for the client; dropped on a closed stream. */
void pd_service_stream_push(PdServiceStream *self, const void *bytes, size_t n_bytes);

/** No more bytes will come: end of file once the client has read what waits. */
void pd_service_stream_end(PdServiceStream *self);

/** Break off: end of file after what is in the pipe already. */
void pd_service_stream_close(PdServiceStream *self);

bool pd_service_stream_is_closed(const PdServiceStream *self);

/** Bytes pushed and not yet in the pipe. */
size_t pd_service_stream_get_waiting(const PdServiceStream *self);

/** Streams that hold a place now. */
uint32_t pd_service_streams_count(const PdServiceStreams *self);
