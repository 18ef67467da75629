/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The last rung: bluetooth.service is restarted, at most once in two minutes, for debris of
 * AcquireNotify (F1), a bluetoothd that is mute (P11) and a discovery that stays dead (P13).
 * Debris: another adapter that is bonded to the pen first, then at once when this pen has
 * an open session; otherwise only when no pen is in one.
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

/* The rule that forbids a restart now, in words; NULL when none does. @pen: whose it is. */
static char *
dup_obstacle(PdPenManager *manager, PdPen *pen)
{
    const int64_t since_us = g_get_monotonic_time() - manager->cured_us;

    if (manager->is_asleep) {
        return g_strdup("the machine is going to sleep");
    }
    if (manager->cured_us != 0 && since_us < CURE_EVERY_US) {
        return g_strdup_printf("it was restarted just now; again in %d s at the earliest",
                               (int)((CURE_EVERY_US - since_us) / G_USEC_PER_SEC));
    }
    if (pen != NULL && pd_pen_is_in_session(pen)) {
        return NULL;
    }
    for (guint i = 0; i < manager->pens->len; i++) {
        PdPen *other = g_ptr_array_index(manager->pens, i);

        if (pd_pen_is_streaming(other) && pd_pen_is_in_session(other)) {
            return g_strdup_printf("waiting for the end of %s's session", other->info->serial);
        }
    }
    return NULL;
}

void
pd_cure_try(PdPen *pen)
{
    if (pd_pen_pick_device(pen) != NULL) {
        pd_pen_feed(pen, PEN_LINK_EV_ADAPTER);
        return;
    }
    char *obstacle = dup_obstacle(pen->manager, pen);
    if (obstacle == NULL) {
        g_warning("%s: bluetoothd holds debris of AcquireNotify, restarting bluetooth.service",
                  pen->info->serial);
        pen->manager->cured_us = g_get_monotonic_time();
        pd_bluez_restart_service_async(pen->manager->bus, NULL, on_restarted, pd_pen_ref(pen));
        obstacle = g_strdup("restarting it now");
    }
    pd_pen_feed_because(pen, PEN_LINK_EV_FAILED, obstacle);
}

static void
on_service_restarted(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GError) error = NULL;

    if (!pd_bluez_restart_service_finish(result, &error)) {
        g_warning("%s; restart bluetooth.service by hand, see pentelctl doctor", error->message);
    }
}

bool
pd_cure_service(PdPenManager *self, const char *why)
{
    g_autofree char *obstacle = dup_obstacle(self, NULL);

    if (obstacle != NULL) {
        g_message("%s; bluetooth.service is left alone: %s", why, obstacle);
        return false;
    }
    g_warning("%s; restarting bluetooth.service", why);
    self->cured_us = g_get_monotonic_time();
    pd_bluez_restart_service_async(self->bus, NULL, on_service_restarted, NULL);
    return true;
}
