/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "service/authority.h"

/*
 * What polkit said lately of a user in a login session, so that ten short-lived
 * clients in a row cost one check and not ten. Time is an argument.
 */
#define PD_SERVICE_VERDICT_US INT64_C(5000000) /* F9 */

typedef enum {
    PD_SERVICE_VERDICT_NONE = 0,
    PD_SERVICE_VERDICT_YES,
    PD_SERVICE_VERDICT_NO,
} PdServiceVerdict;

typedef struct {
    uint32_t uid;
    PdServiceAction action;
    const char *session; /* login session; NULL when it could not be told: never cached */
} PdServiceVerdictKey;

/** A cache. Owns: the caller, by g_hash_table_unref(). */
GHashTable *pd_service_verdicts_new(void);

void pd_service_verdicts_put(GHashTable *self,
                             const PdServiceVerdictKey *key,
                             bool allowed,
                             int64_t mono_us);

PdServiceVerdict pd_service_verdicts_get(GHashTable *self,
                                         const PdServiceVerdictKey *key,
                                         int64_t mono_us);
