/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/queue.h"

/*
 * What a transaction can be asked to do besides storing records. Each makes a PdJob that
 * owns copies of what it was given; pass it to pd_queue_submit().
 */
PdJob pd_job_settle(uint64_t log_id, uint32_t first, uint32_t last, PdCause cause);
PdJob pd_job_damaged(uint64_t log_id, uint32_t number, const uint8_t *bytes, size_t n_bytes);
PdJob pd_job_anchor(uint64_t log_id, const PenAnchor *anchor);
PdJob pd_job_marked(uint64_t log_id, uint32_t marked);
PdJob pd_job_save_pen(const PdPenInfo *pen);
PdJob pd_job_forget_pen(const char *serial, uint32_t n_unread, uint32_t uid);
