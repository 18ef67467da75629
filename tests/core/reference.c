/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The naive fold: first everything that is known is listed, then runs of contact are
 * grouped, then each group is sorted and measured.
 */
#include "reference.h"

#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 Wide;

typedef struct {
    uint64_t start_us;
    uint64_t end_us;
    uint32_t n_markers;      /* marker buttons before it */
    uint32_t n_holes;        /* places with missing numbers before its block */
    uint64_t block_start_us; /* of the first block behind the last of those places */
    bool has_needles;
    uint32_t needles;
    GArray *depths; /* owned; uint32_t, of the samples in it */
    uint64_t n_rated;
    uint64_t rate_sum_dhz;
    Wide weighted_um;
    uint64_t weight_ticks;
} Contact;

/* Where numbers are missing, and how far before that the pen is known. */
typedef struct {
    uint64_t known_us;
    uint32_t n_markers;
} Gap;

typedef struct {
    GArray *contacts; /* owned; Contact */
    GArray *gaps;     /* owned; Gap */
    uint32_t tick_unit;
} Known;

static uint64_t
to_us(const Known *known, uint64_t ticks)
{
    return known->tick_unit == 1 ? (uint64_t)((Wide)ticks * 1000000u / 32768u) : ticks;
}

void
ref_result_init(RefResult *self)
{
    memset(self, 0, sizeof *self);
    self->passes = g_array_new(FALSE, TRUE, sizeof(PenPass));
    self->events = g_array_new(FALSE, TRUE, sizeof(RefEvent));
}

void
ref_result_clear(RefResult *self)
{
    g_clear_pointer(&self->passes, g_array_unref);
    g_clear_pointer(&self->events, g_array_unref);
}

static void
clear_contact(gpointer data)
{
    Contact *contact = data;

    g_array_unref(contact->depths);
}

/* Samples taken while this run was in contact. */
static void
collect(const PenSamples *samples, uint64_t from_ticks, uint64_t to_ticks, Contact *out)
{
    out->depths = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (uint64_t i = 0; i < samples->n; i++) {
        const uint64_t at_ticks = i * samples->interval_ticks;
        if (at_ticks >= from_ticks && at_ticks < to_ticks) {
            const uint32_t depth_um = samples->depth_um[i];
            g_array_append_val(out->depths, depth_um);
            out->n_rated += samples->rate_unknown ? 0u : 1u;
            out->rate_sum_dhz += samples->rate_dhz[i];
            out->weighted_um += (Wide)depth_um * samples->interval_ticks;
            out->weight_ticks += samples->interval_ticks;
        }
    }
}

static void
list_contacts(Known *known, const RefRecord *record, const Contact *like)
{
    const PenSamples *samples = &record->body.samples;
    uint64_t at_ticks = 0;

    for (uint32_t i = 0; i < samples->n_runs; at_ticks += samples->run_ticks[i++]) {
        if (i % 2 == 0) {
            continue;
        }
        Contact contact = *like;
        contact.start_us = to_us(known, record->header.tick + at_ticks);
        contact.end_us = to_us(known, record->header.tick + at_ticks + samples->run_ticks[i]);
        collect(samples, at_ticks, at_ticks + samples->run_ticks[i], &contact);
        g_array_append_val(known->contacts, contact);
    }
}

static void
list_event(RefResult *out, PenBodyKind kind, uint64_t at_us, uint32_t value, const char *text)
{
    RefEvent event = { .kind = kind, .at_us = at_us, .value = value };

    g_strlcpy(event.text, text, sizeof event.text);
    g_array_append_val(out->events, event);
}

static void
note_cartridge(RefResult *out, Contact *like, uint64_t at_us, const PenCartridge *cartridge)
{
    like->has_needles = cartridge->has_needles;
    like->needles = cartridge->needles;
    list_event(out, PEN_BODY_CARTRIDGE_ATTACHED, at_us, cartridge->needles, cartridge->id);
}

static void
note_begin(RefResult *out, Contact *like, uint64_t at_us, const PenBody *body)
{
    out->session.has_begin = true;
    out->session.has_continues = body->begin.has_continues;
    out->session.continues = body->begin.continues;
    if (body->begin.has_cartridge) {
        note_cartridge(out, like, at_us, &body->begin.cartridge);
    }
    if (body->begin.has_depth_setting) {
        list_event(out, PEN_BODY_DEPTH_SETTING, at_us, body->begin.depth_setting_um, "");
    }
}

