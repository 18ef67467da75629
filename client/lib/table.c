/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides which columns of a table fit a terminal and how wide each one is.
 */
#include "lib/table.h"

#include "lib/text.h"

#include <string.h>

#define GAP_COLUMNS        2
#define FLEXIBLE_WIDTH_MIN 6

typedef struct {
    char *text; /* owned; escaped */
    CliColour colour;
} Cell;

struct CliTable {
    const CliColumn *columns; /* borrowed; static */
    guint n_columns;
    GArray *cells; /* owned; row by row */
};

static void
clear_cell(gpointer data)
{
    Cell *cell = data;

    g_free(cell->text);
}

CliTable *
cli_table_new(const CliColumn *columns)
{
    CliTable *self = g_new0(CliTable, 1);

    self->columns = columns;
    while (columns[self->n_columns].title != NULL) {
        self->n_columns++;
    }
    g_assert(self->n_columns > 0 && self->n_columns <= CLI_TABLE_COLUMNS_MAX);
    self->cells = g_array_new(FALSE, FALSE, sizeof(Cell));
    g_array_set_clear_func(self->cells, clear_cell);
    return self;
}

void
cli_table_free(CliTable *self)
{
    if (self == NULL) {
        return;
    }
    g_array_unref(self->cells);
    g_free(self);
}

void
cli_table_add(CliTable *self, const CliTerm *term, const char *text)
{
    cli_table_add_coloured(self, term, text, CLI_COLOUR_NONE);
}

void
cli_table_add_coloured(CliTable *self, const CliTerm *term, const char *text, CliColour colour)
{
    const Cell cell = {
        .text = text != NULL ? cli_text_escape(text, term->has_utf8) : g_strdup("-"),
        .colour = colour,
    };

    g_array_append_val(self->cells, cell);
}

static const Cell *
cell_at(const CliTable *self, guint row, guint column)
{
    return &g_array_index(self->cells, Cell, row * self->n_columns + column);
}

static guint
n_rows(const CliTable *self)
{
    return self->cells->len / self->n_columns;
}

/* Width 0 is a column left out. */
static int
total_width(const CliTable *self, const int *widths)
{
    int total = -GAP_COLUMNS;

    for (guint i = 0; i < self->n_columns; i++) {
        total += widths[i] > 0 ? widths[i] + GAP_COLUMNS : 0;
    }
    return total;
}

static void
drop_optional(const CliTable *self, int limit, int *widths)
{
    for (guint i = self->n_columns; i > 0 && total_width(self, widths) > limit; i--) {
        if (self->columns[i - 1].is_optional) {
            widths[i - 1] = 0;
        }
    }
}

/* The widest column that may still be cut, NULL when there is none. */
static int *
find_widest(const CliTable *self, int *widths)
{
    int *widest = NULL;

    for (guint i = 0; i < self->n_columns; i++) {
        const bool is_wider = widest == NULL || widths[i] > *widest;
        if (self->columns[i].is_flexible && widths[i] > FLEXIBLE_WIDTH_MIN && is_wider) {
            widest = &widths[i];
        }
    }
    return widest;
}

static void
cut_flexible(const CliTable *self, int limit, int *widths)
{
    int *widest = find_widest(self, widths);

    while (widest != NULL && total_width(self, widths) > limit) {
        *widest -= 1;
        widest = find_widest(self, widths);
    }
}

static void
measure(const CliTable *self, int limit, int *widths)
{
    for (guint i = 0; i < self->n_columns; i++) {
        widths[i] = cli_text_width(self->columns[i].title);
        for (guint row = 0; row < n_rows(self); row++) {
            widths[i] = MAX(widths[i], cli_text_width(cell_at(self, row, i)->text));
        }
    }
    drop_optional(self, limit, widths);
    cut_flexible(self, limit, widths);
}

static void
append_spaces(GString *out, int n)
{
    for (int i = 0; i < n; i++) {
        g_string_append_c(out, ' ');
    }
}

static void
append_cell(GString *out,
            const CliTerm *term,
            const char *whole,
            CliColour colour,
            const CliColumn *column,
            int width)
{
    g_autofree char *text = cli_text_fit(whole, width, term->has_utf8);
    const int pad = width - cli_text_width(text);

    append_spaces(out, column->is_right ? pad : 0);
    if (colour != CLI_COLOUR_NONE) {
        g_string_append(out, cli_term_colour(term, colour));
    }
    g_string_append(out, text);
    if (colour != CLI_COLOUR_NONE) {
        g_string_append(out, cli_term_colour(term, CLI_COLOUR_NONE));
    }
    append_spaces(out, column->is_right ? 0 : pad);
}

/* Blanks at the end of a line only get in the way of whoever copies it. */
static void
end_line(GString *out)
{
    while (out->len > 0 && out->str[out->len - 1] == ' ') {
        g_string_truncate(out, out->len - 1);
    }
    g_string_append_c(out, '\n');
}

/* Row @row, or the titles when it is negative. */
static void
append_row(const CliTable *self, const CliTerm *term, const int *widths, int row, GString *out)
{
    bool is_first = true;

    for (guint i = 0; i < self->n_columns; i++) {
        const CliColumn *column = &self->columns[i];
        if (widths[i] == 0) {
            continue;
        }
        append_spaces(out, is_first ? 0 : GAP_COLUMNS);
        is_first = false;
        if (row < 0) {
            append_cell(out, term, column->title, CLI_COLOUR_BOLD, column, widths[i]);
        } else {
            const Cell *cell = cell_at(self, (guint)row, i);
            append_cell(out, term, cell->text, cell->colour, column, widths[i]);
        }
    }
    end_line(out);
}

void
cli_table_render(const CliTable *self, const CliTerm *term, bool has_titles, GString *out)
{
    int widths[CLI_TABLE_COLUMNS_MAX] = { 0 };
    const int n = (int)n_rows(self);

    if (n == 0) {
        return;
    }
    measure(self, term->n_columns, widths);
    for (int row = has_titles ? -1 : 0; row < n; row++) {
        append_row(self, term, widths, row, out);
    }
}
