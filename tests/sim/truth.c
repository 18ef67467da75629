/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * The truth file's sessions: what a gateway that lost nothing must show.
 *
 * Collects contact from the model, and samples and events as the sensors gave them;
 * passes.c draws the conclusions. Contact after the last recorded block is cut off, as
 * a reset takes it from everybody.
 */
#include "truth.h"

#include "passes.h"
#include "record.pb-c.h"

typedef struct {
    uint32_t number;
    uint32_t last;
    uint32_t boot;
    uint32_t n_records;
    uint64_t start_us;
    uint64_t end_us;
    uint64_t covered_us; /* end of the last block */
    bool ended;
    uint32_t cause;
    bool continues;
    uint32_t continued;
    uint32_t setting_um;
    GArray *samples;     /* owned; SimSample */
    GArray *markers;     /* owned; uint64_t */
    GArray *needles;     /* owned; SimNeedles */
    GArray *runs;        /* owned; SimRun in microseconds */
    GString *settings;   /* owned; JSON items */
    GString *cartridges; /* owned; JSON items */
    GString *faults;     /* owned; JSON items */
} Session;

struct SimTruth {
    uint64_t log_id;
    uint32_t tick_unit;
    uint32_t n_ended;
    GPtrArray *sessions; /* owned; Session */
    Session *open;       /* borrowed from sessions */
};

static void
session_free(gpointer data)
{
    Session *self = data;
    g_array_unref(self->samples);
    g_array_unref(self->markers);
    g_array_unref(self->needles);
    g_array_unref(self->runs);
    g_string_free(self->settings, TRUE);
    g_string_free(self->cartridges, TRUE);
    g_string_free(self->faults, TRUE);
    g_free(self);
}

SimTruth *
sim_truth_new(uint64_t log_id, uint32_t tick_unit)
{
    SimTruth *self = g_new0(SimTruth, 1);
    self->log_id = log_id;
    self->tick_unit = tick_unit;
    self->sessions = g_ptr_array_new_with_free_func(session_free);
    return self;
}

void
sim_truth_free(SimTruth *self)
{
    if (self == NULL) {
        return;
    }
    g_ptr_array_unref(self->sessions);
    g_free(self);
}

static const char *
comma(const GString *items)
{
    return items->len > 0 ? "," : "";
}

static void
note_cartridge(Session *session, uint64_t tick_us, const PenCartridge *cartridge)
{
    const SimNeedles needles = { tick_us, cartridge->has_needles, cartridge->needles };
    g_array_append_val(session->needles, needles);
    g_string_append_printf(session->cartridges,
                           "%s{\"tick_us\":%" G_GUINT64_FORMAT
                           ",\"id\":\"%s\",\"lot\":\"%s\",\"expiry\":\"%s\",\"needles\":",
                           comma(session->cartridges),
                           tick_us,
                           cartridge->id,
                           cartridge->lot,
                           cartridge->expiry);
    if (cartridge->has_needles) {
        g_string_append_printf(session->cartridges, "%u}", cartridge->needles);
    } else {
        g_string_append(session->cartridges, "null}");
    }
}

static void
note_setting(Session *session, uint64_t tick_us, uint32_t depth_um)
{
    g_string_append_printf(session->settings,
                           "%s{\"tick_us\":%" G_GUINT64_FORMAT ",\"depth_um\":%u}",
                           comma(session->settings),
                           tick_us,
                           depth_um);
}

static void
note_samples(SimTruth *self, Session *session, uint64_t tick, const PenSamples *samples)
{
    for (uint32_t i = 0; i < samples->n; i++) {
        const uint64_t at = tick + (uint64_t)i * samples->interval_ticks;
        const SimSample sample = {
            sim_ticks_to_us(at, self->tick_unit),
            samples->depth_um[i],
            samples->rate_dhz[i],
        };
        g_array_append_val(session->samples, sample);
    }
    const uint64_t end = tick + (uint64_t)samples->n * samples->interval_ticks;
    session->covered_us = sim_ticks_to_us(end, self->tick_unit);
    session->end_us = MAX(session->end_us, session->covered_us);
}

