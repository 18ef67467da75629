/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/record.h"
#include "store/store.h"

#include <gio/gio.h>

/*
 * All pens of this gateway: one supervisor each, the enrolment window, the reader
 * thread. Main thread only unless a function says otherwise.
 */
typedef struct PdPenManager PdPenManager;

/* What is known of a pen now. */
typedef struct {
    const char *serial;
    const char *address;
    const char *name;     /* may be NULL */
    const char *state;    /* as Pen1.State */
    const char *reason;   /* in words, with what happens next */
    uint8_t battery_pct;  /* 255 unknown */
    const char *firmware; /* may be NULL */
    const char *adapter;  /* address, NULL when none */
    int64_t last_seen_us; /* wall, 0 never */
    uint32_t overwritten;
    uint32_t n_malformed;
} PdPenStatus;

typedef struct {
    char *address;
    char *name; /* hciN */
    bool powered;
} PdAdapterStatus;

typedef struct {
    void (*pen_added)(void *user_data, const char *serial);
    void (*pen_changed)(void *user_data, const char *serial);
    void (*pen_removed)(void *user_data, const char *serial);
    /* Live: a decoded record as it arrives; not yet durable. */
    void (*record)(void *user_data,
                   const char *serial,
                   uint64_t log_id,
                   const PenRecordHeader *header,
                   const PenBody *body,
                   uint32_t tick_unit);
    void (*link)(void *user_data, const char *serial, bool up);
} PdPenListener;

/**
 * Start supervising the store's enrolled pens.
 *
 * @bus: the bus with org.bluez (system bus, or the private one of a test).
 * Owns: refs @bus; borrows @store until pd_pen_manager_free(); copies @listener.
 */
PdPenManager *pd_pen_manager_new(GDBusConnection *bus,
                                 PdStore *store,
                                 const PdPenListener *listener,
                                 void *user_data);

/** Stop: flush nothing (the store does), disconnect what we connected, join the reader. */
void pd_pen_manager_free(PdPenManager *self);

/** Serials of the enrolled pens. Owns: container and strings are the caller's. */
GPtrArray *pd_pen_manager_list(PdPenManager *self);

/** Status of a pen; false when it is not enrolled. Owns: borrowed until the next main loop turn. */
bool pd_pen_manager_get(PdPenManager *self, const char *serial, PdPenStatus *status_out);

/** Enrol one pen as Manager1.Enroll says. Finish gives its serial, owned by the caller. */
void pd_pen_manager_enroll_async(PdPenManager *self,
                                 const char *pen,
                                 const char *adapter,
                                 uint32_t timeout_s,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data);
char *pd_pen_manager_enroll_finish(PdPenManager *self, GAsyncResult *result, GError **error);

/** Forget a pen. Errors: PD_ERROR_UNREAD_RECORDS unless @force; NOT_FOUND. */
void pd_pen_manager_forget_async(PdPenManager *self,
                                 const char *serial,
                                 bool force,
                                 uint32_t uid,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data);
bool pd_pen_manager_forget_finish(PdPenManager *self, GAsyncResult *result, GError **error);

/** Adapters seen. Owns: array of PdAdapterStatus with a free function. */
GPtrArray *pd_pen_manager_list_adapters(PdPenManager *self);

/** True while org.bluez has an owner. */
bool pd_pen_manager_has_bluez(PdPenManager *self);

/** Segments lost between pen and reader since start. Any thread. */
uint64_t pd_pen_manager_get_frames_lost(PdPenManager *self);

/**
 * Whether anybody watches live: then the reader does not coalesce its wake-ups.
 */
void pd_pen_manager_set_watched(PdPenManager *self, bool watched);

/** Age of the reader thread's heartbeat in microseconds (CLOCK_MONOTONIC). For the watchdog. */
int64_t pd_pen_manager_get_reader_age_us(PdPenManager *self);
