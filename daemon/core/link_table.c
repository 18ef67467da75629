/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The life of a link as data: one row per (state, event) that means something, with
 * the reason beside it. What has no row is ignored: late answers of a call or a link
 * that is over come in any order.
 */
#include "core/link_table.h"

#include <stddef.h>

/* How long to wait; the numbers are in delay_of(). */
typedef enum {
    NO_DELAY = 0,
    QUICK,    /* a link that just ended: the pen is near */
    BACK_OFF, /* grows with n_failed */
    SAFE,     /* grows with n_failed, from 4 s */
    BUSY,     /* grows with n_failed, never below a second */
    ABSENT,   /* between two attempts at a pen that is away */
    RESOLVE,  /* for services after Connected */
    CLOSE,    /* for Connected=false after Disconnect */
    STUCK,    /* until the cure's rules are looked at again */
    IN_USE,   /* until another program may have let go */
    NOISE,    /* grows with n_noisy */
    TEN_MIN,  /* nothing will change without a person */
} Delay;

typedef enum {
    KEEP = 0,
    COUNT_ABORT,
    COUNT_FAILURE,
    COUNT_NOISE,
    CLEAR_ABORTS, /* the pen encrypted: its bond stands */
    CLEAR_ALL,
} Count;

typedef struct {
    PenLinkState state;
    PenLinkEvent event;
    PenLinkState next;
    PenLinkAction action;
    Delay delay;
    PenLinkState after_close; /* for CLOSING: the delay then is of that state */
    Count count;
    const char *source;
} Row;

#define S(name) PEN_LINK_##name
#define E(name) PEN_LINK_EV_##name
#define D(name) PEN_LINK_DO_##name

/* Go to NEXT and do ACTION. */
#define GO(state, event, next, action, delay, count, source)                                       \
    {                                                                                              \
        S(state), E(event), S(next), D(action), delay, S(IDLE), count, source                      \
    }
/* End the link, then wait in NEXT. */
#define END(state, event, next, delay, count, source)                                              \
    {                                                                                              \
        S(state), E(event), S(CLOSING), D(DISCONNECT), delay, S(next), count, source               \
    }
/* Without an adapter, or with another bluetoothd, all begins again. */
#define GONE(state)                                                                                \
    GO(state, NO_ADAPTER, IDLE, NOTHING, NO_DELAY, KEEP, "P23: removal cascades"),                 \
        GO(state, RESTARTED, IDLE, NOTHING, NO_DELAY, CLEAR_ABORTS, "P24: a new generation")

