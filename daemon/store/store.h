/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/clock.h"
#include "core/fold.h"
#include "core/ranges.h"

#include <gio/gio.h>

/*
 * The durable log behind domain verbs. One writer thread owns the write
 * connection; queries run on a few workers with read connections of their own;
 * a checkpointer has a third. All *_async calls complete in the caller's
 * thread-default main context. Errors are of the domain PD_ERROR (util/error.h).
 */

typedef struct PdStore PdStore;

typedef enum {
    PD_STORE_OK = 0,
    PD_STORE_READ_ONLY,
    PD_STORE_FULL,
    PD_STORE_DAMAGED, /* the old store was moved aside, see pd_store_dup_error() */
    PD_STORE_FAILING, /* the last commit failed; retried every 5 s */
} PdStoreState;

/* Why a number will never arrive, as kept in the record. */
typedef enum {
    PD_CAUSE_NONE = 0,
    PD_CAUSE_OVERWRITTEN,
    PD_CAUSE_HOLE_FLASH_ERROR,
    PD_CAUSE_HOLE_TORN_WRITE,
    PD_CAUSE_HOLE_UNSPECIFIED,
    PD_CAUSE_DAMAGED,        /* the raw bytes are kept, their CRC is wrong */
    PD_CAUSE_HELD_ELSEWHERE, /* another gateway marked it */
    PD_CAUSE_MISSING,        /* still asked for: never stored, only reported */
} PdCause;

/** Text of a cause as in the JSON (overwritten, hole:flash-error, ...). Owns: static. */
const char *pd_cause_to_string(PdCause cause);

typedef struct {
    uint32_t first;
    uint32_t last;
    PdCause cause;
} PdMissing;

/* An enrolled pen, as remembered. */
typedef struct {
    char *serial;    /* unique key */
    char *address;   /* identity address AA:BB:CC:DD:EE:FF */
    char *name;      /* may be NULL */
    char *firmware;  /* may be NULL */
    char **adapters; /* addresses of adapters that hold a bond; NULL-terminated */
    uint64_t log_id; /* 0 until known */
    uint32_t tick_unit;
    uint32_t marked; /* highest mark this gateway made in log_id */
    uint32_t overwritten;
    int64_t last_seen_us; /* wall, 0 never */
} PdPenInfo;

void pd_pen_info_free(PdPenInfo *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdPenInfo, pd_pen_info_free)

/* Passes count from 1: passes->pdata[0] is the pass with index 1. */
typedef struct {
    PenPass fold;          /* ticks */
    int64_t start_wall_us; /* 0 when it cannot be placed */
    char *zone;            /* owned, NULL when nobody said */
} PdPass;

typedef struct {
    uint64_t tick_us;
    int64_t wall_us; /* 0 when it cannot be placed */
    enum { PD_NOTE_SETTING, PD_NOTE_CARTRIDGE, PD_NOTE_FAULT } kind;
    uint32_t value; /* depth_um, fault code */
    PenCartridge cartridge;
    char *text; /* owned, may be NULL */
} PdNote;

/* A session as queries give it. */
typedef struct {
    char id[37];
    uint64_t opened_seq; /* arrival order: the list's order and cursor */
    uint64_t log_id;
    uint32_t number; /* of the session-begin record */
    char *serial;
    /* first is @number and last the highest number known to belong to the session, whether
     * they are stored or missing; the session lasted end_us - start_us. */
    PenSessionFold fold;
    bool placed; /* the three below are known */
    int64_t start_wall_us;
    int64_t end_wall_us;
    uint32_t time_error_us;
    /* live open partial complete lossy closed-by erased. Without an end record a session is over
     * when its pen has a later session, boot or log. */
    char *state;
    GArray *missing; /* PdMissing */
    char **zones;
    /* Annotations at the head, NULL when unset. */
    char *patient;
    char *operator_name;
    char *note;
    char *reaction; /* of the skin, in the clinician's words */
    char *order;    /* what the treatment was part of: a ServiceRequest or CarePlan */
    char *closed_reason;
    char *hold; /* why it may not be erased, NULL when it may */
    /* Filled by pd_store_get_session_* only. */
    GPtrArray *passes; /* PdPass */
    GPtrArray *notes;  /* PdNote, in order */
    char *definition;
    char receipt_sha256[65];
    uint32_t marked; /* of this session's numbers the highest the pen was told it may reuse */
    int64_t marked_wall_us;
} PdSession;

void pd_session_free(PdSession *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdSession, pd_session_free)

typedef struct {
    const char *serial; /* NULL any */
    int64_t since_us;   /* 0 any */
    int64_t until_us;   /* 0 any */
    const char *state;  /* NULL any */
    const char *text;   /* NULL any */
} PdSessionFilter;

