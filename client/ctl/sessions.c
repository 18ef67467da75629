/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl sessions: a page of the log, or all of it, newest arrival first.
 */
#include "ctl/args.h"
#include "ctl/command.h"
#include "ctl/paging.h"
#include "ctl/run.h"
#include "ctl/session.h"
#include "lib/dict.h"
#include "lib/table.h"
#include "lib/text.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     1000000000
#define ID_DIGITS     8

static const CliColumn columns[] = {
    { .title = "ID" },
    { .title = "PEN", .is_flexible = true },
    { .title = "STARTED" },
    { .title = "LENGTH", .is_right = true },
    { .title = "PASSES", .is_right = true },
    { .title = "DEPTH mm", .is_right = true },
    { .title = "MAX", .is_right = true },
    { .title = "STATE" },
    { .title = "CONTACT", .is_right = true, .is_optional = true },
    { .title = "ZONES", .is_flexible = true, .is_optional = true },
    { .title = NULL },
};

static void
add_session(CliTable *table, const CliTerm *term, GVariant *session)
{
    const char *id = cli_dict_get_text(session, "id");
    g_autofree char *digits = id != NULL ? g_strndup(id, ID_DIGITS) : NULL;
    g_autofree char *started = ctl_session_dup_start(session, false);
    g_autofree char *elapsed = ctl_session_dup_duration(session, "elapsed_ms");
    g_autofree char *contact = ctl_session_dup_duration(session, "contact_ms");
    g_autofree char *passes = ctl_session_dup_number(session, "pass_count");
    g_autofree char *median = ctl_session_dup_depth_mm(session, "median");
    g_autofree char *deepest = ctl_session_dup_depth_mm(session, "max");
    g_autofree char *zones = ctl_session_dup_zones(session);

    cli_table_add(table, term, digits);
    cli_table_add(table, term, cli_dict_get_text(session, "pen"));
    cli_table_add(table, term, started);
    cli_table_add(table, term, elapsed);
    cli_table_add(table, term, passes);
    cli_table_add(table, term, median);
    cli_table_add(table, term, deepest);
    cli_table_add_coloured(
        table, term, cli_dict_get_text(session, "state"), ctl_session_get_colour(session));
    cli_table_add(table, term, contact);
    cli_table_add(table, term, zones);
}

/* One table a page: a million sessions must not be held to measure a column. */
static void
append_table(GString *out, const CliTerm *term, GVariant *page, bool is_first)
{
    g_autoptr(CliTable) table = cli_table_new(columns);
    GVariantIter iter;
    GVariant *session = NULL;

    g_variant_iter_init(&iter, page);
    while (g_variant_iter_loop(&iter, "@a{sv}", &session)) {
        add_session(table, term, session);
    }
    cli_table_render(table, term, is_first, out);
}

static void
append_json(GString *out, GVariant *page, bool *is_first)
{
    GVariantIter iter;
    GVariant *session = NULL;

    g_variant_iter_init(&iter, page);
    while (g_variant_iter_loop(&iter, "@a{sv}", &session)) {
        CliJson json = CLI_JSON_INIT(out);
        g_string_append(out, *is_first ? "[" : ",\n");
        *is_first = false;
        ctl_session_append_json(&json, NULL, session);
    }
}

static void
append_end(GString *out, const CtlPaging *paging, bool is_json, bool is_first)
{
    if (is_json) {
        g_string_append(out, is_first ? "[]\n" : "]\n");
    } else if (is_first) {
        g_string_append(out, "No sessions.\n");
    } else if (paging->cursor != NULL) {
        g_autofree char *cursor = cli_text_escape(paging->cursor, true);
        g_string_append_printf(
            out, "There are more: add --all, or --cursor %s to go on.\n", cursor);
    }
}

static CtlExit
print_pages(CtlPaging *paging, bool is_json, const CliTerm *term)
{
    g_autoptr(GString) out = g_string_new(NULL);
    bool is_first = true;
    bool has_reader = true;

    while (has_reader) {
        g_autoptr(GVariant) page = NULL;
        CtlExit exit_code = ctl_paging_next(paging, &page);
        if (exit_code != CTL_EXIT_OK) {
            return exit_code;
        }
        if (page == NULL) {
            break;
        }
        if (is_json) {
            append_json(out, page, &is_first);
        } else {
            append_table(out, term, page, is_first);
            is_first = is_first && out->len == 0;
        }
        exit_code = ctl_print(out, &has_reader);
        if (exit_code != CTL_EXIT_OK) {
            return exit_code;
        }
    }
    append_end(out, paging, is_json, is_first);
    return ctl_print(out, NULL);
}

CtlExit
ctl_sessions(CtlRun *run)
{
    /* An array cannot say that it is cut, so it is all of them unless -n says otherwise. */
    const bool is_all = run->args.has[CTL_OPTION_ALL] || run->is_json;
    guint64 limit = is_all ? G_MAXUINT64 : LIMIT_DEFAULT;
    CtlPaging paging = { 0 };

    if (!ctl_args_get_number(&run->args, CTL_OPTION_LIMIT, 1, LIMIT_MAX, &limit)) {
        return CTL_EXIT_USAGE;
    }
    CtlExit exit_code = ctl_paging_init(&paging, run, limit);
    if (exit_code == CTL_EXIT_OK) {
        exit_code = print_pages(&paging, run->is_json, &run->out);
    }
    ctl_paging_clear(&paging);
    return exit_code;
}
