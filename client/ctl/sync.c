/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl sync: how the uploads are, from those that run, and another try of what waits.
 */
#include "ctl/command.h"
#include "ctl/run.h"
#include "ctl/sinks.h"
#include "lib/dict.h"
#include "lib/fault.h"
#include "lib/json.h"
#include "lib/text.h"
#include "lib/time.h"

#include <string.h>

#define N_UUID      36u
#define N_ID_MIN    4u
#define N_SHOWN_MAX 20u

static GVariant *
call_sink(
    CtlRun *run, const char *bus_name, const char *method, GVariant *arguments, GError **error)
{
    const CliBusTarget target = { bus_name, "/org/pentel/sync", "org.pentel.Sync1", method };
    const bool is_retry = arguments != NULL;

    return cli_bus_call_other(
        run->bus, &target, arguments, is_retry ? "(u)" : "(a{sv})", CLI_BUS_TIMEOUT_MS, error);
}

static void
append_entry_json(CliJson *json, GVariant *entry)
{
    static const char *const texts[] = { "session", "gateway", "since",
                                         "reason",  "text",    "next_try_at" };

    cli_json_open(json, NULL, '{');
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        cli_json_dict_text(json, entry, texts[i]);
    }
    cli_json_dict_uint(json, entry, "attempts");
    cli_json_close(json, '}');
}

static void
append_json(CliJson *json, const char *name, GVariant *status)
{
    static const char *const texts[] = {
        "kind",           "version",           "gateway",   "store_id",
        "last_delivered", "last_delivered_at", "oldest_at", "last_error",
        "last_error_at",  "next_try_at",
    };
    static const char *const numbers[] = { "scanned", "head",    "delivered",
                                           "waiting", "unbound", "set_aside" };
    g_autoptr(GVariant) entries = cli_dict_get(status, "entries", "aa{sv}");
    const gsize n = entries != NULL ? g_variant_n_children(entries) : 0;

    cli_json_open(json, NULL, '{');
    cli_json_text(json, "name", name);
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        cli_json_dict_text(json, status, texts[i]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        cli_json_dict_uint(json, status, numbers[i]);
    }
    cli_json_dict_bool(json, status, "working");
    cli_json_open(json, "entries", '[');
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) entry = g_variant_get_child_value(entries, i);
        append_entry_json(json, entry);
    }
    cli_json_close(json, ']');
    cli_json_close(json, '}');
}

static void
append_line(GString *out, const CliTerm *term, const char *label, const char *text)
{
    g_autofree char *line = g_strdup_printf("%-11s%s", label, text);

    cli_text_append_wrapped(out, line, term->n_columns, 2, 13, term->has_utf8);
}

static uint64_t
get_count(GVariant *status, const char *key)
{
    uint64_t value = 0;

    cli_dict_get_uint(status, key, &value);
    return value;
}

static void
append_delivered(GString *out, const CliTerm *term, GVariant *status)
{
    const char *last = cli_dict_get_text(status, "last_delivered");
    const char *at_text = cli_dict_get_text(status, "last_delivered_at");
    g_autofree char *at = cli_time_show(at_text, true);
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_printf(text, "%" G_GUINT64_FORMAT " sessions", get_count(status, "delivered"));
    if (last != NULL) {
        g_string_append_printf(text, ", the last %.8s at %s", last, at);
    }
    append_line(out, term, "delivered", text->str);
}

static void
append_waiting(GString *out, const CliTerm *term, GVariant *status)
{
    const uint64_t n_waiting = get_count(status, "waiting");
    const uint64_t n_unbound = get_count(status, "unbound");
    const uint64_t n_aside = get_count(status, "set_aside");
    g_autofree char *oldest = cli_time_show(cli_dict_get_text(status, "oldest_at"), false);

    if (n_waiting + n_unbound + n_aside == 0) {
        append_line(out, term, "waiting", "nothing");
        return;
    }
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " to be tried, %" G_GUINT64_FORMAT
                                            " without a patient reference, %" G_GUINT64_FORMAT
                                            " set aside; the oldest since %s",
                                            n_waiting,
                                            n_unbound,
                                            n_aside,
                                            oldest);
    append_line(out, term, "waiting", text);
}

static void
append_error(GString *out, const CliTerm *term, GVariant *status)
{
    const char *error = cli_dict_get_text(status, "last_error");
    g_autofree char *at = cli_time_show(cli_dict_get_text(status, "last_error_at"), true);
    g_autofree char *next = cli_time_show(cli_dict_get_text(status, "next_try_at"), true);

    if (error == NULL) {
        return;
    }
    g_autofree char *text = g_strdup_printf("%s (%s)", error, at);
    append_line(out, term, "error", text);
    append_line(out, term, "next try", next);
}

