/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides which states of a pen need a person, and how a pen looks as JSON.
 */
#include "ctl/pen.h"

#include "lib/dict.h"
#include "lib/time.h"

#include <string.h>

#define BATTERY_UNKNOWN 255
#define BATTERY_LOW_PCT 15

typedef struct {
    const char *state;
    CliColour colour;
    bool is_linked;
    bool is_stopped;
    const char *advice; /* the serial follows a blank at its end */
} StateRow;

static const StateRow states[] = {
    { "absent", CLI_COLOUR_DIM, false, false, NULL },
    { "connecting", CLI_COLOUR_NONE, false, false, NULL },
    { "connected", CLI_COLOUR_GOOD, true, false, NULL },
    { "backfill", CLI_COLOUR_GOOD, true, false, NULL },
    { "live", CLI_COLOUR_GOOD, true, false, NULL },
    { "needs-enrol",
      CLI_COLOUR_BAD,
      false,
      true,
      "put the pen into pairing mode and type: pentelctl enroll " },
    { "bluetoothd-stuck", CLI_COLOUR_BAD, false, true, "type: systemctl restart bluetooth" },
    { "in-use", CLI_COLOUR_BAD, false, true, "end the other program that uses the pen" },
    { "refused", CLI_COLOUR_BAD, false, true, "update penteld or the firmware of the pen" },
    { "no-adapter", CLI_COLOUR_BAD, false, true, "plug in a Bluetooth LE adapter or switch it on" },
};

static const StateRow unknown_state = { "", CLI_COLOUR_NONE, false, false, NULL };

static const StateRow *
state_of(GVariant *pen)
{
    const char *state = cli_dict_get_text(pen, "State");

    for (gsize i = 0; state != NULL && i < G_N_ELEMENTS(states); i++) {
        if (strcmp(states[i].state, state) == 0) {
            return &states[i];
        }
    }
    return &unknown_state;
}

bool
ctl_pen_is_stopped(GVariant *pen)
{
    return state_of(pen)->is_stopped;
}

bool
ctl_pen_is_linked(GVariant *pen)
{
    return state_of(pen)->is_linked;
}

CliColour
ctl_pen_get_colour(GVariant *pen)
{
    return state_of(pen)->colour;
}

int
ctl_pen_get_battery(GVariant *pen)
{
    uint64_t battery_pct = BATTERY_UNKNOWN;

    cli_dict_get_uint(pen, "Battery", &battery_pct);
    return battery_pct == BATTERY_UNKNOWN ? -1 : (int)battery_pct;
}

G_GNUC_PRINTF(2, 3)
static void
append_part(GString *out, const char *format, ...)
{
    va_list arguments;

    if (out->len > 0) {
        g_string_append(out, "; ");
    }
    va_start(arguments, format);
    g_string_append_vprintf(out, format, arguments);
    va_end(arguments);
}

char *
ctl_pen_dup_trouble(GVariant *pen)
{
    g_autoptr(GString) out = g_string_new(NULL);
    const char *reason = cli_dict_get_text(pen, "Reason");
    const int battery_pct = ctl_pen_get_battery(pen);
    uint64_t overwritten = 0;
    uint64_t malformed = 0;

    if (ctl_pen_is_stopped(pen)) {
        append_part(out, "%s", reason != NULL ? reason : cli_dict_get_text(pen, "State"));
    }
    if (cli_dict_get_uint(pen, "Malformed", &malformed) && malformed > 0) {
        append_part(out, "%" G_GUINT64_FORMAT " malformed values or records refused", malformed);
    }
    if (cli_dict_get_uint(pen, "Overwritten", &overwritten) && overwritten > 0) {
        append_part(
            out, "%" G_GUINT64_FORMAT " records lost: the pen overwrote them unread", overwritten);
    }
    if (battery_pct >= 0 && battery_pct < BATTERY_LOW_PCT) {
        append_part(out, "battery at %d %%", battery_pct);
    }
    return out->len > 0 ? g_strdup(out->str) : NULL;
}

char *
ctl_pen_dup_advice(GVariant *pen)
{
    const char *advice = state_of(pen)->advice;
    const char *serial = cli_dict_get_text(pen, "Serial");
    uint64_t overwritten = 0;

    if (advice != NULL) {
        const bool takes_serial = g_str_has_suffix(advice, " ") && serial != NULL;
        return g_strconcat(advice, takes_serial ? serial : "", NULL);
    }
    if (cli_dict_get_uint(pen, "Overwritten", &overwritten) && overwritten > 0) {
        return g_strdup("bring the pen near the gateway after each treatment");
    }
    if (ctl_pen_get_battery(pen) >= 0 && ctl_pen_get_battery(pen) < BATTERY_LOW_PCT) {
        return g_strdup("charge the pen");
    }
    return g_strdup("keep an eye on this pen; if it goes on, have its maker look at it");
}

static void
append_battery(CliJson *json, GVariant *pen)
{
    const int battery_pct = ctl_pen_get_battery(pen);

    if (battery_pct < 0) {
        cli_json_null(json, "battery");
    } else {
        cli_json_uint(json, "battery", (uint64_t)battery_pct);
    }
}

static void
append_last_seen(CliJson *json, GVariant *pen)
{
    uint64_t wall_us = 0;
    g_autofree char *text = NULL;

    if (cli_dict_get_uint(pen, "LastSeen", &wall_us) && wall_us > 0 && wall_us <= INT64_MAX) {
        text = cli_time_to_rfc3339((int64_t)wall_us);
    }
    cli_json_text(json, "last_seen", text);
}

static void
append_count(CliJson *json, const char *key, GVariant *pen, const char *property)
{
    uint64_t value = 0;

    if (cli_dict_get_uint(pen, property, &value)) {
        cli_json_uint(json, key, value);
    } else {
        cli_json_null(json, key);
    }
}

void
ctl_pen_append_json(CliJson *json, const char *key, GVariant *pen)
{
    cli_json_open(json, key, '{');
    cli_json_text(json, "serial", cli_dict_get_text(pen, "Serial"));
    cli_json_text(json, "address", cli_dict_get_text(pen, "Address"));
    cli_json_text(json, "name", cli_dict_get_text(pen, "Name"));
    cli_json_text(json, "state", cli_dict_get_text(pen, "State"));
    cli_json_text(json, "reason", cli_dict_get_text(pen, "Reason"));
    append_battery(json, pen);
    cli_json_text(json, "firmware", cli_dict_get_text(pen, "Firmware"));
    cli_json_text(json, "adapter", cli_dict_get_text(pen, "Adapter"));
    append_last_seen(json, pen);
    append_count(json, "overwritten", pen, "Overwritten");
    append_count(json, "malformed", pen, "Malformed");
    cli_json_close(json, '}');
}
