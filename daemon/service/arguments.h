/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Arguments of methods, judged before anything is done with them. Every refusal is
 * PD_ERROR_INVALID_ARGUMENT and says what to pass.
 */
#define PD_SERVICE_TEXT_MAX 1024u

/* A key of an a{sv} argument: its D-Bus type and that in words. */
typedef struct {
    const char *key;
    const char *type;
} PdServiceOption;

/** Refuse keys that nobody knows, values of another type and overlong strings. */
bool pd_service_arguments_check_options(GVariant *options,
                                        const PdServiceOption *known,
                                        size_t n_known,
                                        GError **error);

/** Refuse a string beyond PD_SERVICE_TEXT_MAX bytes. @name: of the argument. */
bool pd_service_arguments_check_text(const char *name, const char *text, GError **error);

/**
 * A session id: a UUID or at least four leading digits of one, in lower case.
 *
 * Owns: the caller; NULL when refused.
 */
char *pd_service_arguments_dup_session_id(const char *text, GError **error);

/** A cursor as pd_service_arguments_dup_cursor() makes it, "" to begin. */
bool pd_service_arguments_parse_cursor(const char *cursor,
                                       uint64_t *before_seq_out,
                                       GError **error);

/** The cursor behind the session that arrived as @seq. Owns: the caller. */
char *pd_service_arguments_dup_cursor(uint64_t seq);

/** State of a session as a filter. */
bool pd_service_arguments_check_state(const char *state, GError **error);
