/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/fold.h"

#include <glib.h>

/*
 * Definition pass/1 a second time, from fold.h and the profile alone: lists and sorting
 * instead of histograms and state, and bodies as they were made, never decoded.
 */
typedef struct {
    PenRecordHeader header;
    PenBody body;
} RefRecord;

/* A setting, cartridge or fault that the fold reports. */
typedef struct {
    PenBodyKind kind;
    uint64_t at_us;
    uint32_t value;
    char text[PEN_TEXT_MAX + 1];
} RefEvent;

typedef struct {
    GArray *passes; /* owned; PenPass */
    GArray *events; /* owned; RefEvent */
    PenSessionFold session;
} RefResult;

void ref_result_init(RefResult *self);
void ref_result_clear(RefResult *self);

/** Fold @n_records of one session in ascending number. Owns: fills @out, which was init'ed. */
void ref_fold(const RefRecord *records,
              size_t n_records,
              const PenFoldConfig *config,
              uint32_t tick_unit,
              RefResult *out);
