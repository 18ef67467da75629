/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Whether bluetoothd lives: it may own its name and answer nothing (P11), which no error
 * of a Connect tells from a pen that is away. The ping is answered by its main loop.
 */
#include "bluez/client.h"
#include "bluez/table.h"

void
pd_bluez_client_tell_mute(PdBluezClient *self)
{
    self->n_mute++;
    g_warning("bluetoothd does not answer (%u in a row)", self->n_mute);
    if (self->listener.mute != NULL) {
        self->listener.mute(self->user_data, self->n_mute);
    }
}

static void
on_pong(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdBluezClient) self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        return;
    }
    self->is_probing = false;
    if (reply == NULL && pd_bluez_error_get_hint(error) == PD_BLUEZ_HINT_NO_REPLY) {
        pd_bluez_client_tell_mute(self);
    } else {
        self->n_mute = 0; /* an error is an answer, too */
    }
}

void
pd_bluez_client_probe(PdBluezClient *self)
{
    if (!self->is_up || self->is_probing) {
        return;
    }
    self->is_probing = true;
    pd_bluez_call_async(&(PdBluezCall){ .bus = self->bus,
                                        .owner = self->owner,
                                        .path = "/org/bluez",
                                        .interface = "org.freedesktop.DBus.Peer",
                                        .method = "Ping",
                                        .timeout_ms = PD_BLUEZ_CALL_TIMEOUT_MS,
                                        .what = "ping bluetoothd" },
                        self->cancellable,
                        on_pong,
                        pd_bluez_client_ref(self));
}

bool
pd_bluez_client_has_owner(PdBluezClient *self)
{
    return self->owner != NULL;
}

bool
pd_bluez_client_is_mute(PdBluezClient *self)
{
    return self->n_mute > 0;
}
