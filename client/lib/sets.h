/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Sealed sets as the directory sink of pentel-sync leaves them, on a medium that may hold
 * anything: their names, their order, and their files opened for whoever checks them.
 */

/** The file of a set that lists the others with their sums. */
#define CLI_SET_SUMS "SHA256SUMS"
/** The one that says what it follows. */
#define CLI_SET_ANCHOR "anchor.json"

/** Files that a set can have, so that they and three beside them fit into one message. */
#define CLI_SET_FILES_MAX 13u

/** Number of the set of that name in its day, 0 when it is no name of one. */
uint64_t cli_set_number(const char *name);

/** Whether @name was sealed after @other: the thousandth of a day sorts wrongly as text.
 * @other: NULL for none. */
bool cli_set_is_later(const char *name, const char *other);

typedef struct {
    char *name; /* owned */
    int fd;     /* owned */
} CliSetFile;

/* One set, opened. */
typedef struct {
    char *name;        /* owned */
    char *before;      /* owned; the set before it in the directory, NULL for none */
    GPtrArray *files;  /* owned; CliSetFile */
    char *after;       /* owned; the set after it, NULL for none */
    int before_fd;     /* owned; SHA256SUMS of the set before, -1 when there is none */
    int after_fd;      /* owned; anchor.json of the set after, likewise */
    int after_sums_fd; /* owned; SHA256SUMS of that */
} CliSet;

void cli_set_file_free(CliSetFile *self);
void cli_set_free(CliSet *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliSet, cli_set_free)

/** Make one of its names, without descriptors. Owns: free with cli_set_free(). */
CliSet *cli_set_new(const char *name, const char *before, const char *after);

/** Add a file. Owns: takes @fd. */
void cli_set_add(CliSet *self, const char *name, int fd);

/** File descriptor of a file, -1 when the set has none of that name. Owns: borrowed. */
int cli_set_find(const CliSet *self, const char *name);

typedef struct {
    char *path;       /* owned */
    GPtrArray *names; /* owned; in the order of sealing */
    int fd;           /* owned; of the directory */
} CliSets;

/**
 * Look which sets a directory holds.
 *
 * Owns: free with cli_sets_free(). Errors: G_IO_ERROR with words and remedy: no directory, not
 * to be read; G_IO_ERROR_NOT_FOUND: it holds none.
 */
CliSets *cli_sets_open(const char *path, GError **error);
void cli_sets_free(CliSets *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliSets, cli_sets_free)

/**
 * Open the files of one.
 *
 * Owns: free with cli_set_free(). Errors: G_IO_ERROR with the name and the remedy.
 */
CliSet *cli_sets_open_set(const CliSets *self, guint index, GError **error);
