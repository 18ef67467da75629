/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "pen/manager.h"
#include "util/error.h"

/*
 * A private bus with pensim on it, a store in a directory of its own, and a manager
 * over both, in the test's main context. Every wait is bounded.
 */
typedef struct {
    char *directory;
    char *truth_path;
    char *address; /* of the bus */
    GSubprocess *bus_process;
    GSubprocess *sim;
    GDBusConnection *bus;
    PdStore *store;
    PdTimeSync *time_sync;
    PdPenManager *manager;
    GString *events;    /* what the listener heard: "added PT-0001;" */
    guint n_records;    /* live ones */
    guint n_clock_sets; /* of those */
} Rig;

/** Start the bus and pensim with @options (a command line), open the store. */
Rig *rig_new(const char *options);
/** End all, and remove the directory. */
void rig_free(Rig *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)

/** Start or end the manager alone: a daemon that comes and goes. */
void rig_start_manager(Rig *self, const PdPenConfig *config);
void rig_stop_manager(Rig *self);

/** Go on with an empty store, as another gateway would. The manager is stopped. */
void rig_swap_store(Rig *self);
/** The same with one that commits so seldom of itself. */
void rig_slow_store(Rig *self, uint32_t commit_ms);
/** Remember a pen as if it had been enrolled. The manager is stopped. */
void rig_save_pen(Rig *self, const char *serial, const char *adapter);
/** How many numbers of all sessions the store misses for @cause. */
uint32_t rig_count_missing(Rig *self, PdCause cause);

/** Run the main loop until @condition or @timeout_ms; fails the test with @what. */
typedef bool (*RigCondition)(Rig *self, const void *user_data);
void rig_wait(Rig *self,
              RigCondition condition,
              const void *user_data,
              uint32_t timeout_ms,
              const char *what);
/** Run the main loop for a while. */
void rig_idle(Rig *self, uint32_t ms);

/** Enrol and wait: the serial, or NULL with @error_out. Owns: the caller's. */
char *rig_enroll(
    Rig *self, const char *pen, const char *adapter, uint32_t timeout_s, GError **error_out);
bool rig_forget(Rig *self, const char *serial, bool force, GError **error_out);

/** A number of the truth file's pen @serial; 0 when it is not there yet. */
uint64_t rig_get_truth(Rig *self, const char *serial, const char *member);
/** As above, a text. Owns: the caller's. */
char *rig_dup_truth(Rig *self, const char *serial, const char *member);
/** Whether pensim printed @line. */
bool rig_said(Rig *self, const char *line);
/** How often pensim's output has @text. */
uint32_t rig_count(Rig *self, const char *text);

/** All of 1..newest of every pen is durable or settled. */
bool rig_is_settled(Rig *self, const void *user_data);
bool rig_is_state(Rig *self, const char *serial, const char *state);
