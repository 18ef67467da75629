/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Turns filter options into the filter of Log1.ListSessions and follows its cursor, never
 * holding more than a page.
 */
#include "ctl/paging.h"

#include "ctl/args.h"
#include "ctl/run.h"

#define PAGE_MAX 500

static bool
add_time(GVariantDict *filter, CtlRun *run, CtlOptionId id, const char *key, bool is_end)
{
    int64_t wall_us = 0;

    if (!ctl_args_get_time(run, id, is_end, &wall_us)) {
        return false;
    }
    if (run->args.has[id]) {
        g_variant_dict_insert(filter, key, "x", wall_us);
    }
    return true;
}

static void
add_text(GVariantDict *filter, const CtlRun *run, CtlOptionId id, const char *key)
{
    if (run->args.values[id] != NULL) {
        g_variant_dict_insert(filter, key, "s", run->args.values[id]);
    }
}

CtlExit
ctl_paging_init(CtlPaging *self_out, CtlRun *run, guint64 limit)
{
    g_auto(GVariantDict) filter = G_VARIANT_DICT_INIT(NULL);
    const char *cursor = run->args.values[CTL_OPTION_CURSOR];

    *self_out = (CtlPaging){ .run = run, .n_left = limit };
    if (!ctl_args_check_word(&run->args, CTL_OPTION_STATE) ||
        !add_time(&filter, run, CTL_OPTION_SINCE, "since", false) ||
        !add_time(&filter, run, CTL_OPTION_UNTIL, "until", true)) {
        return CTL_EXIT_USAGE;
    }
    add_text(&filter, run, CTL_OPTION_PEN, "pen");
    add_text(&filter, run, CTL_OPTION_STATE, "state");
    add_text(&filter, run, CTL_OPTION_TEXT, "text");
    self_out->filter = g_variant_ref_sink(g_variant_dict_end(&filter));
    self_out->cursor = g_strdup(cursor != NULL ? cursor : "");
    return CTL_EXIT_OK;
}

void
ctl_paging_clear(CtlPaging *self)
{
    g_clear_pointer(&self->filter, g_variant_unref);
    g_clear_pointer(&self->cursor, g_free);
}

CtlExit
ctl_paging_next(CtlPaging *self, GVariant **page_out)
{
    g_autoptr(GVariant) reply = NULL;
    const char *next = NULL;

    *page_out = NULL;
    if (self->cursor == NULL || self->n_left == 0) {
        return CTL_EXIT_OK;
    }
    const CtlExit exit_code = ctl_run_call(
        self->run,
        "list the sessions",
        CLI_BUS_LOG1,
        "ListSessions",
        g_variant_new(
            "(@a{sv}su)", self->filter, self->cursor, (guint32)MIN(self->n_left, PAGE_MAX)),
        "(aa{sv}s)",
        &reply);
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_variant_get_child(reply, 1, "&s", &next);
    const bool is_stuck = next[0] != '\0' && g_str_equal(next, self->cursor);
    g_free(self->cursor);
    self->cursor = next[0] != '\0' && !is_stuck ? g_strdup(next) : NULL;
    *page_out = g_variant_get_child_value(reply, 0);
    self->n_left -= MIN(self->n_left, g_variant_n_children(*page_out));
    return CTL_EXIT_OK;
}
