/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what of a pen's notifications is a record and hands it to the store as it is:
 * raw before decode. Bodies are not looked into, but for the first byte that tells
 * samples, of which there are many, from what the supervisor wants to see.
 */
#include "pen/intake.h"

#include "core/wire.h"

/* A lost first segment leaves the rest of one record, at MTU 23 at most 54 segments. */
#define ORPHANS_MAX 64u

/* Tags of pentel.v1.Body: field << 3 | 2. */
#define TAG_SESSION_END (2u << 3 | 2u)
#define TAG_SAMPLES     (3u << 3 | 2u)

void
pd_intake_init(PdIntake *self, PdStore *store, PdProgress *progress)
{
    *self = (PdIntake){ .progress = pd_progress_ref(progress), .store = store };
    for (size_t i = 0; i < PD_N_STREAMS; i++) {
        pen_reassembly_init(&self->reassembly[i]);
    }
}

void
pd_intake_clear(PdIntake *self)
{
    g_clear_pointer(&self->progress, pd_progress_unref);
}

/* The same bytes again: on Live and on Stored, or asked for again. */
static bool
is_repeated(PdIntake *self, uint32_t number, uint32_t crc)
{
    const uint32_t at = number % PD_INTAKE_SEEN;

    if (self->seen_number[at] == number) {
        return self->seen_crc[at] == crc;
    }
    self->seen_number[at] = number;
    self->seen_crc[at] = crc;
    return false;
}

static void
take_numbered(PdIntake *self, PdIntakeResult *result)
{
    const uint8_t tag = result->bytes[PEN_RECORD_HEADER_SIZE];
    const uint32_t crc = (uint32_t)pen_wire_get(
        result->bytes + result->n_bytes - PEN_RECORD_CRC_SIZE, PEN_RECORD_CRC_SIZE);

    result->is_samples = tag == TAG_SAMPLES;
    if (is_repeated(self, result->header.number, crc)) {
        return; /* other bytes are the store's to judge: it keeps both (F30) */
    }
    const uint64_t log_id = pd_progress_get_log_id(self->progress);
    if (!pd_store_append(self->store, log_id, result->bytes, result->n_bytes)) {
        self->counts.n_refused++;
        self->seen_number[result->header.number % PD_INTAKE_SEEN] = 0;
        return;
    }
    self->counts.n_records++;
    result->has_gap = pd_progress_take(self->progress, &result->header, tag == TAG_SESSION_END);
}

static void
count_segment(PdIntake *self, PdStream stream, const uint8_t *segment, size_t n_segment)
{
    const bool is_first = n_segment > 0 && (segment[0] & PEN_SEGMENT_FIRST) != 0;

    self->n_segments[stream] = is_first ? 1u : self->n_segments[stream] + 1u;
}

/* What a report's records take on the air; control items are short and tell nothing. */
static void
note_length(PdIntake *self, uint32_t n_segments)
{
    uint32_t max = 0;

    self->lengths[self->length_at++ % PD_INTAKE_LENGTHS] = n_segments;
    for (uint32_t i = 0; i < PD_INTAKE_LENGTHS; i++) {
        max = MAX(max, self->lengths[i]);
    }
    self->counts.n_record_segments = max;
}

static void
take_whole(PdIntake *self, PdIntakeResult *result)
{
    result->status = pen_record_check(result->bytes, result->n_bytes, &result->header);
    if (result->status == PEN_STATUS_OK &&
        result->header.guard != (uint32_t)pd_progress_get_log_id(self->progress)) {
        result->status = PEN_STATUS_BAD_BODY;
    }
    if (result->status != PEN_STATUS_OK) {
        result->kind = PD_INTAKE_BAD;
        self->counts.n_malformed++;
        return;
    }
    result->kind = PD_INTAKE_RECORD;
    if (result->header.number != 0) {
        take_numbered(self, result);
    }
}

/* True when a segment is none of a record that was lost, but of an endless one. */
static bool
is_endless(PdIntake *self, PdStream stream, PenStatus status)
{
    if (status != PEN_STATUS_BAD_COUNTER) {
        self->n_orphans[stream] = 0;
        return false;
    }
    if (self->n_orphans[stream] < ORPHANS_MAX) {
        self->n_orphans[stream]++;
        return false;
    }
    return true;
}

void
pd_intake_push(PdIntake *self,
               PdStream stream,
               const uint8_t *segment,
               size_t n_segment,
               PdIntakeResult *result_out)
{
    PenReassembly *reassembly = &self->reassembly[stream];
    const uint64_t n_lost_before = reassembly->n_lost;

    *result_out = (PdIntakeResult){ .kind = PD_INTAKE_NOTHING };
    count_segment(self, stream, segment, n_segment);
    result_out->status = pen_reassembly_push(
        reassembly, segment, n_segment, &result_out->bytes, &result_out->n_bytes);
    self->counts.n_lost += reassembly->n_lost - n_lost_before;
    if (result_out->status == PEN_STATUS_OK) {
        self->n_orphans[stream] = 0;
        take_whole(self, result_out);
        if (stream == PD_STREAM_STORED && result_out->header.number != 0) {
            note_length(self, self->n_segments[stream]);
        }
    } else if (is_endless(self, stream, result_out->status) ||
               result_out->status == PEN_STATUS_SHORT ||
               result_out->status == PEN_STATUS_TOO_LONG) {
        self->counts.n_malformed++;
        result_out->kind = PD_INTAKE_GARBAGE;
    }
}