static void
append_entries(GString *out, const CliTerm *term, GVariant *status)
{
    g_autoptr(GVariant) entries = cli_dict_get(status, "entries", "aa{sv}");
    const gsize n = entries != NULL ? g_variant_n_children(entries) : 0;

    for (gsize i = 0; i < MIN(n, N_SHOWN_MAX); i++) {
        g_autoptr(GVariant) entry = g_variant_get_child_value(entries, i);
        const char *session = cli_dict_get_text(entry, "session");
        const char *reason = cli_dict_get_text(entry, "reason");
        const char *words = cli_dict_get_text(entry, "text");
        g_autofree char *since = cli_time_show(cli_dict_get_text(entry, "since"), false);
        g_autofree char *text = g_strdup_printf("%.8s  %s  %s%s%s",
                                                session != NULL ? session : "?",
                                                since,
                                                reason != NULL ? reason : "?",
                                                words != NULL ? ": " : "",
                                                words != NULL ? words : "");
        cli_text_append_wrapped(out, text, term->n_columns, 4, 14, term->has_utf8);
    }
    if (n > N_SHOWN_MAX) {
        append_line(out, term, "", "and more; see: pentelctl sync --json");
    }
}

static void
append_sink(GString *out, const CliTerm *term, const char *name, GVariant *status)
{
    const char *kind = cli_dict_get_text(status, "kind");
    g_autofree char *escaped = cli_text_escape(name, term->has_utf8);
    g_autofree char *journal =
        g_strdup_printf("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " entries read",
                        get_count(status, "scanned"),
                        get_count(status, "head"));

    g_string_append_printf(out,
                           "%s%s%s (%s)\n",
                           cli_term_colour(term, CLI_COLOUR_BOLD),
                           escaped,
                           cli_term_colour(term, CLI_COLOUR_NONE),
                           kind != NULL ? kind : "unknown");
    append_delivered(out, term, status);
    append_line(out, term, "journal", journal);
    append_waiting(out, term, status);
    append_error(out, term, status);
    append_entries(out, term, status);
}

/* What is known of a sink that does not say how it is. Owns: the caller's. */
static GVariant *
status_of_silent(const GError *error)
{
    CtlExit unused = CTL_EXIT_OK;
    g_autofree char *words = cli_fault_describe("ask the sink", error, &unused);
    GVariantDict status;

    g_variant_dict_init(&status, NULL);
    g_variant_dict_insert(&status, "last_error", "s", words);
    return g_variant_ref_sink(g_variant_dict_end(&status));
}

static void
append_silent(GString *out, const CliTerm *term, const char *name, GVariant *status)
{
    g_autofree char *escaped = cli_text_escape(name, term->has_utf8);

    g_string_append_printf(out,
                           "%s%s%s\n",
                           cli_term_colour(term, CLI_COLOUR_BOLD),
                           escaped,
                           cli_term_colour(term, CLI_COLOUR_NONE));
    append_line(out, term, "error", cli_dict_get_text(status, "last_error"));
}

/* One that does not answer must not hide the others. */
static void
show_sink(CtlRun *run, const char *bus_name, GString *out, CliJson *json, GError **error)
{
    const char *name = bus_name + strlen(CTL_SINKS_PREFIX);
    g_autoptr(GError) failure = NULL;
    g_autoptr(GVariant) reply = call_sink(run, bus_name, "Status", NULL, &failure);
    g_autoptr(GVariant) status =
        reply != NULL ? g_variant_get_child_value(reply, 0) : status_of_silent(failure);

    if (run->is_json) {
        append_json(json, name, status);
    } else if (reply != NULL) {
        append_sink(out, &run->out, name, status);
    } else {
        append_silent(out, &run->out, name, status);
    }
    if (failure != NULL && *error == NULL) {
        g_propagate_error(error, g_steal_pointer(&failure));
    }
}

