/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl show: all that is known of one session, its passes, and its depth over time.
 */
#include "ctl/command.h"
#include "ctl/run.h"
#include "ctl/session.h"
#include "ctl/show_chart.h"
#include "lib/dict.h"
#include "lib/table.h"
#include "lib/text.h"
#include "lib/time.h"

#include <string.h>

#define LABEL_COLUMNS 13

static const CliColumn pass_columns[] = {
    { .title = "PASS", .is_right = true },
    { .title = "AT" },
    { .title = "LENGTH", .is_right = true },
    { .title = "CONTACT", .is_right = true },
    { .title = "DEPTH mm", .is_right = true },
    { .title = "P95", .is_right = true },
    { .title = "MAX", .is_right = true },
    { .title = "RATE Hz", .is_right = true, .is_optional = true },
    { .title = "PUNCTURES~", .is_right = true, .is_optional = true },
    { .title = "ZONE", .is_flexible = true },
    { .title = NULL },
};

static void
append_line(GString *out, const CliTerm *term, const char *label, const char *text)
{
    g_autoptr(GString) line = g_string_new(NULL);

    if (text == NULL) {
        return;
    }
    cli_text_append_wrapped(line, text, term->n_columns - LABEL_COLUMNS, 0, 0, term->has_utf8);
    g_auto(GStrv) parts = g_strsplit(g_strchomp(line->str), "\n", -1);
    for (gsize i = 0; parts[i] != NULL; i++) {
        g_string_append_printf(out,
                               "%s%-*s%s%s\n",
                               cli_term_colour(term, CLI_COLOUR_BOLD),
                               LABEL_COLUMNS,
                               i == 0 ? label : "",
                               cli_term_colour(term, CLI_COLOUR_NONE),
                               i == 0 ? parts[i] : g_strchug(parts[i]));
    }
}

/* What was said at length may have lines of its own. */
static void
append_words(GString *out, const CliTerm *term, const char *label, const char *words)
{
    g_auto(GStrv) lines = words != NULL ? g_strsplit(words, "\n", -1) : NULL;

    for (gsize i = 0; lines != NULL && lines[i] != NULL; i++) {
        append_line(out, term, i == 0 ? label : "", lines[i]);
    }
}

static void
append_time_line(GString *out, const CliTerm *term, GVariant *session)
{
    g_autofree char *started = ctl_session_dup_start(session, true);
    g_autofree char *ended = cli_time_show(cli_dict_get_text(session, "ended_at"), true);
    g_autoptr(GString) text = g_string_new(started);
    uint64_t error_ms = 0;

    if (cli_dict_get_text(session, "ended_at") != NULL) {
        g_string_append_printf(text, " to %s", ended);
    }
    if (cli_dict_get_text(session, "started_at") != NULL &&
        cli_dict_get_uint(session, "time_error_ms", &error_ms)) {
        if (error_ms < 1000) {
            g_string_append_printf(text, " (give or take %u ms)", (unsigned)error_ms);
        } else {
            g_string_append_printf(text, " (give or take %.0f s)", (double)error_ms / 1000);
        }
    }
    append_line(out, term, "time", text->str);
}

static void
append_state_line(GString *out, const CliTerm *term, GVariant *session)
{
    const char *state = cli_dict_get_text(session, "state");
    const char *cause = cli_dict_get_text(session, "end_cause");
    g_autofree char *text = g_strdup_printf("%s%s%s",
                                            state != NULL ? state : "unknown",
                                            cause != NULL ? ", ended by " : "",
                                            cause != NULL ? cause : "");

    append_line(out, term, "state", text);
}

static void
append_numbers(GString *out, const CliTerm *term, GVariant *session)
{
    g_autofree char *elapsed = ctl_session_dup_duration(session, "elapsed_ms");
    g_autofree char *contact = ctl_session_dup_duration(session, "contact_ms");
    g_autofree char *passes = ctl_session_dup_number(session, "pass_count");
    g_autofree char *low = ctl_session_dup_depth_mm(session, "min");
    g_autofree char *median = ctl_session_dup_depth_mm(session, "median");
    g_autofree char *p95 = ctl_session_dup_depth_mm(session, "p95");
    g_autofree char *high = ctl_session_dup_depth_mm(session, "max");
    g_autofree char *mean = ctl_session_dup_depth_mm(session, "mean");
    g_autofree char *length = g_strdup_printf("%s, needles in contact %s, passes %s",
                                              elapsed != NULL ? elapsed : "unknown",
                                              contact != NULL ? contact : "unknown",
                                              passes != NULL ? passes : "unknown");

    append_line(out, term, "length", length);
    if (median == NULL) {
        append_line(out, term, "depth", contact != NULL ? "no contact was recorded" : "unknown");
        return;
    }
    g_autofree char *depth = g_strdup_printf("median %s mm, mean %s, p95 %s, from %s to %s",
                                             median,
                                             mean != NULL ? mean : "?",
                                             p95 != NULL ? p95 : "?",
                                             low != NULL ? low : "?",
                                             high != NULL ? high : "?");
    append_line(out, term, "depth", depth);
}

