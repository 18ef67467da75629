/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides which errors end the program for good: those that no second try can cure have
 * an exit code that systemd is told not to restart after.
 */
#include "sync/error.h"

G_DEFINE_QUARK(sync - error - quark, sync_error)

SyncExit
sync_exit_of(const GError *error)
{
    if (error->domain != SYNC_ERROR) {
        return SYNC_EXIT_FAILED;
    }
    switch ((SyncError)error->code) {
    case SYNC_ERROR_CONFIG:
        return SYNC_EXIT_CONFIG;
    case SYNC_ERROR_FOREIGN:
        return SYNC_EXIT_FOREIGN;
    case SYNC_ERROR_STATE:
        return SYNC_EXIT_STATE;
    case SYNC_ERROR_USAGE:
        return SYNC_EXIT_USAGE;
    case SYNC_ERROR_UNAVAILABLE:
    case SYNC_ERROR_CLASH:
    case SYNC_ERROR_DATA:
        return SYNC_EXIT_WAITING;
    }
    return SYNC_EXIT_FAILED;
}
