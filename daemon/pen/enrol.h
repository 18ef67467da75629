/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "bluez/agent.h"
#include "pen/pen.h"

/*
 * An open enrolment window, shared by the files that carry it out. Private to daemon/pen.
 */

typedef enum {
    PD_ENROL_OPEN = 0,
    PD_ENROL_SCAN,
    PD_ENROL_STOP_SCAN,
    PD_ENROL_LINK,  /* Pair or Connect is pending */
    PD_ENROL_READY, /* waiting for the services */
    PD_ENROL_READ,
    PD_ENROL_REMOVE,
    PD_ENROL_SAVE,
    PD_ENROL_OVER,
} PdEnrolStep;

/* What a device refused so far. */
typedef struct {
    int64_t until_us; /* CLOCK_MONOTONIC; not tried again before */
    uint32_t n_times;
} PdEnrolRefusal;

struct PdEnrol {
    unsigned n_refs;
    /* owned */
    GTask *task; /* NULL when it is over */
    GCancellable *calls;
    GCancellable *life; /* the manager's: cancelled when that is gone */
    PdBluezAgent *agent;
    PdBluezDevice *device; /* being tried */
    GPtrArray *adapters;   /* addresses, to go through */
    GPtrArray *bonded;     /* addresses that hold the bond now */
    GTree *heard;          /* see pd_enrol_heard_new() */
    GHashTable *refused;   /* device address -> PdEnrolRefusal */
    char *wanted;          /* "", address or serial */
    char *adapter;         /* address or name of the only one to use, NULL = all */
    char *address;         /* of the pen once it is known */
    char *name;            /* of the pen, as far as an adapter heard it */
    char *scanning;        /* adapter, NULL = none */
    char *problem;         /* the last one, in words */
    /* borrowed; ends the window before it goes */
    PdPenManager *manager;
    PdPen *target; /* the enrolled pen that is meant, suspended; NULL = a new one */
    /* plain */
    PenFeature feature;
    PdEnrolStep step;
    guint adapter_at;
    guint timeout_id;
    guint timer_id;
    guint cancel_id;
    uint32_t pause_ms;  /* between two scans */
    int64_t scan_us;    /* when this scan began */
    int64_t heard_us;   /* when any pen was last heard */
    int64_t dead_us;    /* since when discovery shows no life; 0 = it does */
    uint32_t n_rungs;   /* of the ladder for it, climbed so far */
    int64_t ready_us;   /* when waiting for services began */
    int64_t adapter_us; /* when this adapter's turn began */
    uint32_t n_dropped; /* links of a bonded device that fell */
    uint32_t n_refused; /* pairings on this adapter */
    bool is_late;       /* the time is up, only a guess is brought to its end */
    bool is_guess;      /* nothing but the service tells that it is the pen */
    bool had_bond;      /* the device's bond is from before this window */
    bool is_linked;     /* we linked the device */
};

PdEnrol *pd_enrol_ref(PdEnrol *self);
void pd_enrol_unref(PdEnrol *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdEnrol, pd_enrol_unref)

/** The window ended while a call was under way: touch nothing. */
bool pd_enrol_is_over(const PdEnrol *self);

/** Address of the adapter whose turn it is. Owns: the window. */
const char *pd_enrol_get_adapter(const PdEnrol *self);

/** What the window is to say when it runs out. */
void pd_enrol_set_problem(PdEnrol *self, const char *problem);

/** The window's one timer. */
void pd_enrol_set_timer(PdEnrol *self, uint32_t delay_ms, GSourceFunc callback);

/** End the window without a pen. Owns: takes @error. */
void pd_enrol_fail(PdEnrol *self, GError *error);

/** A serial is looked for that no enrolled pen has: any pen may turn out to be it. */
bool pd_enrol_is_search(const PdEnrol *self);

/** Try again until the window runs out; @problem is what it will say then, NULL = as before. */
void pd_enrol_retry(PdEnrol *self, const char *problem);

/** The pen is bonded on this adapter, or it had its chance. */
void pd_enrol_next_adapter(PdEnrol *self);

/** The pen is bonded elsewhere, and here it will not be. */
void pd_enrol_skip_adapter(PdEnrol *self, const char *why);

/** Pens may connect again. */
void pd_enrol_release_all(PdEnrol *self);

/** Give up the device being tried, ending the link if it is ours. */
void pd_enrol_let_device_go(PdEnrol *self);

/** Completion of a Disconnect that nobody waits for; takes a device reference. */
void pd_enrol_on_ignored_disconnect(GObject *source, GAsyncResult *result, gpointer user_data);

/* enrol_heard.c: what is told when no pen was enrolled. */
/** What a window hears: device address -> who it is and why not. Owns: the caller's. */
GTree *pd_enrol_heard_new(void);
/** @device was tried and is not the pen, because of @why; replaces what was noted before. */
void pd_enrol_note(PdEnrol *self, const PdBluezDevice *device, const char *why);
/** @device is not tried, because of @why; the first reason stays. */
void pd_enrol_note_objection(PdEnrol *self, const PdBluezDevice *device, const char *why);
/** A try of @device begins: until it ends, how an earlier one ended is what is told. */
void pd_enrol_note_try(PdEnrol *self, const PdBluezDevice *device);
/** Who was heard and why none of them was enrolled. Owns: the caller's. */
char *pd_enrol_dup_outcome(const PdEnrol *self);

/* enrol_bond.c: bond, link and identify self->device. */
void pd_enrol_link_device(PdEnrol *self);

/* enrol_dead.c: the watchdog of discovery (P13). */
/** While scanning: true when it took over, and will start the scan again. */
bool pd_enrol_watch_discovery(PdEnrol *self);
/** The same when bluetoothd refused to start one. */
bool pd_enrol_watch_start(PdEnrol *self);

/* enrol_scan.c: find it on the adapter whose turn it is. */
void pd_enrol_start_scan(PdEnrol *self);
/** Start it after a pause. */
void pd_enrol_start_scan_in(PdEnrol *self, uint32_t pause_ms);
/** Stop the scan, let others have the radio for a pause, and start it again. */
void pd_enrol_scan_anew(PdEnrol *self, uint32_t pause_ms);