static bool
is_erased(GVariant *session)
{
    return g_strcmp0(cli_dict_get_text(session, "state"), "erased") == 0;
}

static void
append_records(GString *out, const CliTerm *term, GVariant *session)
{
    g_autoptr(GVariant) records = cli_dict_get(session, "records", "a{sv}");
    uint64_t first = 0;
    uint64_t last = 0;

    if (records == NULL || !cli_dict_get_uint(records, "first", &first) ||
        !cli_dict_get_uint(records, "last", &last)) {
        return;
    }
    g_autoptr(GVariant) missing = cli_dict_get(records, "missing", "a(uus)");
    const gsize n = missing != NULL ? g_variant_n_children(missing) : 0;
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text,
                           "%" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT ", %s",
                           first,
                           last,
                           is_erased(session) ? "erased" : (n == 0 ? "all here" : "missing:"));
    for (gsize i = 0; i < n; i++) {
        guint32 from = 0;
        guint32 to = 0;
        const char *cause = NULL;
        g_variant_get_child(missing, i, "(uu&s)", &from, &to, &cause);
        g_string_append_printf(text, "%s %u", i > 0 ? "," : "", from);
        if (to != from) {
            g_string_append_printf(text, "-%u", to);
        }
        g_string_append_printf(text, " (%s)", cause);
    }
    append_line(out, term, "records", text->str);
}

static char *
describe_cartridge(GVariant *cartridge)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *id = cli_dict_get_text(cartridge, "id");
    const char *lot = cli_dict_get_text(cartridge, "lot");
    const char *expiry = cli_dict_get_text(cartridge, "expiry");
    uint64_t needles = 0;

    g_string_append(text, id != NULL ? id : "without an id");
    if (lot != NULL) {
        g_string_append_printf(text, ", lot %s", lot);
    }
    if (expiry != NULL) {
        g_string_append_printf(text, ", use by %s", expiry);
    }
    if (cli_dict_get_uint(cartridge, "needles", &needles)) {
        g_string_append_printf(text, ", %u needles", (unsigned)needles);
    }
    return g_strdup(text->str);
}

static char *
describe_fault(GVariant *fault)
{
    g_autofree char *at = cli_time_show(cli_dict_get_text(fault, "at"), true);
    g_autofree char *code = ctl_session_dup_number(fault, "code");
    const char *text = cli_dict_get_text(fault, "text");

    return g_strdup_printf(
        "%s %s (%s)", code != NULL ? code : "?", text != NULL ? text : "without a text", at);
}

static char *
describe_setting(GVariant *setting)
{
    g_autofree char *at = cli_time_show(cli_dict_get_text(setting, "at"), true);
    uint64_t depth_um = 0;

    if (!cli_dict_get_uint(setting, "depth_um", &depth_um)) {
        return g_strdup("unknown");
    }
    return g_strdup_printf("%.2f mm (%s)", (double)depth_um / 1000, at);
}

static void
append_items(GString *out,
             const CliTerm *term,
             GVariant *session,
             const char *key,
             const char *label,
             char *(*describe)(GVariant *item))
{
    g_autoptr(GVariant) list = cli_dict_get(session, key, "aa{sv}");
    const gsize n = list != NULL ? g_variant_n_children(list) : 0;

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) item = g_variant_get_child_value(list, i);
        g_autofree char *text = describe(item);
        append_line(out, term, i == 0 ? label : "", text);
    }
}

static void
append_receipt(GString *out, const CliTerm *term, GVariant *session)
{
    g_autoptr(GVariant) receipt = cli_dict_get(session, "receipt", "a{sv}");
    const char *sha256 = receipt != NULL ? cli_dict_get_text(receipt, "sha256") : NULL;
    uint64_t marked = 0;

    if (sha256 == NULL) {
        return;
    }
    append_line(out, term, "receipt", sha256);
    if (cli_dict_get_uint(receipt, "marked", &marked) && marked > 0) {
        g_autofree char *text = g_strdup_printf("the pen may reuse up to %u", (unsigned)marked);
        append_line(out, term, "", text);
    }
}

