/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * What a supervisor does next about one pen: a table of (state, event) rows.
 * The executor in pen/ performs one action per step and feeds back what came of it.
 */

typedef enum {
    PEN_LINK_IDLE = 0,    /* no adapter that is bonded to the pen */
    PEN_LINK_AWAIT,       /* one pending Connect, the pen may be away */
    PEN_LINK_PAUSE,       /* between two attempts */
    PEN_LINK_RESOLVE,     /* connected, waiting for services */
    PEN_LINK_FEATURE,     /* encrypted read of Feature */
    PEN_LINK_SUBSCRIBE,   /* Live, Stored, RACP, one after another */
    PEN_LINK_CLOCK,       /* reading the clock for an anchor */
    PEN_LINK_STREAM,      /* following the tail and back-filling */
    PEN_LINK_CLOSING,     /* Disconnect called, waiting for Connected=false */
    PEN_LINK_NEEDS_ENROL, /* the bond is gone: slow retries */
    PEN_LINK_STUCK,       /* bluetoothd holds debris of AcquireNotify (F1) */
    PEN_LINK_IN_USE,      /* another program holds the notifications (P4) */
    PEN_LINK_REFUSED,     /* unknown major version or wrong serial */
    PEN_LINK_NOISY,       /* sent what nobody can read for too long */
    PEN_LINK_N_STATES,
} PenLinkState;

typedef enum {
    PEN_LINK_EV_ADAPTER = 0, /* a bonded adapter is there and powered */
    PEN_LINK_EV_NO_ADAPTER,
    PEN_LINK_EV_CONNECTED,
    PEN_LINK_EV_ABSENT,     /* Connect gave up after 20 s or more (F11) */
    PEN_LINK_EV_ABORTED,    /* Connect failed at once, or the link fell within 1 s */
    PEN_LINK_EV_BUSY,       /* InProgress (P10) */
    PEN_LINK_EV_UNKNOWN,    /* Connect failed with what no table knows, or its object is gone */
    PEN_LINK_EV_RESOLVED,   /* services and every UUID are there */
    PEN_LINK_EV_UNRESOLVED, /* they are not, after 5 s (P19) */
    PEN_LINK_EV_DONE,       /* the step's call succeeded */
    PEN_LINK_EV_FAILED,     /* the step's call failed, link may be up */
    PEN_LINK_EV_AUTH,       /* a read was refused for want of encryption or bond */
    PEN_LINK_EV_STUCK,      /* AcquireNotify not answered, or NotPermitted without a holder */
    PEN_LINK_EV_IN_USE,     /* another program holds the notifications (P4) */
    PEN_LINK_EV_REFUSE,     /* version or serial */
    PEN_LINK_EV_NOISE,      /* malformed data beyond measure */
    PEN_LINK_EV_DOWN,       /* the link is gone */
    PEN_LINK_EV_TIMER,      /* the state's own timer ran out */
    PEN_LINK_EV_RESTARTED,  /* bluetoothd came back with a new owner */
    PEN_LINK_N_EVENTS,
} PenLinkEvent;

typedef enum {
    PEN_LINK_DO_NOTHING = 0,
    PEN_LINK_DO_CONNECT,
    PEN_LINK_DO_WAIT,    /* arm the timer with delay_ms */
    PEN_LINK_DO_RESOLVE, /* wait for the services at most delay_ms */
    PEN_LINK_DO_READ_FEATURE,
    PEN_LINK_DO_SUBSCRIBE,
    PEN_LINK_DO_READ_CLOCK,
    PEN_LINK_DO_STREAM,
    PEN_LINK_DO_DISCONNECT, /* and wait for the link's end at most delay_ms */
    PEN_LINK_DO_CURE,       /* ask for a restart of bluetooth.service, within its rules */
} PenLinkAction;

/* Quick ends in a row that mean a lost bond (F11). */
#define PEN_LINK_ABORTS_MAX 3u

typedef struct {
    PenLinkState state;
    uint32_t n_aborted;       /* quick ends in a row */
    uint32_t n_failed;        /* failures in a row, for the back-off */
    uint32_t n_noisy;         /* links ended for noise, for its back-off */
    PenLinkState after_close; /* where CLOSING leads */
    uint32_t close_delay_ms;  /* and how long to wait there */
    const char *why;          /* static: why there is no link, for people; NULL = not known */
} PenLink;

typedef struct {
    PenLinkAction action;
    uint32_t delay_ms; /* WAIT: without jitter, the executor adds up to a quarter; 0 = no timer */
} PenLinkStep;

void pen_link_init(PenLink *self);

/**
 * Take an event, move to the next state and say what to do.
 *
 * An event that has no row in this state changes nothing: DO_NOTHING.
 * Source: each row of the table cites its own.
 */
PenLinkStep pen_link_step(PenLink *self, PenLinkEvent event);

/** Where the row of (@state, @event) comes from; NULL when there is none. Owns: static. */
const char *pen_link_get_source(PenLinkState state, PenLinkEvent event);

/** A state as Pen1.State says it. Owns: static string. */
const char *pen_link_state_name(PenLinkState state);
/** What is so, and what happens next, for people; beside PenLink.why. Owns: static string. */
const char *pen_link_state_reason(PenLinkState state);
