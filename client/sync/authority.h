/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>

/**
 * Whether the client @sender may do polkit's @action.
 *
 * uid 0 and our own pass by what the bus says of them; for everybody else polkit is asked,
 * within 5 s. Owns: nothing is kept. Errors (of finish): G_DBUS_ERROR of the name
 * org.pentel.Error.NotAuthorized or .AuthorizationTimeout, with what to do in words.
 */
void sync_authority_check_async(GDBusConnection *bus,
                                const char *sender,
                                const char *action,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data);
bool sync_authority_check_finish(GAsyncResult *result, GError **error);
