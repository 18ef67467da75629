/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/* What one pen does wrong on purpose, all the time. */
typedef enum {
    SIM_HOSTILE_NONE = 0,
    SIM_HOSTILE_LENGTH,       /* every seventh record lies about its length */
    SIM_HOSTILE_CRC,          /* every seventh record has a wrong CRC, always the same */
    SIM_HOSTILE_DUPLICATE,    /* every seventh number is sent with two contents */
    SIM_HOSTILE_OVERSIZE,     /* records beyond the maximum between the others */
    SIM_HOSTILE_ENDLESS,      /* a record without a last segment between the others */
    SIM_HOSTILE_UNKNOWN_TYPE, /* every seventh record has a body of a later version */
    SIM_HOSTILE_MAJOR,        /* Feature of major version 2 */
    SIM_HOSTILE_SERIAL,       /* Feature with the first pen's serial */
    SIM_HOSTILE_TURNCOAT,     /* the same, but only once it was enrolled */
    SIM_HOSTILE_LOG_ID,       /* the first pen's log id, its own serial */
    SIM_HOSTILE_FAR,          /* a log that reaches up to the last number there is */
    SIM_HOSTILE_LOGS,         /* a new log id at every link */
} SimHostile;

/* How the polkit stub answers (F9). */
typedef enum {
    SIM_POLKIT_ABSENT = 0,
    SIM_POLKIT_YES,
    SIM_POLKIT_NO,
    SIM_POLKIT_HANG,
} SimPolkitAnswer;

/* The command line, after the scenario filled in what it leaves open. */
typedef struct {
    char *bus;        /* owned; address, "session", NULL for the system bus */
    char *scenario;   /* owned */
    char *truth;      /* owned; file name, may be NULL */
    char *records;    /* owned; file name, may be NULL */
    char *peripheral; /* owned; adapters of the real bluetoothd, NULL: simulate it */
    uint64_t seed;
    uint32_t n_pens;
    uint32_t n_adapters;
    uint32_t n_sessions;
    uint32_t passes_min;
    uint32_t passes_max;
    uint32_t tick_unit;
    uint32_t capacity; /* records */
    uint32_t mtu;
    uint32_t rate; /* notifications per second of a report */
    double speed;
    double drop_pct;
    double bad_crc_pct;
    double hole_pct;
    double overtake_pct;
    double repeat_pct; /* live records followed by one from before */
    double debris_pct; /* links that fall while AcquireNotify waits */
    uint32_t disconnect_every_ms;
    uint32_t absent_ms; /* out of range after each such disconnection */
    uint32_t reboot_every_ms;
    uint32_t slow_racp_ms;
    uint32_t lose_bonds_ms; /* after the first bond; 0 never (F11) */
    uint32_t absent_connect_ms;
    uint32_t deaf;   /* discovery is dead until 1 it starts anew, 2 power, 3 a restart */
    uint32_t att_ms; /* round trip of one ATT request */
    bool clock_jump;
    bool wait_for_bond; /* treatments begin when the pen was first bonded */
    bool bonded;        /* bonded to every adapter from the start */
    int32_t pairing_s;  /* pairing mode from the start, -1 for ever */
    int32_t linger_s;   /* -1: until SIGTERM */
    bool calm;          /* after its last treatment nothing goes wrong with a pen's link */
    bool reconnect;     /* outlive the bus */
    bool no_bluez;      /* nobody owns org.bluez; only the other stubs */
    bool verbose;
    SimHostile hostile;
    uint32_t hostile_pen;
    SimPolkitAnswer polkit;
} SimOptions;

/**
 * Read the command line.
 *
 * Owns: fields are cleared with sim_options_clear().
 * Errors: G_OPTION_ERROR: said in one line, nothing was started.
 */
bool sim_options_parse(SimOptions *self, int *argc, char ***argv, GError **error);
void sim_options_clear(SimOptions *self);
