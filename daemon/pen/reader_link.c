/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A link's sockets and counters, and when what a pen sends is so bad that its link is
 * better ended.
 */
#include "pen/reader_link.h"

#include <unistd.h>

#define NOISE_US    10000000
#define NOISE_MIN   1000u /* malformed within NOISE_US, and ... */
#define NOISE_RATIO 4u    /* ... so many to each good one */

PdReaderLink *
pd_reader_link_new(uint64_t id, PdStore *store, PdProgress *progress)
{
    PdReaderLink *self = g_new0(PdReaderLink, 1);

    self->n_refs = 1;
    self->id = id;
    self->noise_since_us = g_get_monotonic_time();
    pd_intake_init(&self->intake, store, progress);
    for (size_t i = 0; i < PD_N_STREAMS; i++) {
        self->sockets[i] = (PdReaderSocket){ .link = self, .stream = (PdStream)i, .fd = -1 };
    }
    return self;
}

void
pd_reader_link_ref(PdReaderLink *self)
{
    g_atomic_int_inc(&self->n_refs);
}

void
pd_reader_link_unref(PdReaderLink *self)
{
    if (!g_atomic_int_dec_and_test(&self->n_refs)) {
        return;
    }
    for (size_t i = 0; i < PD_N_STREAMS; i++) {
        if (self->sockets[i].fd >= 0) {
            close(self->sockets[i].fd);
        }
    }
    pd_intake_clear(&self->intake);
    g_free(self);
}

static void
begin_window(PdReaderLink *self, int64_t now_us)
{
    self->noise_since_us = now_us;
    self->n_malformed_before = self->intake.counts.n_malformed;
    self->n_records_before = self->intake.counts.n_records;
}

bool
pd_reader_link_is_noisy(PdReaderLink *self)
{
    const int64_t now_us = g_get_monotonic_time();

    if (now_us - self->noise_since_us > NOISE_US) {
        begin_window(self, now_us);
        return false;
    }
    const uint32_t n_bad = self->intake.counts.n_malformed - self->n_malformed_before;
    const uint64_t n_good = self->intake.counts.n_records - self->n_records_before;
    if (n_bad < NOISE_MIN || n_bad / NOISE_RATIO <= n_good) {
        return false;
    }
    begin_window(self, now_us);
    return true;
}
