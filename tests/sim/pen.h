/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "options.h"

#include <glib.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    SIM_CHRC_FEATURE = 0,
    SIM_CHRC_LIVE,
    SIM_CHRC_STORED,
    SIM_CHRC_RACP,
    SIM_CHRC_CLOCK,
    SIM_CHRC_N,
} SimChrc;

/* The radio under a pen: whoever carries its link. */
typedef struct {
    /* A notification or indication left the pen; where it ends is the carrier's affair. */
    void (*notify)(void *user_data, SimChrc chrc, const uint8_t *bytes, size_t n_bytes);
    /* The pen ended the link; the carrier must not call sim_pen_link_down() for it. */
    void (*closed)(void *user_data);
} SimLinkOps;

/* ATT error codes a pen gives (pen-telemetry-service.md, 7 and 8.2). */
#define SIM_ATT_OK             0x00u
#define SIM_ATT_INVALID_LENGTH 0x0Du
#define SIM_ATT_SOURCE_QUALITY 0x80u
#define SIM_ATT_FORMAT         0x81u
#define SIM_ATT_CCC_IMPROPER   0xFDu
#define SIM_ATT_PROCEDURE_RUNS 0xFEu
#define SIM_ATT_OUT_OF_RANGE   0xFFu

typedef struct SimPen SimPen;

/**
 * Make a pen.
 *
 * Owns: borrows @options for life.
 */
SimPen *sim_pen_new(const SimOptions *options, uint32_t index, int64_t mono_us);
void sim_pen_free(SimPen *self);

/** Let time pass: treat, record, send. At least every few milliseconds. */
void sim_pen_tick(SimPen *self, int64_t mono_us);

const char *sim_pen_get_serial(const SimPen *self);
const char *sim_pen_get_address(const SimPen *self);
/** A pen on a real adapter has that adapter's address, not one of its own. */
void sim_pen_set_address(SimPen *self, const char *address);
const char *sim_pen_get_name(const SimPen *self);
uint8_t sim_pen_get_battery_pct(const SimPen *self);

/** All treatments ended, or were cut for the last time. */
bool sim_pen_is_done(const SimPen *self);

/** It advertises: on, in range and not linked. */
bool sim_pen_is_reachable(const SimPen *self, int64_t mono_us);
bool sim_pen_is_linked(const SimPen *self);

bool sim_pen_is_pairing(const SimPen *self, int64_t mono_us);
void sim_pen_set_pairing(SimPen *self, int64_t until_mono_us);

/** Bonds, by adapter address. */
void sim_pen_add_bond(SimPen *self, const char *adapter);
bool sim_pen_has_bond(const SimPen *self, const char *adapter);
void sim_pen_drop_bonds(SimPen *self);

/** Walk out of range until then; a link falls. */
void sim_pen_leave(SimPen *self, int64_t until_mono_us);

/** The link is up. Owns: borrows @ops and @user_data until it is down. */
void sim_pen_link_up(SimPen *self, const SimLinkOps *ops, void *user_data, int64_t mono_us);

/** The other side ended the link. */
void sim_pen_link_down(SimPen *self);

/** End the link from the pen's side, now. */
void sim_pen_drop_link(SimPen *self);

void sim_pen_set_subscribed(SimPen *self, SimChrc chrc, bool subscribed);

/** Values; the array is the caller's. */
GByteArray *sim_pen_read_feature(SimPen *self, int64_t mono_us);
GByteArray *sim_pen_read_clock(SimPen *self, int64_t mono_us);

/** Writes; SIM_ATT_OK or an ATT error. */
uint8_t sim_pen_write_clock(SimPen *self, const uint8_t *bytes, size_t n_bytes, int64_t mono_us);
uint8_t sim_pen_write_racp(SimPen *self, const uint8_t *bytes, size_t n_bytes, int64_t mono_us);

/** Changes whenever the truth does, at sessions' begins and ends and at overwriting. */
uint64_t sim_pen_get_truth_version(const SimPen *self);

/** Append the pen's truth as a JSON object. */
void sim_pen_write_truth(SimPen *self, GString *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SimPen, sim_pen_free)
