/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "lib/term.h"

#include <glib.h>

/*
 * A table for a terminal. Columns are as wide as what they hold; when that is too wide,
 * optional columns are left out, last first, then the longest flexible one is cut.
 */
typedef struct {
    const char *title; /* NULL ends a list of columns */
    bool is_right;     /* numbers */
    bool is_optional;  /* left out when there is no room */
    bool is_flexible;  /* may be cut */
} CliColumn;

typedef struct CliTable CliTable;

#define CLI_TABLE_COLUMNS_MAX 16

/** Make an empty table. @columns: static, at most 16, ended by a NULL title. Owns:
 * cli_table_free(). */
CliTable *cli_table_new(const CliColumn *columns);
void cli_table_free(CliTable *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliTable, cli_table_free)

/** Append a cell, row by row; NULL shows as "-". Owns: copies @text, escaping it. */
void cli_table_add(CliTable *self, const CliTerm *term, const char *text);

/** As cli_table_add(), in a colour. */
void cli_table_add_coloured(CliTable *self,
                            const CliTerm *term,
                            const char *text,
                            CliColour colour);

/**
 * Append the table in at most the terminal's columns to @out; nothing when it has no row.
 *
 * @has_titles: false for a further page of a table.
 */
void cli_table_render(const CliTable *self, const CliTerm *term, bool has_titles, GString *out);
