/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "bluez/client.h"

/*
 * The pairing agent of one enrolment window: exported at /org/pentel/agent with
 * capability NoInputNoOutput (Just Works), registered while open, never the default
 * agent (F10). A question about a device that allow() does not name, and every
 * question for a PIN or passkey, is answered org.bluez.Error.Rejected. It is not
 * the gate: bluetoothd does not even ask it when we are the central (F10).
 * Re-registered when org.bluez restarts (P24).
 */
typedef struct PdBluezAgent PdBluezAgent;

/* May this device be paired now? */
typedef bool (*PdBluezAgentAllow)(void *user_data, PdBluezDevice *device);

/**
 * Export and register the agent.
 *
 * One at a time per client. @allow_data is borrowed until close.
 * Owns: finish gives an agent to close with pd_bluez_agent_close().
 * Errors: PD_ERROR_BUSY (one is open), PD_ERROR_BLUEZ, PD_ERROR_TIMEOUT.
 */
void pd_bluez_agent_open_async(PdBluezClient *client,
                               PdBluezAgentAllow allow,
                               void *allow_data,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data);
PdBluezAgent *pd_bluez_agent_open_finish(PdBluezClient *client,
                                         GAsyncResult *result,
                                         GError **error);

/** Unregister (not waiting for the answer) and stop answering. Before the client is freed. */
void pd_bluez_agent_close(PdBluezAgent *self);
