/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "bluez/agent.h"
#include "bluez/call.h"
#include "bluez/objects.h"

/*
 * The client's state and its object table, one hash per kind, path -> node. Private
 * to daemon/bluez. Paths are keys within one life of bluetoothd only (P22).
 */
struct PdBluezClient {
    unsigned n_refs;
    /* owned */
    GDBusConnection *bus;
    char *owner;               /* unique name of bluetoothd, NULL while it is away */
    GCancellable *cancellable; /* of this generation's GetManagedObjects */
    GHashTable *adapters;      /* PdBluezAdapterNode */
    GHashTable *devices;       /* PdBluezDevice, one reference */
    GHashTable *services;      /* UUID, lower case */
    GHashTable *chars;         /* PdBluezChar */
    GArray *signal_ids;        /* guint */
    /* borrowed; ours until pd_bluez_client_free() */
    void *user_data;
    PdBluezAgent *agent; /* clears itself on close */
    /* plain */
    PdBluezListener listener; /* zeroed by free: nobody is told after it */
    guint name_watch_id;
    guint retry_id;
    uint32_t generation;
    uint32_t n_mute; /* calls in a row that were not answered */
    bool is_probing;
    bool is_up;
};

PdBluezClient *pd_bluez_client_ref(PdBluezClient *self);
void pd_bluez_client_unref(PdBluezClient *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdBluezClient, pd_bluez_client_unref)

/** One more call was not answered. */
void pd_bluez_client_tell_mute(PdBluezClient *self);

void pd_bluez_table_init(PdBluezClient *self);
void pd_bluez_table_clear(PdBluezClient *self); /* tells the listener while is_up */

/** Take over a{oa{sa{sv}}} without telling anybody. */
void pd_bluez_table_load(PdBluezClient *self, GVariant *objects);
/** InterfacesAdded, InterfacesRemoved, PropertiesChanged; the listener is told. */
void pd_bluez_table_add(PdBluezClient *self, const char *path, GVariant *interfaces);
void pd_bluez_table_remove(PdBluezClient *self, const char *path, const char *const *interfaces);
void pd_bluez_table_change(PdBluezClient *self,
                           const char *path,
                           const char *interface,
                           GVariant *properties,
                           const char *const *invalidated);

PdBluezAdapterNode *pd_bluez_table_find_adapter(PdBluezClient *self, const char *address_or_name);
/** The characteristic below @device_path, NULL if absent. Owns: borrowed until the next turn. */
PdBluezChar *pd_bluez_table_find_char(PdBluezClient *self,
                                      const char *device_path,
                                      const char *service_uuid,
                                      const char *char_uuid);
/** True when an AcquireNotify below @device_path may have left debris (F1). */
bool pd_bluez_table_has_suspect(PdBluezClient *self, const char *device_path);
/** Device of a characteristic and UUID of its service. */
PdBluezDevice *pd_bluez_table_get_char_device(PdBluezClient *self, const PdBluezChar *chr);
const char *pd_bluez_table_get_char_service(PdBluezClient *self, const PdBluezChar *chr);

/** Register the open agent with a new bluetoothd (P24). */
void pd_bluez_agent_reregister(PdBluezAgent *self);
/** The client goes: the agent stops answering; its owner still closes it. */
void pd_bluez_agent_detach(PdBluezAgent *self);
