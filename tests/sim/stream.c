/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * Segments: a record on its way to the link, with the losses and lies that were asked
 * for. A lost notification still takes its counter (pen-telemetry-service.md, 5).
 */
#include "core/crc32c.h"
#include "pen_internal.h"

#include <string.h>

#define SEGMENT_FIRST 0x01u
#define SEGMENT_LAST  0x02u
#define HEAD_IDLE_US  2000000
#define HEAD_AGAIN_US 30000000

static void
send_segment(SimPen *self, SimChrc chrc, uint8_t flags, const uint8_t *bytes, size_t n_bytes)
{
    uint8_t segment[517];
    segment[0] = (uint8_t)(flags | (self->counter[chrc] << 2));
    self->counter[chrc] = (uint8_t)((self->counter[chrc] + 1u) & 0x3Fu);
    memcpy(segment + 1, bytes, n_bytes);
    const bool is_lost =
        !sim_pen_is_calm(self) && sim_rng_percent(&self->rng, self->options->drop_pct);
    if (self->ops == NULL || is_lost) {
        return;
    }
    self->ops->notify(self->ops_user_data, chrc, segment, n_bytes + 1u);
}

static uint32_t
send_bytes(SimPen *self, SimChrc chrc, const uint8_t *bytes, size_t n_bytes, bool endless)
{
    const size_t room = self->options->mtu - 4u;
    uint32_t n = 0;
    for (size_t at = 0; at < n_bytes; at += room) {
        const size_t n_part = MIN(room, n_bytes - at);
        const bool last = at + n_part == n_bytes && !endless;
        const uint8_t flags =
            (uint8_t)((at == 0 ? SEGMENT_FIRST : 0u) | (last ? SEGMENT_LAST : 0u));
        send_segment(self, chrc, flags, bytes + at, n_part);
        n++;
    }
    return n;
}

static void
put_crc(uint8_t *bytes, size_t n_bytes)
{
    const uint32_t crc = GUINT32_TO_LE(pen_crc32c(bytes, n_bytes - 4u));
    memcpy(bytes + n_bytes - 4u, &crc, sizeof crc);
}

/* What a pen out of its mind sends beside the records. */
static void
send_hostile(SimPen *self, SimChrc chrc, const uint8_t *bytes, size_t n_bytes)
{
    uint8_t copy[1200] = { 0 };
    memcpy(copy, bytes, n_bytes);
    if (self->hostile == SIM_HOSTILE_DUPLICATE) {
        copy[18] ^= 0x01u;
        put_crc(copy, n_bytes);
        (void)send_bytes(self, chrc, copy, n_bytes, false);
    } else if (self->hostile == SIM_HOSTILE_OVERSIZE) {
        copy[0] = sizeof copy & 0xFFu;
        copy[1] = sizeof copy >> 8;
        put_crc(copy, sizeof copy);
        (void)send_bytes(self, chrc, copy, sizeof copy, false);
    } else if (self->hostile == SIM_HOSTILE_ENDLESS) {
        for (uint32_t i = 0; i < 4; i++) {
            (void)send_bytes(self, chrc, copy, sizeof copy, true);
        }
    }
}

static void
spoil(SimPen *self, bool seventh, uint8_t *copy, size_t n_copy)
{
    if (seventh && self->hostile == SIM_HOSTILE_LENGTH) {
        copy[0] = (uint8_t)(copy[0] + 5u);
    }
    if (seventh && self->hostile == SIM_HOSTILE_CRC) {
        copy[n_copy - 1] ^= 0x5Au;
    }
    if (!sim_pen_is_calm(self) && sim_rng_percent(&self->rng, self->options->bad_crc_pct)) {
        copy[sim_rng_range(&self->rng, 24, n_copy - 1)] ^=
            (uint8_t)(1u << sim_rng_range(&self->rng, 0, 7));
    }
}

uint32_t
sim_stream_send(SimPen *self, SimChrc chrc, uint32_t number, GBytes *record)
{
    uint8_t copy[PEN_RECORD_MAX];
    size_t n_copy = 0;
    const uint8_t *bytes = g_bytes_get_data(record, &n_copy);
    const bool seventh = number > 0 && number % 7u == 0;
    memcpy(copy, bytes, n_copy);
    spoil(self, seventh, copy, n_copy);
    const uint32_t n = send_bytes(self, chrc, copy, n_copy, false);
    if (seventh && self->hostile != SIM_HOSTILE_NONE) {
        send_hostile(self, chrc, bytes, n_copy);
    }
    return n;
}

/* Timers of the pen shrink with its time, but not below what a gateway can follow. */
static int64_t
scaled(const SimPen *self, int64_t us)
{
    return (int64_t)((double)us / CLAMP(self->options->speed, 1.0, 8.0));
}

void
sim_stream_head(SimPen *self, int64_t mono_us, bool now)
{
    if (!self->subscribed[SIM_CHRC_LIVE]) {
        return;
    }
    const int64_t idle_at = self->last_record_us + scaled(self, HEAD_IDLE_US);
    if (!now && (mono_us < idle_at || mono_us < self->next_head_us)) {
        return;
    }
    const PenBody body = {
        .kind = PEN_BODY_HEAD,
        .head = {
            .oldest = self->memory.oldest,
            .newest = self->hostile == SIM_HOSTILE_FAR ? UINT32_MAX : self->memory.newest,
            .marked = self->memory.marked,
            .free_permille = sim_memory_get_free_permille(&self->memory),
            .overwritten_unmarked = self->memory.n_overwritten_unmarked,
        },
    };
    g_autoptr(GBytes) item = sim_pen_encode(self, 0, sim_pen_now(self, mono_us), &body);
    (void)sim_stream_send(self, SIM_CHRC_LIVE, 0, item);
    self->next_head_us = now ? 0 : mono_us + scaled(self, HEAD_AGAIN_US);
}
