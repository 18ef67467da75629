/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What to do about debris of AcquireNotify (F1): another adapter that is bonded to the
 * pen first; else bluetooth.service is restarted, at once when this pen has an open
 * session, otherwise when no pen is in one, and at most once in two minutes.
 */
#include "pen/pen.h"

#define CURE_EVERY_US (INT64_C(120) * 1000000) /* F1 rule 4 */

static void
on_restarted(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPen) pen = user_data;
    g_autoptr(GError) error = NULL;

    if (pd_bluez_restart_service_finish(result, &error)) {
        return; /* service_down and service_up do the rest */
    }
    g_warning("%s: %s; see pentelctl doctor", pen->info->serial, error->message);
    if (pen->manager != NULL && pen->state.state == PEN_LINK_STUCK) {
        pd_pen_feed_because(pen,
                            PEN_LINK_EV_FAILED,
                            g_strdup_printf("%s; restart bluetooth.service by hand",
                                            error->message));
    }
}

static bool
may_restart(PdPen *pen)
{
    PdPenManager *manager = pen->manager;
    const int64_t now_us = g_get_monotonic_time();

    if (manager->cured_us != 0 && now_us - manager->cured_us < CURE_EVERY_US) {
        return false;
    }
    if (pd_pen_is_in_session(pen)) {
        return true;
    }
    for (guint i = 0; i < manager->pens->len; i++) {
        PdPen *other = g_ptr_array_index(manager->pens, i);

        if (pd_pen_is_streaming(other) && pd_pen_is_in_session(other)) {
            return false;
        }
    }
    return true;
}

void
pd_cure_try(PdPen *pen)
{
    if (pd_pen_pick_device(pen) != NULL) {
        pd_pen_feed(pen, PEN_LINK_EV_ADAPTER);
        return;
    }
    if (may_restart(pen)) {
        g_warning("%s: bluetoothd holds debris of AcquireNotify, restarting bluetooth.service",
                  pen->info->serial);
        pen->manager->cured_us = g_get_monotonic_time();
        pd_bluez_restart_service_async(pen->manager->bus, NULL, on_restarted, pd_pen_ref(pen));
    }
    pd_pen_feed(pen, PEN_LINK_EV_FAILED);
}
