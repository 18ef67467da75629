/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/store.h"
#include "treatment.h"

/* A store in a directory of its own, with every call made to wait for its answer. */
typedef struct {
    char *directory; /* owned; removed with the rig */
    PdStore *store;  /* NULL while closed */
    PdStoreConfig config;
    uint64_t head;       /* as told last */
    uint32_t contiguous; /* as told last */
    PdStoreState state;  /* as told last */
    uint32_t n_durable;  /* times it was told */
} Rig;

/** Make a directory and open a store in it. */
Rig *rig_new(void);

/** Close, check that no process holds it, remove. */
void rig_free(Rig *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)

void rig_close(Rig *self);
void rig_open(Rig *self);

/** Open, expecting an error, which the caller owns. */
GError *rig_open_fails(Rig *self);

void rig_append(Rig *self, const Treatment *treatment, uint32_t number);
void rig_append_all(Rig *self, const Treatment *treatment);
void rig_flush(Rig *self);

/** Sessions as listed, newest first. @filter: NULL for all. */
GPtrArray *rig_list(Rig *self, const PdSessionFilter *filter, uint64_t before, uint32_t limit);

/** NULL with @error set when it fails. */
PdSession *rig_get(Rig *self, const char *id, GError **error);

/** The session of a log by its number; fails the test when it is not there. */
PdSession *rig_get_number(Rig *self, uint64_t log_id, uint32_t number);

/** seq of the entry, 0 with @error set. */
uint64_t rig_annotate(Rig *self, const char *id, const PdAnnotation *annotation, GError **error);

bool rig_save_pen(Rig *self, const PdPenInfo *pen, GError **error);

/** Length-delimited messages after a cursor; the cursor moves. */
GBytes *rig_read_raw(Rig *self, const char *id, uint32_t *after, GError **error);
GBytes *rig_read_journal(Rig *self, uint64_t *after, uint64_t upto, GError **error);

/** All raw records of a session, concatenated. */
GByteArray *rig_read_all_raw(Rig *self, const char *id);

/** All journal entries up to @upto. Owns: array of Pentel__V1__JournalEntry. */
GPtrArray *rig_read_all_journal(Rig *self, uint64_t upto);

/** True when a flush went well. */
bool rig_try_flush(Rig *self, GError **error);

/** Without its error. */
PdStoreHealth rig_health(Rig *self);
char *rig_dup_health_error(Rig *self);

/** Run the main context until @done says so or @limit_ms passed. False at the limit. */
bool rig_wait(bool (*done)(gpointer data), gpointer data, uint32_t limit_ms);

/** What a query gave, in the words of treatment_format(). */
char *rig_format(const PdSession *session);

/** State and missing ranges as "lossy 3-4:hole:flash-error". */
char *rig_format_state(const PdSession *session);

/** Path below the rig's directory. Owns: the caller. */
char *rig_path(const Rig *self, const char *name);

/** Run SQL on the closed store's index. */
void rig_sql(const Rig *self, const char *sql);
int64_t rig_sql_int(const Rig *self, const char *sql);

void rig_remove_tree(const char *path);

/** Every session is complete and is what core alone makes of its records. */
void rig_expect_complete(Rig *self, const Treatment *treatment);

/**
 * Run @child in a process that is killed after @after_us, or with 0 once it said something.
 * Owns: what it wrote to @fd.
 */
GByteArray *rig_run_and_kill(void (*child)(gpointer data, int fd),
                             gpointer data,
                             uint32_t after_us);

/**
 * Run @child in a process that is killed at its step number @n_steps, counted from 0: just
 * before it syncs, renames, deletes or makes something. Returns whether it came to its end.
 */
bool rig_run_steps(void (*child)(gpointer data), gpointer data, uint32_t n_steps);

/**
 * From now on put into @names which files are synced ("sync PATH") and exchanged ("exchange
 * PATH"), while one thread does so; NULL ends it. Owns: strings are the array's to free.
 */
void rig_name_steps(GPtrArray *names);

/** Stand between SQLite and the disk, before anything is opened. */
void rig_watch_disk(void);

/** From now on every write says that the disk is full. Any thread. */
void rig_set_disk_full(bool full);

/** From now on every sync of a database fails, and what it was to write is given up. */
void rig_set_disk_unsyncable(bool unsyncable);

/**
 * Follow what of the one database @path, which is durable now, survives a power cut. NULL ends
 * it; rig_write_durable() puts what survives so far into another file.
 */
void rig_watch_durable(const char *path);
void rig_write_durable(const char *path);

/** The disk is full while the file @path is there; NULL ends that. Owns: borrowed until then. */
void rig_set_disk_full_while(const char *path);