static const Row rows[] = {
    GO(IDLE, ADAPTER, AWAIT, CONNECT, NO_DELAY, KEEP, "F22: one pending Connect per absent pen"),

    GO(AWAIT, CONNECTED, RESOLVE, RESOLVE, RESOLVE, KEEP, "P19: ready is more than connected"),
    GO(AWAIT, ABSENT, PAUSE, WAIT, ABSENT, KEEP, "F22: pause 1-5 s; F11: after 20 s it is absent"),
    GO(AWAIT, ABORTED, PAUSE, WAIT, QUICK, COUNT_ABORT, "F11: three quick aborts"),
    GO(AWAIT, FAILED, PAUSE, WAIT, BACK_OFF, COUNT_FAILURE, "P8: 0.25 s, then exponential"),
    GO(AWAIT, UNKNOWN, PAUSE, WAIT, SAFE, COUNT_FAILURE, "P12: unknown is a safe back-off"),
    GO(AWAIT, AUTH, NEEDS_ENROL, WAIT, TEN_MIN, KEEP, "P12: key missing, where it is said"),
    END(AWAIT, BUSY, PAUSE, BUSY, COUNT_FAILURE, "P10: Disconnect, then at least 1 s"),
    GONE(AWAIT),

    GO(PAUSE, TIMER, AWAIT, CONNECT, NO_DELAY, KEEP, "P31: for ever, capped"),
    GO(PAUSE, CONNECTED, RESOLVE, RESOLVE, RESOLVE, KEEP, "P17: adopt a link that is there"),
    GONE(PAUSE),

    GO(RESOLVE, RESOLVED, FEATURE, READ_FEATURE, NO_DELAY, KEEP, "F1: an encrypted read first"),
    END(RESOLVE, UNRESOLVED, PAUSE, BACK_OFF, COUNT_FAILURE, "P19: cured by a new link"),
    GO(RESOLVE, ABORTED, PAUSE, WAIT, QUICK, COUNT_ABORT, "F11: Connected falls at once"),
    GO(RESOLVE, DOWN, PAUSE, WAIT, BACK_OFF, COUNT_FAILURE, "P8: range or interference"),
    END(RESOLVE, AUTH, NEEDS_ENROL, TEN_MIN, KEEP, "F10: no verb on an unbonded device"),
    GONE(RESOLVE),

    GO(FEATURE, DONE, SUBSCRIBE, SUBSCRIBE, NO_DELAY, CLEAR_ABORTS, "F1: then AcquireNotify"),
    END(FEATURE, FAILED, PAUSE, BACK_OFF, COUNT_FAILURE, "P11: no answer; P20: stale cache"),
    END(FEATURE, AUTH, NEEDS_ENROL, TEN_MIN, KEEP, "P30: the pen forgot us"),
    END(FEATURE, REFUSE, REFUSED, TEN_MIN, KEEP, "profile 8.1: unknown major is refused"),
    GO(FEATURE, DOWN, PAUSE, WAIT, BACK_OFF, COUNT_FAILURE, "P8"),
    GONE(FEATURE),

    GO(SUBSCRIBE, DONE, CLOCK, READ_CLOCK, NO_DELAY, KEEP, "design: an anchor per connection"),
    END(SUBSCRIBE, FAILED, PAUSE, BACK_OFF, COUNT_FAILURE, "P5"),
    END(SUBSCRIBE, AUTH, NEEDS_ENROL, TEN_MIN, KEEP, "P30"),
    GO(SUBSCRIBE, STUCK, STUCK, CURE, NO_DELAY, KEEP, "F1 rule 3: end nothing, a cure is needed"),
    END(SUBSCRIBE, IN_USE, IN_USE, IN_USE, KEEP, "P4: never spin"),
    GO(SUBSCRIBE, DOWN, PAUSE, WAIT, BACK_OFF, COUNT_FAILURE, "P8"),
    GONE(SUBSCRIBE),

    GO(CLOCK, DONE, STREAM, STREAM, NO_DELAY, CLEAR_ALL, "design: follow the tail"),
    GO(CLOCK, FAILED, STREAM, STREAM, NO_DELAY, CLEAR_ALL, "P28: records need no clock to be kept"),
    GO(CLOCK, DOWN, PAUSE, WAIT, BACK_OFF, COUNT_FAILURE, "P8"),
    END(CLOCK, NOISE, NOISY, NOISE, COUNT_NOISE, "issue: an endless stream harms no other"),
    GONE(CLOCK),

    GO(STREAM, DOWN, PAUSE, WAIT, QUICK, KEEP, "bleak-retry: no back-off after a link that worked"),
    END(STREAM, FAILED, PAUSE, BACK_OFF, COUNT_FAILURE, "F3: RACP does not answer"),
    END(STREAM, TIMER, PAUSE, BACK_OFF, COUNT_FAILURE, "P6: a socket closed and the link stays"),
    END(STREAM, REFUSE, REFUSED, TEN_MIN, KEEP, "F2: not the pen that was enrolled"),
    END(STREAM, AUTH, NEEDS_ENROL, TEN_MIN, KEEP, "P30"),
    END(STREAM, NOISE, NOISY, NOISE, COUNT_NOISE, "issue: an endless stream harms no other"),
    GONE(STREAM),

    /* next is replaced by after_close. */
    GO(CLOSING, DOWN, PAUSE, WAIT, NO_DELAY, KEEP, "P8: wait for Connected=false"),
    GO(CLOSING, DONE, PAUSE, WAIT, NO_DELAY, KEEP, "P17: a link that is not ours stays up"),
    GO(CLOSING, TIMER, PAUSE, WAIT, NO_DELAY, KEEP, "P11: Disconnect may hang"),
    GONE(CLOSING),

    GO(NEEDS_ENROL, TIMER, AWAIT, CONNECT, NO_DELAY, KEEP, "F11: every 10 min only"),
    GONE(NEEDS_ENROL),

    GO(STUCK, TIMER, STUCK, CURE, NO_DELAY, KEEP, "F1 rule 4: at most once in 2 min"),
    GO(STUCK, FAILED, STUCK, WAIT, STUCK, KEEP, "F1 rule 4: not now, or refused"),
    GO(STUCK, ADAPTER, AWAIT, CONNECT, NO_DELAY, KEEP, "F1 rule 5: another bonded adapter first"),
    GONE(STUCK),

    GO(IN_USE, TIMER, AWAIT, CONNECT, NO_DELAY, KEEP, "P4"),
    GONE(IN_USE),

    GO(REFUSED, TIMER, AWAIT, CONNECT, NO_DELAY, KEEP, "P20: its firmware may have changed"),
    GONE(REFUSED),

    GO(NOISY, TIMER, AWAIT, CONNECT, NO_DELAY, KEEP, "P31"),
    GONE(NOISY),
};

static uint32_t
doubled(uint32_t base_ms, uint32_t n_times, uint32_t limit_ms)
{
    uint32_t delay_ms = base_ms;

    for (uint32_t i = 0; i < n_times && delay_ms < limit_ms; i++) {
        delay_ms *= 2;
    }
    return delay_ms < limit_ms ? delay_ms : limit_ms;
}

