/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Draws depth over time. Each column shows the whole range from the shallowest to the
 * deepest sample in contact of its span: what is between two columns is never averaged
 * away, and a span without contact stays empty.
 */
#include "ctl/chart.h"

#include <string.h>

#define LABEL_COLUMNS 7 /* "1.25 mm" would repeat the unit in each row: it stands on top */
#define STEPS_MAX     6
#define DOTS_PER_ROW  4 /* of a braille character */
#define DOTS_PER_CELL 2 /* across */

typedef struct {
    int n_columns; /* of the plot, in characters */
    int n_across;  /* points a character, across and down */
    int n_down;
    int n_rows;      /* in characters */
    int rows_a_step; /* rows between two labels */
    uint32_t step_um;
    bool has_utf8;
} Layout;

uint32_t
ctl_chart_get_step_um(uint32_t max_um)
{
    static const uint32_t steps_um[] = { 50, 100, 250, 500, 1000, 2000 };

    for (gsize i = 0; i < G_N_ELEMENTS(steps_um); i++) {
        if (max_um / steps_um[i] + 1 <= STEPS_MAX) {
            return steps_um[i];
        }
    }
    return max_um / STEPS_MAX + 1;
}

static Layout
make_layout(const CtlChart *self, const CliTerm *term)
{
    const CtlBin all = ctl_bins_get(self->bins, 0, UINT64_MAX);
    Layout layout = { .has_utf8 = term->has_utf8 && term->has_cursor };

    layout.n_columns = MAX(term->n_columns - LABEL_COLUMNS - 1, 10);
    layout.n_across = layout.has_utf8 ? DOTS_PER_CELL : 1;
    layout.n_down = layout.has_utf8 ? DOTS_PER_ROW : 1;
    layout.step_um = ctl_chart_get_step_um(all.max_um);
    const int n_steps = (int)(all.max_um / layout.step_um) + 1;
    layout.rows_a_step = n_steps <= 3 ? 3 : 2;
    layout.n_rows = n_steps * layout.rows_a_step;
    return layout;
}

/* Time at the left edge of point @x of @n across the chart. */
static uint64_t
time_at(const CtlChart *self, int x, int n)
{
    return (uint64_t)((double)self->length_us * x / n);
}

static CtlBin
bin_at(const CtlChart *self, int x, int n)
{
    const uint64_t from_us = time_at(self, x, n);
    const uint64_t to_us = time_at(self, x + 1, n);
    const uint64_t shift_us = self->offset_us;

    if (to_us <= shift_us) {
        return (CtlBin){ 0 };
    }
    return ctl_bins_get(self->bins, from_us > shift_us ? from_us - shift_us : 0, to_us - shift_us);
}

/* Which of the points of a column are set, bottom first, as a bit each. */
static uint64_t
column_bits(const Layout *layout, const CtlBin *bin)
{
    const uint64_t n_points = (uint64_t)layout->n_rows * (uint64_t)layout->n_down;
    const uint64_t top_um =
        (uint64_t)layout->step_um * (uint64_t)(layout->n_rows / layout->rows_a_step);
    uint64_t bits = 0;

    if (bin->n_contact == 0) {
        return 0;
    }
    const uint64_t low = bin->min_um * n_points / top_um;
    const uint64_t high = MIN(bin->max_um * n_points / top_um, n_points - 1);
    for (uint64_t i = low; i <= high; i++) {
        bits |= (uint64_t)1 << i;
    }
    return bits;
}

static void
append_braille(GString *out, uint64_t left, uint64_t right)
{
    /* Dots of the two columns, bottom first. */
    static const unsigned left_dots[DOTS_PER_ROW] = { 0x40, 0x04, 0x02, 0x01 };
    static const unsigned right_dots[DOTS_PER_ROW] = { 0x80, 0x20, 0x10, 0x08 };
    unsigned dots = 0;

    for (int i = 0; i < DOTS_PER_ROW; i++) {
        dots |= (left >> i & 1) != 0 ? left_dots[i] : 0;
        dots |= (right >> i & 1) != 0 ? right_dots[i] : 0;
    }
    if (dots == 0) {
        g_string_append_c(out, ' ');
    } else {
        g_string_append_unichar(out, 0x2800u + dots);
    }
}

static void
append_label(GString *out, const Layout *layout, int row)
{
    const char *edge = layout->has_utf8 ? "│" : "|";

    if (row % layout->rows_a_step != 0) {
        g_string_append_printf(out, "%*s%s", LABEL_COLUMNS - 1, "", edge);
        return;
    }
    const unsigned depth_um = layout->step_um * (unsigned)(row / layout->rows_a_step);
    g_string_append_printf(out,
                           "%*u.%02u %s",
                           LABEL_COLUMNS - 5,
                           depth_um / 1000,
                           depth_um % 1000 / 10,
                           layout->has_utf8 ? "┤" : "+");
}

static void
trim(GString *out)
{
    while (out->len > 0 && out->str[out->len - 1] == ' ') {
        g_string_truncate(out, out->len - 1);
    }
    g_string_append_c(out, '\n');
}

/* One character of the plot from its one or two columns of points. */
static void
append_cell(const Layout *layout, const uint64_t *bits, int row, GString *out)
{
    if (layout->has_utf8) {
        append_braille(out, bits[0] >> (row * DOTS_PER_ROW), bits[1] >> (row * DOTS_PER_ROW));
    } else {
        g_string_append_c(out, (bits[0] >> row & 1) != 0 ? '#' : ' ');
    }
}

