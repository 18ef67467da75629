/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides how a session looks as JSON (its shape is in pentelctl(1) and in
 * schema/session.json), and how its numbers look to a person.
 */
#include "ctl/session.h"

#include "lib/dict.h"
#include "lib/time.h"

#include <string.h>

#define TIME_ERROR_SHOWN_MS 60000

static void
append_depth(CliJson *json, GVariant *dict)
{
    g_autoptr(GVariant) depth = cli_dict_get(dict, "depth_um", "a{sv}");

    if (depth == NULL || g_variant_n_children(depth) == 0) {
        cli_json_null(json, "depth_um");
        return;
    }
    cli_json_open(json, "depth_um", '{');
    cli_json_dict_uint(json, depth, "min");
    cli_json_dict_uint(json, depth, "median");
    cli_json_dict_uint(json, depth, "p95");
    cli_json_dict_uint(json, depth, "max");
    cli_json_dict_uint(json, depth, "mean");
    cli_json_close(json, '}');
}

static void
append_missing(CliJson *json, GVariant *records)
{
    g_autoptr(GVariant) missing = cli_dict_get(records, "missing", "a(uus)");
    const guint n = missing != NULL ? (guint)g_variant_n_children(missing) : 0;

    cli_json_open(json, "missing", '[');
    for (guint i = 0; i < n; i++) {
        guint32 first = 0;
        guint32 last = 0;
        const char *cause = NULL;
        g_variant_get_child(missing, i, "(uu&s)", &first, &last, &cause);
        cli_json_open(json, NULL, '[');
        cli_json_uint(json, NULL, first);
        cli_json_uint(json, NULL, last);
        cli_json_text(json, NULL, cause);
        cli_json_close(json, ']');
    }
    cli_json_close(json, ']');
}

static void
append_records(CliJson *json, GVariant *session)
{
    g_autoptr(GVariant) records = cli_dict_get(session, "records", "a{sv}");

    if (records == NULL) {
        cli_json_null(json, "records");
        return;
    }
    cli_json_open(json, "records", '{');
    cli_json_dict_text(json, records, "log");
    cli_json_dict_uint(json, records, "first");
    cli_json_dict_uint(json, records, "last");
    append_missing(json, records);
    cli_json_close(json, '}');
}

static void
append_zones(CliJson *json, GVariant *session)
{
    g_autoptr(GVariant) zones = cli_dict_get(session, "zones", "as");
    const guint n = zones != NULL ? (guint)g_variant_n_children(zones) : 0;

    cli_json_open(json, "zones", '[');
    for (guint i = 0; i < n; i++) {
        const char *zone = NULL;
        g_variant_get_child(zones, i, "&s", &zone);
        cli_json_text(json, NULL, zone);
    }
    cli_json_close(json, ']');
}

static void
append_pass(CliJson *json, GVariant *pass)
{
    cli_json_dict_uint(json, pass, "index");
    cli_json_dict_text(json, pass, "started_at");
    cli_json_dict_uint(json, pass, "elapsed_ms");
    cli_json_dict_uint(json, pass, "contact_ms");
    append_depth(json, pass);
    cli_json_dict_double(json, pass, "rate_hz");
    cli_json_dict_uint(json, pass, "punctures_estimate");
    cli_json_dict_text(json, pass, "zone");
    cli_json_dict_bool(json, pass, "incomplete");
}

static void
append_setting(CliJson *json, GVariant *setting)
{
    cli_json_dict_text(json, setting, "at");
    cli_json_dict_uint(json, setting, "depth_um");
}

static void
append_cartridge(CliJson *json, GVariant *cartridge)
{
    cli_json_dict_text(json, cartridge, "id");
    cli_json_dict_text(json, cartridge, "lot");
    cli_json_dict_text(json, cartridge, "expiry");
    cli_json_dict_uint(json, cartridge, "needles");
    cli_json_dict_text(json, cartridge, "at");
}

static void
append_fault(CliJson *json, GVariant *fault)
{
    cli_json_dict_text(json, fault, "at");
    cli_json_dict_uint(json, fault, "code");
    cli_json_dict_text(json, fault, "text");
}

static void
append_list(CliJson *json,
            GVariant *session,
            const char *key,
            void (*append)(CliJson *json, GVariant *item))
{
    g_autoptr(GVariant) list = cli_dict_get(session, key, "aa{sv}");
    const gsize n = list != NULL ? g_variant_n_children(list) : 0;

    cli_json_open(json, key, '[');
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) item = g_variant_get_child_value(list, i);
        cli_json_open(json, NULL, '{');
        append(json, item);
        cli_json_close(json, '}');
    }
    cli_json_close(json, ']');
}

