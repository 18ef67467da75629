/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"
#include "store/store.h"

/* Answers to questions, on a read connection; no state. Each is one short read. */

/** Whether a log is linked now: its unfinished session is live. */
typedef bool (*PdIsLinkedFunc)(void *user_data, uint64_t log_id);

typedef struct {
    PdDb *db;
    const char *raw_directory;
    PdIsLinkedFunc is_linked;
    void *user_data;
} PdQuery;

GPtrArray *pd_query_list_sessions(PdQuery *self,
                                  const PdSessionFilter *filter,
                                  uint64_t before_seq,
                                  uint32_t limit,
                                  GError **error);

PdSession *pd_query_get_session(PdQuery *self, const char *id, GError **error);

/** Length-delimited RawRecords after @after; @last_out the last number, unchanged at the end. */
GBytes *pd_query_read_raw(
    PdQuery *self, const char *id, uint32_t after, uint32_t *last_out, GError **error);

/** All anchors of a log and its tick unit. */
GArray *pd_query_get_anchors(PdQuery *self,
                             uint64_t log_id,
                             uint32_t *tick_unit_out,
                             GError **error);

/** Length-delimited entries of (after, upto]. */
GBytes *pd_query_read_journal(
    PdQuery *self, uint64_t after, uint64_t upto, uint64_t *last_out, GError **error);

GPtrArray *pd_query_load_pens(PdQuery *self, GError **error);
