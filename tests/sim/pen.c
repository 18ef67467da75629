/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * One virtual pen: walks its model in its own time, turns what happens into records,
 * keeps them in its memory, and tells the truth file. Reboots, range and bonds are here;
 * what goes over the link is in stream.c, racp.c and values.c.
 */
#include "core/crc32c.h"
#include "pen_internal.h"
#include "record.pb-c.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BOOT_TIME_US 600000
#define RESET_TICK   500u

uint64_t
sim_pen_now(const SimPen *self, int64_t mono_us)
{
    const double elapsed_us = (double)MAX(mono_us - self->boot_mono_us, 0);
    return (uint64_t)(elapsed_us * self->ticks_per_us) + self->jumped;
}

/* A body of a later minor version: field 15, a type nobody knows yet. */
static GBytes *
encode_unknown(const SimPen *self, uint32_t number, uint64_t tick)
{
    static const uint8_t body[] = { 0x7A, 0x03, 0x08, 0x96, 0x01 };
    uint8_t bytes[24 + sizeof body + 4] = { sizeof bytes };
    const uint32_t fields[4] = {
        GUINT32_TO_LE((uint32_t)self->log_id),
        GUINT32_TO_LE(number),
        GUINT32_TO_LE(self->session),
        GUINT32_TO_LE(self->boot),
    };
    const uint64_t tick_le = GUINT64_TO_LE(tick);
    memcpy(bytes + 2, fields, sizeof fields);
    memcpy(bytes + 18, &tick_le, 6);
    memcpy(bytes + 24, body, sizeof body);
    const uint32_t crc = GUINT32_TO_LE(pen_crc32c(bytes, sizeof bytes - 4u));
    memcpy(bytes + sizeof bytes - 4u, &crc, sizeof crc);
    return g_bytes_new(bytes, sizeof bytes);
}

GBytes *
sim_pen_encode(const SimPen *self, uint32_t number, uint64_t tick, const PenBody *body)
{
    const PenRecordHeader header = {
        .guard = (uint32_t)self->log_id,
        .number = number,
        .session = number == 0 ? 0 : self->session,
        .boot = self->boot,
        .tick = tick,
    };
    uint8_t bytes[PEN_RECORD_MAX];
    size_t n_bytes = 0;
    const PenStatus status = pen_record_encode(&header, body, bytes, sizeof bytes, &n_bytes);
    if (status != PEN_STATUS_OK) {
        g_error("pensim cannot encode its own record: %s", pen_status_name(status));
    }
    return g_bytes_new(bytes, n_bytes);
}

void
sim_pen_say(const SimPen *self, const char *what, uint32_t number)
{
    if (self->options->verbose) {
        g_print("%s %s %u\n", self->serial, what, number);
    }
}

bool
sim_pen_is_calm(const SimPen *self)
{
    return self->options->calm && self->done;
}

/* Log id and length, little endian, before each. Others may append to the same file. */
static void
keep_record(const SimPen *self, GBytes *record)
{
    const char *path = self->options->records;
    if (path == NULL) {
        return;
    }
    uint8_t bytes[10 + PEN_RECORD_MAX];
    gsize n_record = 0;
    const void *content = g_bytes_get_data(record, &n_record);
    const uint64_t log_id = GUINT64_TO_LE(self->log_id);
    const uint16_t length = GUINT16_TO_LE((uint16_t)n_record);
    memcpy(bytes, &log_id, sizeof log_id);
    memcpy(bytes + 8, &length, sizeof length);
    memcpy(bytes + 10, content, n_record);
    FILE *file = fopen(path, "ab");
    const bool ok = file != NULL && fwrite(bytes, 10 + n_record, 1, file) == 1;
    if ((file != NULL && fclose(file) != 0) || !ok) {
        g_error("pensim cannot write %s: %s", path, g_strerror(errno));
    }
}

/* One of the last records once more, behind newer ones: as late as a link can make it. */
static void
repeat_some(SimPen *self)
{
    if (self->options->repeat_pct <= 0.0 || sim_pen_is_calm(self) ||
        !sim_rng_percent(&self->rng, self->options->repeat_pct)) {
        return;
    }
    const uint32_t newest = self->memory.newest;
    const uint32_t number = newest - (uint32_t)sim_rng_range(&self->rng, 0, MIN(newest - 1u, 30u));
    GBytes *record = sim_memory_get(&self->memory, number);
    if (record != NULL && sim_memory_get_hole(&self->memory, number) == 0) {
        (void)sim_stream_send(self, SIM_CHRC_LIVE, number, record);
    }
}

