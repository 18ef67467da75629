/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The Record Access Control Point of one link: one request at a time, its end, and what
 * to do when the pen does not keep to it. Whether a report brought what was asked is
 * told by numbers alone, after the sockets were drained, never by the response (F3).
 */
#include "bluez/error.h"
#include "core/wire.h"
#include "pen/pen.h"

#include <string.h>

/* pen-telemetry-service.md, 7. */
#define OP_REPORT        1u
#define OP_MARK          2u
#define OP_ABORT         3u
#define OP_RESPONSE      6u
#define OPERATOR_NONE    0u
#define OPERATOR_LE      2u
#define OPERATOR_RANGE   4u
#define FILTER_NUMBER    1u
#define CODE_SUCCESS     1u
#define CODE_BAD_OPERAND 5u
#define CODE_NONE_FOUND  6u
#define CODE_BUSY        10u
#define ATT_CCC_IMPROPER 0xFDu
#define ATT_RUNNING      0xFEu

#define SILENCE_US    10000000 /* F3 */
#define CHECK_MS      1000
#define GRACE_MS      300  /* for a range-end that the response overtook (F3) */
#define BUSY_MS       1000 /* profile, section 7: wait a second and ask again */
#define HUNGRY_MS     200  /* until the store's queue is looked at again (F4) */
#define BAD_MAX       256u
#define DAMAGED_AFTER 3u /* identical bytes; F3 */
#define AT_GUARD      2u
#define AT_NUMBER     6u
#define DAMAGED_BYTES 29u

typedef struct {
    GBytes *bytes; /* owned */
    uint32_t n_alike;
} BadRecord;

static void
bad_record_free(gpointer data)
{
    BadRecord *bad = data;

    g_bytes_unref(bad->bytes);
    g_free(bad);
}

void
pd_racp_init(PdRacp *self)
{
    *self = (PdRacp){ 0 };
    pd_backfill_init(&self->backfill);
    self->bad = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, bad_record_free);
}

void
pd_racp_clear(PdRacp *self)
{
    g_clear_handle_id(&self->timer, g_source_remove);
    pd_backfill_clear(&self->backfill);
    g_clear_pointer(&self->bad, g_hash_table_unref);
}

bool
pd_racp_is_reporting(const PdPen *pen)
{
    return pen->link.racp.state != PD_RACP_IDLE && pen->link.racp.op == PD_RACP_REPORT;
}

static void
set_timer(PdPen *pen, uint32_t delay_ms, GSourceFunc callback)
{
    g_clear_handle_id(&pen->link.racp.timer, g_source_remove);
    pen->link.racp.timer = g_timeout_add(delay_ms, callback, pen);
}

static void
end_procedure(PdPen *pen)
{
    PdRacp *self = &pen->link.racp;

    g_clear_handle_id(&self->timer, g_source_remove);
    if (self->op == PD_RACP_REPORT) {
        (void)pd_backfill_judge(&self->backfill, pen->progress, &self->asked);
    }
    self->state = PD_RACP_IDLE;
    pd_racp_pump(pen);
    pd_pen_tell_changed(pen);
}

static gboolean
on_grace_over(gpointer user_data)
{
    PdPen *pen = user_data;

    pen->link.racp.timer = 0;
    end_procedure(pen);
    return G_SOURCE_REMOVE;
}

static bool
has_all(const PdPen *pen)
{
    const PenRange *asked = &pen->link.racp.asked;

    return pd_progress_count_missing(pen->progress, asked->first, asked->last) == 0;
}

void
pd_racp_on_drained(PdPen *pen, uint32_t token)
{
    PdRacp *self = &pen->link.racp;

    if (self->state != PD_RACP_DRAINING || token != self->token) {
        return;
    }
    if (self->has_range_end || has_all(pen)) {
        end_procedure(pen);
        return;
    }
    self->state = PD_RACP_GRACE;
    set_timer(pen, GRACE_MS, on_grace_over);
}

void
pd_racp_on_range_end(PdPen *pen, uint32_t first, uint32_t last)
{
    PdRacp *self = &pen->link.racp;

    if (!pd_racp_is_reporting(pen) || first != self->asked.first || last != self->asked.last) {
        return;
    }
    self->has_range_end = true;
    if (self->state == PD_RACP_GRACE) {
        end_procedure(pen);
    }
}

static void
begin_drain(PdPen *pen)
{
    PdRacp *self = &pen->link.racp;

    g_clear_handle_id(&self->timer, g_source_remove);
    self->state = PD_RACP_DRAINING;
    self->token++;
    pd_reader_drain(pen->manager->reader, pen->link.epoch, self->token);
}

static void
fail(PdPen *pen, const char *why)
{
    g_message("%s: %s", pen->info->serial, why);
    pd_pen_feed_because(pen, PEN_LINK_EV_FAILED, g_strdup(why));
}

