/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl status: penteld, its store, Bluetooth and the pens in a few lines.
 */
#include "ctl/command.h"
#include "ctl/pen.h"
#include "ctl/run.h"
#include "lib/dict.h"
#include "lib/json.h"
#include "lib/text.h"

#include <string.h>

static void
append_adapters(CliJson *json, GVariant *health)
{
    g_autoptr(GVariant) adapters = cli_dict_get(health, "adapters", "aa{sv}");
    const gsize n = adapters != NULL ? g_variant_n_children(adapters) : 0;

    cli_json_open(json, "adapters", '[');
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) adapter = g_variant_get_child_value(adapters, i);
        cli_json_open(json, NULL, '{');
        cli_json_dict_text(json, adapter, "address");
        cli_json_dict_text(json, adapter, "name");
        cli_json_dict_bool(json, adapter, "powered");
        cli_json_close(json, '}');
    }
    cli_json_close(json, ']');
}

static void
append_findings(CliJson *json, GVariant *health)
{
    g_autoptr(GVariant) findings = cli_dict_get(health, "findings", "aa{sv}");
    const gsize n = findings != NULL ? g_variant_n_children(findings) : 0;

    cli_json_open(json, "findings", '[');
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);
        cli_json_open(json, NULL, '{');
        cli_json_dict_text(json, finding, "severity");
        cli_json_dict_text(json, finding, "text");
        cli_json_dict_text(json, finding, "advice");
        cli_json_close(json, '}');
    }
    cli_json_close(json, ']');
}

static CtlExit
print_json(GVariant *health)
{
    static const char *const numbers[] = { "journal_head",  "sessions",    "disk_free_bytes",
                                           "frames_lost",   "records_bad", "queue_bytes",
                                           "commit_ms_max", "loop_ms_max" };
    static const char *const texts[] = {
        "version", "store_id", "store_state", "store_error", "bluez"
    };
    g_autoptr(GString) out = g_string_new(NULL);
    CliJson json = CLI_JSON_INIT(out);

    cli_json_open(&json, NULL, '{');
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        cli_json_dict_text(&json, health, texts[i]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        cli_json_dict_uint(&json, health, numbers[i]);
    }
    append_adapters(&json, health);
    append_findings(&json, health);
    cli_json_close(&json, '}');
    g_string_append_c(out, '\n');
    return ctl_print(out, NULL);
}

static void
append_line(GString *out, const CliTerm *term, const char *label, const char *text)
{
    g_autofree char *escaped = cli_text_escape(text, term->has_utf8);
    g_autofree char *fitted = cli_text_fit(escaped, term->n_columns - 11, term->has_utf8);

    g_string_append_printf(out,
                           "%s%-11s%s%s\n",
                           cli_term_colour(term, CLI_COLOUR_BOLD),
                           label,
                           cli_term_colour(term, CLI_COLOUR_NONE),
                           fitted);
}

static void
append_count(GString *out, GVariant *health, const char *key, const char *before, const char *after)
{
    uint64_t value = 0;

    if (cli_dict_get_uint(health, key, &value)) {
        g_string_append_printf(out, "%s%" G_GUINT64_FORMAT "%s", before, value, after);
    }
}

static void
append_store(GString *out, const CliTerm *term, GVariant *health)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *state = cli_dict_get_text(health, "store_state");
    const char *error = cli_dict_get_text(health, "store_error");
    uint64_t free_bytes = 0;

    g_string_append(text, state != NULL ? state : "unknown");
    append_count(text, health, "sessions", ", ", " sessions");
    append_count(text, health, "journal_head", ", journal at ", "");
    if (error != NULL) {
        g_string_append_printf(text, ": %s", error);
    }
    append_line(out, term, "store", text->str);
    if (cli_dict_get_uint(health, "disk_free_bytes", &free_bytes)) {
        g_autofree char *size = g_format_size_full(free_bytes, G_FORMAT_SIZE_DEFAULT);
        g_autofree char *free_text = g_strdup_printf("%s free", size);
        append_line(out, term, "disk", free_text);
    }
}

