/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * What a live view knows of the pens, from the lines of Log1.FollowLive and the pens of
 * Manager1.ListPens. Pure but for its memory; the time is an argument.
 */
#define CTL_LIVE_BINS   512
#define CTL_LIVE_BIN_US 500000

typedef struct {
    uint32_t max_um;
    bool has_sample;
    bool has_contact;
} CtlLiveBin;

typedef struct {
    char *serial;    /* owned */
    char *state;     /* owned; NULL when unknown */
    char *session;   /* owned; NULL outside a session */
    int battery_pct; /* -1 when unknown */
    bool is_linked;
    bool is_stopped;
    /* Of the latest sample. */
    bool has_sample;
    int64_t tick_us;
    int64_t depth_um; /* -1 when unknown, as the next two */
    int64_t rate_dhz;
    int64_t load_permille;
    bool has_contact;
    /* Of the session, since this view began or the session did. */
    int64_t first_tick_us;
    uint64_t contact_us;
    uint32_t max_um; /* in contact */
    /* The last half seconds, a ring; newest at bin_index of the last sample. */
    int64_t bin_index;
    CtlLiveBin bins[CTL_LIVE_BINS];
} CtlLivePen;

typedef struct {
    GPtrArray *pens;    /* owned, of CtlLivePen, by serial */
    uint64_t n_dropped; /* lines that penteld left out as this reader was slow */
    uint64_t n_bad;     /* lines that were none */
} CtlLive;

void ctl_live_init(CtlLive *self);
void ctl_live_clear(CtlLive *self);

/** Take in a line, changing it. Returns false when it changed nothing. */
bool ctl_live_feed(CtlLive *self, char *line);

/** Take in the pens; those that are no longer enrolled go. @only: NULL, or one serial. */
void ctl_live_set_pens(CtlLive *self, GVariant *pens, const char *only);

/** Forget what is true only while linked, as after penteld went away. */
void ctl_live_unlink_all(CtlLive *self);
