/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * How far a first run is that may take hours.
 */
#include "sync/progress.h"

#include "lib/output.h"
#include "lib/time.h"

#include <glib.h>

#include <string.h>

#define SHOW_EVERY_US ((int64_t)200000)
#define TEXT_COLUMNS  48
#define BAR_MAX       40

static void
append_bar(GString *out, const CliTerm *term, uint64_t n_done, uint64_t n_total)
{
    const int width = CLAMP(term->n_columns - TEXT_COLUMNS, 0, BAR_MAX);
    const int n_full = n_total > 0 ? (int)(n_done * (uint64_t)width / n_total) : 0;

    if (width < 4) {
        return;
    }
    g_string_append_c(out, '[');
    for (int i = 0; i < width; i++) {
        g_string_append_c(out, i < n_full ? '#' : ' ');
    }
    g_string_append(out, "] ");
}

void
sync_progress_show(SyncProgress *self, uint64_t n_done, uint64_t n_total)
{
    const int64_t now_us = g_get_monotonic_time();

    if (!self->term.has_cursor) {
        return;
    }
    if (self->begun_us == 0) {
        self->begun_us = now_us;
    }
    if (now_us - self->shown_us < SHOW_EVERY_US) {
        return;
    }
    self->shown_us = now_us;
    cli_term_update_size(&self->term);
    g_autoptr(GString) out = g_string_new("\r\033[K");
    append_bar(out, &self->term, n_done, n_total);
    g_string_append_printf(
        out, "%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " sessions", n_done, n_total);
    const int64_t spent_ms = (now_us - self->begun_us) / 1000;
    if (n_done > 0 && spent_ms >= 1000) {
        const uint64_t left_ms = (uint64_t)spent_ms * (n_total - n_done) / n_done;
        g_autofree char *left = cli_duration_show(left_ms);
        g_string_append_printf(
            out, ", %" G_GUINT64_FORMAT "/s, %s left", n_done * 1000 / (uint64_t)spent_ms, left);
    }
    cli_output_write(self->term.fd, out->str, out->len);
}

void
sync_progress_clear(SyncProgress *self)
{
    static const char clear[] = "\r\033[K";

    if (self->term.has_cursor && self->shown_us != 0) {
        cli_output_write(self->term.fd, clear, strlen(clear));
        self->shown_us = 0;
    }
}
