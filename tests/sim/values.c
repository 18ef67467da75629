/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * The two values that are read, Feature and Current Elapsed Time, and the clock that is
 * written (pen-telemetry-service.md, 8). The write never touches the tick.
 */
#include "pen_internal.h"

#include <string.h>

#define UNIX_2000_US     INT64_C(946684800000000)
#define UNIX_2020_US     INT64_C(1577836800000000)
#define UNIX_2101_US     INT64_C(4133980800000000)
#define FLAG_TICK        0x01u
#define FLAG_UTC         0x02u
#define CLOCK_READ_FLAGS 0x2Du

#define ENROLLED_AFTER 2u /* reads of Feature, at most, that an enrolment takes */

static bool
borrows_serial(const SimPen *self)
{
    return self->hostile == SIM_HOSTILE_SERIAL ||
           (self->hostile == SIM_HOSTILE_TURNCOAT && self->n_features > ENROLLED_AFTER);
}

GByteArray *
sim_pen_read_feature(SimPen *self, int64_t mono_us)
{
    self->n_features++;
    if (self->hostile == SIM_HOSTILE_LOGS) {
        self->log_id = sim_rng_next(&self->rng) | 1u;
    }
    const SimRange overwritten = sim_memory_get_last_overwritten(&self->memory);
    PenFeature feature = {
        .major = self->hostile == SIM_HOSTILE_MAJOR ? 2 : PEN_PROFILE_MAJOR,
        .minor = PEN_PROFILE_MINOR,
        .log_id = self->log_id,
        .boot = self->boot,
        .oldest = self->memory.oldest,
        .newest = self->memory.newest,
        .marked = self->memory.marked,
        .overwritten_unmarked = self->memory.n_overwritten_unmarked,
        .overwritten_first = overwritten.first,
        .overwritten_last = overwritten.last,
        .sample_interval_ticks = sim_model_interval(self->options->tick_unit),
        .strokes_per_rev_permille = 1000,
        .capacity_records = self->options->capacity,
        .free_permille = sim_memory_get_free_permille(&self->memory),
        .tick_unit = self->options->tick_unit,
        .tick_now = sim_pen_now(self, mono_us),
    };
    const char *serial = borrows_serial(self) ? "PT-0001" : self->serial;
    g_snprintf(feature.serial, sizeof feature.serial, "%s", serial);
    g_snprintf(feature.firmware, sizeof feature.firmware, "1.4.2");
    g_snprintf(feature.model, sizeof feature.model, "pensim");
    uint8_t bytes[512];
    size_t n_bytes = 0;
    const PenStatus status = pen_feature_encode(&feature, bytes, sizeof bytes, &n_bytes);
    g_assert(status == PEN_STATUS_OK); /* our own values */
    GByteArray *value = g_byte_array_new();
    g_byte_array_append(value, bytes, (guint)n_bytes);
    if (self->hostile == SIM_HOSTILE_MAJOR) {
        value->data[0] = 2;
    }
    return value;
}

static void
put_u48(uint8_t *bytes, uint64_t value)
{
    for (uint32_t i = 0; i < 6; i++) {
        bytes[i] = (uint8_t)(value >> (8u * i));
    }
}

static uint64_t
get_u48(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < 6; i++) {
        value |= (uint64_t)bytes[i] << (8u * i);
    }
    return value;
}

GByteArray *
sim_pen_read_clock(SimPen *self, int64_t mono_us)
{
    uint8_t bytes[11] = { CLOCK_READ_FLAGS };
    const uint64_t tick_us = sim_ticks_to_us(sim_pen_now(self, mono_us), self->options->tick_unit);
    put_u48(bytes + 1, tick_us / 100u);
    bytes[7] = self->clock_source;
    bytes[9] = self->clock_source == 0 ? 1 : 0;
    GByteArray *value = g_byte_array_new();
    g_byte_array_append(value, bytes, sizeof bytes);
    return value;
}

uint8_t
sim_pen_write_clock(SimPen *self, const uint8_t *bytes, size_t n_bytes, int64_t mono_us)
{
    static const int64_t resolutions_us[] = { 1000000, 100000, 1000, 100 };
    if (n_bytes != 9 || (bytes[0] & FLAG_TICK) != 0 || (bytes[0] & FLAG_UTC) == 0) {
        return SIM_ATT_FORMAT;
    }
    if (bytes[7] == 0 || bytes[7] > 6) {
        return SIM_ATT_SOURCE_QUALITY;
    }
    const uint64_t value = get_u48(bytes + 1);
    const int64_t resolution_us = resolutions_us[(bytes[0] >> 2) & 3u];
    if (value > (uint64_t)(UNIX_2101_US / resolution_us)) {
        return SIM_ATT_OUT_OF_RANGE;
    }
    const int64_t unix_us = UNIX_2000_US + (int64_t)value * resolution_us;
    if (unix_us < UNIX_2020_US || unix_us >= UNIX_2101_US) {
        return SIM_ATT_OUT_OF_RANGE;
    }
    self->clock_source = bytes[7];
    self->has_clock_set = true;
    self->clock_set_tick = sim_pen_now(self, mono_us);
    self->clock_set_unix_us = unix_us;
    return SIM_ATT_OK;
}
