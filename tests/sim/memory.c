/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * The pen's record memory: a ring of records with a mark, holes, and a count of what
 * was overwritten before anybody said that it may be (pen-telemetry-service.md, 3.2).
 */
#include "memory.h"

static void
unref_record(gpointer record)
{
    if (record != NULL) {
        g_bytes_unref(record);
    }
}

void
sim_memory_init(SimMemory *self, uint32_t capacity)
{
    *self = (SimMemory){ .capacity = capacity };
    self->records = g_ptr_array_new_with_free_func(unref_record);
    self->holes = g_hash_table_new(NULL, NULL);
    self->torn = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    self->overwritten = g_array_new(FALSE, FALSE, sizeof(SimRange));
}

void
sim_memory_clear(SimMemory *self)
{
    g_clear_pointer(&self->records, g_ptr_array_unref);
    g_clear_pointer(&self->holes, g_hash_table_unref);
    g_clear_pointer(&self->torn, g_array_unref);
    g_clear_pointer(&self->overwritten, g_array_unref);
}

uint32_t
sim_memory_next(const SimMemory *self)
{
    return self->newest + 1u;
}

static void
note_overwritten(SimMemory *self, uint32_t number)
{
    self->n_overwritten_unmarked++;
    if (self->overwritten->len > 0) {
        SimRange *last = &g_array_index(self->overwritten, SimRange, self->overwritten->len - 1u);
        if (last->last + 1u == number) {
            last->last = number;
            return;
        }
    }
    const SimRange range = { number, number };
    g_array_append_val(self->overwritten, range);
}

static void
overwrite_oldest(SimMemory *self)
{
    const uint32_t number = self->oldest;
    g_clear_pointer(&g_ptr_array_index(self->records, number - 1u), g_bytes_unref);
    g_hash_table_remove(self->holes, GUINT_TO_POINTER(number));
    if (number > self->marked) {
        note_overwritten(self, number);
    }
    self->oldest++;
}

void
sim_memory_append(SimMemory *self, GBytes *record)
{
    g_ptr_array_add(self->records, record);
    self->newest++;
    if (self->oldest == 0) {
        self->oldest = 1;
    }
    while (self->newest - self->oldest + 1u > self->capacity) {
        overwrite_oldest(self);
    }
}

GBytes *
sim_memory_get(const SimMemory *self, uint32_t number)
{
    if (number == 0 || number < self->oldest || number > self->newest) {
        return NULL;
    }
    return g_ptr_array_index(self->records, number - 1u);
}

void
sim_memory_tear(SimMemory *self, uint32_t number, uint32_t cause)
{
    g_hash_table_insert(self->holes, GUINT_TO_POINTER(number), GUINT_TO_POINTER(cause));
    g_array_append_val(self->torn, number);
}

uint32_t
sim_memory_get_hole(const SimMemory *self, uint32_t number)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(self->holes, GUINT_TO_POINTER(number)));
}

bool
sim_memory_mark(SimMemory *self, uint32_t number)
{
    if (number == 0 || number > self->newest) {
        return false;
    }
    self->marked = MAX(self->marked, number);
    return true;
}

uint32_t
sim_memory_get_free_permille(const SimMemory *self)
{
    if (self->newest == 0 || self->marked >= self->newest) {
        return 1000;
    }
    const uint32_t first_unmarked = MAX(self->oldest, self->marked + 1u);
    const uint32_t n_unmarked = self->newest - first_unmarked + 1u;
    return (uint32_t)((uint64_t)(self->capacity - n_unmarked) * 1000u / self->capacity);
}

SimRange
sim_memory_get_last_overwritten(const SimMemory *self)
{
    if (self->overwritten->len == 0) {
        return (SimRange){ 0, 0 };
    }
    return g_array_index(self->overwritten, SimRange, self->overwritten->len - 1u);
}
