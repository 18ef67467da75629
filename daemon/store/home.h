/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"

/*
 * Where the store lives: <state>/store/index.db with its WAL, <state>/store/raw/ for
 * sealed segments, <state>/lock held while open.
 */
typedef struct {
    char *state;     /* owned */
    char *store;     /* owned; <state>/store */
    char *index;     /* owned; <state>/store/index.db */
    char *raw;       /* owned; <state>/store/raw */
    char *moved_to;  /* owned; where a damaged store went, NULL when none was */
    bool must_check; /* index.db was not closed the last time, or suspected; who has seen that it
                      * fits together clears it */
    int lock_fd;
} PdHome;

/** Make the directories and take the lock. Errors: PD_ERROR_STORE. */
bool pd_home_enter(PdHome *self, const char *state, GError **error);
void pd_home_leave(PdHome *self);

/**
 * Open index.db for writing, at this version's schema. A store that SQLite cannot read is
 * moved aside whole, as <state>/damaged-TIME, and a fresh one begun (F12).
 *
 * Errors: PD_ERROR_STORE_NEWER, PD_ERROR_STORE.
 */
PdDb *pd_home_open_index(PdHome *self, GError **error);

/**
 * Move a store aside whose damage was met only after it was opened; the next
 * pd_home_open_index() begins a fresh one. @why: for the log. Nobody has it open.
 * Errors: PD_ERROR_STORE.
 */
bool pd_home_move_aside(PdHome *self, const char *why, GError **error);

/** Say that it was closed, unless its WAL is still there or it is still to be checked. */
void pd_home_mark_closed(const PdHome *self);

/*
 * A restore makes the backup ready in <state>/restore.tmp and exchanges that with the store.
 * The mark lies in what is made ready, and so in the store after the exchange.
 */
#define PD_HOME_RESTORE      "restore.tmp"
#define PD_HOME_RESTORE_MARK "restored"

/**
 * End what an exchange began: the store that was there is called replaced-TIME. What was
 * never exchanged is deleted.
 *
 * Owns: returns the path of the store that was there, NULL when there is none.
 */
char *pd_home_settle_restore(PdHome *self);

/** Delete what was made ready and not exchanged. */
void pd_home_drop_restore(PdHome *self);

/** Leave a mark so that the next start checks every page before it trusts the store. */
void pd_home_suspect(PdHome *self);

/** The same for whoever knows only where index.db is. Any thread. */
void pd_home_suspect_index(const char *index);

/**
 * Put 16 MiB aside, to be let go when the disk is full (F26). False while there is not more
 * than twice that.
 */
bool pd_home_take_ballast(const PdHome *self);
void pd_home_drop_ballast(const PdHome *self);

/** Free bytes for us on the file system of the store; 0 when it cannot be told. */
uint64_t pd_home_free_bytes(const PdHome *self);