static void
append_header(GString *out, const CliTerm *term, GVariant *session)
{
    g_autofree char *zones = ctl_session_dup_zones(session);
    g_autofree char *continues = ctl_session_dup_number(session, "continues");

    append_line(out, term, "session", cli_dict_get_text(session, "id"));
    append_line(out, term, "pen", cli_dict_get_text(session, "pen"));
    append_state_line(out, term, session);
    if (!is_erased(session)) {
        append_time_line(out, term, session);
        append_numbers(out, term, session);
    }
    append_line(out, term, "zones", zones);
    append_line(out, term, "patient", cli_dict_get_text(session, "patient"));
    append_line(out, term, "operator", cli_dict_get_text(session, "operator"));
    append_words(out, term, "note", cli_dict_get_text(session, "note"));
    append_words(out, term, "reaction", cli_dict_get_text(session, "reaction"));
    append_line(out, term, "part of", cli_dict_get_text(session, "order"));
    append_line(out, term, "on hold", cli_dict_get_text(session, "hold"));
    append_line(out, term, "continues", continues);
    append_items(out, term, session, "settings", "depth dial", describe_setting);
    append_items(out, term, session, "cartridges", "cartridge", describe_cartridge);
    append_items(out, term, session, "faults", "pen fault", describe_fault);
    append_records(out, term, session);
    append_receipt(out, term, session);
    append_line(out, term, "defined by", cli_dict_get_text(session, "definition"));
}

/* Clock time of a pass: the day stands above already. */
static char *
pass_start(GVariant *pass)
{
    g_autofree char *text = cli_time_show(cli_dict_get_text(pass, "started_at"), true);
    const char *clock = strchr(text, ' ');

    return g_strdup(clock != NULL ? clock + 1 : "-");
}

static char *
pass_rate(GVariant *pass)
{
    double rate_hz = 0;

    return cli_dict_get_double(pass, "rate_hz", &rate_hz) ? g_strdup_printf("%.1f", rate_hz) : NULL;
}

/* A pass beside missing records is not the whole pass, and says so. */
static char *
pass_number(GVariant *pass)
{
    g_autofree char *index = ctl_session_dup_number(pass, "index");
    bool is_incomplete = false;

    cli_dict_get_bool(pass, "incomplete", &is_incomplete);
    return g_strconcat(index != NULL ? index : "?", is_incomplete ? "!" : "", NULL);
}

static void
add_pass(CliTable *table, const CliTerm *term, GVariant *pass)
{
    g_autofree char *number = pass_number(pass);
    g_autofree char *start = pass_start(pass);
    g_autofree char *elapsed = ctl_session_dup_duration(pass, "elapsed_ms");
    g_autofree char *contact = ctl_session_dup_duration(pass, "contact_ms");
    g_autofree char *median = ctl_session_dup_depth_mm(pass, "median");
    g_autofree char *p95 = ctl_session_dup_depth_mm(pass, "p95");
    g_autofree char *deepest = ctl_session_dup_depth_mm(pass, "max");
    g_autofree char *rate = pass_rate(pass);
    g_autofree char *punctures = ctl_session_dup_number(pass, "punctures_estimate");

    cli_table_add(table, term, number);
    cli_table_add(table, term, start);
    cli_table_add(table, term, elapsed);
    cli_table_add(table, term, contact);
    cli_table_add(table, term, median);
    cli_table_add(table, term, p95);
    cli_table_add(table, term, deepest);
    cli_table_add(table, term, rate);
    cli_table_add(table, term, punctures);
    cli_table_add(table, term, cli_dict_get_text(pass, "zone"));
}

static void
append_passes(GString *out, const CliTerm *term, GVariant *session)
{
    g_autoptr(GVariant) passes = cli_dict_get(session, "passes", "aa{sv}");
    g_autoptr(CliTable) table = cli_table_new(pass_columns);
    const gsize n = passes != NULL ? g_variant_n_children(passes) : 0;
    bool has_incomplete = false;

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) pass = g_variant_get_child_value(passes, i);
        bool is_incomplete = false;
        add_pass(table, term, pass);
        cli_dict_get_bool(pass, "incomplete", &is_incomplete);
        has_incomplete |= is_incomplete;
    }
    if (n > 0) {
        g_string_append_c(out, '\n');
        cli_table_render(table, term, true, out);
    }
    if (has_incomplete) {
        g_string_append(out, "! beside missing records: a part of the pass may be unknown\n");
    }
}

static CtlExit
print_json(GVariant *session)
{
    g_autoptr(GString) out = g_string_new(NULL);
    CliJson json = CLI_JSON_INIT(out);

    cli_json_open(&json, NULL, '{');
    ctl_session_append_json_members(&json, session, true);
    cli_json_close(&json, '}');
    g_string_append_c(out, '\n');
    return ctl_print(out, NULL);
}

CtlExit
ctl_show(CtlRun *run)
{
    g_autoptr(GVariant) reply = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    CtlExit exit_code = ctl_run_call(run,
                                     "show the session",
                                     CLI_BUS_LOG1,
                                     "GetSession",
                                     g_variant_new("(s)", run->args.operands[0]),
                                     "(a{sv})",
                                     &reply);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_autoptr(GVariant) session = g_variant_get_child_value(reply, 0);
    if (run->is_json) {
        return print_json(session);
    }
    append_header(out, &run->out, session);
    append_passes(out, &run->out, session);
    exit_code = ctl_show_chart(run, session, out);
    return exit_code == CTL_EXIT_OK ? ctl_print(out, NULL) : exit_code;
}
