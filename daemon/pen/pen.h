/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "bluez/client.h"
#include "bluez/gatt.h"
#include "core/link_table.h"
#include "pen/backfill.h"
#include "pen/manager.h"
#include "pen/reader.h"

/*
 * One pen and its supervisor. Private to daemon/pen. Reference counted because calls
 * to bluetoothd may outlive it; a call of an earlier link attempt is told from one of
 * this by its number.
 */
typedef struct PdPen PdPen;
typedef struct PdLogind PdLogind;
typedef struct PdEnrol PdEnrol;

typedef enum {
    PD_CHAR_FEATURE = 0,
    PD_CHAR_LIVE,
    PD_CHAR_STORED,
    PD_CHAR_RACP,
    PD_CHAR_CLOCK,
    PD_N_CHARS,
} PdChar;

/* pen-telemetry-service.md, 2. */
extern const PdBluezCharId pd_pen_chars[PD_N_CHARS];
#define PD_PEN_SERVICE_UUID "52797f00-bc08-4935-9e95-12fdb4ca7483"

typedef enum {
    PD_RACP_IDLE = 0,
    PD_RACP_WRITING,  /* the request is on its way */
    PD_RACP_RUNNING,  /* waiting for the response */
    PD_RACP_DRAINING, /* response seen, the sockets are being emptied */
    PD_RACP_GRACE,    /* drained, the range-end may still come */
    PD_RACP_BUSY,     /* the pen cannot read its memory just now */
} PdRacpState;

typedef enum {
    PD_RACP_REPORT = 0,
    PD_RACP_MARK,
} PdRacpOp;

/* The control point of one link: one procedure at a time. */
typedef struct {
    /* owned */
    PdBackfill backfill;
    GHashTable *bad; /* number -> BadRecord, of the numbers asked for */
    /* plain */
    PdRacpState state;
    PdRacpOp op;
    PenRange asked;
    uint32_t mark;
    uint32_t token;
    int64_t moved_us; /* last sign of life of the procedure */
    guint timer;
    bool has_range_end;
    bool has_aborted;
    bool has_resubscribed;
    bool has_response; /* it came before the write's own answer */
} PdRacp;

/* What belongs to one link. */
typedef struct {
    PenFeature feature; /* as read last */
    uint64_t epoch;     /* the reader's, 0 = none */
    int64_t up_us;      /* CLOCK_MONOTONIC of Connected */
    guint tick_timer;   /* anchors and marks */
    bool is_ours;       /* we connected it, so we may end it (P17) */
    bool is_down;       /* fell while AcquireNotify waits (F1) */
    bool has_acquire;   /* one is pending */
    bool by_signal[PD_N_STREAMS];
    bool is_told; /* store and listener know that it is up */
    bool has_feature_call;
    bool was_clock_set;
    PdRacp racp;
} PdLinkData;

struct PdPen {
    unsigned n_refs;
    /* owned */
    PdPenInfo *info;
    PdProgress *progress;  /* NULL until the log is known */
    PdBluezDevice *device; /* the one in use, NULL = none */
    GCancellable *connect; /* of the pending Connect */
    char *detail;          /* more about the state's reason, NULL = nothing */
    char *told;            /* state and reason as last told */
    char *reason;          /* as handed out */
    /* borrowed; outlives self's use because it detaches self first */
    PdPenManager *manager; /* NULL once detached */
    /* plain */
    PenLink state;
    PdLinkData link;
    int64_t connect_us;          /* when the pending Connect began */
    int64_t saved_us;            /* when last_seen was saved */
    int64_t yielded_us;          /* CLOCK_MONOTONIC of making room for another; 0 = never */
    int64_t marked_us;           /* CLOCK_MONOTONIC of the last mark */
    uint32_t attempt;            /* changes with every link and its end */
    uint32_t durable;            /* contiguous number of progress' log */
    uint32_t mark_goal;          /* mark when this one is durable; 0 = no hurry */
    uint32_t n_malformed_before; /* on earlier links */
    int64_t due_us;              /* CLOCK_MONOTONIC when the timer runs out */
    uint32_t n_letting_go;       /* Disconnects of pd_pen_let_go() under way */
    guint timer;
    bool is_held;       /* the enrolment window scans */
    bool is_suspended;  /* the enrolment window has the pen */
    bool inherits_link; /* the link that Connect will find is ours */
    bool found_linked;  /* it was there before Connect (P17) */
    bool wants_connect; /* when no longer held */
    bool is_flushing;
};

/* A call to bluetoothd about one link. */
typedef struct {
    PdPen *pen; /* owned reference */
    uint32_t attempt;
} PdPenCall;

