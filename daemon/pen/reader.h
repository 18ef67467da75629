/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "pen/intake.h"

/*
 * The thread that reads the notify sockets of all links, as bluetoothd throws data away
 * when one is full (P1). Records go straight into the store; main is told, in batches
 * and by one wake-up each, only what it must act on. Functions: main thread, unless
 * they say otherwise.
 */
typedef struct PdReader PdReader;

typedef enum {
    PD_READER_RECORD = 0, /* control item, session begin or end; live samples when watched */
    PD_READER_BAD,        /* bytes that are no record */
    PD_READER_GAP,        /* a live number jumped */
    PD_READER_HUP,        /* bluetoothd closed the stream */
    PD_READER_DRAINED,    /* as asked by pd_reader_drain() */
    PD_READER_NOISE,      /* nearly all of the last seconds' data was malformed */
} PdReaderKind;

typedef struct {
    uint64_t link;
    PdReaderKind kind;
    PdStream stream;
    PenStatus status; /* of BAD */
    uint32_t token;   /* of DRAINED */
    PenRecordHeader header;
    const uint8_t *bytes; /* of RECORD and BAD; borrowed for the call */
    size_t n_bytes;
} PdReaderItem;

/* Called in the main context that was the thread's default at pd_reader_new(). */
typedef void (*PdReaderSink)(void *user_data, const PdReaderItem *item);

/** Start the thread. @coalesce_ms: between wake-ups while nobody watches or waits. */
PdReader *pd_reader_new(PdStore *store, uint32_t coalesce_ms, PdReaderSink sink, void *user_data);

/** Stop and join the thread, close every fd. The sink is not called again. */
void pd_reader_free(PdReader *self);

/** Begin a link; returns its epoch, never 0 and never used again (P6). */
uint64_t pd_reader_open_link(PdReader *self, PdProgress *progress);

/** Read @fd as @stream of @link. Owns: takes @fd. */
void pd_reader_add_fd(PdReader *self, uint64_t link, PdStream stream, int fd);

/** Take a notification that came another way (StartNotify). Owns: copies. */
void pd_reader_feed(
    PdReader *self, uint64_t link, PdStream stream, const uint8_t *bytes, size_t n_bytes);

/** Read all that is in the link's sockets now, then say DRAINED with @token (F3). */
void pd_reader_drain(PdReader *self, uint64_t link, uint32_t token);

/** End a link: what is in its sockets is still read, then they are closed. */
void pd_reader_close_link(PdReader *self, uint64_t id);

/** While any link is in a hurry the thread does not coalesce. */
void pd_reader_set_hurry(PdReader *self, uint64_t id, bool hurry);
void pd_reader_set_watched(PdReader *self, bool watched);

/** Counters of an open link; NULL when it is closed. Owns: borrowed until closed. */
const PdIntakeCounts *pd_reader_get_counts(PdReader *self, uint64_t id);

/** Segments lost since start. Any thread. */
uint64_t pd_reader_get_n_lost(PdReader *self);

/** How long the thread has been at its present round; 0 while it waits. Any thread. */
int64_t pd_reader_get_age_us(PdReader *self);
