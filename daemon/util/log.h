/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>
#include <stdint.h>

/* Message ids of the lifecycle events; their texts for people are in pentel.catalog. */
#define PD_LOG_STARTED       "c8f1a4a2ff6d4b1c9e0f3a5d7b2c6e11"
#define PD_LOG_STOPPED       "5b0d9c3e8a7f4f26b1d4c6e2907a3f58"
#define PD_LOG_SESSION_READ  "9e2b7d41c05a4c8f8d3e1f6a4b9072cd"
#define PD_LOG_ANNOTATED     "2f6c8e9b1d7340a5a9c4e0b3d8f71526"
#define PD_LOG_HELD          "d4a95e0c7b134f2e86c1f90b3a7de258"
#define PD_LOG_PEN_ENROLLED  "71d3f0a8c9b24e65b7a1083f5ce2d94b"
#define PD_LOG_PEN_FORGOTTEN "e40a6b5d2c8f4917832bd0f9a7c15e36"
#define PD_LOG_STORE_STATE   "b37e5f10d48c4ad29f60c1a2e8b74d93"

/* What an event is about; NULL fields are left out. */
typedef struct {
    const char *message_id;
    const char *pen_id;
    const char *session_id;
    bool has_uid;
    uint32_t uid; /* of the caller it was done for */
} PdLogEvent;

/**
 * Send what GLib logs to the journal, with its fields, when standard error is the
 * journal, else as one line "topic: message" to standard error. Once, at start.
 */
void pd_log_setup(void);

/**
 * Log a lifecycle event at message level with its id and fields.
 *
 * @domain: the caller's G_LOG_DOMAIN.
 */
void pd_log_event(const char *domain, const PdLogEvent *event, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
