/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "service/authority.h"

/*
 * One client of the bus, from its first call until it leaves: who it is, and what it
 * was allowed. Private to the authority. Reference counted, as calls under way outlive
 * both the client and the authority.
 */
typedef struct {
    bool is_asking;     /* a check by polkit is under way */
    bool is_allowed;    /* said yes, for the life of the unique name */
    GPtrArray *waiting; /* owned; GTask */
} PdServiceCheck;

typedef struct {
    int n_refs;
    PdServiceAuthority *authority; /* borrowed; NULL when either is gone */
    char *name;                    /* owned; unique name */
    guint signal_id;               /* of its NameOwnerChanged */
    bool is_identifying;
    bool is_identified;
    uint32_t uid;
    uint32_t pid;
    char *session; /* owned; NULL when logind did not say */
    PdServiceCheck checks[PD_SERVICE_ACTION_N];
} PdServiceClient;

/** What a client needs done once it is identified or turned out not to be. */
typedef void (*PdServiceClientReady)(PdServiceClient *client, const GError *error);

PdServiceClient *pd_service_client_new(PdServiceAuthority *authority, const char *name);
PdServiceClient *pd_service_client_ref(PdServiceClient *self);
void pd_service_client_unref(PdServiceClient *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdServiceClient, pd_service_client_unref)

/** Answer all that wait for @action: allowed when @error is NULL. */
void pd_service_client_answer(PdServiceClient *self, PdServiceAction action, const GError *error);

/** Answer everything that waits with @error. */
void pd_service_client_answer_all(PdServiceClient *self, const GError *error);

/**
 * Ask the bus for its uid and, unless @is_known says that the uid is enough, logind for
 * its session; then call @ready, unless the client has gone meanwhile.
 */
typedef bool (*PdServiceClientIsKnown)(const PdServiceClient *client);
void pd_service_client_identify(PdServiceClient *self,
                                GDBusConnection *bus,
                                GCancellable *cancellable,
                                PdServiceClientIsKnown is_known,
                                PdServiceClientReady ready);
