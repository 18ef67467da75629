/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEN_RECORD_MAX         1024u
#define PEN_RECORD_HEADER_SIZE 24u
#define PEN_RECORD_CRC_SIZE    4u
#define PEN_SAMPLES_MAX        256u
#define PEN_CONTACT_RUNS_MAX   64u
#define PEN_TEXT_MAX           64u
#define PEN_DEPTH_MAX_UM       4095

typedef enum {
    PEN_BODY_UNKNOWN = 0,
    PEN_BODY_SESSION_BEGIN = 1,
    PEN_BODY_SESSION_END = 2,
    PEN_BODY_SAMPLES = 3,
    PEN_BODY_CARTRIDGE_ATTACHED = 4,
    PEN_BODY_CARTRIDGE_REMOVED = 5,
    PEN_BODY_DEPTH_SETTING = 6,
    PEN_BODY_BUTTON = 7,
    PEN_BODY_FAULT = 8,
    PEN_BODY_CLOCK_SET = 9,
    PEN_BODY_RANGE_END = 20,
    PEN_BODY_HOLE = 21,
    PEN_BODY_HEAD = 22,
} PenBodyKind;

/* The fixed part, after its CRC was found right. */
typedef struct {
    uint16_t length_bytes; /* whole record with header and CRC */
    uint32_t guard;        /* low 32 bits of the log id */
    uint32_t number;       /* 0: control item */
    uint32_t session;      /* number of the session-begin record, 0 outside */
    uint32_t boot;
    uint64_t tick; /* 48 bits, in the pen's tick unit */
} PenRecordHeader;

typedef struct {
    char id[PEN_TEXT_MAX + 1];
    char lot[PEN_TEXT_MAX + 1];
    char expiry[PEN_TEXT_MAX + 1];
    bool has_needles;
    uint32_t needles;
} PenCartridge;

typedef struct {
    uint32_t interval_ticks;
    uint32_t n;
    uint16_t depth_um[PEN_SAMPLES_MAX];
    uint16_t rate_dhz[PEN_SAMPLES_MAX];
    uint16_t load_permille[PEN_SAMPLES_MAX];
    uint32_t n_runs;
    uint32_t run_ticks[PEN_CONTACT_RUNS_MAX]; /* lifted, contact, lifted, ... */
    bool rate_unknown;                        /* not measured: rate_dhz is all 0 */
    bool load_unknown;
} PenSamples;

/* A decoded body: plain data without pointers, about 3 KiB. */
typedef struct {
    PenBodyKind kind;
    union {
        struct {
            bool has_continues;
            uint32_t continues;
            bool has_cartridge;
            PenCartridge cartridge;
            bool has_depth_setting;
            uint32_t depth_setting_um;
            char firmware[PEN_TEXT_MAX + 1];
        } begin;
        struct {
            uint32_t cause; /* Pentel__V1__EndCause */
        } end;
        PenSamples samples;
        PenCartridge cartridge; /* attached and removed */
        struct {
            uint32_t depth_um;
        } depth_setting;
        struct {
            uint32_t button;
        } button;
        struct {
            uint32_t code;
            char text[PEN_TEXT_MAX + 1];
        } fault;
        struct {
            int64_t unix_us;
            uint32_t source;
        } clock_set;
        struct {
            uint32_t first;
            uint32_t last;
            uint32_t sent;
            uint32_t oldest;
            uint32_t newest;
            uint32_t marked;
        } range_end;
        struct {
            uint32_t number;
            uint32_t cause;
        } hole;
        struct {
            uint32_t oldest;
            uint32_t newest;
            uint32_t marked;
            uint32_t free_permille;
            uint32_t overwritten_unmarked;
        } head;
    };
} PenBody;

/* Value of the Feature characteristic. */
typedef struct {
    uint8_t major;
    uint8_t minor;
    char serial[33];
    char firmware[33];
    char model[33];
    uint64_t log_id;
    uint32_t boot;
    uint32_t oldest;
    uint32_t newest;
    uint32_t marked;
    uint32_t overwritten_unmarked;
    uint32_t overwritten_first;
    uint32_t overwritten_last;
    uint32_t sample_interval_ticks;
    uint32_t strokes_per_rev_permille;
    uint32_t capacity_records;
    uint32_t free_permille;
    uint32_t tick_unit; /* Pentel__V1__TickUnit */
    uint64_t tick_now;
} PenFeature;

#define PEN_PROFILE_MAJOR 1
#define PEN_PROFILE_MINOR 0

/**
 * Check length and CRC of one whole record and read its header.
 *
 * Owns:   @header_out is the caller's; untouched on failure.
 * Errors: SHORT, BAD_LENGTH, TOO_LONG, BAD_CRC: not a record; count, ask again.
 * Source: pen-telemetry-service.md, "Records".
 */
PEN_MUST_CHECK PenStatus pen_record_check(const uint8_t *record,
                                          size_t n_record,
                                          PenRecordHeader *header_out);

/**
 * Decode the body of a record that passed pen_record_check().
 *
 * Allocates through protobuf-c for the length of the call.
 *
 * Owns:   @body_out is the caller's; untouched on failure.
 * Errors: BAD_BODY: whole on the wire but nonsense inside: keep raw, count it.
 *         UNKNOWN: a later minor version's body: keep raw, skip.
 * Source: pen-telemetry-service.md, "Bodies".
 */
PEN_MUST_CHECK PenStatus pen_record_decode(const uint8_t *record,
                                           size_t n_record,
                                           PenBody *body_out);

/**
 * Encode a record: the pen's side, used by the simulator and by tests.
 *
 * @out: at least PEN_RECORD_MAX bytes. header->length_bytes is ignored.
 *
 * Errors: NO_SPACE: longer than @n_out or PEN_RECORD_MAX. BAD_BODY: a field is
 *         out of its range, or the kind is unknown.
 */
PEN_MUST_CHECK PenStatus pen_record_encode(const PenRecordHeader *header,
                                           const PenBody *body,
                                           uint8_t *out,
                                           size_t n_out,
                                           size_t *n_written_out);

/**
 * Decode a Feature value.
 *
 * Errors: VERSION: unknown major, only major and minor were set in @out: refuse
 *         the pen in words. SHORT, BAD_BODY: treat as a faulty pen.
 */
PEN_MUST_CHECK PenStatus pen_feature_decode(const uint8_t *value, size_t n_value, PenFeature *out);

/** Encode a Feature value. Errors: NO_SPACE, BAD_BODY as above. */
PEN_MUST_CHECK PenStatus pen_feature_encode(const PenFeature *feature,
                                            uint8_t *out,
                                            size_t n_out,
                                            size_t *n_written_out);

/** Ticks of @tick_unit in microseconds, exact for 1 us, rounded down for 1/32768 s. */
uint64_t pen_ticks_to_us(uint64_t ticks, uint32_t tick_unit);

/**
 * Session id as 16 UUID bytes: UUIDv5(namespace, log id BE || session BE).
 *
 * Source: pen-telemetry-service.md, "Session identity"; vectors session-id.
 */
void pen_session_uuid(uint64_t log_id, uint32_t session, uint8_t uuid_out[16]);

/** Lower-case text of 16 UUID bytes, with hyphens and a final NUL. */
void pen_uuid_format(const uint8_t uuid[16], char text_out[37]);
