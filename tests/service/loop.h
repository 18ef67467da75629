/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>
#include <stdint.h>

#define LOOP_LIMIT_MS 10000u

/** Run the main loop until *@done; the test fails when that takes over LOOP_LIMIT_MS. */
void loop_until(const bool *done);

/** Run the main loop for so long. */
void loop_for(uint32_t ms);
