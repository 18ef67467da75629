/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "util/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

/*
 * Threads begun by POSIX's own call: ThreadSanitizer is told to pass over what GLib calls,
 * and would pass over everything on a thread that GLib made.
 */

/**
 * Start a thread; pthread_join() ends it.
 *
 * @name: at most 15 characters. Errors: PD_ERROR_STORE: out of threads or memory.
 */
static inline bool
pd_thread_start(
    pthread_t *thread_out, const char *name, void *(*run)(void *), void *data, GError **error)
{
    const int rc = pthread_create(thread_out, NULL, run, data);

    if (rc != 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "thread %s: %s", name, g_strerror(rc));
        return false;
    }
    (void)pthread_setname_np(*thread_out, name);
    return true;
}