typedef struct {
    PdStoreState state;
    char *error; /* owned, NULL when fine */
    uint64_t n_sessions;
    uint64_t head;         /* last durable journal seq */
    uint64_t n_records;    /* raw records stored since start */
    uint64_t n_bad;        /* whole but undecodable */
    uint64_t n_duplicates; /* same number, same bytes: ignored */
    uint64_t n_conflicts;  /* same number, other bytes: both kept */
    uint64_t n_erased;     /* of erased sessions: dropped on arrival */
    uint64_t n_dropped;    /* queue was full */
    uint64_t queue_bytes;
    uint64_t disk_free_bytes;
    uint32_t commit_us_max;
} PdStoreHealth;

void pd_store_health_clear(PdStoreHealth *self);

/* All are called in the main context given at open. */
typedef struct {
    /* Everything from 1 to @contiguous of @log_id is durable or settled. Numbers that a pen
     * lost before it was enrolled count once they are settled. */
    void (*durable)(void *user_data, uint64_t log_id, uint32_t contiguous);
    /* A journal entry became durable. */
    void (*journal)(void *user_data, uint64_t head);
    void (*state_changed)(void *user_data, PdStoreState state);
} PdStoreListener;

#define PD_STORE_CHECKPOINT_PAGES 1024u

typedef struct {
    const char *directory;     /* StateDirectory; the store lives in <directory>/store */
    uint32_t commit_ms;        /* 2000 */
    uint32_t commit_records;   /* 256 */
    uint32_t checkpoint_pages; /* in the WAL; PD_STORE_CHECKPOINT_PAGES, which 0 is as well */
    uint32_t retention_days;   /* sessions that ended before are erased; 0 never */
    PenFoldConfig fold;
} PdStoreConfig;

/**
 * Open or create the store and start its threads.
 *
 * A damaged store is moved aside as a whole directory and a fresh one begun; the
 * state says so. Owns: @listener is copied, @user_data borrowed until close.
 * Errors: PD_ERROR_STORE_NEWER: written by a later version: refuse to start.
 *         PD_ERROR_STORE: cannot create or lock it: refuse to start.
 * Blocks: for a migration; called before the main loop runs.
 */
PdStore *pd_store_open(const PdStoreConfig *config,
                       const PdStoreListener *listener,
                       void *user_data,
                       GError **error);

/**
 * Flush, stop the threads, close and free. Blocks until durable or failed. What was asked
 * before still completes, later in the main context; listeners are not called any more.
 */
void pd_store_close(PdStore *self);

/** Store id as UUID text. Owns: the store. */
const char *pd_store_get_id(const PdStore *self);

/**
 * Hand over one whole record (CRC right, number not 0). Any thread; never blocks.
 *
 * Owns: copies @record.
 * Returns false when the queue (8 MiB) is full or this is no record: dropped and counted.
 */
bool pd_store_append(PdStore *self, uint64_t log_id, const uint8_t *record, size_t n_record);

/** True when the queue is below its low mark (1 MiB): ask pens for more. */
bool pd_store_is_hungry(const PdStore *self);

/** Say that first..last will never arrive. Any thread; durable with the next commit. */
void pd_store_settle(PdStore *self, uint64_t log_id, uint32_t first, uint32_t last, PdCause cause);

/** Keep bytes whose CRC was wrong three times alike as number @number, settled as damaged. */
void pd_store_append_damaged(
    PdStore *self, uint64_t log_id, uint32_t number, const uint8_t *bytes, size_t n_bytes);

/** Remember an anchor of @log_id. Any thread. */
void pd_store_add_anchor(PdStore *self, uint64_t log_id, const PenAnchor *anchor);

/**
 * Insert or update an enrolled pen (by serial). Durable at once; completes after commit.
 *
 * Errors: PD_ERROR_WRONG_PEN: its log is that of another pen, be that one forgotten: nothing
 *         was changed.
 */
void pd_store_save_pen_async(PdStore *self,
                             const PdPenInfo *pen,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data);
bool pd_store_save_pen_finish(PdStore *self, GAsyncResult *result, GError **error);

/** Drop a pen from the enrolled ones; its sessions stay. */
void pd_store_forget_pen_async(PdStore *self,
                               const char *serial,
                               uint32_t n_unread,
                               uint32_t uid,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data);
bool pd_store_forget_pen_finish(PdStore *self, GAsyncResult *result, GError **error);

/** Remember what the pen was told it may reuse, with the wall time of now. Any thread. */
void pd_store_set_marked(PdStore *self, uint64_t log_id, uint32_t marked);

/** Whether the wall clock is synchronised, for what is written from now on. Any thread. */
void pd_store_set_wall_synced(PdStore *self, bool synced);

