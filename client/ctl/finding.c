/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The list that pentelctl doctor makes, and how it looks.
 */
#include "ctl/finding.h"

#include "lib/text.h"

#include <string.h>

typedef struct {
    const char *check; /* static */
    CtlSeverity severity;
    char *text;   /* owned */
    char *advice; /* owned; may be NULL */
} Finding;

struct CtlFindings {
    GArray *items; /* owned */
};

static const char *
severity_to_text(CtlSeverity severity)
{
    switch (severity) {
    case CTL_SEVERITY_OK:
        return "ok";
    case CTL_SEVERITY_INFO:
        return "info";
    case CTL_SEVERITY_WARNING:
        return "warning";
    case CTL_SEVERITY_ERROR:
        return "error";
    }
    return "info";
}

static CliColour
severity_to_colour(CtlSeverity severity)
{
    switch (severity) {
    case CTL_SEVERITY_OK:
        return CLI_COLOUR_GOOD;
    case CTL_SEVERITY_INFO:
        return CLI_COLOUR_DIM;
    case CTL_SEVERITY_WARNING:
        return CLI_COLOUR_WARNING;
    case CTL_SEVERITY_ERROR:
        return CLI_COLOUR_BAD;
    }
    return CLI_COLOUR_NONE;
}

static void
clear_finding(gpointer data)
{
    Finding *finding = data;

    g_free(finding->text);
    g_free(finding->advice);
}

CtlFindings *
ctl_findings_new(void)
{
    CtlFindings *self = g_new0(CtlFindings, 1);

    self->items = g_array_new(FALSE, FALSE, sizeof(Finding));
    g_array_set_clear_func(self->items, clear_finding);
    return self;
}

void
ctl_findings_free(CtlFindings *self)
{
    if (self == NULL) {
        return;
    }
    g_array_unref(self->items);
    g_free(self);
}

void
ctl_findings_add(CtlFindings *self,
                 const char *check,
                 CtlSeverity severity,
                 const char *advice,
                 const char *format,
                 ...)
{
    va_list arguments;
    Finding finding = { .check = check, .severity = severity, .advice = g_strdup(advice) };

    va_start(arguments, format);
    finding.text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_array_append_val(self->items, finding);
}

CtlSeverity
ctl_severity_from_text(const char *text)
{
    for (CtlSeverity severity = CTL_SEVERITY_OK; severity <= CTL_SEVERITY_ERROR; severity++) {
        if (text != NULL && strcmp(text, severity_to_text(severity)) == 0) {
            return severity;
        }
    }
    return CTL_SEVERITY_INFO;
}

CtlSeverity
ctl_findings_get_worst(const CtlFindings *self)
{
    CtlSeverity worst = CTL_SEVERITY_OK;

    for (guint i = 0; i < self->items->len; i++) {
        worst = MAX(worst, g_array_index(self->items, Finding, i).severity);
    }
    return worst;
}

void
ctl_findings_append_json(const CtlFindings *self, GString *out)
{
    CliJson json = CLI_JSON_INIT(out);

    cli_json_open(&json, NULL, '[');
    for (guint i = 0; i < self->items->len; i++) {
        const Finding *finding = &g_array_index(self->items, Finding, i);
        cli_json_open(&json, NULL, '{');
        cli_json_text(&json, "check", finding->check);
        cli_json_text(&json, "severity", severity_to_text(finding->severity));
        cli_json_text(&json, "text", finding->text);
        cli_json_text(&json, "advice", finding->advice);
        cli_json_close(&json, '}');
    }
    cli_json_close(&json, ']');
    g_string_append_c(out, '\n');
}

void
ctl_findings_append_text(const CtlFindings *self, const CliTerm *term, GString *out)
{
    for (guint i = 0; i < self->items->len; i++) {
        const Finding *finding = &g_array_index(self->items, Finding, i);
        g_autofree char *line = g_strdup_printf("%s: %s", finding->check, finding->text);
        g_autoptr(GString) wrapped = g_string_new(NULL);

        g_string_append_printf(out,
                               "%s%-7s%s ",
                               cli_term_colour(term, severity_to_colour(finding->severity)),
                               severity_to_text(finding->severity),
                               cli_term_colour(term, CLI_COLOUR_NONE));
        cli_text_append_wrapped(wrapped, line, term->n_columns, 8, 8, term->has_utf8);
        g_string_append(out, wrapped->str + 8);
        if (finding->advice != NULL) {
            g_autofree char *advice = g_strdup_printf("-> %s", finding->advice);
            cli_text_append_wrapped(out, advice, term->n_columns, 8, 11, term->has_utf8);
        }
    }
}