/** A pen without a link; pd_pen_replan() sets it going. Owns: takes @info. */
PdPen *pd_pen_new(PdPenManager *manager, PdPenInfo *info);
PdPen *pd_pen_ref(PdPen *self);
void pd_pen_unref(PdPen *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdPen, pd_pen_unref)

/** Stop supervising; the manager is not used any more. */
void pd_pen_detach(PdPen *self);

/** Take an event of the link table and do what it says. */
void pd_pen_feed(PdPen *self, PenLinkEvent event);
/** As above, with words about it. Owns: takes @detail. */
void pd_pen_feed_because(PdPen *self, PenLinkEvent event, char *detail);

/** Adapters or devices changed: find one to use, or give up the one in use. */
void pd_pen_replan(PdPen *self);
/** A usable device of this pen: bonded, its adapter on, no debris. NULL = none. Owns: borrowed. */
PdBluezDevice *pd_pen_pick_device(PdPen *self);
/** It has a device to use, and every such adapter holds all the links it may. */
bool pd_pen_is_crowded_out(PdPen *self);
/** Take PdBluezDeviceChange bits of a device with this pen's address, on any adapter. */
void pd_pen_on_device_changed(PdPen *self, PdBluezDevice *device, uint32_t changed);

/** Begin and end of an enrolment window's scan on @adapter (P9). */
void pd_pen_hold(PdPen *self, const char *adapter);
void pd_pen_release(PdPen *self);

/** End the link if it is ours (P17) and stand idle until the next replan. */
void pd_pen_let_go(PdPen *self);
/** The same for the length of an enrolment window, and back to work. */
void pd_pen_suspend(PdPen *self);
/** @is_linked_by_us: the window made a link that is to be used. */
void pd_pen_resume(PdPen *self, bool is_linked_by_us);

/** The machine sleeps: the link ends if it is ours, and nothing is tried until the wake. */
void pd_pen_sleep(PdPen *self);
void pd_pen_wake(PdPen *self);

/** The state's one timer; adds up to a quarter of jitter (F22). */
void pd_pen_arm_timer(PdPen *self, uint32_t delay_ms);

/** The link is up and its records flow. */
bool pd_pen_is_streaming(const PdPen *self);
/** A session is open as far as records tell, linked or not. */
bool pd_pen_is_in_session(PdPen *self);
/** Of what was malformed since start, on all links, the part that never reached the store. */
uint32_t pd_pen_get_n_malformed_on_air(PdPen *self);
/** What was malformed since start, on all links and in the store. */
uint32_t pd_pen_get_n_malformed(PdPen *self);
/** As Pen1.State. Owns: static. */
const char *pd_pen_get_state(PdPen *self);
/** In words. Owns: borrowed until the next call. */
const char *pd_pen_get_reason(PdPen *self);
/** Tell the listener if state, battery or reason are others than last told. */
void pd_pen_tell_changed(PdPen *self);
/** Remember it in the store, in the background. */
void pd_pen_save(PdPen *self);

/** For a call about the present link. Owns: the caller's, freed by its completion. */
PdPenCall *pd_pen_call_new(PdPen *self);
void pd_pen_call_free(PdPenCall *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdPenCall, pd_pen_call_free)
/** The pen when its link is still the one of the call, else NULL. */
PdPen *pd_pen_call_get(const PdPenCall *self);

/* link.c: the steps that bring a link up, and its end. */
/** The link is up: nothing of an earlier one counts (P6). */
void pd_link_init(PdPen *pen);
/** The link is down or given up: close sockets, forget calls, tell store and listener. */
void pd_link_end(PdPen *pen);
/** Feeds DONE, FAILED, AUTH, REFUSE or DOWN. */
void pd_link_read_feature(PdPen *pen);
/** Feeds DONE, FAILED, AUTH, STUCK, IN_USE or DOWN. */
void pd_link_subscribe(PdPen *pen);
/** Begin to follow the tail and to back-fill. */
void pd_link_stream(PdPen *pen);
/** Read Feature of a link that streams: newest, oldest, what was overwritten. */
void pd_link_refresh_feature(PdPen *pen);

/* clock.c */
/** Make an anchor; feeds DONE or FAILED when the link waits for it. */
void pd_clock_read(PdPen *pen);

/* log.c: what Feature says about the log. */
/** Take over log, reach and firmware; a new log begins anew (F2). */
void pd_log_accept_feature(PdPen *pen, const PenFeature *feature);
/** Settle what is older than the pen's oldest and not here, with its cause (F5, F24). */
void pd_log_settle_lost(PdPen *pen);

