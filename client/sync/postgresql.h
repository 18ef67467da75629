/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"

/* Rows in schema pentel of a PostgreSQL database, shared by any number of gateways. */
extern const SyncSinkFuncs sync_postgresql_funcs;
