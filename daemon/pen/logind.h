/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>

/*
 * The machine's sleep as org.freedesktop.login1 announces it, and the lock that delays it
 * until we are ready. Private to daemon/pen. Main thread only.
 */
typedef struct PdLogind PdLogind;

typedef struct {
    /* The machine wants to sleep: pd_logind_ready() when nothing speaks against it. */
    void (*going)(void *user_data);
    void (*woke)(void *user_data);
} PdLogindListener;

/**
 * Watch logind and keep a delay lock while it is there. Without logind, or where the lock
 * is refused, nothing happens but the announcements that still come.
 *
 * Owns: refs @bus, copies @listener; free with pd_logind_free().
 * Source: P27.
 */
PdLogind *pd_logind_new(GDBusConnection *bus, const PdLogindListener *listener, void *user_data);

/** Stop watching and give the lock back. */
void pd_logind_free(PdLogind *self);

/** Give the lock back: the machine may sleep. Success when there is none. */
void pd_logind_ready(PdLogind *self);
