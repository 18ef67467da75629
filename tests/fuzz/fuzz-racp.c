/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What a pen may answer at its control point, in any order and at any time, beside what it
 * sends as records: steps of a kind, a length and that many bytes. What is asked for stays
 * within the log, what is marked within what is durable, what is kept within bounds.
 */
#include "core/wire.h"
#include "fuzz.h"
#include "pen/pen.h"

#include <string.h>

#define NEWEST  400u
#define DURABLE 150u
#define BAD_MAX 256u

const PdBluezCharId pd_pen_chars[PD_N_CHARS];

/* The link under the pen: the one write that waits for its answer. A fuzzer has one world. */
static struct {
    GAsyncReadyCallback callback; /* NULL: none */
    gpointer user_data;
    bool succeeds;
    uint8_t att_code;
    bool is_streaming;
    uint32_t asked_token;
} air;

static void
expect_request(const uint8_t *data, size_t n_data)
{
    FUZZ_REQUIRE(n_data == 2 || n_data == 7 || n_data == 11);
    if (n_data == 7) {
        FUZZ_REQUIRE(pen_wire_get(data + 3, 4) <= DURABLE);
    } else if (n_data == 11) {
        const uint64_t first = pen_wire_get(data + 3, 4);
        const uint64_t last = pen_wire_get(data + 7, 4);
        FUZZ_REQUIRE(first >= 1 && first <= last && last <= NEWEST && last - first < 64);
    }
}

void
pd_bluez_char_write_async(PdBluezDevice *device,
                          const PdBluezCharId *id,
                          const uint8_t *data,
                          size_t n_data,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data)
{
    expect_request(data, n_data);
    if (air.callback != NULL) {
        pd_pen_call_free(air.user_data);
    }
    air.callback = callback;
    air.user_data = user_data;
}

static bool
finish(GError **error)
{
    if (!air.succeeds) {
        g_set_error_literal(error, g_quark_from_static_string("fuzz"), 0, "refused");
    }
    return air.succeeds;
}

bool
pd_bluez_char_write_finish(PdBluezDevice *device, GAsyncResult *result, GError **error)
{
    return finish(error);
}

void
pd_bluez_char_start_notify_async(PdBluezDevice *device,
                                 const PdBluezCharId *id,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data)
{
    FUZZ_REQUIRE(air.callback == NULL);
    air.callback = callback;
    air.user_data = user_data;
}

bool
pd_bluez_char_start_notify_finish(PdBluezDevice *device, GAsyncResult *result, GError **error)
{
    return finish(error);
}

bool
pd_bluez_error_get_att(const GError *error, uint8_t *code_out)
{
    *code_out = air.att_code;
    return air.att_code != 0;
}

bool
pd_bluez_device_is_connected(const PdBluezDevice *self)
{
    return air.att_code != 1;
}

PdPenCall *
pd_pen_call_new(PdPen *self)
{
    PdPenCall *call = g_new0(PdPenCall, 1);
    call->pen = self;
    return call;
}

void
pd_pen_call_free(PdPenCall *self)
{
    g_free(self);
}

PdPen *
pd_pen_call_get(const PdPenCall *self)
{
    return self->pen;
}

PdPen *
pd_pen_ref(PdPen *self)
{
    return self;
}

void
pd_pen_unref(PdPen *self)
{
}

bool
pd_pen_is_streaming(const PdPen *self)
{
    return air.is_streaming;
}

void
pd_pen_tell_changed(PdPen *self)
{
}

/* FAILED ends the link. */
void
pd_pen_feed_because(PdPen *self, PenLinkEvent event, char *detail)
{
    air.is_streaming = false;
    g_free(detail);
}

void
pd_reader_drain(PdReader *self, uint64_t link, uint32_t token)
{
    air.asked_token = token;
}

void
pd_reader_set_hurry(PdReader *self, uint64_t id, bool hurry)
{
}

const PdIntakeCounts *
pd_reader_get_counts(PdReader *self, uint64_t id)
{
    return NULL;
}

bool
pd_store_is_hungry(const PdStore *self)
{
    return true;
}

void
pd_store_set_marked(PdStore *self, uint64_t log_id, uint32_t marked)
{
    FUZZ_REQUIRE(marked > 0 && marked <= DURABLE);
}

