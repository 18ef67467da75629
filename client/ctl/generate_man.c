/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl(1): verbs and options from the command table; what stands around them is in
 * pentelctl.1.head and pentelctl.1.tail.
 */
#include "ctl/generate.h"
#include "pentelctl-pages.h"

/* Dashes that are typed are minus signs, or they cannot be copied from the page. */
static void
append_typed(GString *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '-') {
            g_string_append(out, "\\-");
        } else if (*text == '\\') {
            g_string_append(out, "\\e");
        } else {
            g_string_append_c(out, *text);
        }
    }
}

static void
append_prose(GString *out, const char *text)
{
    if (text[0] == '.' || text[0] == '\'') {
        g_string_append(out, "\\&");
    }
    append_typed(out, text);
    g_string_append_c(out, '\n');
}

static void
append_option(GString *out, const CtlOption *option)
{
    g_string_append(out, ".TP\n.B ");
    if (option->letter != 0) {
        g_string_append_printf(out, "\\-%c\\fR, \\fB", option->letter);
    }
    g_string_append(out, "\\-\\-");
    append_typed(out, option->name);
    if (option->value != NULL) {
        g_string_append_printf(out, " \\fI%s\\fR", option->value);
    }
    g_string_append_c(out, '\n');
    append_prose(out, option->help);
}

static void
append_verb(GString *out, const CtlCommand *command)
{
    g_string_append_printf(out,
                           ".SS %s%s\\fI%s\\fR\n",
                           command->name,
                           command->operands[0] != '\0' ? " " : "",
                           command->operands);
    append_prose(out, command->description);
    for (CtlOptionId id = 0; id < CTL_OPTION_N; id++) {
        if (ctl_command_shows(command, id) && id != CTL_OPTION_HELP && id != CTL_OPTION_JSON) {
            append_option(out, ctl_option_get(id));
        }
    }
    g_string_append(out, ".PP\nExample:\n.B ");
    append_prose(out, command->example);
}

static void
append_page(GString *out, const char *name)
{
    g_autofree char *path = g_strconcat("/org/pentel/ctl/", name, NULL);
    g_autoptr(GBytes) bytes = g_resource_lookup_data(
        pentelctl_pages_get_resource(), path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    gsize n = 0;
    const char *text = bytes != NULL ? g_bytes_get_data(bytes, &n) : "";

    g_string_append_len(out, text, (gssize)n);
}

void
ctl_generate_man(GString *out)
{
    guint n = 0;
    const CtlCommand *commands = ctl_command_list(&n);

    pentelctl_pages_register_resource();
    append_page(out, "pentelctl.1.head");
    g_string_append(out, ".SH VERBS\n");
    for (guint i = 0; i < n; i++) {
        append_verb(out, &commands[i]);
    }
    g_string_append(out, ".SH OPTIONS OF EVERY VERB\n");
    append_option(out, ctl_option_get(CTL_OPTION_HELP));
    append_option(out, ctl_option_get(CTL_OPTION_JSON));
    append_option(out, ctl_option_get(CTL_OPTION_VERSION));
    append_page(out, "pentelctl.1.tail");
    pentelctl_pages_unregister_resource();
}