static uint32_t
append_bytes(SimPen *self, GBytes *record, int64_t mono_us)
{
    const uint32_t n_lost = self->memory.n_overwritten_unmarked;
    const uint32_t number = sim_memory_next(&self->memory);
    sim_memory_append(&self->memory, g_bytes_ref(record));
    keep_record(self, record);
    self->truth_version += n_lost != self->memory.n_overwritten_unmarked ? 1u : 0u;
    self->last_record_us = mono_us;
    self->next_head_us = 0;
    const uint64_t luck = sim_rng_mix(self->log_id ^ number) % 1000000u;
    if ((double)luck < self->options->hole_pct * 10000.0) {
        sim_memory_tear(&self->memory, number, PENTEL__V1__HOLE_CAUSE__HOLE_CAUSE_FLASH_ERROR);
    } else if (self->subscribed[SIM_CHRC_LIVE]) {
        (void)sim_stream_send(self, SIM_CHRC_LIVE, number, record);
        repeat_some(self);
    }
    return number;
}

static uint32_t
append(SimPen *self, uint64_t tick, const PenBody *body, int64_t mono_us)
{
    const uint32_t number = sim_memory_next(&self->memory);
    if (body->kind == PEN_BODY_SESSION_BEGIN) {
        self->session = number;
    }
    g_autoptr(GBytes) record = sim_pen_encode(self, number, tick, body);
    return append_bytes(self, record, mono_us);
}

/* The clock's record goes between two blocks, so that ticks never fall; its wall time is
 * carried along. */
static void
append_clock_set(SimPen *self, uint64_t tick, int64_t mono_us)
{
    if (!self->has_clock_set) {
        return;
    }
    self->has_clock_set = false;
    const uint64_t at = MAX(tick, self->clock_set_tick);
    const uint64_t later_us = sim_ticks_to_us(at - self->clock_set_tick, self->options->tick_unit);
    SimStep step = { .kind = SIM_STEP_RECORD, .tick = at, .due = at };
    step.body.kind = PEN_BODY_CLOCK_SET;
    step.body.clock_set.unix_us = self->clock_set_unix_us + (int64_t)later_us;
    step.body.clock_set.source = self->clock_source;
    const uint32_t number = append(self, at, &step.body, mono_us);
    sim_truth_record(self->truth, number, &step);
}

static void
close_session(SimPen *self, uint32_t number, const SimStep *step, int64_t mono_us)
{
    sim_truth_end(
        self->truth, number, step->tick, step->body.end.cause, sim_model_get_contact(self->model));
    sim_pen_say(self, "session ended", self->session);
    self->session = 0;
    self->truth_version++;
    sim_stream_head(self, mono_us, true);
}

static void
act_record(SimPen *self, const SimStep *planned, int64_t mono_us)
{
    SimStep step = *planned;
    if (step.body.kind == PEN_BODY_SESSION_BEGIN && step.body.begin.has_continues) {
        step.body.begin.continues = self->cut_session;
    }
    const uint32_t number = append(self, step.tick, &step.body, mono_us);
    if (step.body.kind == PEN_BODY_SESSION_BEGIN) {
        sim_truth_begin(self->truth, number, self->boot, &step);
        sim_pen_say(self, "session began", number);
        self->truth_version++;
    }
    if (step.body.kind == PEN_BODY_SESSION_END) {
        close_session(self, number, &step, mono_us);
        return;
    }
    sim_truth_record(self->truth, number, &step);
    if (self->hostile == SIM_HOSTILE_UNKNOWN_TYPE && number % 7u == 0) {
        g_autoptr(GBytes) record = encode_unknown(self, sim_memory_next(&self->memory), step.tick);
        SimStep other = { .tick = step.tick };
        sim_truth_record(self->truth, append_bytes(self, record, mono_us), &other);
    }
}

static void
act_reset(SimPen *self, int64_t mono_us)
{
    sim_pen_say(self, "lost power in session", self->session);
    self->booting_until_us = mono_us + (int64_t)(BOOT_TIME_US / MAX(self->options->speed, 1.0));
    self->has_clock_set = false;
    self->clock_source = 0;
    sim_pen_drop_link(self);
}

