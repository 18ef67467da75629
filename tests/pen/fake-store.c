/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Just what daemon/pen's intake and reader link against.
 */
#include "fake-store.h"

#include "core/wire.h"

bool
pd_store_append(PdStore *self, uint64_t log_id, const uint8_t *record, size_t n_record)
{
    if (log_id == self->slow_log_id) {
        g_usleep(200);
        return true;
    }
    pthread_mutex_lock(&self->lock);
    const bool has_room = !self->is_full;
    if (has_room) {
        self->n_appended++;
        self->last_log_id = log_id;
        self->last_number = (uint32_t)pen_wire_get(record + 6, 4);
    }
    pthread_mutex_unlock(&self->lock);
    return has_room;
}