static CtlExit
show(CtlRun *run)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    CliJson json = CLI_JSON_INIT(out);
    const CtlExit exit_code = ctl_sinks_list(run, names);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    if (run->is_json) {
        cli_json_open(&json, NULL, '[');
    }
    for (guint i = 0; i < names->len; i++) {
        show_sink(run, names->pdata[i], out, &json, &error);
    }
    if (run->is_json) {
        cli_json_close(&json, ']');
        g_string_append_c(out, '\n');
    } else if (names->len == 0) {
        g_string_append(out,
                        "No sink runs; write /etc/pentel/sync/NAME.conf, see pentel-sync.conf(5), "
                        "then type:\nsystemctl enable --now pentel-sync@NAME\n");
    }
    const CtlExit printed = ctl_print(out, NULL);
    return printed == CTL_EXIT_OK && error != NULL ? ctl_fail_error("ask the sink", error)
                                                   : printed;
}

/* The UUID of what waits there and begins with @typed. Owns: the caller's; NULL after an error
 * message. */
static char *
find_entry(CtlRun *run, const char *bus_name, const char *typed, CtlExit *exit_out)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *prefix = g_ascii_strdown(typed, -1);
    g_autofree char *found = NULL;
    guint n_found = 0;

    if (strlen(prefix) == N_UUID) {
        return g_steal_pointer(&prefix);
    }
    g_autoptr(GVariant) reply = call_sink(run, bus_name, "Status", NULL, &error);
    if (reply == NULL) {
        *exit_out = ctl_fail_error("ask the sink", error);
        return NULL;
    }
    g_autoptr(GVariant) status = g_variant_get_child_value(reply, 0);
    g_autoptr(GVariant) entries = cli_dict_get(status, "entries", "aa{sv}");
    const gsize n = entries != NULL ? g_variant_n_children(entries) : 0;
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) entry = g_variant_get_child_value(entries, i);
        const char *session = cli_dict_get_text(entry, "session");
        if (session != NULL && g_str_has_prefix(session, prefix)) {
            g_free(found);
            found = g_strdup(session);
            n_found++;
        }
    }
    if (n_found == 1 && strlen(prefix) >= N_ID_MIN) {
        return g_steal_pointer(&found);
    }
    *exit_out = ctl_fail(CTL_EXIT_NOT_FOUND,
                         n_found > 0 ? "several sessions begin with that; give more digits"
                                     : "no such session waits there; see: pentelctl sync");
    return NULL;
}

static CtlExit
print_retried(CtlRun *run, guint n)
{
    g_autoptr(GString) out = g_string_new(NULL);
    CliJson json = CLI_JSON_INIT(out);

    if (!run->is_json) {
        return CTL_EXIT_OK;
    }
    cli_json_open(&json, NULL, '{');
    cli_json_uint(&json, "retried", n);
    cli_json_close(&json, '}');
    g_string_append_c(out, '\n');
    return ctl_print(out, NULL);
}

static CtlExit
retry(CtlRun *run, const char *name, const char *entry)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *bus_name = g_strconcat(CTL_SINKS_PREFIX, name, NULL);
    g_autofree char *session = NULL;
    g_autoptr(GError) error = NULL;
    CtlExit exit_code = ctl_sinks_list(run, names);
    guint n = 0;

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    if (!g_ptr_array_find_with_equal_func(names, bus_name, g_str_equal, NULL)) {
        return ctl_fail(CTL_EXIT_NOT_FOUND,
                        "no sink of that name runs; see: pentelctl sync, or start it: systemctl "
                        "start pentel-sync@NAME");
    }
    if (entry != NULL) {
        session = find_entry(run, bus_name, entry, &exit_code);
        if (session == NULL) {
            return exit_code;
        }
    }
    g_autoptr(GVariant) reply = call_sink(
        run, bus_name, "Retry", g_variant_new("(s)", session != NULL ? session : ""), &error);
    if (reply == NULL) {
        return ctl_fail_error("try again", error);
    }
    g_variant_get(reply, "(u)", &n);
    if (n == 0 && entry != NULL) {
        return ctl_fail(CTL_EXIT_NOT_FOUND,
                        "that session does not wait there; see: pentelctl sync");
    }
    return print_retried(run, n);
}

CtlExit
ctl_sync(CtlRun *run)
{
    const CtlArgs *args = &run->args;

    if (args->n_operands == 0) {
        return show(run);
    }
    if (strcmp(args->operands[0], "retry") != 0) {
        return ctl_fail(
            CTL_EXIT_USAGE,
            "sync knows retry only; type: pentelctl sync, or pentelctl sync retry NAME");
    }
    if (args->n_operands == 1) {
        return ctl_fail(CTL_EXIT_USAGE, "the sink is missing; type: pentelctl sync retry NAME");
    }
    return retry(run, args->operands[1], args->n_operands > 2 ? args->operands[2] : NULL);
}
