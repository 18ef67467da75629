/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "sync/sink.h"

/*
 * The sink that needs no server: files of a day that appear whole, with their hashes, to be
 * carried elsewhere.
 */
extern const SyncSinkFuncs sync_directory_funcs;
