/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"

/* kind = fhir: a FHIR R4 server. One session is one delivery. */
extern const SyncSinkFuncs sync_fhir_funcs;
