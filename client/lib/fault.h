/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

/* How a client of penteld ends; the exit codes of pentelctl(1). */
typedef enum {
    CTL_EXIT_OK = 0,
    CTL_EXIT_FAILED = 1,
    CTL_EXIT_USAGE = 2,
    CTL_EXIT_NO_DAEMON = 3,
    CTL_EXIT_NO_PERMISSION = 4,
    CTL_EXIT_NOT_FOUND = 5,
    CTL_EXIT_NO_RADIO = 6,
    CTL_EXIT_TIMEOUT = 7,
    CTL_EXIT_NO_BLUEZ = 8,
    CTL_EXIT_ALTERED = 9, /* what is stored is not what was written */
} CtlExit;

/* What an error on the bus means to the person who typed the command. */
typedef struct {
    const char *name; /* on the bus; a prefix when it ends in '*' */
    CtlExit exit_code;
    const char *advice; /* what to do next */
} CliFault;

/** Row of a D-Bus error name; an unknown name has the row of org.pentel.Error.Failed. Owns: static.
 */
const CliFault *cli_fault_find(const char *dbus_name);

/** Row of an error of a call or of opening the bus. Owns: static. */
const CliFault *cli_fault_of(const GError *error);

/** All rows, for the tests. Owns: static. */
const CliFault *cli_fault_list(gsize *n_out);

/**
 * "cannot DOING: MESSAGE; ADVICE" in one line, without control characters.
 *
 * Owns: the text is the caller's.
 */
char *cli_fault_describe(const char *doing, const GError *error, CtlExit *exit_out);
