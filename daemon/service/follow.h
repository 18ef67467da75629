/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "service/service_internal.h"

/*
 * Those who watch live. Lines are made once for all of them, and only while there is
 * somebody; one that does not keep up loses lines and is told how many.
 */
#define PD_SERVICE_FOLLOW_QUEUE_MAX 65536u

/**
 * Begin to follow. @pen: "" for all.
 *
 * Owns:   @stream is borrowed; the stream keeps the follower. Returns the client's end of
 *         the pipe, the caller's to close; -1 on failure.
 * Errors: PD_ERROR_FAILED: no more descriptors.
 */
int pd_service_follow_begin(PdService *service,
                            PdServiceStream *stream,
                            const char *pen,
                            GError **error);

/** PdPenListener.record and .link. */
void pd_service_follow_on_record(void *user_data,
                                 const char *serial,
                                 uint64_t log_id,
                                 const PenRecordHeader *header,
                                 const PenBody *body,
                                 uint32_t tick_unit);
void pd_service_follow_on_link(void *user_data, const char *serial, bool up);