void
sim_truth_begin(SimTruth *self, uint32_t number, uint32_t boot, const SimStep *step)
{
    Session *session = g_new0(Session, 1);
    session->number = number;
    session->boot = boot;
    session->start_us = sim_ticks_to_us(step->tick, self->tick_unit);
    session->end_us = session->start_us;
    session->covered_us = session->start_us;
    session->continues = step->body.begin.has_continues;
    session->continued = step->body.begin.continues;
    session->setting_um = step->body.begin.depth_setting_um;
    session->samples = g_array_new(FALSE, FALSE, sizeof(SimSample));
    session->markers = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    session->needles = g_array_new(FALSE, FALSE, sizeof(SimNeedles));
    session->runs = g_array_new(FALSE, FALSE, sizeof(SimRun));
    session->settings = g_string_new(NULL);
    session->cartridges = g_string_new(NULL);
    session->faults = g_string_new(NULL);
    note_setting(session, session->start_us, session->setting_um);
    note_cartridge(session, session->start_us, &step->body.begin.cartridge);
    g_ptr_array_add(self->sessions, session);
    self->open = session;
}

void
sim_truth_record(SimTruth *self, uint32_t number, const SimStep *step)
{
    Session *session = self->open;
    if (session == NULL) {
        return;
    }
    const uint64_t tick_us = sim_ticks_to_us(step->tick, self->tick_unit);
    session->last = number;
    session->n_records++;
    session->end_us = MAX(session->end_us, tick_us);
    if (step->body.kind == PEN_BODY_SAMPLES) {
        note_samples(self, session, step->tick, &step->body.samples);
    } else if (step->body.kind == PEN_BODY_DEPTH_SETTING) {
        note_setting(session, tick_us, step->body.depth_setting.depth_um);
    } else if (step->body.kind == PEN_BODY_CARTRIDGE_ATTACHED) {
        note_cartridge(session, tick_us, &step->body.cartridge);
    } else if (step->body.kind == PEN_BODY_CARTRIDGE_REMOVED) {
        const SimNeedles none = { tick_us, false, 0 };
        g_array_append_val(session->needles, none);
    } else if (step->body.kind == PEN_BODY_BUTTON && step->body.button.button == 1) {
        g_array_append_val(session->markers, tick_us);
    } else if (step->body.kind == PEN_BODY_FAULT) {
        g_string_append_printf(session->faults,
                               "%s{\"tick_us\":%" G_GUINT64_FORMAT ",\"code\":%u}",
                               comma(session->faults),
                               tick_us,
                               step->body.fault.code);
    }
}

static void
take_contact(const SimTruth *self, Session *session, const GArray *contact)
{
    g_array_set_size(session->runs, 0);
    for (uint32_t i = 0; i < contact->len; i++) {
        const SimRun *run = &g_array_index(contact, SimRun, i);
        const SimRun us = {
            sim_ticks_to_us(run->start, self->tick_unit),
            MIN(sim_ticks_to_us(run->end, self->tick_unit), session->covered_us),
        };
        if (us.start < us.end) {
            g_array_append_val(session->runs, us);
        }
    }
}

void
sim_truth_end(
    SimTruth *self, uint32_t number, uint64_t end_tick, uint32_t cause, const GArray *contact)
{
    Session *session = self->open;
    if (session == NULL) {
        return;
    }
    session->last = number;
    session->n_records++;
    session->ended = true;
    session->cause = cause;
    if (cause != PENTEL__V1__END_CAUSE__END_CAUSE_RESET) {
        session->end_us = sim_ticks_to_us(end_tick, self->tick_unit);
    }
    take_contact(self, session, contact);
    self->n_ended++;
    self->open = NULL;
}

uint32_t
sim_truth_count_ended(const SimTruth *self)
{
    return self->n_ended;
}

/* Written here rather than taken from core: two hands, one definition. */
static char *
dup_session_id(uint64_t log_id, uint32_t number)
{
    static const uint8_t namespace_bytes[16] = { 0x88, 0x63, 0x7b, 0x66, 0x0f, 0xea, 0x49, 0x08,
                                                 0x8d, 0x1d, 0xa8, 0x63, 0x88, 0xda, 0x43, 0xa9 };
    const uint64_t log_be = GUINT64_TO_BE(log_id);
    const uint32_t number_be = GUINT32_TO_BE(number);
    g_autoptr(GChecksum) sha1 = g_checksum_new(G_CHECKSUM_SHA1);
    g_checksum_update(sha1, namespace_bytes, sizeof namespace_bytes);
    g_checksum_update(sha1, (const guchar *)&log_be, sizeof log_be);
    g_checksum_update(sha1, (const guchar *)&number_be, sizeof number_be);
    uint8_t d[20];
    gsize n_digest = sizeof d;
    g_checksum_get_digest(sha1, d, &n_digest);
    d[6] = (uint8_t)((d[6] & 0x0Fu) | 0x50u);
    d[8] = (uint8_t)((d[8] & 0x3Fu) | 0x80u);
    GString *text = g_string_new(NULL);
    for (uint32_t i = 0; i < 16; i++) {
        const bool hyphen = i == 4 || i == 6 || i == 8 || i == 10;
        g_string_append_printf(text, "%s%02x", hyphen ? "-" : "", d[i]);
    }
    return g_string_free(text, FALSE);
}

