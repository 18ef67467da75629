/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "service/service_internal.h"

typedef struct PdServiceVerify PdServiceVerify;

/** A verification as JSON lines. Owns: takes @verify; freed by the stream once that is open. */
PdServiceVerify *pd_service_verify_new(PdService *service, PdVerify *verify);
void pd_service_verify_free(PdServiceVerify *self);

const PdServiceStreamSource *pd_service_verify_get_funcs(void);