static void on_written(GObject *source, GAsyncResult *result, gpointer user_data);

static void
write_bytes(PdPen *pen, const uint8_t *bytes, size_t n_bytes)
{
    pd_bluez_char_write_async(pen->device,
                              &pd_pen_chars[PD_CHAR_RACP],
                              bytes,
                              n_bytes,
                              NULL,
                              on_written,
                              pd_pen_call_new(pen));
}

static void
write_abort(PdPen *pen)
{
    static const uint8_t bytes[] = { OP_ABORT, OPERATOR_NONE };

    pen->link.racp.has_aborted = true;
    pen->link.racp.moved_us = g_get_monotonic_time();
    write_bytes(pen, bytes, sizeof bytes);
}

static void
write_request(PdPen *pen)
{
    PdRacp *self = &pen->link.racp;
    uint8_t bytes[11] = { OP_REPORT, OPERATOR_RANGE, FILTER_NUMBER };

    self->state = PD_RACP_WRITING;
    self->moved_us = g_get_monotonic_time();
    self->has_response = false;
    if (self->op == PD_RACP_MARK) {
        bytes[0] = OP_MARK;
        bytes[1] = OPERATOR_LE;
        pen_wire_put(bytes + 3, 4, self->mark);
        write_bytes(pen, bytes, 7);
        return;
    }
    self->has_range_end = false;
    pen_wire_put(bytes + 3, 4, self->asked.first);
    pen_wire_put(bytes + 7, 4, self->asked.last);
    write_bytes(pen, bytes, 11);
}

static void
on_resubscribed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPenCall) call = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_char_start_notify_finish(NULL, result, &error);
    PdPen *pen = pd_pen_call_get(call);

    if (pen == NULL) {
        return;
    }
    if (!done) {
        fail(pen, error->message);
        return;
    }
    write_request(pen);
}

static void
on_refused(PdPen *pen, const GError *error)
{
    PdRacp *self = &pen->link.racp;
    uint8_t code = 0;

    if (!pd_bluez_device_is_connected(pen->device)) {
        return; /* Connected=false is on its way or was seen */
    }
    (void)pd_bluez_error_get_att(error, &code);
    if (code == ATT_CCC_IMPROPER && !self->has_resubscribed) {
        self->has_resubscribed = true;
        pd_bluez_char_start_notify_async(
            pen->device, &pd_pen_chars[PD_CHAR_RACP], NULL, on_resubscribed, pd_pen_call_new(pen));
    } else if (code == ATT_RUNNING && !self->has_aborted) {
        write_abort(pen);
    } else {
        fail(pen, error->message);
    }
}

static void
on_written(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPenCall) call = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_char_write_finish(NULL, result, &error);
    PdPen *pen = pd_pen_call_get(call);

    if (pen == NULL || pen->link.racp.state != PD_RACP_WRITING) {
        return;
    }
    if (!done) {
        on_refused(pen, error);
        return;
    }
    pen->link.racp.state = PD_RACP_RUNNING;
    if (pen->link.racp.has_response) {
        begin_drain(pen);
    }
}

static void
end_mark(PdPen *pen, uint8_t code)
{
    PdRacp *self = &pen->link.racp;

    if (code == CODE_SUCCESS) {
        pd_mark_done(pen, self->mark);
    } else {
        g_message("%s: mark up to %u refused, code %u", pen->info->serial, self->mark, code);
        pen->mark_goal = 0;
        pen->marked_us = g_get_monotonic_time();
    }
    end_procedure(pen);
}

static gboolean
on_busy_over(gpointer user_data)
{
    PdPen *pen = user_data;

    pen->link.racp.timer = 0;
    pen->link.racp.state = PD_RACP_IDLE;
    pd_racp_pump(pen);
    return G_SOURCE_REMOVE;
}

static void
end_report(PdPen *pen, uint8_t code)
{
    PdRacp *self = &pen->link.racp;

    if (code == CODE_BUSY) {
        self->state = PD_RACP_BUSY;
        set_timer(pen, BUSY_MS, on_busy_over);
        return;
    }
    if (code != CODE_SUCCESS && code != CODE_NONE_FOUND && code != CODE_BAD_OPERAND) {
        fail(pen, "the pen refuses to report its records");
        return;
    }
    if (self->state == PD_RACP_WRITING) {
        self->has_response = true;
    } else if (self->state == PD_RACP_RUNNING) {
        begin_drain(pen);
    }
}