void
pd_store_append_damaged(
    PdStore *self, uint64_t log_id, uint32_t number, const uint8_t *bytes, size_t n_bytes)
{
    FUZZ_REQUIRE(number >= 1 && number <= NEWEST && n_bytes <= PEN_RECORD_MAX);
}

void
pd_store_flush_async(PdStore *self,
                     GCancellable *cancellable,
                     GAsyncReadyCallback callback,
                     gpointer user_data)
{
}

bool
pd_store_flush_finish(PdStore *self, GAsyncResult *result, GError **error)
{
    return true;
}

static void
answer_write(const uint8_t *data, size_t n_data)
{
    const GAsyncReadyCallback callback = air.callback;

    air.succeeds = n_data == 0 || data[0] == 0;
    air.att_code = air.succeeds ? 0 : data[0];
    air.callback = NULL;
    if (callback != NULL) {
        callback(NULL, NULL, air.user_data);
    }
}

static void
take_bad(PdPen *pen, const uint8_t *data, size_t n_data)
{
    g_autofree uint8_t *exact = g_memdup2(data, n_data);
    const PdReaderItem item = { .kind = PD_READER_BAD, .bytes = exact, .n_bytes = n_data };

    pd_racp_on_bad(pen, &item);
    FUZZ_REQUIRE(g_hash_table_size(pen->link.racp.bad) <= BAD_MAX);
}

static void
take_numbers(PdPen *pen, const uint8_t *data, size_t n_data)
{
    if (n_data < 4) {
        return;
    }
    const uint32_t first = 1u + (uint32_t)pen_wire_get(data, 2) % NEWEST;
    const uint32_t last = first + (uint32_t)pen_wire_get(data + 2, 2) % 64u;
    pd_progress_settle(pen->progress, first, MIN(last, NEWEST));
}

static void
step(PdPen *pen, uint8_t kind, const uint8_t *data, size_t n_data)
{
    g_autofree uint8_t *exact = g_memdup2(data, n_data);

    switch (kind % 7u) {
    case 0:
        pd_racp_on_indication(pen, exact, n_data);
        return;
    case 1:
        pd_racp_on_range_end(
            pen,
            n_data < 8 ? pen->link.racp.asked.first : (uint32_t)pen_wire_get(data, 4),
            n_data < 8 ? pen->link.racp.asked.last : (uint32_t)pen_wire_get(data + 4, 4));
        return;
    case 2:
        pd_racp_on_drained(pen, n_data == 0 ? air.asked_token : data[0]);
        return;
    case 3:
        answer_write(data, n_data);
        return;
    case 4:
        take_bad(pen, data, n_data);
        return;
    case 5:
        take_numbers(pen, data, n_data);
        return;
    default:
        pen->mark_goal = MIN((uint32_t)n_data, DURABLE);
        pd_racp_pump(pen);
        return;
    }
}

static void
run(PdPen *pen, const uint8_t *data, size_t n_data)
{
    size_t at = 0;

    for (uint32_t i = 0; i < 4096 && at + 2 <= n_data; i++) {
        const size_t n_left = n_data - at - 2;
        const size_t n = data[at + 1] < n_left ? data[at + 1] : n_left;
        step(pen, data[at], data + at + 2, n);
        FUZZ_REQUIRE(pen->info->marked <= DURABLE);
        at += 2 + n;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data)
{
    PenRanges settled;
    char serial[] = "PT-0001";
    PdPenInfo info = { .serial = serial, .log_id = 0x1122334455667788u };
    PdPenManager manager = { 0 };
    PdPen pen = { .n_refs = 1, .info = &info, .manager = &manager, .durable = DURABLE };

    memset(&air, 0, sizeof air);
    air.is_streaming = true;
    pen_ranges_init(&settled);
    pen.progress = pd_progress_new(info.log_id, &settled);
    pd_progress_raise(pen.progress, NEWEST);
    pen.link.feature = (PenFeature){ .oldest = 1, .newest = NEWEST, .free_permille = 900 };
    pen.marked_us = g_get_monotonic_time();
    pd_racp_init(&pen.link.racp);
    pd_racp_pump(&pen);
    run(&pen, data, n_data);
    if (air.callback != NULL) {
        pd_pen_call_free(air.user_data);
    }
    pd_racp_clear(&pen.link.racp);
    pd_progress_unref(pen.progress);
    return 0;
}
