/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"

/*
 * Brings the WAL into the database on a thread and connection of its own, so that no commit
 * pays for it: at 4 MiB, and wholly when writing has paused (F14).
 */
typedef struct PdCheckpointer PdCheckpointer;

/** Start. @writer: its commits are counted from now on. */
PdCheckpointer *pd_checkpointer_start(const char *path, PdDb *writer, GError **error);

/** Stop. After the writer's thread ended, before its connection closes. NULL is nothing. */
void pd_checkpointer_stop(PdCheckpointer *self);

/** Tell that the writer finished a batch. */
void pd_checkpointer_written(PdCheckpointer *self);
