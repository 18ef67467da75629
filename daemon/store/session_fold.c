/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Keeps one session's fold going while its records arrive.
 */
#include "store/session_fold.h"

#include "core/wire.h"
#include "store/store.h"

#include <string.h>

static void
free_note(gpointer data)
{
    PdNote *note = data;

    g_free(note->text);
    g_free(note);
}

PdSessionFold *
pd_session_fold_new(uint64_t log_id, uint32_t number)
{
    PdSessionFold *self = g_new0(PdSessionFold, 1);

    self->log_id = log_id;
    self->number = number;
    self->crcs = g_array_new(FALSE, FALSE, sizeof(PdNumberCrc));
    self->fold = g_malloc(pen_fold_size());
    self->receipt = g_checksum_new(G_CHECKSUM_SHA256);
    self->passes = g_array_new(FALSE, FALSE, sizeof(PenPass));
    self->notes = g_ptr_array_new_with_free_func(free_note);
    self->needs_fold = true;
    return self;
}

void
pd_session_fold_free(PdSessionFold *self)
{
    pd_record_place_clear(&self->place);
    g_array_unref(self->crcs);
    g_free(self->fold);
    g_checksum_free(self->receipt);
    g_array_unref(self->passes);
    g_ptr_array_unref(self->notes);
    g_free(self);
}

static void
on_pass(void *user_data, uint32_t index, const PenPass *pass)
{
    PdSessionFold *self = user_data;

    g_array_append_val(self->passes, *pass);
}

static PdNote *
add_note(PdSessionFold *self, uint64_t tick_us)
{
    PdNote *note = g_new0(PdNote, 1);

    note->tick_us = tick_us;
    g_ptr_array_add(self->notes, note);
    return note;
}

static void
on_setting(void *user_data, uint64_t tick_us, uint32_t depth_um)
{
    PdNote *note = add_note(user_data, tick_us);

    note->kind = PD_NOTE_SETTING;
    note->value = depth_um;
}

static void
on_cartridge(void *user_data, uint64_t tick_us, const PenCartridge *cartridge)
{
    PdNote *note = add_note(user_data, tick_us);

    note->kind = PD_NOTE_CARTRIDGE;
    note->cartridge = *cartridge;
}

static void
on_fault(void *user_data, uint64_t tick_us, uint32_t code, const char *text)
{
    PdNote *note = add_note(user_data, tick_us);

    note->kind = PD_NOTE_FAULT;
    note->value = code;
    note->text = g_strdup(text);
}

static const PenFoldSink sink = {
    .pass = on_pass,
    .setting = on_setting,
    .cartridge = on_cartridge,
    .fault = on_fault,
};

void
pd_session_fold_reset(PdSessionFold *self, const PenFoldConfig *config, uint32_t tick_unit)
{
    g_array_set_size(self->crcs, 0);
    g_array_set_size(self->passes, 0);
    g_ptr_array_set_size(self->notes, 0);
    g_checksum_reset(self->receipt);
    self->tick_unit = tick_unit;
    self->n_written_passes = 0;
    self->n_written_notes = 0;
    self->needs_fold = false;
    pen_fold_begin(self->fold, config, tick_unit, &sink, self);
}

/* Index of the first entry at or above @number. */
static guint
find_crc(const PdSessionFold *self, uint32_t number)
{
    guint low = 0;
    guint high = self->crcs->len;

    while (low < high) {
        const guint middle = low + (high - low) / 2;
        if (g_array_index(self->crcs, PdNumberCrc, middle).number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool
pd_session_fold_get_crc(const PdSessionFold *self, uint32_t number, uint32_t *crc_out)
{
    const guint at = find_crc(self, number);

    if (at >= self->crcs->len || g_array_index(self->crcs, PdNumberCrc, at).number != number) {
        return false;
    }
    *crc_out = g_array_index(self->crcs, PdNumberCrc, at).crc;
    return true;
}

static void
read_header(const uint8_t *record, size_t n_record, PenRecordHeader *out)
{
    *out = (PenRecordHeader){
        .length_bytes = (uint16_t)n_record,
        .guard = (uint32_t)pen_wire_get(record + 2, 4),
        .number = (uint32_t)pen_wire_get(record + 6, 4),
        .session = (uint32_t)pen_wire_get(record + 10, 4),
        .boot = (uint32_t)pen_wire_get(record + 14, 4),
        .tick = pen_wire_get(record + 18, 6),
    };
}

void
pd_session_fold_take(PdSessionFold *self, const uint8_t *record, size_t n_record)
{
    PenRecordHeader header;

    read_header(record, n_record, &header);
    const PdNumberCrc crc = {
        .number = header.number,
        .crc = (uint32_t)pen_wire_get(record + n_record - PEN_RECORD_CRC_SIZE, 4),
    };
    if (self->crcs->len == 0 ||
        g_array_index(self->crcs, PdNumberCrc, self->crcs->len - 1).number < header.number) {
        g_array_append_val(self->crcs, crc);
    } else {
        g_array_insert_val(self->crcs, find_crc(self, header.number), crc);
        self->needs_fold = true;
    }
    self->dirty = true;
    /* A body that opens with field 2, session_end: worth writing down at once. */
    self->is_urgent = self->is_urgent || self->is_over || record[PEN_RECORD_HEADER_SIZE] == 0x12;
    if (self->needs_fold) {
        return;
    }
    g_checksum_update(self->receipt, record, (gssize)n_record);
    /* What cannot be used is kept raw and counted by the fold. */
    (void)pen_fold_push(self->fold, &header, record, n_record);
}

void
pd_session_fold_look(PdSessionFold *self, PdSessionView *view_out)
{
    g_autofree PenFold *copy = g_memdup2(self->fold, pen_fold_size());
    g_autoptr(GChecksum) receipt = g_checksum_copy(self->receipt);
    gsize n_digest = sizeof view_out->receipt;

    g_checksum_get_digest(receipt, view_out->receipt, &n_digest);
    self->n_closed_passes = self->passes->len;
    pen_fold_end(copy, &view_out->fold);
    view_out->passes = self->passes;
    view_out->notes = self->notes;
}

void
pd_session_fold_unlook(PdSessionFold *self)
{
    g_array_set_size(self->passes, self->n_closed_passes);
}
