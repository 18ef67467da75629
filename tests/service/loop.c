/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Bounded turns of the main loop for tests.
 */
#include "loop.h"

static gboolean
on_time(gpointer user_data)
{
    bool *is_over = user_data;

    *is_over = true;
    return G_SOURCE_REMOVE;
}

void
loop_until(const bool *done)
{
    bool is_over = false;
    const guint id = g_timeout_add(LOOP_LIMIT_MS, on_time, &is_over);

    while (!*done && !is_over) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_false(is_over);
    g_source_remove(id);
}

void
loop_for(uint32_t ms)
{
    bool is_over = false;

    g_timeout_add(ms, on_time, &is_over);
    while (!is_over) {
        g_main_context_iteration(NULL, TRUE);
    }
}