/* What is not a block; @like carries what the next block's contacts share. */
static void
note(RefResult *out, Contact *like, uint64_t at_us, const PenBody *body)
{
    if (body->kind == PEN_BODY_SESSION_BEGIN) {
        note_begin(out, like, at_us, body);
    } else if (body->kind == PEN_BODY_SESSION_END) {
        out->session.has_end = true;
        out->session.end_cause = body->end.cause;
    } else if (body->kind == PEN_BODY_CARTRIDGE_ATTACHED) {
        note_cartridge(out, like, at_us, &body->cartridge);
    } else if (body->kind == PEN_BODY_CARTRIDGE_REMOVED) {
        like->has_needles = false;
    } else if (body->kind == PEN_BODY_DEPTH_SETTING) {
        list_event(out, PEN_BODY_DEPTH_SETTING, at_us, body->depth_setting.depth_um, "");
    } else if (body->kind == PEN_BODY_BUTTON && body->button.button == 1) {
        like->n_markers++;
    } else if (body->kind == PEN_BODY_FAULT) {
        list_event(out, PEN_BODY_FAULT, at_us, body->fault.code, body->fault.text);
    }
}

static void
list_everything(Known *known, const RefRecord *records, size_t n_records, RefResult *out)
{
    Contact like = { 0 };
    uint64_t known_us = 0;
    bool fresh = false; /* no block yet behind the last gap */

    for (size_t i = 0; i < n_records; i++) {
        const RefRecord *record = &records[i];
        const uint64_t at_us = to_us(known, record->header.tick);
        const uint32_t expected =
            i == 0 ? record->header.session : records[i - 1].header.number + 1u;
        if (record->header.number != expected) {
            const Gap gap = { known_us, like.n_markers };
            g_array_append_val(known->gaps, gap);
            like.n_holes++;
            fresh = true;
        }
        if (record->header.boot == records[0].header.boot) {
            out->session.end_us = MAX(out->session.end_us, at_us);
        }
        if (record->body.kind != PEN_BODY_SAMPLES) {
            note(out, &like, at_us, &record->body);
            continue;
        }
        if (fresh) {
            like.block_start_us = at_us;
            fresh = false;
        }
        list_contacts(known, record, &like);
        known_us = to_us(known,
                         record->header.tick + (uint64_t)record->body.samples.n *
                                                   record->body.samples.interval_ticks);
        out->session.end_us = MAX(out->session.end_us, known_us);
    }
}