/* racp.c */
void pd_racp_init(PdRacp *self);
void pd_racp_clear(PdRacp *self);
/** Ask for the next window or mark, if the control point is idle. */
void pd_racp_pump(PdPen *pen);
/** What the pen indicated on the control point. */
void pd_racp_on_indication(PdPen *pen, const uint8_t *bytes, size_t n_bytes);
/** The data stream says that the report of @first..@last is over. */
void pd_racp_on_range_end(PdPen *pen, uint32_t first, uint32_t last);
/** The sockets are empty, as asked with @token. */
void pd_racp_on_drained(PdPen *pen, uint32_t token);
/** Bytes that are no record: thrice alike they are kept as damaged (F3). */
void pd_racp_on_bad(PdPen *pen, const PdReaderItem *item);
/** Something of the report arrived. */
void pd_racp_touch(PdPen *pen);
/** A report is asked for or runs. */
bool pd_racp_is_reporting(const PdPen *pen);

/* mark.c */
/** Number to mark now, 0 = nothing. Starts a flush when one is due before. */
uint32_t pd_mark_get_due(PdPen *pen);
/** The pen has it. */
void pd_mark_done(PdPen *pen, uint32_t number);
/** The store's word on the pen's log. */
void pd_mark_on_durable(PdPen *pen, uint32_t contiguous);

/* intake of what the reader tells: tail.c */
void pd_tail_take(PdPen *pen, const PdReaderItem *item);

/* slots.c */
/** Places that other pens have on @adapter: links, and sessions that lost theirs lately. */
uint32_t pd_slots_count_others(const PdPen *self, const char *adapter);
/** Whether @adapter has no place for this pen now. */
bool pd_slots_is_full(const PdPen *self, const char *adapter);
/** A new link: false when there was no room, and it is being ended. */
bool pd_slots_keep(PdPen *self);
void pd_slots_on_link_ended(PdPenManager *self);
void pd_slots_start(PdPenManager *self);
void pd_slots_stop(PdPenManager *self);

/* cure.c */
/** Do about debris what the rules allow now; feeds ADAPTER or FAILED. */
void pd_cure_try(PdPen *pen);
/** Restart bluetooth.service if the rules allow it now; false when they do not. */
bool pd_cure_service(PdPenManager *self, const char *why);

/* sleep.c */
void pd_sleep_start(PdPenManager *self);
void pd_sleep_stop(PdPenManager *self);

/* manager.c */
struct PdPenManager {
    /* owned */
    GDBusConnection *bus;
    PdBluezClient *bluez;
    PdReader *reader;
    PdLogind *logind;
    GPtrArray *pens;    /* PdPen */
    GCancellable *life; /* cancelled when self goes: for answers that come later */
    GRand *rand;
    /* borrowed; ours until pd_pen_manager_free() */
    PdStore *store;
    PdTimeSync *time_sync;
    void *user_data;
    PdEnrol *enrol; /* the open window; clears itself */
    /* plain */
    PdPenListener listener;
    PdPenConfig config;
    int64_t cured_us; /* CLOCK_MONOTONIC, 0 = never */
    guint turn_timer; /* of slots.c */
    guint sleep_timer;
    int64_t sleep_us; /* CLOCK_MONOTONIC of the last announcement of sleep */
    uint32_t n_sleeps;
    bool is_asleep; /* from the announcement to the wake */
    bool watched;
};

/** An enrolled pen, NULL = none. Owns: borrowed. */
PdPen *pd_manager_find(PdPenManager *self, const char *serial);
PdPen *pd_manager_find_by_address(PdPenManager *self, const char *address);
/**
 * Serial of another pen than @serial whose log this is, enrolled or forgotten: no two pens
 * share one (F2). NULL = none. Owns: the caller.
 */
char *pd_manager_dup_log_owner(PdPenManager *self, uint64_t log_id, const char *serial);
/** A newly enrolled pen. Owns: takes @info. Returns it, borrowed. */
PdPen *pd_manager_add(PdPenManager *self, PdPenInfo *info);

/** How the enrolment window asks for the adapters to try. Owns: the caller's. */
GPtrArray *pd_manager_list_usable_adapters(PdPenManager *self, const char *adapter);

/* enrol.c: what the window wants to know of BlueZ. */
void pd_enrol_on_device(PdEnrol *self, PdBluezDevice *device);
void pd_enrol_on_service_down(PdEnrol *self);
/** End the window. @why: in words, for who opened it. */
void pd_enrol_cancel(PdEnrol *self, const char *why);
