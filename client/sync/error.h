/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

/* What can be wrong with an upload for good, so that trying again cannot help. */
#define SYNC_ERROR (sync_error_quark())

typedef enum {
    SYNC_ERROR_CONFIG = 0,  /* a key, a file or a credential: the message names it and the remedy */
    SYNC_ERROR_FOREIGN,     /* the other side is of another version, or belongs to somebody else */
    SYNC_ERROR_STATE,       /* our own state: held by another process, newer, damaged */
    SYNC_ERROR_USAGE,       /* the command line */
    SYNC_ERROR_UNAVAILABLE, /* for now: no connection, no space, busy; try again later */
    SYNC_ERROR_CLASH,       /* within a sink: others were in the way, again at once */
    SYNC_ERROR_DATA,        /* within a sink: one session is refused, the others may go */
} SyncError;

/* Exit codes of pentel-sync(8). */
typedef enum {
    SYNC_EXIT_OK = 0,
    SYNC_EXIT_FAILED = 1,   /* ended by something unforeseen: systemd starts it again */
    SYNC_EXIT_USAGE = 2,    /* the command line */
    SYNC_EXIT_REFUSED = 65, /* --import: something in the sets was refused */
    SYNC_EXIT_WAITING = 75, /* --once: something is left for later */
    SYNC_EXIT_FOREIGN = 76, /* the sink is of another version, or somebody else's */
    SYNC_EXIT_STATE = 77,   /* our own state */
    SYNC_EXIT_CONFIG = 78,  /* the configuration */
} SyncExit;

GQuark sync_error_quark(void);

/** The exit code that an error at the start ends with. */
SyncExit sync_exit_of(const GError *error);