void
pd_racp_on_indication(PdPen *pen, const uint8_t *bytes, size_t n_bytes)
{
    PdRacp *self = &pen->link.racp;

    if (n_bytes < 4 || bytes[0] != OP_RESPONSE) {
        pen->n_malformed_before++;
        return;
    }
    if (self->state != PD_RACP_WRITING && self->state != PD_RACP_RUNNING) {
        return;
    }
    if (bytes[2] == OP_ABORT && self->has_aborted) {
        begin_drain(pen);
        return;
    }
    if (bytes[2] == OP_MARK && self->op == PD_RACP_MARK) {
        self->has_aborted = false;
        end_mark(pen, bytes[3]);
    } else if (bytes[2] == OP_REPORT && self->op == PD_RACP_REPORT) {
        self->has_aborted = false;
        end_report(pen, bytes[3]);
    }
}

/* Every second of a procedure: is it still alive? */
static gboolean
on_check(gpointer user_data)
{
    PdPen *pen = user_data;
    PdRacp *self = &pen->link.racp;

    if (g_get_monotonic_time() - self->moved_us < SILENCE_US) {
        return G_SOURCE_CONTINUE;
    }
    if (!self->has_aborted) {
        g_message("%s: nothing for 10 s, aborting", pen->info->serial);
        write_abort(pen);
        return G_SOURCE_CONTINUE;
    }
    self->timer = 0;
    fail(pen, "the pen does not answer its control point");
    return G_SOURCE_REMOVE;
}

void
pd_racp_touch(PdPen *pen)
{
    pen->link.racp.moved_us = g_get_monotonic_time();
}

static gboolean
on_hungry(gpointer user_data)
{
    PdPen *pen = user_data;

    pen->link.racp.timer = 0;
    pd_racp_pump(pen);
    return G_SOURCE_REMOVE;
}

static bool
choose_window(PdPen *pen)
{
    PdRacp *self = &pen->link.racp;
    const PdIntakeCounts *counts = pd_reader_get_counts(pen->manager->reader, pen->link.epoch);

    pd_backfill_set_record(&self->backfill, counts != NULL ? counts->n_record_segments : 0);
    return pd_backfill_next(&self->backfill,
                            pen->progress,
                            pen->link.feature.oldest,
                            pd_progress_get_newest(pen->progress),
                            pd_progress_get_session(pen->progress),
                            &self->asked);
}

void
pd_racp_pump(PdPen *pen)
{
    PdRacp *self = &pen->link.racp;

    if (!pd_pen_is_streaming(pen) || self->state != PD_RACP_IDLE) {
        return;
    }
    self->mark = pd_mark_get_due(pen);
    const bool is_window = self->mark == 0 && choose_window(pen);
    pd_reader_set_hurry(pen->manager->reader, pen->link.epoch, is_window);
    if (is_window && !pd_store_is_hungry(pen->manager->store)) {
        set_timer(pen, HUNGRY_MS, on_hungry);
        return;
    }
    if (self->mark == 0 && !is_window) {
        return;
    }
    self->op = self->mark != 0 ? PD_RACP_MARK : PD_RACP_REPORT;
    set_timer(pen, CHECK_MS, on_check);
    write_request(pen);
}

/* The same bytes again and again are what the pen has: keep them as they are (F3). */
void
pd_racp_on_bad(PdPen *pen, const PdReaderItem *item)
{
    PdRacp *self = &pen->link.racp;
    const uint32_t guard = (uint32_t)pen->info->log_id;

    if (item->n_bytes < DAMAGED_BYTES || pen_wire_get(item->bytes + AT_GUARD, 4) != guard) {
        return;
    }
    const uint32_t number = (uint32_t)pen_wire_get(item->bytes + AT_NUMBER, 4);
    const uint32_t newest = pd_progress_get_newest(pen->progress);
    if (number == 0 || number > newest ||
        pd_progress_count_missing(pen->progress, number, number) == 0) {
        return;
    }
    g_autoptr(GBytes) bytes = g_bytes_new(item->bytes, item->n_bytes);
    BadRecord *bad = g_hash_table_lookup(self->bad, GUINT_TO_POINTER(number));
    if (bad == NULL || !g_bytes_equal(bad->bytes, bytes)) {
        if (g_hash_table_size(self->bad) >= BAD_MAX) {
            g_hash_table_remove_all(self->bad);
        }
        bad = g_new0(BadRecord, 1);
        bad->bytes = g_bytes_ref(bytes);
        g_hash_table_replace(self->bad, GUINT_TO_POINTER(number), bad);
    }
    if (++bad->n_alike < DAMAGED_AFTER) {
        return;
    }
    g_message("%s: record %u is damaged in the pen", pen->info->serial, number);
    pd_store_append_damaged(
        pen->manager->store, pen->info->log_id, number, item->bytes, item->n_bytes);
    pd_progress_settle(pen->progress, number, number);
    g_hash_table_remove(self->bad, GUINT_TO_POINTER(number));
}
