/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "pen/intake.h"

/* One link as the reader keeps it. Private to the reader. */
typedef struct PdReaderLink PdReaderLink;

typedef struct {
    PdReaderLink *link; /* borrowed */
    PdStream stream;
    int fd; /* owned, -1 when closed */
} PdReaderSocket;

struct PdReaderLink {
    gint n_refs; /* atomic: main and the thread's commands */
    uint64_t id;
    bool hurry; /* main's */
    /* the thread's, but for the counters */
    PdIntake intake;
    PdReaderSocket sockets[PD_N_STREAMS];
    int64_t noise_since_us;
    uint32_t n_malformed_before;
    uint64_t n_records_before;
};

/** A link without sockets. Owns: the caller's reference. */
PdReaderLink *pd_reader_link_new(uint64_t id, PdStore *store, PdProgress *progress);
void pd_reader_link_ref(PdReaderLink *self);
void pd_reader_link_unref(PdReaderLink *self);

/** After a malformed piece: is it nearly all that came lately? True once per window. */
bool pd_reader_link_is_noisy(PdReaderLink *self);
