/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdint.h>

/* How long the main loop ever kept its sources waiting. Causes no wake-up of its own. */
typedef struct PdServiceLoopWatch PdServiceLoopWatch;

/** Begin to watch @context (NULL: the default one). Owns: free with the function below. */
PdServiceLoopWatch *pd_service_loop_watch_new(GMainContext *context);
void pd_service_loop_watch_free(PdServiceLoopWatch *self);

/** Longest turn from poll's return to the next poll, in microseconds of CLOCK_MONOTONIC. */
int64_t pd_service_loop_watch_get_max_us(const PdServiceLoopWatch *self);