static uint32_t
delay_of(Delay delay, const PenLink *link)
{
    switch (delay) {
    case NO_DELAY:
        return 0;
    case QUICK:
        return 250; /* P8 */
    case BACK_OFF:  /* P8: 0.25 s for 9 failures, then doubling; P31: capped */
        return link->n_failed <= 9 ? 250 : doubled(250, link->n_failed - 9, 60000);
    case SAFE: /* bleak-retry: 4 s for a device that is gone; P12 */
        return doubled(4000, link->n_failed > 0 ? link->n_failed - 1 : 0, 60000);
    case BUSY: /* P10: at least 1 s */
        return doubled(1000, link->n_failed > 0 ? link->n_failed - 1 : 0, 60000);
    case ABSENT: /* F22: 1-5 s; at once after absence a Connect fails (F11) */
        return 1500;
    case RESOLVE: /* P19 */
    case CLOSE:   /* bleak-retry: at most so long for Connected=false; P11 */
    case STUCK:
        return 5000;
    case IN_USE:
        return 30000;
    case NOISE:
        return doubled(30000, link->n_noisy > 0 ? link->n_noisy - 1 : 0, 600000);
    case TEN_MIN:
        return 600000; /* F11 */
    }
    return 0;
}

static const Row *
find_row(PenLinkState state, PenLinkEvent event)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].state == state && rows[i].event == event) {
            return &rows[i];
        }
    }
    return NULL;
}

static void
count(PenLink *self, Count what)
{
    switch (what) {
    case KEEP:
        return;
    case COUNT_ABORT:
        self->n_aborted++;
        return;
    case COUNT_FAILURE:
        self->n_failed += self->n_failed < UINT32_MAX ? 1u : 0u;
        return;
    case COUNT_NOISE:
        self->n_noisy += self->n_noisy < UINT32_MAX ? 1u : 0u;
        return;
    case CLEAR_ABORTS:
        self->n_aborted = 0;
        return;
    case CLEAR_ALL:
        self->n_aborted = 0;
        self->n_failed = 0;
        return;
    }
}

typedef struct {
    PenLinkState state;
    PenLinkEvent event;
    const char *why;
} Why;

/* What ended a link, or kept it from being; never bluetoothd's own words (P8). */
static const Why whys[] = {
    { S(AWAIT), E(ABSENT), "the pen did not answer: off, out of range or linked elsewhere" },
    { S(AWAIT), E(ABORTED), "the link fell at once: interference, or its bond is lost" },
    { S(AWAIT), E(FAILED), "no link came about: interference, or the edge of its range" },
    { S(AWAIT), E(BUSY), "bluetoothd is still busy with an earlier attempt" },
    { S(AWAIT), E(UNKNOWN), "bluetoothd refused for a reason that is not known here" },
    { S(AWAIT), E(AUTH), "the pen refused the bond" },
    { S(RESOLVE), E(UNRESOLVED), "the pen did not show all its services within 5 s" },
    { S(RESOLVE), E(ABORTED), "the link fell at once: interference, or its bond is lost" },
    { S(RESOLVE), E(DOWN), "the link fell while it was set up: interference, or out of range" },
    { S(RESOLVE), E(AUTH), "the pen is not bonded here" },
    { S(FEATURE), E(FAILED), "the pen did not tell who it is" },
    { S(FEATURE), E(AUTH), "the pen refused the bond" },
    { S(FEATURE), E(REFUSE), "the pen is not one that can be used" },
    { S(FEATURE), E(DOWN), "the link fell while it was set up: interference, or out of range" },
    { S(SUBSCRIBE), E(FAILED), "its records could not be subscribed to" },
    { S(SUBSCRIBE), E(AUTH), "the pen refused the bond" },
    { S(SUBSCRIBE), E(STUCK), "bluetoothd holds a dead subscription" },
    { S(SUBSCRIBE), E(IN_USE), "another program holds the pen" },
    { S(SUBSCRIBE), E(DOWN), "the link fell while it was set up: interference, or out of range" },
    { S(CLOCK), E(DOWN), "the link fell while it was set up: interference, or out of range" },
    { S(CLOCK), E(NOISE), "the pen sent what cannot be read" },
    { S(STREAM), E(DOWN), "the link was lost: out of range, interference, or switched off" },
    { S(STREAM), E(FAILED), "the pen did not answer when asked for records" },
    { S(STREAM), E(TIMER), "its notifications ended though the link stood" },
    { S(STREAM), E(REFUSE), "the pen is not one that can be used" },
    { S(STREAM), E(AUTH), "the pen refused the bond" },
    { S(STREAM), E(NOISE), "the pen sent what cannot be read" },
};