/** Tell whether a pen is linked: its newest unfinished session is live, else open. */
void pd_store_set_linked(PdStore *self, uint64_t log_id, bool linked);

/** Commit what is queued now; completes when it is durable and folded. Before any mark. */
void pd_store_flush_async(PdStore *self,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data);
bool pd_store_flush_finish(PdStore *self, GAsyncResult *result, GError **error);

/** Enrolled pens. Owns: array of PdPenInfo with a free function. Blocks: start-up only. */
GPtrArray *pd_store_load_pens(PdStore *self, GError **error);

/**
 * Numbers of @log_id that are durable or settled. Owns: @ranges_out is initialised
 * here and the caller's to clear. Thread-safe snapshot, no disk access.
 */
void pd_store_get_settled(PdStore *self, uint64_t log_id, PenRanges *ranges_out);

/**
 * Serial of the pen that @log_id belongs to, whether it is enrolled still or was forgotten;
 * NULL when nobody's. Thread-safe, no disk access. Owns: the caller.
 */
char *pd_store_dup_log_serial(PdStore *self, uint64_t log_id);

/**
 * Whole records of @log_id since start that no pen should send: a body that cannot be
 * decoded, a number that came with other bytes before. Thread-safe, no disk access.
 */
uint32_t pd_store_get_n_faulty(PdStore *self, uint64_t log_id);