static void
append_bluetooth(GString *out, const CliTerm *term, GVariant *health)
{
    g_autoptr(GVariant) adapters = cli_dict_get(health, "adapters", "aa{sv}");
    g_autoptr(GString) text = g_string_new(NULL);
    const char *bluez = cli_dict_get_text(health, "bluez");
    const gsize n = adapters != NULL ? g_variant_n_children(adapters) : 0;

    if (bluez == NULL || strcmp(bluez, "absent") == 0) {
        g_string_append(text, "bluetoothd is not running");
    } else {
        const bool has_version = strcmp(bluez, "present") != 0;
        g_string_append_printf(
            text, "BlueZ %s%s", has_version ? bluez : "running", n == 0 ? ", no adapter" : "");
    }
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) adapter = g_variant_get_child_value(adapters, i);
        const char *name = cli_dict_get_text(adapter, "name");
        const char *address = cli_dict_get_text(adapter, "address");
        bool is_powered = false;
        cli_dict_get_bool(adapter, "powered", &is_powered);
        g_string_append_printf(text,
                               ", %s %s %s",
                               name != NULL ? name : "?",
                               address != NULL ? address : "?",
                               is_powered ? "on" : "off");
    }
    append_line(out, term, "Bluetooth", text->str);
}

static void
append_pens(GString *out, const CliTerm *term, GVariant *pens)
{
    const gsize n = g_variant_n_children(pens);
    guint n_linked = 0;
    guint n_troubled = 0;

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) pen = g_variant_get_child_value(pens, i);
        g_autofree char *trouble = ctl_pen_dup_trouble(pen);
        n_linked += ctl_pen_is_linked(pen);
        n_troubled += trouble != NULL;
    }
    g_autofree char *text = g_strdup_printf(
        "%u enrolled, %u connected, %u in need of attention", (unsigned)n, n_linked, n_troubled);
    append_line(out, term, "pens", text);
}

static void
append_problems(GString *out, const CliTerm *term, GVariant *health)
{
    g_autoptr(GVariant) findings = cli_dict_get(health, "findings", "aa{sv}");
    const gsize n = findings != NULL ? g_variant_n_children(findings) : 0;

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);
        const char *severity = cli_dict_get_text(finding, "severity");
        const char *text = cli_dict_get_text(finding, "text");
        append_line(
            out, term, severity != NULL ? severity : "finding", text != NULL ? text : "unknown");
    }
}

static CtlExit
print_text(GVariant *health, GVariant *pens, const CliTerm *term)
{
    g_autoptr(GString) out = g_string_new(NULL);
    const char *version = cli_dict_get_text(health, "version");
    g_autofree char *head = g_strdup_printf("%s, running", version != NULL ? version : "unknown");

    append_line(out, term, "penteld", head);
    append_store(out, term, health);
    append_bluetooth(out, term, health);
    append_pens(out, term, pens);
    append_problems(out, term, health);
    return ctl_print(out, NULL);
}

CtlExit
ctl_status(CtlRun *run)
{
    g_autoptr(GVariant) health_reply = NULL;
    g_autoptr(GVariant) pens_reply = NULL;
    CtlExit exit_code = ctl_run_call(
        run, "ask for the state", CLI_BUS_MANAGER1, "Health", NULL, "(a{sv})", &health_reply);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_autoptr(GVariant) health = g_variant_get_child_value(health_reply, 0);
    if (run->is_json) {
        return print_json(health);
    }
    exit_code = ctl_run_call(
        run, "list the pens", CLI_BUS_MANAGER1, "ListPens", NULL, "(aa{sv})", &pens_reply);
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_autoptr(GVariant) pens = g_variant_get_child_value(pens_reply, 0);
    return print_text(health, pens, &run->out);
}