/* Kept through CLOSING, PAUSE and AWAIT until there is news. */
static void
note_why(PenLink *self, PenLinkState state, PenLinkEvent event)
{
    for (size_t i = 0; i < sizeof whys / sizeof whys[0]; i++) {
        if (whys[i].state == state && whys[i].event == event) {
            self->why = whys[i].why;
            return;
        }
    }
    if (self->state == PEN_LINK_STREAM || self->state == PEN_LINK_IDLE) {
        self->why = NULL;
    }
}

static PenLinkStep
begin_close(PenLink *self, const Row *row)
{
    self->state = PEN_LINK_CLOSING;
    self->after_close = row->after_close;
    self->close_delay_ms = delay_of(row->delay, self);
    return (PenLinkStep){ .action = PEN_LINK_DO_DISCONNECT, .delay_ms = delay_of(CLOSE, self) };
}

static PenLinkStep
end_close(PenLink *self)
{
    self->state = self->after_close;
    return (PenLinkStep){ .action = PEN_LINK_DO_WAIT, .delay_ms = self->close_delay_ms };
}

void
pen_link_init(PenLink *self)
{
    *self = (PenLink){ .state = PEN_LINK_IDLE };
}

static PenLinkStep
take_row(PenLink *self, const Row *row)
{
    count(self, row->count);
    if (row->count == COUNT_ABORT && self->n_aborted >= PEN_LINK_ABORTS_MAX) {
        self->n_aborted = 0;
        self->state = PEN_LINK_NEEDS_ENROL;
        return (PenLinkStep){ .action = PEN_LINK_DO_WAIT, .delay_ms = delay_of(TEN_MIN, self) };
    }
    if (row->next == PEN_LINK_CLOSING) {
        return begin_close(self, row);
    }
    if (row->state == PEN_LINK_CLOSING && row->action == PEN_LINK_DO_WAIT) {
        return end_close(self);
    }
    self->state = row->next;
    return (PenLinkStep){ .action = row->action, .delay_ms = delay_of(row->delay, self) };
}

PenLinkStep
pen_link_step(PenLink *self, PenLinkEvent event)
{
    const Row *row = find_row(self->state, event);

    if (row == NULL) {
        return (PenLinkStep){ .action = PEN_LINK_DO_NOTHING };
    }
    const PenLinkStep step = take_row(self, row);
    note_why(self, row->state, event);
    return step;
}

const char *
pen_link_get_source(PenLinkState state, PenLinkEvent event)
{
    const Row *row = find_row(state, event);

    return row != NULL ? row->source : NULL;
}

typedef struct {
    const char *name;
    const char *reason;
} Words;

static const Words words[PEN_LINK_N_STATES] = {
    [PEN_LINK_IDLE] = { "no-adapter",
                        "no Bluetooth adapter that is bonded to this pen; it is used as soon as "
                        "one is there and on" },
    [PEN_LINK_AWAIT] = { "absent", "the pen is called; it is connected as soon as it is heard" },
    [PEN_LINK_PAUSE] = { "absent", "there is no link; it is tried again in a moment" },
    [PEN_LINK_RESOLVE] = { "connecting", "linked, reading what the pen offers, for 5 s at most" },
    [PEN_LINK_FEATURE] = { "connecting", "linked, checking who the pen is" },
    [PEN_LINK_SUBSCRIBE] = { "connecting", "linked, subscribing to its records" },
    [PEN_LINK_CLOCK] = { "connecting", "linked, comparing clocks" },
    [PEN_LINK_STREAM] = { "connected", "linked, following its records" },
    [PEN_LINK_CLOSING] = { "connecting", "the link is being ended, to try again" },
    [PEN_LINK_NEEDS_ENROL] = { "needs-enrol",
                               "the pen seems to have lost its bond; put it in pairing mode and "
                               "run pentelctl enroll; it is tried every 10 minutes" },
    [PEN_LINK_STUCK] = { "bluetoothd-stuck",
                         "bluetoothd holds a dead subscription of this pen; bluetooth.service is "
                         "restarted when no other pen is in a session, every 2 minutes at most" },
    [PEN_LINK_IN_USE] = { "in-use",
                          "another program on this machine holds the pen; it is left alone, and "
                          "tried "
                          "every 30 seconds" },
    [PEN_LINK_REFUSED] = { "refused", "the pen was refused; it is tried every 10 minutes" },
    [PEN_LINK_NOISY] = { "refused",
                         "the pen sends data that cannot be read; it was disconnected, and is "
                         "tried "
                         "less and less often" },
};

const char *
pen_link_state_name(PenLinkState state)
{
    return words[state].name;
}

const char *
pen_link_state_reason(PenLinkState state)
{
    return words[state].reason;
}
