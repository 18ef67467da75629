/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/bins.h"
#include "lib/term.h"

#include <glib.h>

/* A run of contact to be marked above the time axis. */
typedef struct {
    uint32_t index;
    uint64_t from_us; /* since the begin of the chart */
    uint64_t to_us;
} CtlChartPass;

typedef struct {
    const CtlBins *bins;
    uint64_t offset_us; /* of the first sample from the begin of the chart */
    uint64_t length_us; /* of the whole chart */
    const CtlChartPass *passes;
    unsigned n_passes;
    bool has_passes; /* false when nobody knows where they lie */
} CtlChart;

/** Append the chart, as wide as the terminal; in ASCII unless the terminal shows UTF-8. */
void ctl_chart_render(const CtlChart *self, const CliTerm *term, GString *out);

/** The smallest step whose multiples label a depth axis up to @max_um in at most 6 rows. */
uint32_t ctl_chart_get_step_um(uint32_t max_um);
