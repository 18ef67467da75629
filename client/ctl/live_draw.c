/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A frame of pentelctl watch: three lines a pen while they fit, one when they do not.
 */
#include "ctl/live_draw.h"

#include "ctl/chart.h"
#include "lib/text.h"
#include "lib/time.h"

#include <string.h>

#define PEN_ROWS    4 /* its lines and a blank one */
#define FOOT_ROWS   1
#define ID_DIGITS   8
#define STRIP_SCALE 14 /* columns for " 0 to 1.50 mm" behind the strip */

typedef struct {
    const CliTerm *term;
    GString *out;
    int n_rows_left;
} Frame;

/* One line of the screen, whatever stood there before. */
static void
append_line(Frame *frame, CliColour colour, const char *text)
{
    if (frame->n_rows_left <= 0) {
        return;
    }
    g_autofree char *escaped = cli_text_escape(text, frame->term->has_utf8);
    g_autofree char *fitted =
        cli_text_fit(escaped, frame->term->n_columns - 1, frame->term->has_utf8);

    g_string_append(frame->out, cli_term_colour(frame->term, colour));
    g_string_append(frame->out, fitted);
    if (colour != CLI_COLOUR_NONE) {
        g_string_append(frame->out, cli_term_colour(frame->term, CLI_COLOUR_NONE));
    }
    frame->n_rows_left--;
    g_string_append(frame->out, frame->n_rows_left > 0 ? "\033[K\r\n" : "\033[K");
}

static CliColour
colour_of(const CtlLivePen *pen)
{
    if (pen->is_stopped) {
        return CLI_COLOUR_BAD;
    }
    return pen->is_linked ? CLI_COLOUR_GOOD : CLI_COLOUR_DIM;
}

static void
append_head_of(Frame *frame, const CtlLivePen *pen)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(
        text, "%-10s %-10s", pen->serial, pen->state != NULL ? pen->state : "unknown");
    if (pen->battery_pct >= 0) {
        g_string_append_printf(text, "  battery %3d %%", pen->battery_pct);
    }
    if (pen->session != NULL) {
        g_string_append_printf(text, "  session %.*s", ID_DIGITS, pen->session);
    }
    if (pen->session != NULL && pen->has_sample) {
        g_autofree char *length =
            cli_duration_show((uint64_t)(pen->tick_us - pen->first_tick_us) / 1000);
        g_string_append_printf(text, "  %s", length);
    }
    append_line(frame, colour_of(pen), text->str);
}

static void
append_mm(GString *out, const char *label, int64_t depth_um)
{
    if (depth_um < 0) {
        g_string_append_printf(out, "  %s    ?   ", label);
    } else {
        g_string_append_printf(out, "  %s %.2f mm", label, (double)depth_um / 1000);
    }
}

static void
append_numbers_of(Frame *frame, const CtlLivePen *pen)
{
    g_autoptr(GString) text = g_string_new(" ");
    g_autofree char *contact = cli_duration_show(pen->contact_us / 1000);

    if (!pen->has_sample) {
        append_line(frame, CLI_COLOUR_NONE, "   no samples yet");
        return;
    }
    append_mm(text, "depth", pen->has_contact ? pen->depth_um : -1);
    append_mm(text, "deepest", pen->max_um > 0 ? (int64_t)pen->max_um : -1);
    if (pen->rate_dhz >= 0) {
        g_string_append_printf(text, "  rate %5.1f Hz", (double)pen->rate_dhz / 10);
    }
    if (pen->load_permille >= 0) {
        g_string_append_printf(text, "  load %3.0f %%", (double)pen->load_permille / 10);
    }
    g_string_append_printf(text, "  %s %s", pen->has_contact ? "touching" : "lifted,  ", contact);
    append_line(frame, CLI_COLOUR_NONE, text->str);
}