/* Started again: the session that the reset cut off is closed before anything else. */
static void
start_again(SimPen *self, int64_t mono_us)
{
    self->booting_until_us = 0;
    self->boot_mono_us = mono_us;
    self->jumped = 0;
    self->boot++;
    if (self->session == 0) {
        return;
    }
    SimStep step = { .kind = SIM_STEP_RECORD, .tick = RESET_TICK, .due = RESET_TICK };
    step.body.kind = PEN_BODY_SESSION_END;
    step.body.end.cause = PENTEL__V1__END_CAUSE__END_CAUSE_RESET;
    self->cut_session = self->session;
    const uint32_t number = append(self, step.tick, &step.body, mono_us);
    close_session(self, number, &step, mono_us);
}

/* Returns false when there is nothing to do yet. */
static bool
act(SimPen *self, int64_t mono_us)
{
    const uint64_t now = sim_pen_now(self, mono_us);
    const SimStep *step = sim_model_peek(self->model, now);
    const bool in_block =
        step->kind == SIM_STEP_RECORD && step->body.kind == PEN_BODY_SAMPLES && step->tick <= now;
    if (!in_block && step->due > now) {
        append_clock_set(self, now, mono_us);
    }
    if (step->due > now) {
        return false;
    }
    const uint64_t due = step->due;
    switch (step->kind) {
    case SIM_STEP_RECORD:
        act_record(self, step, mono_us);
        sim_model_pop(self->model);
        if (self->clock_set_tick <= due) {
            append_clock_set(self, due, mono_us);
        }
        return true;
    case SIM_STEP_RESET:
        act_reset(self, mono_us);
        sim_model_pop(self->model);
        return false;
    case SIM_STEP_JUMP:
        self->jumped += step->jump;
        sim_pen_say(self, "clock jumped, ms", (uint32_t)(step->jump / 1000u));
        sim_model_pop(self->model);
        return true;
    case SIM_STEP_DONE:
        return false;
    }
    return false;
}

static void
treat(SimPen *self, int64_t mono_us)
{
    if (self->options->wait_for_bond && self->bonds->len == 0 && !self->started) {
        return;
    }
    self->started = true;
    while (act(self, mono_us)) {
    }
    const bool idle = self->booting_until_us == 0;
    if (idle && !self->done &&
        sim_model_peek(self->model, sim_pen_now(self, mono_us))->kind == SIM_STEP_DONE) {
        self->done = true;
        self->truth_version++;
        sim_pen_say(self, "has treated, records", self->memory.newest);
        if (self->options->calm) {
            sim_pen_drop_link(self);
        }
    }
}

/* A pen that was reset to its factory state, or ran out of room for bonds (F11). */
static void
lose_bonds(SimPen *self, int64_t mono_us)
{
    if (self->options->lose_bonds_ms == 0 || self->lost_bonds || self->bonds->len == 0) {
        return;
    }
    if (self->lose_bonds_at_us == 0) {
        self->lose_bonds_at_us = mono_us + (int64_t)self->options->lose_bonds_ms * 1000;
    } else if (mono_us >= self->lose_bonds_at_us) {
        self->lost_bonds = true;
        sim_pen_say(self, "lost its bonds", self->bonds->len);
        sim_pen_drop_bonds(self);
        sim_pen_drop_link(self);
    }
}

void
sim_pen_tick(SimPen *self, int64_t mono_us)
{
    lose_bonds(self, mono_us);
    if (self->booting_until_us != 0) {
        if (mono_us < self->booting_until_us) {
            return;
        }
        start_again(self, mono_us);
    }
    treat(self, mono_us);
    if (self->ops == NULL) {
        return;
    }
    sim_stream_head(self, mono_us, false);
    sim_racp_pump(self, mono_us);
    if (self->drop_at_us != 0 && mono_us >= self->drop_at_us) {
        sim_pen_say(self, "dropped its link", 0);
        self->away_until_us = mono_us + (int64_t)self->options->absent_ms * 1000;
        sim_pen_drop_link(self);
    }
}