/** Sessions, newest arrival first. @before_seq: 0 to begin. Finish gives PdSession array. */
void pd_store_list_sessions_async(PdStore *self,
                                  const PdSessionFilter *filter,
                                  uint64_t before_seq,
                                  uint32_t limit,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
GPtrArray *pd_store_list_sessions_finish(PdStore *self, GAsyncResult *result, GError **error);

/**
 * One session with passes, notes and receipt, by UUID or unambiguous prefix.
 * Errors: PD_ERROR_NOT_FOUND, PD_ERROR_AMBIGUOUS.
 */
void pd_store_get_session_async(PdStore *self,
                                const char *id,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data);
PdSession *pd_store_get_session_finish(PdStore *self, GAsyncResult *result, GError **error);

/** What is said about a session; a NULL field is left, an empty one cleared. */
typedef struct {
    const char *patient;
    const char *operator_name;
    const char *zone;
    const char *note;
    const char *reaction;
    const char *order;
    const char *close_reason;
    bool has_pass;       /* the zone is of one pass, else of the session */
    uint32_t pass_index; /* from 1 */
    uint32_t uid;        /* authenticated caller */
} PdAnnotation;

/** Append an annotation; completes with its seq when durable. */
void pd_store_annotate_async(PdStore *self,
                             const char *id,
                             const PdAnnotation *annotation,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data);
bool pd_store_annotate_finish(PdStore *self,
                              GAsyncResult *result,
                              uint64_t *seq_out,
                              GError **error);

/* What is to be erased: one of the first two. */
typedef struct {
    const char *session; /* UUID or at least 8 digits of one */
    const char *patient; /* all sessions of this reference, and entries that name it */
    const char *reason;
    uint32_t uid; /* authenticated caller */
} PdErasure;

/**
 * Remove content for good, also from free pages, the WAL and sealed segments, and keep it
 * from coming back from a pen. A tombstone stays. Completes when it is gone.
 *
 * @n_sessions_out: of them. @seq_out: of the last tombstone. @left_out: names below the state
 * directory that may hold copies (owned by the caller, may be NULL).
 * Errors: PD_ERROR_ON_HOLD, PD_ERROR_NOT_FOUND: nothing was erased.
 */
void pd_store_erase_async(PdStore *self,
                          const PdErasure *erasure,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data);
bool pd_store_erase_finish(PdStore *self,
                           GAsyncResult *result,
                           uint32_t *n_sessions_out,
                           uint64_t *seq_out,
                           char ***left_out,
                           GError **error);

/** Keep a session from being erased, or let it be again; completes with the entry's seq. */
void pd_store_hold_async(PdStore *self,
                         const char *id,
                         const char *reason,
                         bool release,
                         uint32_t uid,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer user_data);
bool pd_store_hold_finish(PdStore *self, GAsyncResult *result, uint64_t *seq_out, GError **error);

/**
 * A page of a session's raw records after number @after, at most 64 KiB and in no
 * read transaction longer than that page. Finish gives length-delimited
 * pentel.v1.RawRecord bytes; an empty GBytes is the end. @last_out: cursor.
 */
void pd_store_read_raw_async(PdStore *self,
                             const char *id,
                             uint32_t after,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data);
GBytes *pd_store_read_raw_finish(PdStore *self,
                                 GAsyncResult *result,
                                 uint32_t *last_out,
                                 GError **error);

/** Anchors and tick unit of a session's log. Owns: PenAnchor array. */
void pd_store_get_anchors_async(PdStore *self,
                                uint64_t log_id,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data);
GArray *pd_store_get_anchors_finish(PdStore *self,
                                    GAsyncResult *result,
                                    uint32_t *tick_unit_out,
                                    GError **error);

/** A page of journal entries in (after, upto], length-delimited, at most 64 KiB. */
void pd_store_read_journal_async(PdStore *self,
                                 uint64_t after,
                                 uint64_t upto,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data);
GBytes *pd_store_read_journal_finish(PdStore *self,
                                     GAsyncResult *result,
                                     uint64_t *last_out,
                                     GError **error);

/* Something that is not as it was written. */
typedef struct {
    char *where; /* "journal 17", "session 3f2a91c0-...", "segment 2026-11-000001.seg" */
    char *what;  /* in words */
} PdFinding;

void pd_finding_free(PdFinding *self);

/* A place in the journal, as kept elsewhere. */
typedef struct {
    const char *store_id; /* UUID of the store that wrote the entry */
    uint64_t seq;
    uint8_t hash[32];
} PdVerifyAnchor;

typedef struct {
    char store_id[37];
    uint64_t head; /* of the journal when the walk began, and its hash */
    uint8_t head_hash[32];
    uint64_t n_entries;
    uint64_t n_sessions;
    uint64_t n_records;
} PdVerifySummary;

typedef struct PdVerify PdVerify;

/**
 * Check everything that is stored against what was hashed and derived when it was written.
 *
 * @anchor: NULL, or an entry that must be in the journal. Owns: copied.
 */
PdVerify *pd_store_verify_new(PdStore *self, const PdVerifyAnchor *anchor);
void pd_verify_free(PdVerify *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdVerify, pd_verify_free)

/**
 * Do about a tenth of a second of it. Finish gives an array of PdFinding, often empty;
 * @done_out: that was all. Owns: @verify must outlive the call.
 */
void pd_store_verify_async(PdStore *self,
                           PdVerify *verify,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data);
GPtrArray *pd_store_verify_finish(PdStore *self,
                                  GAsyncResult *result,
                                  bool *done_out,
                                  GError **error);

/** How far it came; whole once done. */
void pd_verify_get_summary(const PdVerify *self, PdVerifySummary *out);

typedef struct PdBackup PdBackup;

/**
 * Take a consistent copy of everything, to be read piece by piece as a tar archive whose
 * last member is "manifest". Blocks no writer. Owns: the caller frees it.
 *
 * Errors: PD_ERROR_BUSY: one at a time. PD_ERROR_STORE: no room for the copy.
 */
void pd_store_backup_async(PdStore *self,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data);
PdBackup *pd_store_backup_finish(PdStore *self, GAsyncResult *result, GError **error);

/** The next piece; an empty one is the end. Owns: @backup must outlive the call. */
void pd_store_backup_read_async(PdStore *self,
                                PdBackup *backup,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data);
GBytes *pd_store_backup_read_finish(PdStore *self, GAsyncResult *result, GError **error);

/** Drop the copy. Any thread; many files are deleted: see pd_store_backup_drop(). */
void pd_backup_free(PdBackup *self);

/** The same on a worker. Owns: takes @backup. */
void pd_store_backup_drop(PdStore *self, PdBackup *backup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdBackup, pd_backup_free)

/**
 * Put a backup into the place of the store in @directory, which nobody may have open; what
 * was there is kept as <directory>/replaced-TIME.
 *
 * The store gets a new id, as its journal is shorter than what sinks have seen (F7). What was
 * erased since the backup is erased again: as the store that was there knows, and as the
 * journal entries (length-delimited) in @tombstones say, NULL for none.
 * Errors: PD_ERROR_INVALID_ARGUMENT: no whole backup: nothing was changed.
 *         PD_ERROR_STORE_NEWER, PD_ERROR_STORE likewise.
 */
bool pd_store_restore(const char *directory,
                      const char *path,
                      const char *tombstones,
                      GError **error);

/**
 * Whether the store needs another process. State PD_STORE_DAMAGED: SQLite found damage in what
 * it writes, and nothing more is stored; the next opening moves the store aside and begins a
 * fresh one with what can be salvaged. PD_STORE_FAILING, and the health's error says why: the
 * disk did not take what was in the WAL, which the next opening brings over from the beginning;
 * or what is stored contradicts itself, which the next opening looks at.
 */
bool pd_store_must_restart(PdStore *self);

/** Counters and state. No disk access. Owns: fields of @out are the caller's to clear. */
void pd_store_get_health(PdStore *self, PdStoreHealth *out);
