/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * The command line and the scenarios. A scenario is a set of options under one name; what
 * is given beside it on the command line wins.
 */
#include "options.h"

#include <gio/gio.h>

#include <string.h>

typedef struct {
    const char *name;
    const char *help;
    const char *args; /* options it stands for, before the caller's */
} Scenario;

static const Scenario scenarios[] = {
    { "plain", "pens treat, nothing goes wrong", "" },
    { "chaos",
      "losses, falling links, resets, damage on the air",
      "--drop=3 --disconnect-every=4000 --absent-ms=300 --reboot-every=20000 --bad-crc=1 "
      "--overtake=20" },
    { "debris", "links fall while AcquireNotify waits", "--debris=40 --disconnect-every=3000" },
    { "full", "small memories that overwrite", "--capacity=150" },
    { "slow", "everything takes its time", "--slow-racp=700 --att-ms=120 --rate=60 --mtu=23" },
    { "away",
      "pens out of range for long",
      "--disconnect-every=3000 --absent-ms=8000 --absent-connect-ms=2000" },
    { "holes", "a flash that loses records", "--holes=2" },
};

static bool
pick(const char *text, const char *const *words, uint32_t *out)
{
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (g_str_equal(text, words[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* Where GOption puts what it parses; only its own types. */
typedef struct {
    char *bus;
    char *scenario;
    char *truth;
    char *records;
    char *peripheral;
    char *polkit;
    char *hostile;
    char *tick_unit;
    gint64 seed;
    int pens, adapters, sessions, passes, capacity, mtu, rate;
    int disconnect_every, absent, reboot_every, slow_racp, absent_connect, att;
    int lose_bonds_after;
    int pairing, linger, hostile_pen, deaf;
    double speed, drop, bad_crc, holes, overtake, repeat, debris;
    gboolean clock_jump, wait_for_bond, bonded, calm, reconnect, no_bluez, verbose;
} Raw;

static void
raw_clear(Raw *raw)
{
    g_clear_pointer(&raw->bus, g_free);
    g_clear_pointer(&raw->scenario, g_free);
    g_clear_pointer(&raw->truth, g_free);
    g_clear_pointer(&raw->records, g_free);
    g_clear_pointer(&raw->peripheral, g_free);
    g_clear_pointer(&raw->polkit, g_free);
    g_clear_pointer(&raw->hostile, g_free);
    g_clear_pointer(&raw->tick_unit, g_free);
}

static bool
parse_raw(Raw *r, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        { "bus",
          0,
          0,
          G_OPTION_ARG_STRING,
          &r->bus,
          "bus instead of the system bus",
          "ADDRESS|session" },
        { "scenario", 0, 0, G_OPTION_ARG_STRING, &r->scenario, "options under one name", "NAME" },
        { "truth", 0, 0, G_OPTION_ARG_FILENAME, &r->truth, "write what happened", "FILE" },
        { "records",
          0,
          0,
          G_OPTION_ARG_FILENAME,
          &r->records,
          "append every record as it is made",
          "FILE" },
        { "peripheral",
          0,
          0,
          G_OPTION_ARG_STRING,
          &r->peripheral,
          "real pens, one on each of these adapters",
          "hci1,hci2" },
        { "seed", 0, 0, G_OPTION_ARG_INT64, &r->seed, "same seed, same treatments", "N" },
        { "pens", 0, 0, G_OPTION_ARG_INT, &r->pens, "number of pens", "N" },
        { "adapters", 0, 0, G_OPTION_ARG_INT, &r->adapters, "number of adapters", "N" },
        { "sessions", 0, 0, G_OPTION_ARG_INT, &r->sessions, "sessions per pen", "K" },
        { "passes", 0, 0, G_OPTION_ARG_INT, &r->passes, "passes per session, else 3 to 8", "N" },
        { "speed", 0, 0, G_OPTION_ARG_DOUBLE, &r->speed, "treatments run X times faster", "X" },
        { "tick-unit", 0, 0, G_OPTION_ARG_STRING, &r->tick_unit, "us or 32768", "UNIT" },
        { "capacity", 0, 0, G_OPTION_ARG_INT, &r->capacity, "a pen's memory", "RECORDS" },
        { "mtu", 0, 0, G_OPTION_ARG_INT, &r->mtu, "ATT_MTU, 23 to 517", "BYTES" },
        { "rate", 0, 0, G_OPTION_ARG_INT, &r->rate, "notifications per second of a report", "N" },
        { "drop", 0, 0, G_OPTION_ARG_DOUBLE, &r->drop, "notifications lost", "PCT" },
        { "bad-crc", 0, 0, G_OPTION_ARG_DOUBLE, &r->bad_crc, "records damaged on the air", "PCT" },
        { "holes", 0, 0, G_OPTION_ARG_DOUBLE, &r->holes, "records the flash loses", "PCT" },
        { "overtake",
          0,
          0,
          G_OPTION_ARG_DOUBLE,
          &r->overtake,
          "responses before the last item",
          "PCT" },
        { "repeat", 0, 0, G_OPTION_ARG_DOUBLE, &r->repeat, "records that are sent twice", "PCT" },
        { "debris",
          0,
          0,
          G_OPTION_ARG_DOUBLE,
          &r->debris,
          "links lost during AcquireNotify",
          "PCT" },
        { "disconnect-every",
          0,
          0,
          G_OPTION_ARG_INT,
          &r->disconnect_every,
          "mean life of a link",
          "MS" },
        { "absent-ms", 0, 0, G_OPTION_ARG_INT, &r->absent, "out of range after a lost link", "MS" },
        { "reboot-every",
          0,
          0,
          G_OPTION_ARG_INT,
          &r->reboot_every,
          "treatment time between resets",
          "MS" },
        { "slow-racp", 0, 0, G_OPTION_ARG_INT, &r->slow_racp, "delay of every procedure", "MS" },
        { "absent-connect-ms",
          0,
          0,
          G_OPTION_ARG_INT,
          &r->absent_connect,
          "Connect to an absent pen gives up",
          "MS" },
        { "att-ms", 0, 0, G_OPTION_ARG_INT, &r->att, "round trip of an ATT request", "MS" },
        { "clock-jump",
          0,
          0,
          G_OPTION_ARG_NONE,
          &r->clock_jump,
          "ticks leap between sessions",
          NULL },
        { "wait-for-bond", 0, 0, G_OPTION_ARG_NONE, &r->wait_for_bond, "treat once bonded", NULL },
        { "bonded", 0, 0, G_OPTION_ARG_NONE, &r->bonded, "bonded from the start", NULL },
        { "calm",
          0,
          0,
          G_OPTION_ARG_NONE,
          &r->calm,
          "a pen that has treated has a good link",
          NULL },
        { "reconnect", 0, 0, G_OPTION_ARG_NONE, &r->reconnect, "outlive the bus", NULL },
        { "lose-bonds-after",
          0,
          0,
          G_OPTION_ARG_INT,
          &r->lose_bonds_after,
          "forget every bond, once, that long after the first",
          "MS" },
        { "pairing",
          0,
          0,
          G_OPTION_ARG_INT,
          &r->pairing,
          "pairing mode from the start, -1 for ever",
          "S" },
        { "linger",
          0,
          0,
          G_OPTION_ARG_INT,
          &r->linger,
          "stay after the last session, -1 until SIGTERM",
          "S" },
        { "hostile",
          0,
          0,
          G_OPTION_ARG_STRING,
          &r->hostile,
          "length, crc, duplicate, oversize, endless, unknown-type, major, serial, turncoat, "
          "log-id, far or logs",
          "HOW" },
        { "hostile-pen", 0, 0, G_OPTION_ARG_INT, &r->hostile_pen, "which pen, else the last", "N" },
        { "polkit", 0, 0, G_OPTION_ARG_STRING, &r->polkit, "yes, no, hang or absent", "ANSWER" },
        { "deaf", 0, 0, G_OPTION_ARG_INT, &r->deaf, "what revives discovery", "0-3" },
        { "no-bluez", 0, 0, G_OPTION_ARG_NONE, &r->no_bluez, "no bluetoothd at all", NULL },
        { "verbose", 'v', 0, G_OPTION_ARG_NONE, &r->verbose, "a line for every event", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- virtual pens behind org.bluez");
    g_autoptr(GString) summary = g_string_new("Scenarios:");
    for (uint32_t i = 0; i < G_N_ELEMENTS(scenarios); i++) {
        g_string_append_printf(summary, "\n  %-8s %s", scenarios[i].name, scenarios[i].help);
    }
    g_option_context_set_description(context, summary->str);
    g_option_context_add_main_entries(context, entries, NULL);
    return g_option_context_parse_strv(context, argv, error);
}

/* The scenario's options first, then the caller's again, so that the caller wins. */
static bool
parse_scenario(Raw *r, char **argv, GError **error)
{
    g_autofree char *name = g_strdup(r->scenario != NULL ? r->scenario : "plain");
    for (uint32_t i = 0; i < G_N_ELEMENTS(scenarios); i++) {
        if (!g_str_equal(scenarios[i].name, name)) {
            continue;
        }
        g_auto(GStrv) words = g_strsplit(scenarios[i].args, " ", -1);
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_strv_builder_add(builder, argv[0]);
        for (uint32_t j = 0; words[j] != NULL && words[j][0] != '\0'; j++) {
            g_strv_builder_add(builder, words[j]);
        }
        g_strv_builder_addv(builder, (const char **)(void *)(argv + 1));
        g_auto(GStrv) all = g_strv_builder_end(builder);
        raw_clear(r); /* every word is read again, and GOption frees none it replaces */
        return parse_raw(r, &all, error);
    }
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "no scenario \"%s\"", name);
    return false;
}

static bool
check_words(const Raw *r, SimOptions *self, GError **error)
{
    static const char *const polkit_words[] = { "absent", "yes", "no", "hang", NULL };
    static const char *const hostile_words[] = {
        "none",  "length", "crc",      "duplicate", "oversize", "endless", "unknown-type",
        "major", "serial", "turncoat", "log-id",    "far",      "logs",    NULL
    };
    static const char *const unit_words[] = { "us", "32768", NULL };
    uint32_t polkit = 0;
    uint32_t hostile = 0;
    if (r->polkit != NULL && !pick(r->polkit, polkit_words, &polkit)) {
        g_set_error(
            error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--polkit: yes, no, hang or absent");
        return false;
    }
    if (r->hostile != NULL && !pick(r->hostile, hostile_words, &hostile)) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--hostile: see --help");
        return false;
    }
    if (r->tick_unit != NULL && !pick(r->tick_unit, unit_words, &self->tick_unit)) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--tick-unit: us or 32768");
        return false;
    }
    self->polkit = (SimPolkitAnswer)polkit;
    self->hostile = (SimHostile)hostile;
    return true;
}

static bool
check_numbers(const Raw *r, GError **error)
{
    const bool ok =
        r->pens >= 0 && r->pens <= 250 && r->adapters >= 0 && r->adapters <= 16 &&
        r->sessions >= 0 && r->sessions <= 100000 && r->passes >= 0 && r->passes <= 1000 &&
        r->capacity >= 8 && r->mtu >= 23 && r->mtu <= 517 && r->rate >= 1 && r->speed > 0.0 &&
        r->speed <= 1000.0 && r->disconnect_every >= 0 && r->absent >= 0 && r->reboot_every >= 0 &&
        r->slow_racp >= 0 && r->absent_connect >= 0 && r->att >= 0 && r->lose_bonds_after >= 0 &&
        r->pairing >= -1 && r->linger >= -1 && r->hostile_pen >= 0;
    if (!ok) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "a number is out of range");
    }
    return ok;
}

static void
take(SimOptions *self, Raw *r)
{
    self->bus = g_steal_pointer(&r->bus);
    self->scenario = g_steal_pointer(&r->scenario);
    self->truth = g_steal_pointer(&r->truth);
    self->records = g_steal_pointer(&r->records);
    self->peripheral = g_steal_pointer(&r->peripheral);
    self->seed = (uint64_t)r->seed;
    self->n_pens = (uint32_t)r->pens;
    self->n_adapters = (uint32_t)r->adapters;
    self->n_sessions = (uint32_t)r->sessions;
    self->passes_min = r->passes > 0 ? (uint32_t)r->passes : 3u;
    self->passes_max = r->passes > 0 ? (uint32_t)r->passes : 8u;
    self->capacity = (uint32_t)r->capacity;
    self->mtu = (uint32_t)r->mtu;
    self->rate = (uint32_t)r->rate;
    self->speed = r->speed;
    self->drop_pct = r->drop;
    self->bad_crc_pct = r->bad_crc;
    self->hole_pct = r->holes;
    self->overtake_pct = r->overtake;
    self->repeat_pct = r->repeat;
    self->debris_pct = r->debris;
    self->disconnect_every_ms = (uint32_t)r->disconnect_every;
    self->absent_ms = (uint32_t)r->absent;
    self->reboot_every_ms = (uint32_t)r->reboot_every;
    self->slow_racp_ms = (uint32_t)r->slow_racp;
    self->lose_bonds_ms = (uint32_t)r->lose_bonds_after;
    self->absent_connect_ms = (uint32_t)r->absent_connect;
    self->att_ms = (uint32_t)r->att;
    self->clock_jump = r->clock_jump;
    self->wait_for_bond = r->wait_for_bond;
    self->bonded = r->bonded;
    self->calm = r->calm;
    self->reconnect = r->reconnect;
    self->pairing_s = r->pairing;
    self->linger_s = r->linger;
    self->no_bluez = r->no_bluez;
    self->deaf = (uint32_t)CLAMP(r->deaf, 0, 3);
    self->verbose = r->verbose;
    self->hostile_pen = r->hostile_pen > 0 ? (uint32_t)r->hostile_pen : (uint32_t)r->pens;
}

bool
sim_options_parse(SimOptions *self, int *argc, char ***argv, GError **error)
{
    g_auto(GStrv) first = g_strdupv(*argv);
    Raw raw = {
        .seed = 1,
        .pens = 3,
        .adapters = 1,
        .sessions = 1,
        .capacity = 200000,
        .mtu = 247,
        .rate = 2700, /* what a guest's bluetoothd passed on (F4) */
        .speed = 1.0,
        .absent_connect = 41000, /* F11, F22 */
        .att = 15,
        .linger = -1,
    };
    *self = (SimOptions){ 0 };
    bool ok = parse_raw(&raw, &first, error) && parse_scenario(&raw, *argv, error) &&
              check_words(&raw, self, error) && check_numbers(&raw, error);
    if (ok) {
        take(self, &raw);
    }
    raw_clear(&raw);
    return ok;
}

void
sim_options_clear(SimOptions *self)
{
    g_clear_pointer(&self->bus, g_free);
    g_clear_pointer(&self->scenario, g_free);
    g_clear_pointer(&self->truth, g_free);
    g_clear_pointer(&self->records, g_free);
    g_clear_pointer(&self->peripheral, g_free);
}
