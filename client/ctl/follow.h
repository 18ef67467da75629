/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "lib/bus.h"

/*
 * A pipe of Log1.FollowLive that is opened again whenever penteld comes back, and the
 * list of pens whenever one of them changes. Runs in the thread's main context.
 */
typedef struct CtlFollow CtlFollow;

typedef struct {
    /* A line came; may be changed. */
    void (*line)(void *user_data, char *line);
    /* The pens, aa{sv}. */
    void (*pens)(void *user_data, GVariant *pens);
    /* Following: @trouble NULL. Else what is waited for, and penteld is asked again. */
    void (*state)(void *user_data, const char *trouble);
    /* The bus is gone: nothing comes any more. */
    void (*lost)(void *user_data);
} CtlFollowListener;

/**
 * Follow @pen, "" for all. The first FollowLive is waited for; what comes is told from the
 * main loop.
 *
 * Owns: borrows @bus, @pen and @listener until ctl_follow_free().
 * Errors: as FollowLive's, see cli_fault_of().
 */
CtlFollow *ctl_follow_new(CliBus *bus,
                          const char *pen,
                          const CtlFollowListener *listener,
                          void *user_data,
                          GError **error);
void ctl_follow_free(CtlFollow *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlFollow, ctl_follow_free)
