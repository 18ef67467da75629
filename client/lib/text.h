/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>

/*
 * Text from the bus on its way to a terminal. Whoever named a pen or wrote a note must
 * not be able to move the cursor, so what does not print is shown as an escape.
 */

/**
 * Copy with everything that does not print as \n, \t, \xHH or \u{H}.
 *
 * @utf8: false turns every character outside ASCII into an escape as well.
 * Bytes that are not UTF-8 become \xHH. Owns: the caller's.
 */
char *cli_text_escape(const char *text, bool utf8);

/** The next character of UTF-8; as g_utf8_next_char(), which loses the const. Owns: as @text. */
const char *cli_text_next(const char *text);

/** Columns that @text takes on a terminal: wide characters two, combining ones none. */
int cli_text_width(const char *text);

/**
 * Cut to @width columns, ending in an ellipsis when something was cut.
 *
 * Never splits a character or leaves a wide one half shown. Owns: the caller's.
 */
char *cli_text_fit(const char *text, int width, bool utf8);

/** Number of single-character edits between two words, a swap counted as one. */
unsigned cli_text_distance(const char *a, const char *b);

/** The word of the NULL-terminated @words that is meant by @typed, NULL when none is near. */
const char *cli_text_nearest(const char *typed, const char *const *words);

/**
 * Append @text, escaped, broken at blanks into lines of at most @width columns.
 *
 * @indent: blanks before the first line; @hang: before those that follow. Ends in a newline.
 */
void cli_text_append_wrapped(
    GString *out, const char *text, int width, int indent, int hang, bool utf8);
