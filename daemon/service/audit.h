/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdint.h>

/**
 * Note in the system's journal that @uid read something of sessions (F26).
 *
 * @session_id: NULL when it is not one in particular. @what: in words.
 */
void pd_service_audit_read(uint32_t uid, const char *session_id, const char *what);