static void
append_plot(const CtlChart *self, const Layout *layout, GString *out)
{
    const int n_points = layout->n_columns * layout->n_across;
    g_autoptr(GArray) points = g_array_sized_new(FALSE, FALSE, sizeof(uint64_t), (guint)n_points);

    for (int x = 0; x < n_points; x++) {
        const CtlBin bin = bin_at(self, x, n_points);
        const uint64_t bits = column_bits(layout, &bin);
        g_array_append_val(points, bits);
    }
    for (int row = layout->n_rows - 1; row >= 0; row--) {
        append_label(out, layout, row);
        for (int x = 0; x < n_points; x += layout->n_across) {
            append_cell(layout, &g_array_index(points, uint64_t, x), row, out);
        }
        trim(out);
    }
}

static void
append_contact(const CtlChart *self, const Layout *layout, GString *out)
{
    g_string_append_printf(out, "%*s%s", LABEL_COLUMNS - 1, "touch ", layout->has_utf8 ? "│" : "|");
    for (int x = 0; x < layout->n_columns; x++) {
        const CtlBin bin = bin_at(self, x, layout->n_columns);
        const bool is_most = bin.n_contact * 2 >= bin.n_samples;
        if (bin.n_contact == 0) {
            g_string_append_c(out, ' ');
        } else if (is_most) {
            g_string_append(out, layout->has_utf8 ? "█" : "=");
        } else {
            g_string_append(out, layout->has_utf8 ? "▒" : "-");
        }
    }
    trim(out);
}

static int
column_of(const CtlChart *self, const Layout *layout, uint64_t time_us)
{
    const int column = (int)((double)time_us * layout->n_columns / (double)self->length_us);

    return CLAMP(column, 0, layout->n_columns - 1);
}

/* Over what stands there, without an end of its own. */
static void
put(char *at, const char *text)
{
    for (; *text != '\0'; text++) {
        *at++ = *text;
    }
}

/* A pass that begins where an earlier one's number stands goes unnumbered. */
static void
append_passes(const CtlChart *self, const Layout *layout, GString *out)
{
    g_autofree char *row = g_strnfill((gsize)layout->n_columns, ' ');
    int free_from = 0;

    if (!self->has_passes || self->n_passes == 0) {
        return;
    }
    for (unsigned i = 0; i < self->n_passes; i++) {
        g_autofree char *number = g_strdup_printf("%u", self->passes[i].index);
        const int first = column_of(self, layout, self->passes[i].from_us);
        const int last = column_of(self, layout, MAX(self->passes[i].to_us, 1) - 1);
        const int n_number = (int)strlen(number);
        for (int x = MAX(first, free_from); x <= last; x++) {
            row[x] = '-';
        }
        if (first >= free_from && first + n_number <= layout->n_columns) {
            put(row + first, number);
            free_from = MAX(first + n_number, last) + 1;
        }
    }
    g_string_append_printf(
        out, "%*s%s%s", LABEL_COLUMNS - 1, "pass ", layout->has_utf8 ? "│" : "|", row);
    trim(out);
}

static uint64_t
time_step_us(uint64_t length_us, int n_labels)
{
    static const unsigned steps_s[] = { 1,   2,   5,   10,   15,   30,   60,   120,
                                        300, 600, 900, 1800, 3600, 7200, 14400 };

    for (gsize i = 0; i < G_N_ELEMENTS(steps_s); i++) {
        const uint64_t step_us = steps_s[i] * (uint64_t)G_USEC_PER_SEC;
        if (length_us / step_us <= (uint64_t)n_labels) {
            return step_us;
        }
    }
    return length_us / (uint64_t)n_labels + 1;
}

static char *
time_label(uint64_t time_us)
{
    const unsigned seconds = (unsigned)(time_us / G_USEC_PER_SEC);

    if (seconds < 3600) {
        return g_strdup_printf("%u:%02u", seconds / 60, seconds % 60);
    }
    return g_strdup_printf("%u:%02u:%02u", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

static void
append_axis(const CtlChart *self, const Layout *layout, GString *out)
{
    const uint64_t step_us = time_step_us(self->length_us, MAX(layout->n_columns / 10, 1));
    g_autofree char *labels = g_strnfill((gsize)layout->n_columns, ' ');
    g_autofree char *ticks = g_strnfill((gsize)layout->n_columns, ' ');

    for (uint64_t time_us = 0; time_us < self->length_us; time_us += step_us) {
        const int column = column_of(self, layout, time_us);
        g_autofree char *label = time_label(time_us);
        ticks[column] = '+';
        if (column + (int)strlen(label) <= layout->n_columns) {
            put(labels + column, label);
        }
    }
    g_string_append_printf(out, "%*s%s", LABEL_COLUMNS - 1, "", layout->has_utf8 ? "└" : "+");
    for (int x = 0; x < layout->n_columns; x++) {
        const char *line = layout->has_utf8 ? "─" : "-";
        const char *tick = layout->has_utf8 ? "┴" : "+";
        g_string_append(out, ticks[x] == '+' ? tick : line);
    }
    g_string_append_printf(out, "\n%*s%s", LABEL_COLUMNS, "min:s ", labels);
    trim(out);
}

void
ctl_chart_render(const CtlChart *self, const CliTerm *term, GString *out)
{
    if (self->bins->n_used == 0 || self->length_us == 0) {
        return;
    }
    const Layout layout = make_layout(self, term);
    g_string_append(out, "  depth in mm\n");
    append_plot(self, &layout, out);
    append_contact(self, &layout, out);
    append_passes(self, &layout, out);
    append_axis(self, &layout, out);
}
