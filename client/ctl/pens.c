/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl pens: the enrolled pens, and below each that needs attention, why.
 */
#include "ctl/command.h"
#include "ctl/pen.h"
#include "ctl/run.h"
#include "lib/dict.h"
#include "lib/table.h"
#include "lib/text.h"
#include "lib/time.h"

static const CliColumn columns[] = {
    { .title = "SERIAL", .is_flexible = true },
    { .title = "ADDRESS" },
    { .title = "STATE" },
    { .title = "BATTERY", .is_right = true },
    { .title = "FIRMWARE", .is_flexible = true, .is_optional = true },
    { .title = "LAST SEEN", .is_optional = true },
    { .title = NULL },
};

static CtlExit
print_json(GVariant *pens)
{
    g_autoptr(GString) out = g_string_new(NULL);
    CliJson json = CLI_JSON_INIT(out);
    GVariantIter iter;
    GVariant *pen = NULL;

    cli_json_open(&json, NULL, '[');
    g_variant_iter_init(&iter, pens);
    while (g_variant_iter_loop(&iter, "@a{sv}", &pen)) {
        ctl_pen_append_json(&json, NULL, pen);
    }
    cli_json_close(&json, ']');
    g_string_append_c(out, '\n');
    return ctl_print(out, NULL);
}

static char *
last_seen(GVariant *pen)
{
    uint64_t wall_us = 0;

    if (ctl_pen_is_linked(pen)) {
        return g_strdup("now");
    }
    if (!cli_dict_get_uint(pen, "LastSeen", &wall_us) || wall_us == 0 || wall_us > INT64_MAX) {
        return g_strdup("never");
    }
    return cli_time_to_local((int64_t)wall_us, false);
}

static void
add_pen(CliTable *table, const CliTerm *term, GVariant *pen)
{
    const int battery_pct = ctl_pen_get_battery(pen);
    g_autofree char *battery = battery_pct < 0 ? NULL : g_strdup_printf("%d %%", battery_pct);
    g_autofree char *seen = last_seen(pen);

    cli_table_add(table, term, cli_dict_get_text(pen, "Serial"));
    cli_table_add(table, term, cli_dict_get_text(pen, "Address"));
    cli_table_add_coloured(table, term, cli_dict_get_text(pen, "State"), ctl_pen_get_colour(pen));
    cli_table_add(table, term, battery);
    cli_table_add(table, term, cli_dict_get_text(pen, "Firmware"));
    cli_table_add(table, term, seen);
}

/* Reasons are sentences: no column of 80 holds them. */
static void
append_trouble(GString *out, const CliTerm *term, GVariant *pen)
{
    g_autofree char *trouble = ctl_pen_dup_trouble(pen);
    const char *serial = cli_dict_get_text(pen, "Serial");

    if (trouble == NULL) {
        return;
    }
    g_autofree char *text = g_strdup_printf("%s: %s", serial != NULL ? serial : "?", trouble);
    cli_text_append_wrapped(out, text, term->n_columns, 2, 4, term->has_utf8);
}

static CtlExit
print_table(GVariant *pens, const CliTerm *term)
{
    g_autoptr(CliTable) table = cli_table_new(columns);
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GString) troubles = g_string_new(NULL);
    GVariantIter iter;
    GVariant *pen = NULL;

    g_variant_iter_init(&iter, pens);
    while (g_variant_iter_loop(&iter, "@a{sv}", &pen)) {
        add_pen(table, term, pen);
        append_trouble(troubles, term, pen);
    }
    cli_table_render(table, term, true, out);
    if (out->len == 0) {
        g_string_append(out, "No pen is enrolled; type: pentelctl enroll\n");
    }
    if (troubles->len > 0) {
        g_string_append_printf(out, "\n%s", troubles->str);
    }
    return ctl_print(out, NULL);
}

CtlExit
ctl_pens(CtlRun *run)
{
    g_autoptr(GVariant) reply = NULL;
    const CtlExit exit_code =
        ctl_run_call(run, "list the pens", CLI_BUS_MANAGER1, "ListPens", NULL, "(aa{sv})", &reply);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_autoptr(GVariant) pens = g_variant_get_child_value(reply, 0);
    return run->is_json ? print_json(pens) : print_table(pens, &run->out);
}
