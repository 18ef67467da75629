/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/*
 * A mutex with one condition, on the monotonic clock. POSIX's own rather than GLib's, as
 * ThreadSanitizer sees what these order and GLib's futexes are hidden from it.
 */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
} PdLock;

static inline void
pd_lock_init(PdLock *self)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->cond, &attr);
    pthread_condattr_destroy(&attr);
}

static inline void
pd_lock_clear(PdLock *self)
{
    pthread_cond_destroy(&self->cond);
    pthread_mutex_destroy(&self->mutex);
}

static inline void
pd_lock_enter(PdLock *self)
{
    pthread_mutex_lock(&self->mutex);
}

static inline void
pd_lock_leave(PdLock *self)
{
    pthread_mutex_unlock(&self->mutex);
}

static inline void
pd_lock_signal(PdLock *self)
{
    pthread_cond_signal(&self->cond);
}

static inline void
pd_lock_broadcast(PdLock *self)
{
    pthread_cond_broadcast(&self->cond);
}

/** Wait for a signal, or until @until_us of CLOCK_MONOTONIC; 0: for ever. May wake early. */
static inline void
pd_lock_wait(PdLock *self, int64_t until_us)
{
    if (until_us == 0) {
        pthread_cond_wait(&self->cond, &self->mutex);
        return;
    }
    const struct timespec until = {
        .tv_sec = until_us / 1000000,
        .tv_nsec = until_us % 1000000 * 1000,
    };
    pthread_cond_timedwait(&self->cond, &self->mutex, &until);
}