static void
append_level(GString *out, const CtlLiveBin *bin, uint32_t top_um, bool has_utf8)
{
    static const char *const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    static const char *const marks[] = { "_", ".", "-", "~", "=", "+", "*", "#" };

    if (!bin->has_contact) {
        g_string_append(out, bin->has_sample ? (has_utf8 ? "·" : ".") : " ");
        return;
    }
    const guint level = MIN(bin->max_um * 8 / top_um, 7);
    g_string_append(out, has_utf8 ? blocks[level] : marks[level]);
}

/* The deepest sample of each half second; a dot where the needles were lifted. */
static void
append_strip_of(Frame *frame, const CtlLivePen *pen)
{
    const int n = MIN(frame->term->n_columns - STRIP_SCALE - 4, CTL_LIVE_BINS - 1);
    const uint32_t step_um = ctl_chart_get_step_um(pen->max_um);
    const uint32_t top_um = (pen->max_um / step_um + 1) * step_um;
    g_autoptr(GString) text = g_string_new("   ");

    if (!pen->has_sample) {
        append_line(frame, CLI_COLOUR_NONE, "");
        return;
    }
    for (int i = n - 1; i >= 0; i--) {
        const int64_t index = pen->bin_index - i;
        const CtlLiveBin none = { 0 };
        const CtlLiveBin *bin = index >= 0 ? &pen->bins[index % CTL_LIVE_BINS] : &none;
        append_level(text, bin, top_um, frame->term->has_utf8);
    }
    g_string_append_printf(text, " 0 to %.2f mm", (double)top_um / 1000);
    append_line(frame, CLI_COLOUR_NONE, text->str);
}

static void
append_short(Frame *frame, const CtlLivePen *pen)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(
        text, "%-10s %-10s", pen->serial, pen->state != NULL ? pen->state : "unknown");
    if (pen->has_contact && pen->depth_um >= 0) {
        g_string_append_printf(text, " touching %.2f mm", (double)pen->depth_um / 1000);
    }
    append_line(frame, colour_of(pen), text->str);
}

static void
append_pens(Frame *frame, const CtlLive *self)
{
    const guint n = self->pens->len;
    const int n_rows = frame->n_rows_left - FOOT_ROWS;
    const bool is_long = (int)n * PEN_ROWS <= n_rows;
    const guint n_shown = is_long ? n : MIN(n, (guint)MAX(n_rows - 1, 0));

    for (guint i = 0; i < n_shown; i++) {
        const CtlLivePen *pen = g_ptr_array_index(self->pens, i);
        if (!is_long) {
            append_short(frame, pen);
            continue;
        }
        append_head_of(frame, pen);
        append_numbers_of(frame, pen);
        append_strip_of(frame, pen);
        append_line(frame, CLI_COLOUR_NONE, "");
    }
    if (n_shown < n) {
        g_autofree char *text = g_strdup_printf("and %u more: make the window higher", n - n_shown);
        append_line(frame, CLI_COLOUR_WARNING, text);
    }
}

void
ctl_live_draw(
    const CtlLive *self, const CliTerm *term, const char *clock, const char *notice, GString *out)
{
    Frame frame = { .term = term, .out = out, .n_rows_left = term->n_rows };
    g_autofree char *head = g_strdup_printf("pentelctl watch   %s   q quits", clock);
    g_autofree char *dropped = g_strdup_printf(
        "%" G_GUINT64_FORMAT " samples not shown: this terminal is slow", self->n_dropped);

    g_string_append(out, "\033[H");
    append_line(&frame, CLI_COLOUR_BOLD, head);
    append_line(&frame, CLI_COLOUR_WARNING, notice != NULL ? notice : "");
    append_pens(&frame, self);
    if (self->pens->len == 0 && notice == NULL) {
        append_line(&frame, CLI_COLOUR_NONE, "No pen is enrolled; type: pentelctl enroll");
    }
    if (self->n_dropped > 0) {
        append_line(&frame, CLI_COLOUR_WARNING, dropped);
    }
    g_string_append(out, "\033[J");
}