static void
append_receipt(CliJson *json, GVariant *session)
{
    g_autoptr(GVariant) receipt = cli_dict_get(session, "receipt", "a{sv}");

    if (receipt == NULL || g_variant_n_children(receipt) == 0) {
        cli_json_null(json, "receipt");
        return;
    }
    cli_json_open(json, "receipt", '{');
    cli_json_dict_text(json, receipt, "sha256");
    cli_json_dict_uint(json, receipt, "first");
    cli_json_dict_uint(json, receipt, "last");
    cli_json_dict_uint(json, receipt, "marked");
    cli_json_dict_text(json, receipt, "marked_at");
    cli_json_close(json, '}');
}

void
ctl_session_append_json_members(CliJson *json, GVariant *session, bool is_full)
{
    cli_json_dict_text(json, session, "id");
    cli_json_dict_text(json, session, "pen");
    cli_json_dict_text(json, session, "started_at");
    cli_json_dict_text(json, session, "ended_at");
    cli_json_dict_uint(json, session, "time_error_ms");
    cli_json_dict_uint(json, session, "elapsed_ms");
    cli_json_dict_uint(json, session, "contact_ms");
    cli_json_dict_uint(json, session, "pass_count");
    append_depth(json, session);
    cli_json_dict_text(json, session, "state");
    append_records(json, session);
    append_zones(json, session);
    if (!is_full) {
        return;
    }
    append_list(json, session, "passes", append_pass);
    append_list(json, session, "settings", append_setting);
    append_list(json, session, "cartridges", append_cartridge);
    append_list(json, session, "faults", append_fault);
    append_receipt(json, session);
    cli_json_dict_text(json, session, "definition");
    cli_json_dict_text(json, session, "patient");
    cli_json_dict_text(json, session, "operator");
    cli_json_dict_text(json, session, "note");
    cli_json_dict_text(json, session, "reaction");
    cli_json_dict_text(json, session, "order");
    cli_json_dict_text(json, session, "hold");
    cli_json_dict_text(json, session, "end_cause");
    cli_json_dict_uint(json, session, "continues");
}

void
ctl_session_append_json(CliJson *json, const char *key, GVariant *session)
{
    cli_json_open(json, key, '{');
    ctl_session_append_json_members(json, session, false);
    cli_json_close(json, '}');
}

char *
ctl_session_dup_depth_mm(GVariant *dict, const char *which)
{
    g_autoptr(GVariant) depth = cli_dict_get(dict, "depth_um", "a{sv}");
    uint64_t depth_um = 0;

    if (depth == NULL || !cli_dict_get_uint(depth, which, &depth_um)) {
        return NULL;
    }
    const uint64_t hundredths = (depth_um + 5) / 10;
    return g_strdup_printf(
        "%" G_GUINT64_FORMAT ".%02u", hundredths / 100, (unsigned)(hundredths % 100));
}

char *
ctl_session_dup_duration(GVariant *dict, const char *key)
{
    uint64_t duration_ms = 0;

    return cli_dict_get_uint(dict, key, &duration_ms) ? cli_duration_show(duration_ms) : NULL;
}

char *
ctl_session_dup_number(GVariant *dict, const char *key)
{
    uint64_t number = 0;

    if (!cli_dict_get_uint(dict, key, &number)) {
        return NULL;
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT, number);
}

char *
ctl_session_dup_start(GVariant *session, bool with_seconds)
{
    g_autofree char *text = cli_time_show(cli_dict_get_text(session, "started_at"), with_seconds);
    uint64_t error_ms = 0;

    if (cli_dict_get_uint(session, "time_error_ms", &error_ms) && error_ms > TIME_ERROR_SHOWN_MS) {
        return g_strconcat("~", text, NULL);
    }
    return g_steal_pointer(&text);
}

CliColour
ctl_session_get_colour(GVariant *session)
{
    const char *state = cli_dict_get_text(session, "state");

    if (state == NULL || strcmp(state, "complete") == 0) {
        return CLI_COLOUR_NONE;
    }
    if (strcmp(state, "live") == 0) {
        return CLI_COLOUR_GOOD;
    }
    return strcmp(state, "lossy") == 0 ? CLI_COLOUR_BAD : CLI_COLOUR_WARNING;
}

char *
ctl_session_dup_zones(GVariant *session)
{
    g_autoptr(GVariant) zones = cli_dict_get(session, "zones", "as");

    if (zones == NULL || g_variant_n_children(zones) == 0) {
        return NULL;
    }
    g_auto(GStrv) words = g_variant_dup_strv(zones, NULL);
    return g_strjoinv(", ", words);
}
