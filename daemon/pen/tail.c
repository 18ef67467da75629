/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What the reader hands to main about a link: control items, session begins and ends,
 * live records that somebody watches. Records are in the store before they are here.
 */
#include "pen/pen.h"
#include "record.pb-c.h"

#define HUP_WAIT_MS 2000 /* for Connected=false after bluetoothd closed a socket */

static PdCause
hole_cause(uint32_t cause)
{
    if (cause == PENTEL__V1__HOLE_CAUSE__HOLE_CAUSE_FLASH_ERROR) {
        return PD_CAUSE_HOLE_FLASH_ERROR;
    }
    if (cause == PENTEL__V1__HOLE_CAUSE__HOLE_CAUSE_TORN_WRITE) {
        return PD_CAUSE_HOLE_TORN_WRITE;
    }
    return PD_CAUSE_HOLE_UNSPECIFIED;
}

/* Only of what was asked for: a pen cannot settle what it does not have. */
static void
take_hole(PdPen *pen, const PenBody *body)
{
    const uint32_t number = body->hole.number;

    if (number < pen->link.feature.oldest || number > pd_progress_get_newest(pen->progress) ||
        pd_progress_count_missing(pen->progress, number, number) == 0) {
        return;
    }
    pd_store_settle(
        pen->manager->store, pen->info->log_id, number, number, hole_cause(body->hole.cause));
    pd_progress_settle(pen->progress, number, number);
}

static void
take_oldest(PdPen *pen, uint32_t oldest, uint32_t newest)
{
    if (oldest > pen->link.feature.oldest && oldest <= newest) {
        pd_link_refresh_feature(pen); /* only Feature says what became of the others */
    }
}

static void
take_head(PdPen *pen, const PenBody *body)
{
    pd_progress_raise(pen->progress, body->head.newest);
    pen->link.feature.newest = MAX(pen->link.feature.newest, body->head.newest);
    pen->link.feature.free_permille = body->head.free_permille;
    take_oldest(pen, body->head.oldest, body->head.newest);
    pd_racp_pump(pen);
}

static void
take_control(PdPen *pen, const PenBody *body)
{
    if (body->kind == PEN_BODY_HEAD) {
        take_head(pen, body);
    } else if (body->kind == PEN_BODY_HOLE) {
        take_hole(pen, body);
    } else if (body->kind == PEN_BODY_RANGE_END) {
        take_oldest(pen, body->range_end.oldest, body->range_end.newest);
        pd_racp_on_range_end(pen, body->range_end.first, body->range_end.last);
    }
}

static void
take_record(PdPen *pen, const PdReaderItem *item)
{
    PdPenManager *manager = pen->manager;
    PenBody body;
    const PenStatus status = pen_record_decode(item->bytes, item->n_bytes, &body);

    if (status == PEN_STATUS_UNKNOWN) {
        return; /* of a later minor version: stored, skipped */
    }
    if (status != PEN_STATUS_OK) {
        /* A numbered one is in the store, which counts it. */
        pen->n_malformed_before += item->header.number == 0 ? 1u : 0u;
        return;
    }
    if (item->header.number == 0) {
        take_control(pen, &body);
        return;
    }
    pen->link.feature.newest = MAX(pen->link.feature.newest, item->header.number);
    if (item->stream == PD_STREAM_LIVE && manager->listener.record != NULL) {
        manager->listener.record(manager->user_data,
                                 pen->info->serial,
                                 pen->info->log_id,
                                 &item->header,
                                 &body,
                                 pen->info->tick_unit);
    }
    if (body.kind == PEN_BODY_SESSION_END) {
        pen->mark_goal = MAX(pen->mark_goal, item->header.number);
        pd_racp_pump(pen);
    }
    if (body.kind == PEN_BODY_SESSION_END || body.kind == PEN_BODY_SESSION_BEGIN) {
        pd_pen_tell_changed(pen);
    }
}

void
pd_tail_take(PdPen *pen, const PdReaderItem *item)
{
    switch (item->kind) {
    case PD_READER_RECORD:
        if (item->stream == PD_STREAM_STORED) {
            pd_racp_touch(pen);
        }
        take_record(pen, item);
        return;
    case PD_READER_BAD:
        pd_racp_on_bad(pen, item);
        return;
    case PD_READER_GAP:
        pd_racp_pump(pen);
        return;
    case PD_READER_HUP:
        if (pd_pen_is_streaming(pen)) {
            pd_pen_arm_timer(pen, HUP_WAIT_MS);
        }
        return;
    case PD_READER_DRAINED:
        pd_racp_on_drained(pen, item->token);
        return;
    case PD_READER_NOISE:
        pd_pen_feed_because(pen,
                            PEN_LINK_EV_NOISE,
                            g_strdup_printf("%u malformed pieces so far",
                                            pd_pen_get_n_malformed(pen)));
        return;
    }
}
