/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Writes samples as JSON by hand: there are fifty a second and pen, and nothing in them
 * but integers. A sample is in contact when the instant it was taken lies in a contact
 * run, as the fold counts it.
 */
#include "service/sample_lines.h"

void
pd_service_json_append_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            g_string_append_c(out, '\\');
            g_string_append_c(out, *at);
        } else if ((unsigned char)*at < 0x20) {
            g_string_append_printf(out, "\\u%04x", (unsigned)(unsigned char)*at);
        } else {
            g_string_append_c(out, *at);
        }
    }
    g_string_append_c(out, '"');
}

/* Walks the contact runs of a block beside its samples. */
typedef struct {
    const PenSamples *samples;
    uint32_t run;           /* index of the run that the sample lies in */
    uint64_t run_end_ticks; /* from the block's start */
} RunCursor;

static void
run_cursor_init(RunCursor *self, const PenSamples *samples)
{
    *self = (RunCursor){ .samples = samples };
    if (samples->n_runs > 0) {
        self->run_end_ticks = samples->run_ticks[0];
    }
}

static bool
run_cursor_is_contact(RunCursor *self, uint64_t at_ticks)
{
    while (self->run < self->samples->n_runs && at_ticks >= self->run_end_ticks) {
        self->run++;
        if (self->run < self->samples->n_runs) {
            self->run_end_ticks += self->samples->run_ticks[self->run];
        }
    }
    return self->run < self->samples->n_runs && self->run % 2 == 1;
}

static void
append_value(GString *out, const char *name, bool is_known, uint16_t value)
{
    if (is_known) {
        g_string_append_printf(out, ",\"%s\":%u", name, value);
    } else {
        g_string_append_printf(out, ",\"%s\":null", name);
    }
}

static void
append_values(GString *out, const PenSamples *samples, uint32_t index, bool contact)
{
    append_value(out, "depth_um", true, samples->depth_um[index]);
    append_value(out, "rate_dhz", !samples->rate_unknown, samples->rate_dhz[index]);
    append_value(out, "load_permille", !samples->load_unknown, samples->load_permille[index]);
    g_string_append_printf(out, ",\"contact\":%s}\n", contact ? "true" : "false");
}

void
pd_service_sample_lines_append_stored(GString *out,
                                      const PenRecordHeader *header,
                                      const PenSamples *samples,
                                      uint32_t tick_unit,
                                      const GArray *anchors)
{
    const uint64_t begin_us = pen_ticks_to_us(header->tick, tick_unit);
    int64_t wall_us = 0;
    uint32_t error_us = 0;
    const bool placed = pen_clock_place((const PenAnchor *)(const void *)anchors->data,
                                        anchors->len,
                                        header->boot,
                                        begin_us,
                                        &wall_us,
                                        &error_us);
    RunCursor runs;

    run_cursor_init(&runs, samples);
    for (uint32_t i = 0; i < samples->n; i++) {
        const uint64_t at_ticks = (uint64_t)i * samples->interval_ticks;
        const uint64_t tick_us = pen_ticks_to_us(header->tick + at_ticks, tick_unit);

        g_string_append_printf(out, "{\"tick_us\":%" G_GUINT64_FORMAT ",\"wall_us\":", tick_us);
        if (placed) {
            g_string_append_printf(
                out, "%" G_GINT64_FORMAT, wall_us + (int64_t)(tick_us - begin_us));
        } else {
            g_string_append(out, "null");
        }
        append_values(out, samples, i, run_cursor_is_contact(&runs, at_ticks));
    }
}

static void
append_pen(GString *out, const char *pen)
{
    g_string_append(out, "{\"pen\":");
    pd_service_json_append_string(out, pen);
}

void
pd_service_sample_lines_append_live(GString *out,
                                    const char *pen,
                                    const char *session,
                                    const PenRecordHeader *header,
                                    const PenSamples *samples,
                                    uint32_t tick_unit)
{
    g_autoptr(GString) prefix = g_string_new(NULL);
    RunCursor runs;

    append_pen(prefix, pen);
    g_string_append(prefix, ",\"session\":");
    if (session != NULL) {
        pd_service_json_append_string(prefix, session);
    } else {
        g_string_append(prefix, "null");
    }
    g_string_append_printf(prefix, ",\"number\":%u,\"tick_us\":", header->number);
    run_cursor_init(&runs, samples);
    for (uint32_t i = 0; i < samples->n; i++) {
        const uint64_t at_ticks = (uint64_t)i * samples->interval_ticks;
        const uint64_t tick_us = pen_ticks_to_us(header->tick + at_ticks, tick_unit);

        g_string_append_len(out, prefix->str, (gssize)prefix->len);
        g_string_append_printf(out, "%" G_GUINT64_FORMAT, tick_us);
        append_values(out, samples, i, run_cursor_is_contact(&runs, at_ticks));
    }
}

void
pd_service_sample_lines_append_event(GString *out, const char *pen, const char *event)
{
    append_pen(out, pen);
    g_string_append(out, ",\"event\":");
    pd_service_json_append_string(out, event);
    g_string_append(out, "}\n");
}
