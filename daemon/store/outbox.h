/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>

/*
 * What the store's threads have to say to the main context, in order. Outlives the store
 * while something is on its way.
 */
typedef struct PdOutbox PdOutbox;

/** Owns: refs @context, which may be NULL for the default one. */
PdOutbox *pd_outbox_new(GMainContext *context);

/** Drop what was not delivered, but for what completes a task. Main thread. */
void pd_outbox_close(PdOutbox *self);

/** Call @func with @data in the context, unless closed before. Owns: takes @data. */
void pd_outbox_post(PdOutbox *self, GSourceFunc func, gpointer data, GDestroyNotify free);

/** Complete @task in the context, even when closed. Owns: takes all; @error wins over
 * @result. */
void pd_outbox_complete(
    PdOutbox *self, GTask *task, gpointer result, GDestroyNotify free_result, GError *error);
