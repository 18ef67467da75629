/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The fold: one session's records, in ascending number, to passes and statistics
 * (definition pass/1). Pure: the same records give the same result, always.
 * Times here are pen ticks in microseconds; clock.h places them.
 */

typedef struct {
    uint32_t lift_us;        /* lifts shorter than this stay inside a pass */
    uint32_t min_contact_us; /* passes whose contact totals less do not count */
} PenFoldConfig;

#define PEN_FOLD_DEFAULT ((PenFoldConfig){ .lift_us = 800000u, .min_contact_us = 300000u })

/* Depth over the samples in contact. valid is false when there was none. */
typedef struct {
    bool valid;
    uint32_t min_um;
    uint32_t median_um; /* sorted[(n - 1) / 2] */
    uint32_t p95_um;    /* sorted[ceil(0.95 n) - 1] */
    uint32_t max_um;
    uint32_t mean_um; /* weighted by sample interval, rounded half up */
} PenDepth;

typedef struct {
    uint64_t start_us;   /* first contact, tick microseconds */
    uint64_t elapsed_us; /* to the end of the last contact */
    uint64_t contact_us;
    PenDepth depth;
    uint32_t rate_mhz; /* mean stroke rate over contact samples, millihertz */
    bool has_punctures;
    uint64_t punctures; /* estimate: rate x contact x needles of the cartridge at its start */
    bool incomplete;    /* a hole touches it */
    bool has_rate;      /* else rate_mhz is 0 and says nothing, as punctures does */
} PenPass;

typedef struct {
    bool has_begin; /* the session-begin record was there */
    bool has_end;
    uint32_t end_cause;
    bool has_continues;
    uint32_t continues;
    uint32_t boot;
    uint64_t start_us;       /* tick of the first record */
    uint64_t end_us;         /* tick of session-end, else end of the last record */
    uint64_t contact_us;     /* over counted passes */
    uint64_t all_contact_us; /* over every run of contact */
    uint32_t n_passes;
    PenDepth depth; /* over counted passes */
    uint32_t first; /* lowest and highest number folded */
    uint32_t last;
    uint32_t n_bad; /* bodies that could not be used */
} PenSessionFold;

/* Receives what the fold finds, in order. Every callback may be NULL. */
typedef struct {
    void (*pass)(void *user_data, uint32_t index, const PenPass *pass);
    void (*setting)(void *user_data, uint64_t tick_us, uint32_t depth_um);
    void (*cartridge)(void *user_data, uint64_t tick_us, const PenCartridge *cartridge);
    void (*fault)(void *user_data, uint64_t tick_us, uint32_t code, const char *text);
} PenFoldSink;

typedef struct PenFold PenFold;

/** Size of a PenFold, about 70 KiB of histograms; the caller allocates it. */
size_t pen_fold_size(void);

/**
 * Begin a session.
 *
 * Owns: @sink and @user_data are borrowed until pen_fold_end().
 */
void pen_fold_begin(PenFold *self,
                    const PenFoldConfig *config,
                    uint32_t tick_unit,
                    const PenFoldSink *sink,
                    void *user_data);

/**
 * Feed the next record of the session: numbers must rise; a jump is a hole.
 *
 * Errors: BAD_BODY, UNKNOWN: counted in n_bad (BAD_BODY only) and skipped; the
 *         number still counts as present. A bad one is a hole to the passes
 *         around it.
 */
PenStatus pen_fold_push(PenFold *self,
                        const PenRecordHeader *header,
                        const uint8_t *record,
                        size_t n_record);

/** Finish: emits the last pass and gives the totals. @self may be begun again. */
void pen_fold_end(PenFold *self, PenSessionFold *fold_out);

/**
 * Whether boot and the times mean anything: not when the only record folded is the end
 * that a reset wrote, whose tick is of the next boot.
 *
 * Source: pen-telemetry-service.md, "Sessions".
 */
bool pen_session_fold_has_time(const PenSessionFold *self);

/** Name of the definition with its thresholds, e.g. "pass/1 lift=800ms min=300ms". */
void pen_fold_definition(const PenFoldConfig *config, char text_out[64]);
