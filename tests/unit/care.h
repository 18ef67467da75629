/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "rig.h"

/* What tests share of a store of which something goes, or that is damaged. */

#define LOG_ID     UINT64_C(0x9122334455667788)
#define MARK_BYTES 20u
#define PATIENT    "patient-to-be-forgotten"

bool care_erase(Rig *rig, const PdErasure *erasure, uint32_t *n_out, GError **error);
void care_hold(Rig *rig, const char *id, const char *reason, bool release);

/** A verification finds nothing. */
void care_expect_sound(Rig *rig);

/** Path of the only one in the rig's directory whose name begins so. Owns: the caller's; NULL
 * when there is none. */
char *care_find(const Rig *rig, const char *prefix);

/** Other bytes in the closed store's index, from @offset on. */
void care_overwrite(const Rig *rig, int64_t offset, const void *bytes, size_t n_bytes);

/** Where the first page of @table lies in the index. */
int64_t care_offset_of(const Rig *rig, const char *table);

/** Garbage in that page, after all is in the index, and the mark that has it looked for. */
void care_spoil(const Rig *rig, const char *table);

/** Whether any file below @path holds these bytes. */
bool care_tree_holds(const char *path, const void *bytes, size_t n_bytes);

/** Close, seal what can be, open. */
void care_seal(Rig *rig);

void care_anchor_now(Rig *rig);
uint32_t care_number_of(const Treatment *treatment, guint session);

/** Say of whom a session is. Owns: its id, the caller's. */
char *care_annotate(Rig *rig, const Treatment *treatment, guint session, const char *patient);

void care_expect_erased(Rig *rig, const Treatment *treatment, guint session);

/** Of four sessions three are sealed in one segment and one lies in the tail. */
Rig *care_new_rig(const Treatment *treatment);

PdBackup *care_begin_backup(Rig *rig, GCancellable *cancellable, GError **error);

/** A whole backup into the file @path. */
void care_back_up(Rig *rig, const char *path);
