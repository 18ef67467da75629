/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Sets of numbers per log: stored, outside any session, settled with a cause.
 */
#include "store/logs.h"

#include "core/wire.h"

PdLog *
pd_log_new(uint64_t log_id)
{
    PdLog *self = g_new0(PdLog, 1);

    self->log_id = log_id;
    self->serial = g_strdup("");
    self->causes = g_array_new(FALSE, FALSE, sizeof(PdMissing));
    return self;
}

void
pd_log_free(PdLog *self)
{
    if (self == NULL) {
        return;
    }
    pen_ranges_clear(&self->stored);
    pen_ranges_clear(&self->outside);
    pen_ranges_clear(&self->gone);
    g_array_unref(self->causes);
    g_clear_pointer(&self->erased, g_hash_table_unref);
    g_free(self->serial);
    g_free(self);
}

static void
copy_ranges(PenRanges *to, const PenRanges *from)
{
    for (size_t i = 0; i < from->n_ranges; i++) {
        pen_ranges_add(to, from->ranges[i].first, from->ranges[i].last);
    }
}

PdLog *
pd_log_copy(const PdLog *self)
{
    PdLog *copy = pd_log_new(self->log_id);

    g_free(copy->serial);
    copy->serial = g_strdup(self->serial);
    copy->tick_unit = self->tick_unit;
    copy->marked = self->marked;
    copy->marked_wall_us = self->marked_wall_us;
    copy->n_faulty = self->n_faulty;
    copy_ranges(&copy->stored, &self->stored);
    copy_ranges(&copy->outside, &self->outside);
    copy_ranges(&copy->gone, &self->gone);
    if (self->causes->len > 0) {
        g_array_append_vals(copy->causes, self->causes->data, self->causes->len);
    }
    return copy;
}

void
pd_log_erase(PdLog *self, uint32_t session)
{
    if (self->erased == NULL) {
        self->erased = g_hash_table_new(NULL, NULL);
    }
    g_hash_table_add(self->erased, GUINT_TO_POINTER(session));
}

bool
pd_log_is_erased(const PdLog *self, uint32_t session)
{
    return self->erased != NULL && g_hash_table_contains(self->erased, GUINT_TO_POINTER(session));
}

void
pd_log_count_faulty(PdLog *self, uint32_t n)
{
    self->n_faulty += MIN(n, UINT32_MAX - self->n_faulty);
    self->changed = self->changed || n > 0;
}

static int
compare_missing(gconstpointer a, gconstpointer b)
{
    const PdMissing *left = a;
    const PdMissing *right = b;

    return left->first < right->first ? -1 : left->first > right->first;
}

void
pd_log_load_cause(PdLog *self, uint32_t first, uint32_t last, PdCause cause)
{
    const PdMissing missing = { .first = first, .last = last, .cause = cause };

    pen_ranges_add(&self->gone, first, last);
    g_array_append_val(self->causes, missing);
    if (self->causes->len > 1 &&
        g_array_index(self->causes, PdMissing, self->causes->len - 2).first > first) {
        g_array_sort(self->causes, compare_missing);
    }
}

/* Next number at or after @from that is in neither set, or false beyond @last. */
static bool
next_free_range(const PdLog *self, uint32_t from, uint32_t last, PenRange *out)
{
    PenRange a;

    while (pen_ranges_first_missing(&self->stored, from, last, UINT32_MAX, &a)) {
        if (pen_ranges_first_missing(&self->gone, a.first, a.last, UINT32_MAX, out)) {
            return true;
        }
        if (a.last >= last) {
            return false;
        }
        from = a.last + 1;
    }
    return false;
}

void
pd_log_settle(PdLog *self, uint32_t first, uint32_t last, PdCause cause, GArray *added_out)
{
    PenRange range;

    while (first <= last && next_free_range(self, first, last, &range)) {
        const PdMissing added = { .first = range.first, .last = range.last, .cause = cause };
        g_array_append_val(added_out, added);
        pd_log_load_cause(self, range.first, range.last, cause);
        if (range.last == UINT32_MAX) {
            return;
        }
        first = range.last + 1;
    }
}