static void
write_depth(const SimDepth *depth, GString *out)
{
    if (!depth->valid) {
        g_string_append(out, "\"depth_um\":null");
        return;
    }
    g_string_append_printf(out,
                           "\"depth_um\":{\"min\":%u,\"median\":%u,\"p95\":%u,\"max\":%u,"
                           "\"mean\":%u}",
                           depth->min_um,
                           depth->median_um,
                           depth->p95_um,
                           depth->max_um,
                           depth->mean_um);
}

static void
write_pass(uint32_t index, const SimPass *pass, GString *out)
{
    g_string_append_printf(out,
                           "%s\n      {\"index\":%u,\"start_tick_us\":%" G_GUINT64_FORMAT
                           ",\"elapsed_us\":%" G_GUINT64_FORMAT ",\"contact_us\":%" G_GUINT64_FORMAT
                           ",\"rate_mhz\":%u,",
                           index > 0 ? "," : "",
                           index,
                           pass->start_us,
                           pass->elapsed_us,
                           pass->contact_us,
                           pass->rate_mhz);
    write_depth(&pass->depth, out);
    if (pass->has_punctures) {
        g_string_append_printf(out, ",\"punctures\":%" G_GUINT64_FORMAT "}", pass->punctures);
    } else {
        g_string_append(out, ",\"punctures\":null}");
    }
}

static void
write_totals(const Session *session, const SimTotals *totals, uint32_t n_passes, GString *out)
{
    g_string_append_printf(out,
                           "\"start_tick_us\":%" G_GUINT64_FORMAT
                           ",\"elapsed_us\":%" G_GUINT64_FORMAT ",\"contact_us\":%" G_GUINT64_FORMAT
                           ",\"all_contact_us\":%" G_GUINT64_FORMAT
                           ",\"pass_count\":%u,\"samples\":%u,\"records\":%u,",
                           session->start_us,
                           session->end_us - session->start_us,
                           totals->contact_us,
                           totals->all_contact_us,
                           n_passes,
                           session->samples->len,
                           session->n_records);
    write_depth(&totals->depth, out);
}

static void
write_session(const SimTruth *self, const Session *session, GString *out)
{
    SimTotals totals;
    g_autofree char *id = dup_session_id(self->log_id, session->number);
    g_autoptr(GArray) passes = sim_passes_find(
        session->runs, session->samples, session->markers, session->needles, &totals);
    g_string_append_printf(out,
                           "    {\"id\":\"%s\",\"number\":%u,\"first\":%u,\"last\":%u,"
                           "\"boot\":%u,\"ended\":%s,\"cause\":%u,",
                           id,
                           session->number,
                           session->number,
                           session->last,
                           session->boot,
                           session->ended ? "true" : "false",
                           session->cause);
    if (session->continues) {
        g_string_append_printf(out, "\"continues\":%u,", session->continued);
    } else {
        g_string_append(out, "\"continues\":null,");
    }
    write_totals(session, &totals, passes->len, out);
    g_string_append_printf(out,
                           ",\n     \"settings\":[%s],\"cartridges\":[%s],\"faults\":[%s],"
                           "\n     \"passes\":[",
                           session->settings->str,
                           session->cartridges->str,
                           session->faults->str);
    for (uint32_t i = 0; i < passes->len; i++) {
        write_pass(i, &g_array_index(passes, SimPass, i), out);
    }
    g_string_append(out, "]}");
}

void
sim_truth_write(const SimTruth *self, const GArray *contact, GString *out)
{
    if (self->open != NULL && contact != NULL) {
        take_contact(self, self->open, contact);
    }
    g_string_append(out, "[");
    for (uint32_t i = 0; i < self->sessions->len; i++) {
        g_string_append(out, i > 0 ? ",\n" : "\n");
        write_session(self, g_ptr_array_index(self->sessions, i), out);
    }
    g_string_append(out, "]");
}
