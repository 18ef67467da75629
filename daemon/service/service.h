/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "pen/manager.h"
#include "service/authority.h"
#include "service/streams.h"
#include "store/store.h"

#include <gio/gio.h>

#include <stdbool.h>

/*
 * org.pentel on a bus: Manager1 and Log1 at /org/pentel/manager, one Pen1 per enrolled
 * pen below /org/pentel/pens, an ObjectManager at /org/pentel. Main thread only.
 */
typedef struct PdService PdService;

typedef struct {
    PdServiceAuthorityConfig authority;
    PdServiceStreamsConfig streams;
    bool notify_by_signal; /* for a finding: samples go over the bus (F26) */
    /* A pen came, went or changed its state; may be NULL. */
    void (*pens_changed)(void *user_data);
    void *user_data;
} PdServiceConfig;

/**
 * Make the service, not yet on the bus.
 *
 * Owns: refs @bus; borrows @store until pd_service_free(); copies @config.
 */
PdService *pd_service_new(GDBusConnection *bus, PdStore *store, const PdServiceConfig *config);

/**
 * Put the objects on the bus; owning the name is the caller's next step.
 *
 * Owns: borrows @pens and @time_sync until pd_service_free().
 */
void pd_service_start(PdService *self, PdPenManager *pens, PdTimeSync *time_sync);

/**
 * Take everything off the bus: callers under way get PD_ERROR_BUSY, streams end.
 * Before the pens and the store are freed.
 */
void pd_service_free(PdService *self);

/** What the pens have to tell; @user_data is the PdService. Owns: static. */
const PdPenListener *pd_service_get_pen_listener(void);

/** The journal grew: PdStoreListener.journal. */
void pd_service_on_journal(PdService *self, uint64_t head);

/** The store's state changed: PdStoreListener.state_changed. */
void pd_service_on_store_state(PdService *self, PdStoreState state);

/** How many pens there are, and how many of them are linked: for a status line. */
void pd_service_count_pens(PdService *self, uint32_t *n_pens_out, uint32_t *n_linked_out);
