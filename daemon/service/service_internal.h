/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "pentel-dbus.h"
#include "service/loop_watch.h"
#include "service/pen_objects.h"
#include "service/service.h"

#define PD_SERVICE_ROOT         "/org/pentel"
#define PD_SERVICE_MANAGER_PATH "/org/pentel/manager"

/* Shared by the files of this layer that handle methods. */
struct PdService {
    int n_refs;                       /* its owner's, and one for every request under way */
    bool is_closed;                   /* store and pens may be gone: answer and leave */
    GDBusConnection *bus;             /* ref */
    PdStore *store;                   /* borrowed; outlives the open service */
    PdPenManager *pens;               /* borrowed likewise; NULL until started */
    PdTimeSync *time_sync;            /* borrowed likewise */
    GCancellable *cancellable;        /* owned; of every call into store and pens */
    PdServiceAuthority *authority;    /* owned */
    PdServiceStreams *streams;        /* owned */
    PdServiceLoopWatch *loop_watch;   /* owned */
    PdServicePenObjects *pen_objects; /* owned; NULL until started */
    GDBusObjectManagerServer *server; /* owned */
    PdDbusManager1 *manager;          /* owned */
    PdDbusLog1 *log;                  /* owned */
    GPtrArray *followers;             /* owned container; follow.c's own */
    PdServiceConfig config;
};

void pd_service_unref(PdService *self);

/** Connect the handlers of each interface. */
void pd_service_manager_connect(PdService *self);
void pd_service_log_connect(PdService *self);
void pd_service_stream_methods_connect(PdService *self);
void pd_service_care_connect(PdService *self);
