/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "service/service_internal.h"

/*
 * What fills a stream of stored things: a page is asked from the store when the stream
 * is empty, and given on in chunks, so a stream holds one page at most.
 */
typedef enum {
    PD_SERVICE_SOURCE_RAW = 0, /* length-delimited RawRecord of a session */
    PD_SERVICE_SOURCE_LINES,   /* the same as JSON lines */
    PD_SERVICE_SOURCE_JOURNAL, /* length-delimited JournalEntry */
} PdServiceSourceKind;

typedef struct PdServiceSource PdServiceSource;

/** Of a session. @anchors: for lines, taken over; NULL otherwise. Owns: until the stream closes. */
PdServiceSource *pd_service_source_new_session(PdService *service,
                                               PdServiceSourceKind kind,
                                               const char *id,
                                               uint32_t tick_unit,
                                               GArray *anchors);

/** Of the journal, (after, upto]. */
PdServiceSource *pd_service_source_new_journal(PdService *service, uint64_t after, uint64_t upto);

/** Of one that never came to be streamed. */
void pd_service_source_free(PdServiceSource *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdServiceSource, pd_service_source_free)

/** For pd_service_stream_open(); frees the source when the stream is closed. Owns: static. */
const PdServiceStreamSource *pd_service_source_get_funcs(void);