static void
draw_identity(SimPen *self, uint64_t seed)
{
    SimRng rng = { .state = sim_rng_mix(seed) };
    self->log_id = sim_rng_next(&rng) | 1u;
    if (self->hostile == SIM_HOSTILE_LOG_ID) {
        SimRng first = { .state = sim_rng_mix(seed - self->index) };
        self->log_id = sim_rng_next(&first) | 1u;
    }
    self->boot = (uint32_t)sim_rng_range(&rng, 1, 20);
    const uint64_t bits = sim_rng_next(&rng);
    g_snprintf(self->serial, sizeof self->serial, "PT-%04u", self->index + 1u);
    g_snprintf(self->name, sizeof self->name, "Pen %s", self->serial);
    g_snprintf(self->address,
               sizeof self->address,
               "C%X:%02X:%02X:%02X:00:%02X",
               (unsigned)(bits & 0xFu),
               (unsigned)(bits >> 8 & 0xFFu),
               (unsigned)(bits >> 16 & 0xFFu),
               (unsigned)(bits >> 24 & 0xFFu),
               (self->index + 1u) & 0xFFu);
    const double drift_ppm = (double)sim_rng_range(&rng, 0, 80) - 40.0;
    const double unit =
        self->options->tick_unit == PENTEL__V1__TICK_UNIT__TICK_UNIT_MICROSECOND ? 1.0 : 0.032768;
    self->ticks_per_us = self->options->speed * unit * (1.0 + drift_ppm * 1e-6);
}

SimPen *
sim_pen_new(const SimOptions *options, uint32_t index, int64_t mono_us)
{
    SimPen *self = g_new0(SimPen, 1);
    const uint64_t seed = sim_rng_mix(options->seed) + index;
    const SimModelConfig config = {
        .seed = sim_rng_mix(seed + 0x5EED),
        .n_sessions = options->n_sessions,
        .tick_unit = options->tick_unit,
        .passes_min = options->passes_min,
        .passes_max = options->passes_max,
        .reboot_every_us = (uint64_t)options->reboot_every_ms * 1000u,
        .clock_jump = options->clock_jump,
        .sparse = index % 3u == 2u,
    };
    self->options = options;
    self->index = index;
    self->hostile = options->hostile_pen == index + 1u ? options->hostile : SIM_HOSTILE_NONE;
    self->boot_mono_us = mono_us;
    self->pumped_us = mono_us;
    self->rng.state = sim_rng_mix(seed + 0x11BC);
    draw_identity(self, seed);
    self->model = sim_model_new(&config);
    self->truth = sim_truth_new(self->log_id, options->tick_unit);
    self->bonds = g_ptr_array_new_with_free_func(g_free);
    sim_memory_init(&self->memory, options->capacity);
    return self;
}

void
sim_pen_free(SimPen *self)
{
    if (self == NULL) {
        return;
    }
    sim_memory_clear(&self->memory);
    sim_model_free(self->model);
    sim_truth_free(self->truth);
    g_ptr_array_unref(self->bonds);
    g_free(self);
}

uint64_t
sim_pen_get_truth_version(const SimPen *self)
{
    return self->truth_version;
}

static void
write_log(const SimPen *self, GString *out)
{
    const SimMemory *memory = &self->memory;
    g_string_append_printf(out,
                           "\"oldest\":%u,\"newest\":%u,\"marked\":%u,"
                           "\"overwritten_unmarked\":%u,\"overwritten\":[",
                           memory->oldest,
                           memory->newest,
                           memory->marked,
                           memory->n_overwritten_unmarked);
    for (uint32_t i = 0; i < memory->overwritten->len; i++) {
        const SimRange *range = &g_array_index(memory->overwritten, SimRange, i);
        g_string_append_printf(out, "%s[%u,%u]", i > 0 ? "," : "", range->first, range->last);
    }
    g_string_append(out, "],\"holes\":[");
    bool any = false;
    for (uint32_t n = memory->oldest; n != 0 && n <= memory->newest; n++) {
        if (sim_memory_get_hole(memory, n) != 0) {
            g_string_append_printf(out, "%s%u", any ? "," : "", n);
            any = true;
        }
    }
    g_string_append(out, "],\"torn\":[");
    for (uint32_t i = 0; i < memory->torn->len; i++) {
        const uint32_t number = g_array_index(memory->torn, uint32_t, i);
        g_string_append_printf(out, "%s%u", i > 0 ? "," : "", number);
    }
    g_string_append(out, "],");
}

void
sim_pen_write_truth(SimPen *self, GString *out)
{
    g_string_append_printf(
        out,
        "  {\"serial\":\"%s\",\"address\":\"%s\",\"log_id\":\"%016" G_GINT64_MODIFIER
        "x\",\"boot\":%u,\"done\":%s,",
        self->serial,
        self->address,
        self->log_id,
        self->boot,
        self->done ? "true" : "false");
    write_log(self, out);
    g_string_append(out, "\n   \"sessions\":");
    sim_truth_write(self->truth, sim_model_get_contact(self->model), out);
    g_string_append(out, "}");
}