static void
append_missing(GArray *out, uint32_t first, uint32_t last, PdCause cause)
{
    if (out->len > 0) {
        PdMissing *before = &g_array_index(out, PdMissing, out->len - 1);
        if (before->cause == cause && before->last + 1 == first) {
            before->last = last;
            return;
        }
    }
    const PdMissing missing = { .first = first, .last = last, .cause = cause };
    g_array_append_val(out, missing);
}

/* Split a range that is not stored by the causes that are known. */
static void
append_causes(const PdLog *self, PenRange range, GArray *out)
{
    uint32_t at = range.first;

    for (guint i = 0; i < self->causes->len; i++) {
        const PdMissing *cause = &g_array_index(self->causes, PdMissing, i);
        if (cause->last < at || cause->first > range.last) {
            continue;
        }
        if (cause->first > at) {
            append_missing(out, at, cause->first - 1, PD_CAUSE_MISSING);
            at = cause->first;
        }
        const uint32_t last = MIN(cause->last, range.last);
        append_missing(out, at, last, cause->cause);
        if (last == range.last) {
            return;
        }
        at = last + 1;
    }
    append_missing(out, at, range.last, PD_CAUSE_MISSING);
}

GArray *
pd_log_dup_missing(const PdLog *self, uint32_t first, uint32_t last)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(PdMissing));
    PenRange range;

    while (first <= last &&
           pen_ranges_first_missing(&self->stored, first, last, UINT32_MAX, &range)) {
        append_causes(self, range, out);
        if (range.last == UINT32_MAX) {
            break;
        }
        first = range.last + 1;
    }
    return out;
}

/* Numbers that were overwritten or went to another gateway tell nothing of what follows. */
static bool
is_hole(PdCause cause)
{
    return cause == PD_CAUSE_HOLE_FLASH_ERROR || cause == PD_CAUSE_HOLE_TORN_WRITE ||
           cause == PD_CAUSE_HOLE_UNSPECIFIED || cause == PD_CAUSE_DAMAGED;
}

uint32_t
pd_log_last_hole(const PdLog *self, uint32_t last)
{
    uint32_t at = last;

    for (guint i = 0; i < self->causes->len; i++) {
        const PdMissing *cause = &g_array_index(self->causes, PdMissing, i);
        if (cause->first > at && cause->first - at == 1 && is_hole(cause->cause)) {
            at = cause->last;
        }
    }
    return at < UINT32_MAX && pen_ranges_contains(&self->stored, at + 1) ? last : at;
}

uint32_t
pd_log_contiguous(const PdLog *self)
{
    uint32_t before = 0;
    uint32_t at = 0;

    do {
        before = at;
        at = at < UINT32_MAX ? pen_ranges_contiguous_from(&self->stored, at + 1) : at;
        at = at < UINT32_MAX ? pen_ranges_contiguous_from(&self->gone, at + 1) : at;
    } while (at != before);
    return at;
}

GBytes *
pd_ranges_to_bytes(const PenRanges *ranges)
{
    GByteArray *bytes = g_byte_array_new();

    for (size_t i = 0; i < ranges->n_ranges; i++) {
        uint8_t packed[8];
        pen_wire_put(packed, 4, ranges->ranges[i].first);
        pen_wire_put(packed + 4, 4, ranges->ranges[i].last);
        g_byte_array_append(bytes, packed, sizeof packed);
    }
    return g_byte_array_free_to_bytes(bytes);
}

void
pd_ranges_from_bytes(PenRanges *ranges, const uint8_t *bytes, size_t n_bytes)
{
    for (size_t i = 0; i + 8 <= n_bytes; i += 8) {
        pen_ranges_add(
            ranges, (uint32_t)pen_wire_get(bytes + i, 4), (uint32_t)pen_wire_get(bytes + i + 4, 4));
    }
}
