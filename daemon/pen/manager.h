/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/record.h"
#include "store/store.h"
#include "util/timesync.h"

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

typedef struct {
    bool notify_by_signal;      /* StartNotify where AcquireNotify is refused (F26, P7) */
    int16_t rssi_floor_dbm;     /* below it an advertisement proves nothing (F11); 0 = no floor */
    uint32_t links_per_adapter; /* that its controller holds; 0 = not known (P18) */
    uint32_t coalesce_ms;       /* the reader's wake-ups while nobody watches; 0 = 250 */
} PdPenConfig;

#define PD_PEN_CONFIG_DEFAULT                                                                      \
    ((PdPenConfig){ .notify_by_signal = false, .rssi_floor_dbm = 0, .coalesce_ms = 250 })

/**
 * Start supervising the store's enrolled pens.
 *
 * @bus: the bus with org.bluez (system bus, or the private one of a test).
 * @time_sync: the manager becomes its listener. The composition root passes the
 * store's durable() on to pd_pen_manager_on_durable().
 * Owns: refs @bus; borrows @store and @time_sync until pd_pen_manager_free(); copies
 * @config and @listener; borrows @user_data likewise.
 * Blocks: loads the enrolled pens; start-up only.
 */
PdPenManager *pd_pen_manager_new(GDBusConnection *bus,
                                 PdStore *store,
                                 PdTimeSync *time_sync,
                                 const PdPenConfig *config,
                                 const PdPenListener *listener,
                                 void *user_data);

/** Stop: flush nothing (the store does), disconnect what we connected, join the reader. */
void pd_pen_manager_free(PdPenManager *self);

/** Serials of the enrolled pens. Owns: container and strings are the caller's. */
GPtrArray *pd_pen_manager_list(PdPenManager *self);

/** Status of a pen; false when it is not enrolled. Owns: borrowed until the next main loop turn. */
bool pd_pen_manager_get(PdPenManager *self, const char *serial, PdPenStatus *status_out);

/** Everything up to @contiguous of @log_id is durable or settled: PdStoreListener.durable. */
void pd_pen_manager_on_durable(PdPenManager *self, uint64_t log_id, uint32_t contiguous);

/**
 * Enrol one pen as Manager1.Enroll says. Cancelling ends the window.
 *
 * @pen: "" for the first pen found, an address or a serial. @adapter: address or
 * hciN; NULL or "": bond on every powered LE adapter (F6). @timeout_s: 0 = 60.
 * Owns: finish gives the serial, the caller's.
 * Errors: PD_ERROR_BUSY (a window is open), NO_ADAPTER, NO_BLUEZ, ENROLL_TIMEOUT,
 * PAIRING_FAILED, WRONG_PEN ("serial" in its message), VERSION ("version" in its
 * message), MALFORMED, BLUEZ, G_IO_ERROR_CANCELLED.
 */
void pd_pen_manager_enroll_async(PdPenManager *self,
                                 const char *pen,
                                 const char *adapter,
                                 uint32_t timeout_s,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data);
char *pd_pen_manager_enroll_finish(PdPenManager *self, GAsyncResult *result, GError **error);

/** Forget a pen. Errors: PD_ERROR_UNREAD_RECORDS (also in a session) unless @force; NOT_FOUND. */
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
