/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

/* The pen's state, shared by its own files: pen.c, stream.c, racp.c, values.c. */
#include "memory.h"
#include "model.h"
#include "pen.h"
#include "truth.h"

/* A RACP procedure under way (pen-telemetry-service.md, 7). */
typedef struct {
    bool running;
    bool reporting; /* records go out; else only a response is due */
    bool early;     /* the response overtakes the last item (F3) */
    bool combined;
    uint8_t response[6];
    size_t n_response;
    int64_t due_us; /* nothing before */
    uint32_t asked_first;
    uint32_t asked_last;
    uint32_t next; /* 0: nothing in the log is asked for */
    uint32_t last;
    uint32_t sent;
} SimRacp;

struct SimPen {
    const SimOptions *options; /* borrowed */
    uint32_t index;
    SimHostile hostile;
    char serial[33];
    char address[18];
    char name[40];
    uint64_t log_id;
    uint32_t boot;
    SimModel *model; /* owned */
    SimTruth *truth; /* owned */
    SimMemory memory;
    GPtrArray *bonds; /* owned; adapter addresses */
    SimRng rng;       /* of the link, never of the treatment */

    int64_t boot_mono_us; /* when the tick was 0 */
    uint64_t jumped;      /* ticks leapt in this boot */
    double ticks_per_us;
    int64_t booting_until_us; /* 0: on */
    int64_t away_until_us;
    int64_t pairing_until_us;
    int64_t lose_bonds_at_us; /* 0: not bonded yet */
    bool lost_bonds;
    bool started; /* treatments may begin */
    bool done;
    uint32_t session; /* open one, 0 none */
    uint32_t cut_session;
    uint64_t truth_version;
    uint32_t n_features; /* read so far */

    bool has_clock_set;
    uint64_t clock_set_tick;
    int64_t clock_set_unix_us;
    uint8_t clock_source; /* of the last write in this boot, 0 none */

    const SimLinkOps *ops; /* NULL: no link */
    void *ops_user_data;
    bool subscribed[SIM_CHRC_N];
    uint8_t counter[SIM_CHRC_N];
    int64_t drop_at_us;
    int64_t last_record_us;
    int64_t next_head_us;
    int64_t pumped_us;
    double budget;
    SimRacp racp;
};

/** Tick of the present boot. */
uint64_t sim_pen_now(const SimPen *self, int64_t mono_us);

/** Print a line with --verbose. */
void sim_pen_say(const SimPen *self, const char *what, uint32_t number);

/** Encode a control item or record and send it nowhere yet. Owns: the caller's. */
GBytes *sim_pen_encode(const SimPen *self, uint32_t number, uint64_t tick, const PenBody *body);

/** Send a record in segments on Live or Stored. Returns the notifications it took. */
uint32_t sim_stream_send(SimPen *self, SimChrc chrc, uint32_t number, GBytes *record);

/** Send the head item when it is due. */
void sim_stream_head(SimPen *self, int64_t mono_us, bool now);

/** Nothing goes wrong on the link any more. */
bool sim_pen_is_calm(const SimPen *self);

void sim_racp_reset(SimPen *self);
void sim_racp_pump(SimPen *self, int64_t mono_us);
