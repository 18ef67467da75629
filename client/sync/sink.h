/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/config.h"
#include "sync/error.h"

#include <gio/gio.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * What a kind of sink must be able to do. The engine reads the journal, keeps the cursor and
 * what waits, and decides when; a sink takes one session's state at the head of the journal
 * to the other side and says how that went. One call at a time, never two at once: all but
 * create and destroy run in a worker thread and may block, so a sink needs no locks.
 *
 * Whatever a sink did before it was cut off is repeated later with the same or a later
 * state: every delivery must be idempotent by the session's id.
 */

typedef enum {
    SYNC_DELIVERED = 0, /* the other side has confirmed it durably */
    SYNC_RETRY,         /* the sink's fault, not this session's: everything backs off */
    SYNC_SET_ASIDE,     /* this session is refused (4xx): the others go on, until it changes or
                           `pentelctl sync retry` */
    SYNC_UNBOUND,       /* it has no patient reference and this sink needs one */
} SyncOutcomeKind;

typedef struct {
    SyncOutcomeKind kind;
    uint32_t after_ms; /* of SYNC_RETRY: as the server asked (Retry-After), 0 for our back-off; of
                          SYNC_DELIVERED: deliver once more then, 0 for no need of it */
    char *reason; /* owned; one line in words for all but SYNC_DELIVERED, nothing of a person */
    char *note;   /* owned; what the sink wants back next time as SyncDelivery.note: resource ids,
                     etags; any text; NULL keeps the earlier one. Kept for every kind of outcome. */
} SyncOutcome;

/* When and by whom something was last said about a session, from the journal. */
typedef struct {
    char *field;     /* owned; patient, operator, note, reaction, order, zone, zone:N (of
                       pass N), closed */
    int64_t wall_us; /* of the entry */
    uint64_t seq;    /* of the entry */
    uint32_t uid;    /* who wrote it, on that gateway */
} SyncSaid;

/* One session as it stands now. Borrowed by the sink for the call. */
typedef struct {
    const char *session;  /* UUID, the same on every gateway */
    const char *gateway;  /* whose record it is, and whose order of merit counts */
    const char *store_id; /* of the journal that seq is of; "" when not known */
    bool is_carried;      /* out of files: that gateway may have delivered a later state itself */
    /* The dictionary of Log1.GetSession (units there; lib/dict.h reads it); NULL when the
     * session was erased. */
    GVariant *state;
    bool is_erased;       /* to be redacted, never deleted (F21); state is NULL */
    uint64_t seq;         /* of the newest journal entry about it that was read */
    int64_t wall_us;      /* of that entry: the "journal time" of the order of merit */
    int64_t fold_wall_us; /* of the newest SessionChanged entry; 0 when none was read */
    uint32_t n_settled;   /* records that are here: last - first + 1 without all missing */
    const GArray *said;   /* of SyncSaid, in no order; an absent field was never said, one that
                             was taken back is said and absent from state */
    const char *note;     /* of the last outcome that had one, else NULL */
    int raw_fd;           /* with wants_raw: a file of length-delimited pentel.v1.RawRecord, whole,
                             at its start; else -1 */
    uint64_t n_raw_bytes;
} SyncDelivery;

/* Where deliveries come from. Borrowed until destroy. */
typedef struct {
    const char *name;      /* of the sink: NAME of NAME.conf */
    const char *gateway;   /* id of this gateway: [sink] gateway, else a UUID of the machine; that
                              of a delivery is its own */
    const char *state_dir; /* the instance's own directory, for what a sink must keep */
    bool sends_unbound;    /* [sink] unbound = send */
    bool is_dry_run;       /* read and compare, write nothing; deliver is not called */
    SyncConfig *config;
} SyncSetup;

/* How far everything is delivered. Borrowed for the call. */
typedef struct {
    const char *store_id; /* of the journal */
    uint64_t seq;         /* entries up to here are delivered or durably waiting */
    GBytes *hash;         /* of that entry; NULL when the journal gives none */
    int64_t now_us;       /* wall clock */
    bool is_last;         /* the program ends after this (--once) */
} SyncPosition;

typedef struct SyncSink SyncSink; /* each kind has its own */

typedef struct {
    const char *kind;      /* [sink] kind */
    bool may_send_unbound; /* unbound = send is allowed */
    bool may_raw;          /* raw = yes is allowed */
    guint n_batch_max;     /* deliveries that one call of deliver may get; 1 for FHIR */

    /** Read the configuration; no network. Main thread. Errors: SYNC_ERROR_CONFIG. */
    SyncSink *(*create)(const SyncSetup *setup, GError **error);
    void (*destroy)(SyncSink *self);

    /**
     * Reach the other side and see that it is what we take it for; called before the first
     * delivery and again after a SYNC_RETRY. Must be harmless when it is open already.
     *
     * Errors: SYNC_ERROR_CONFIG, SYNC_ERROR_FOREIGN end the program (before the first success)
     * or wait for retry; SYNC_ERROR_UNAVAILABLE and others: try again later.
     */
    bool (*open)(SyncSink *self, GCancellable *cancellable, GError **error);

    /** Create or upgrade the other side; NULL when there is nothing of the kind. */
    bool (*migrate)(SyncSink *self, GCancellable *cancellable, GError **error);

    /**
     * Deliver. @outcomes: as many as @deliveries, zeroed; a sink that stops early leaves the
     * rest as SYNC_RETRY with a reason. is_erased: redact instead.
     */
    void (*deliver)(SyncSink *self,
                    const SyncDelivery *const *deliveries,
                    guint n_deliveries,
                    SyncOutcome *outcomes,
                    GCancellable *cancellable);

    /**
     * All that was due is delivered, or some time went by (at least once in 10 min): a chance
     * to seal a file. May be NULL. Errors: are shown and tried again.
     */
    bool (*settle)(SyncSink *self,
                   const SyncPosition *position,
                   GCancellable *cancellable,
                   GError **error);

    /** Whether it must settle before more is delivered, though more is due. May be NULL. Main
     * thread, while no other call runs. */
    bool (*is_full)(const SyncSink *self);

    /** Let go of the connection; open may follow. */
    void (*close)(SyncSink *self);
} SyncSinkFuncs;

/** The kind of that name, NULL when there is none. Owns: static. */
const SyncSinkFuncs *sync_sink_find(const char *kind);

/** Names of all kinds, NULL-terminated. Owns: static. */
const char *const *sync_sink_kinds(void);

/** Set an outcome; the text is formatted. For sinks. */
void sync_outcome_set(SyncOutcome *self, SyncOutcomeKind kind, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
void sync_outcome_clear(SyncOutcome *self);

/** When @field was last said; NULL when it never was. Owns: borrowed from @delivery. */
const SyncSaid *sync_delivery_find_said(const SyncDelivery *delivery, const char *field);
