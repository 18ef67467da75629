/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A source that never fires: GLib asks the one of highest priority first, in check()
 * right after poll() and in prepare() right before the next, so the time between the
 * two is what everything else of that turn took. Two readings of the clock per turn.
 */
#include "service/loop_watch.h"

struct PdServiceLoopWatch {
    GSource source;
    GSourceFuncs funcs;         /* what source calls */
    int64_t turn_began_mono_us; /* 0 outside a turn */
    int64_t max_us;
};

static gboolean
on_prepare(GSource *source, gint *timeout_ms)
{
    PdServiceLoopWatch *self = (PdServiceLoopWatch *)(void *)source;

    *timeout_ms = -1;
    if (self->turn_began_mono_us != 0) {
        self->max_us = MAX(self->max_us, g_get_monotonic_time() - self->turn_began_mono_us);
        self->turn_began_mono_us = 0;
    }
    return FALSE;
}

static gboolean
on_check(GSource *source)
{
    PdServiceLoopWatch *self = (PdServiceLoopWatch *)(void *)source;

    self->turn_began_mono_us = g_get_monotonic_time();
    return FALSE;
}

static gboolean
on_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    return G_SOURCE_CONTINUE;
}

PdServiceLoopWatch *
pd_service_loop_watch_new(GMainContext *context)
{
    GSourceFuncs funcs = { .prepare = on_prepare, .check = on_check, .dispatch = on_dispatch };
    GSource *source = g_source_new(&funcs, sizeof(PdServiceLoopWatch));
    PdServiceLoopWatch *self = (PdServiceLoopWatch *)(void *)source;

    /* GLib keeps a pointer to them and does not copy. */
    self->funcs = funcs;
    g_source_set_funcs(source, &self->funcs);
    g_source_set_priority(source, G_MININT);
    g_source_set_static_name(source, "loop watch");
    g_source_attach(source, context);
    return self;
}

void
pd_service_loop_watch_free(PdServiceLoopWatch *self)
{
    if (self == NULL) {
        return;
    }
    g_source_destroy(&self->source);
    g_source_unref(&self->source);
}

int64_t
pd_service_loop_watch_get_max_us(const PdServiceLoopWatch *self)
{
    return self->max_us;
}