static int
compare(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

static PenDepth
measure(GArray *depths, Wide weighted_um, uint64_t weight_ticks)
{
    const size_t n = depths->len;
    const uint32_t *sorted = (const uint32_t *)(const void *)depths->data;

    if (n == 0) {
        return (PenDepth){ 0 };
    }
    qsort(depths->data, n, sizeof(uint32_t), compare);
    size_t rank = 0; /* the smallest with rank >= 0.95 n */
    while (rank * 100u < n * 95u) {
        rank++;
    }
    return (PenDepth){
        .valid = true,
        .min_um = sorted[0],
        .median_um = sorted[(n - 1) / 2],
        .p95_um = sorted[rank - 1],
        .max_um = sorted[n - 1],
        .mean_um = (uint32_t)((2u * weighted_um + weight_ticks) / (2u * (Wide)weight_ticks)),
    };
}

/* Does a place of missing numbers touch the group from..to? */
static bool
is_incomplete(const Known *known, guint from, guint to, uint64_t lift_us)
{
    const Contact *first = &g_array_index(known->contacts, Contact, from);
    const Contact *last = &g_array_index(known->contacts, Contact, to);

    if (last->n_holes != first->n_holes) {
        return true;
    }
    if (first->n_holes > 0 && first->start_us - first->block_start_us < lift_us) {
        return true;
    }
    if (last->n_holes == known->gaps->len) {
        return false;
    }
    /* Nothing known had ended it when the next numbers went missing. */
    const Gap *next = &g_array_index(known->gaps, Gap, last->n_holes);
    const bool is_last = to + 1u == known->contacts->len ||
                         g_array_index(known->contacts, Contact, to + 1u).n_holes > last->n_holes;
    return is_last && next->n_markers == last->n_markers && next->known_us - last->end_us < lift_us;
}

typedef struct {
    GArray *depths; /* owned */
    Wide weighted_um;
    uint64_t weight_ticks;
} Whole;

static void
close_group(const Known *known,
            guint from,
            guint to,
            const PenFoldConfig *config,
            Whole *whole,
            RefResult *out)
{
    g_autoptr(GArray) depths = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    const Contact *first = &g_array_index(known->contacts, Contact, from);
    const Contact *last = &g_array_index(known->contacts, Contact, to);
    Wide weighted_um = 0;
    uint64_t weight_ticks = 0;
    uint64_t n_rated = 0;
    uint64_t rate_sum_dhz = 0;
    PenPass pass = { .start_us = first->start_us, .elapsed_us = last->end_us - first->start_us };

    for (guint i = from; i <= to; i++) {
        const Contact *contact = &g_array_index(known->contacts, Contact, i);
        pass.contact_us += contact->end_us - contact->start_us;
        g_array_append_vals(depths, contact->depths->data, contact->depths->len);
        weighted_um += contact->weighted_um;
        weight_ticks += contact->weight_ticks;
        n_rated += contact->n_rated;
        rate_sum_dhz += contact->rate_sum_dhz;
    }
    out->session.all_contact_us += pass.contact_us;
    if (pass.contact_us < config->min_contact_us) {
        return;
    }
    g_array_append_vals(whole->depths, depths->data, depths->len);
    whole->weighted_um += weighted_um;
    whole->weight_ticks += weight_ticks;
    pass.depth = measure(depths, weighted_um, weight_ticks);
    pass.has_rate = n_rated > 0;
    if (pass.has_rate) {
        pass.rate_mhz = (uint32_t)((200u * rate_sum_dhz + n_rated) / (2u * n_rated));
    }
    pass.has_punctures = first->has_needles && pass.has_rate;
    if (pass.has_punctures) {
        const Wide strokes = (Wide)pass.rate_mhz * pass.contact_us * first->needles;
        pass.punctures = (uint64_t)((strokes + 500000000u) / 1000000000u);
    }
    pass.incomplete = is_incomplete(known, from, to, config->lift_us);
    out->session.contact_us += pass.contact_us;
    g_array_append_val(out->passes, pass);
}

static void
group(const Known *known, const PenFoldConfig *config, RefResult *out)
{
    Whole whole = { .depths = g_array_new(FALSE, FALSE, sizeof(uint32_t)) };
    guint from = 0;

    for (guint i = 0; i < known->contacts->len; i++) {
        const Contact *contact = &g_array_index(known->contacts, Contact, i);
        const bool is_end = i + 1u == known->contacts->len;
        const Contact *next = is_end ? NULL : contact + 1;
        if (is_end || next->n_markers != contact->n_markers ||
            next->start_us - contact->end_us >= config->lift_us) {
            close_group(known, from, i, config, &whole, out);
            from = i + 1u;
        }
    }
    out->session.n_passes = out->passes->len;
    out->session.depth = measure(whole.depths, whole.weighted_um, whole.weight_ticks);
    g_array_unref(whole.depths);
}

void
ref_fold(const RefRecord *records,
         size_t n_records,
         const PenFoldConfig *config,
         uint32_t tick_unit,
         RefResult *out)
{
    Known known = {
        .contacts = g_array_new(FALSE, TRUE, sizeof(Contact)),
        .gaps = g_array_new(FALSE, TRUE, sizeof(Gap)),
        .tick_unit = tick_unit,
    };

    g_array_set_clear_func(known.contacts, clear_contact);
    if (n_records > 0) {
        out->session.boot = records[0].header.boot;
        out->session.start_us = to_us(&known, records[0].header.tick);
        out->session.first = records[0].header.number;
        out->session.last = records[n_records - 1].header.number;
    }
    list_everything(&known, records, n_records, out);
    group(&known, config, out);
    g_array_unref(known.contacts);
    g_array_unref(known.gaps);
}
