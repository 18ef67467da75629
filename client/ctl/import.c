/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl import: hands the sealed sets of a directory to a sink that runs, set by set. The
 * files are opened here, by whoever may read the medium; what is in them is judged there.
 */
#include "ctl/command.h"
#include "ctl/run.h"
#include "ctl/sinks.h"
#include "lib/dict.h"
#include "lib/json.h"
#include "lib/sets.h"
#include "lib/text.h"

#include <string.h>

#define DOING "import the sets"

/* A full set on a slow stick takes a minute. */
#define TIMEOUT_MS 600000

typedef struct {
    CtlRun *run;    /* borrowed */
    char *bus_name; /* owned; of the sink */
    CliSets *sets;  /* owned */
    GString *out;   /* owned */
    CliJson json;   /* with --json */
    uint64_t n_new;
    uint64_t n_refused;
} Import;

static void
import_clear(Import *self)
{
    g_free(self->bus_name);
    g_clear_pointer(&self->sets, cli_sets_free);
    g_string_free(self->out, TRUE);
}

/* The one that is meant, or the only one that runs. */
static CtlExit
choose_sink(CtlRun *run, char **bus_name_out)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const CtlExit exit_code = ctl_sinks_list(run, names);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    if (run->args.n_operands < 2) {
        if (names->len == 1) {
            *bus_name_out = g_strdup(names->pdata[0]);
            return CTL_EXIT_OK;
        }
        return names->len == 0
                   ? ctl_fail(CTL_EXIT_NOT_FOUND,
                              "no sink runs; start one: systemctl start pentel-sync@NAME")
                   : ctl_fail(CTL_EXIT_USAGE,
                              "several sinks run; name one of those that pentelctl sync shows");
    }
    g_autofree char *wanted = g_strconcat(CTL_SINKS_PREFIX, run->args.operands[1], NULL);
    if (!g_ptr_array_find_with_equal_func(names, wanted, g_str_equal, NULL)) {
        return ctl_fail(CTL_EXIT_NOT_FOUND,
                        "no sink of that name runs; see: pentelctl sync, or start it: systemctl "
                        "start pentel-sync@NAME");
    }
    *bus_name_out = g_steal_pointer(&wanted);
    return CTL_EXIT_OK;
}

static bool
add_file(GVariantBuilder *files, GUnixFDList *fds, const char *name, int fd, GError **error)
{
    if (fd < 0) {
        return true;
    }
    const int index = g_unix_fd_list_append(fds, fd, error);
    if (index >= 0) {
        g_variant_builder_add(files, "{sh}", name, index);
    }
    return index >= 0;
}

static bool
add_files(GVariantBuilder *files, GUnixFDList *fds, const CliSet *set, GError **error)
{
    for (guint i = 0; i < set->files->len; i++) {
        const CliSetFile *file = set->files->pdata[i];
        g_autofree char *name = g_utf8_make_valid(file->name, -1);
        if (!add_file(files, fds, name, file->fd, error)) {
            return false;
        }
    }
    return add_file(files, fds, "/before", set->before_fd, error) &&
           add_file(files, fds, "/after", set->after_fd, error) &&
           add_file(files, fds, "/after-sums", set->after_sums_fd, error);
}

/* What the sink says of it. Owns: the caller's. */
static GVariant *
hand_over(const Import *self, const CliSet *set, GError **error)
{
    const CliBusTarget target = {
        self->bus_name, "/org/pentel/sync", "org.pentel.Sync1", "Import"
    };
    g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
    g_auto(GVariantBuilder) files = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{sh}"));

    if (!add_files(&files, fds, set, error)) {
        return NULL;
    }
    g_autoptr(GVariant) reply =
        cli_bus_send_fds(self->run->bus,
                         &target,
                         g_variant_new("(sssa{sh})",
                                       set->name,
                                       set->before != NULL ? set->before : "",
                                       set->after != NULL ? set->after : "",
                                       &files),
                         fds,
                         "(a{sv})",
                         TIMEOUT_MS,
                         error);
    return reply != NULL ? g_variant_get_child_value(reply, 0) : NULL;
}

/* Of a set that could not even be opened. Owns: the caller's. */
static GVariant *
result_of_unread(const char *name, const GError *error)
{
    g_autofree char *words = g_utf8_make_valid(error->message, -1);
    GVariantDict result;

    g_variant_dict_init(&result, NULL);
    g_variant_dict_insert(&result, "set", "s", name);
    g_variant_dict_insert(&result, "refusal", "s", words);
    return g_variant_ref_sink(g_variant_dict_end(&result));
}

static uint64_t
get_count(GVariant *result, const char *key)
{
    uint64_t value = 0;

    cli_dict_get_uint(result, key, &value);
    return value;
}

static void
append_json(Import *self, GVariant *result)
{
    static const char *const texts[] = { "set", "refusal", "missing" };
    static const char *const numbers[] = { "deliveries", "new", "refused" };
    g_autoptr(GVariant) refusals = cli_dict_get(result, "refusals", "as");
    const gsize n = refusals != NULL ? g_variant_n_children(refusals) : 0;

    cli_json_open(&self->json, NULL, '{');
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        cli_json_dict_text(&self->json, result, texts[i]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        cli_json_dict_uint(&self->json, result, numbers[i]);
    }
    cli_json_dict_bool(&self->json, result, "known");
    cli_json_open(&self->json, "refusals", '[');
    for (gsize i = 0; i < n; i++) {
        const char *words = NULL;
        g_variant_get_child(refusals, i, "&s", &words);
        cli_json_text(&self->json, NULL, words);
    }
    cli_json_close(&self->json, ']');
    cli_json_close(&self->json, '}');
}

static void
append_line(const Import *self, const char *set, const char *words)
{
    const CliTerm *term = &self->run->out;
    g_autofree char *line = g_strdup_printf("%s  %s", set, words);

    cli_text_append_wrapped(self->out, line, term->n_columns, 0, 16, term->has_utf8);
}

static void
append_text(const Import *self, const char *set, GVariant *result)
{
    const char *refusal = cli_dict_get_text(result, "refusal");
    const char *missing = cli_dict_get_text(result, "missing");
    g_autoptr(GVariant) refusals = cli_dict_get(result, "refusals", "as");
    const gsize n = refusals != NULL ? g_variant_n_children(refusals) : 0;
    bool is_known = false;

    cli_dict_get_bool(result, "known", &is_known);
    if (refusal != NULL) {
        g_autofree char *words = g_strdup_printf("refused: %s", refusal);
        append_line(self, set, words);
        return;
    }
    g_autofree char *counts = g_strdup_printf("%" G_GUINT64_FORMAT " deliveries, %" G_GUINT64_FORMAT
                                              " new, %" G_GUINT64_FORMAT " refused",
                                              get_count(result, "deliveries"),
                                              get_count(result, "new"),
                                              get_count(result, "refused"));
    append_line(self, set, is_known ? "taken over before" : counts);
    for (gsize i = 0; i < n; i++) {
        const char *words = NULL;
        g_variant_get_child(refusals, i, "&s", &words);
        append_line(self, "              ", words);
    }
    if (missing != NULL) {
        g_autofree char *words =
            g_strdup_printf("the set before it, %s, never came; bring it too", missing);
        append_line(self, set, words);
    }
}

static void
append_result(Import *self, const char *set, GVariant *result)
{
    const bool is_refused = cli_dict_get_text(result, "refusal") != NULL;

    self->n_new += get_count(result, "new");
    self->n_refused += is_refused ? 1 : get_count(result, "refused");
    if (self->run->is_json) {
        append_json(self, result);
    } else {
        append_text(self, set, result);
    }
}

static CtlExit
import_all(Import *self)
{
    for (guint i = 0; i < self->sets->names->len; i++) {
        const char *name = self->sets->names->pdata[i];
        g_autoptr(GError) error = NULL;
        g_autoptr(CliSet) set = cli_sets_open_set(self->sets, i, &error);
        g_autoptr(GVariant) result =
            set != NULL ? hand_over(self, set, &error) : result_of_unread(name, error);
        if (result == NULL) {
            return ctl_fail_error(DOING, error);
        }
        append_result(self, name, result);
    }
    return CTL_EXIT_OK;
}

static void
append_end(Import *self)
{
    const char *sink = self->bus_name + strlen(CTL_SINKS_PREFIX);

    if (self->run->is_json) {
        cli_json_close(&self->json, ']');
        cli_json_uint(&self->json, "new", self->n_new);
        cli_json_uint(&self->json, "refused", self->n_refused);
        cli_json_close(&self->json, '}');
        g_string_append_c(self->out, '\n');
        return;
    }
    g_string_append_printf(self->out,
                           "%u sets, %" G_GUINT64_FORMAT " new deliveries to %s, %" G_GUINT64_FORMAT
                           " refused; see how they get on: pentelctl sync\n",
                           self->sets->names->len,
                           self->n_new,
                           sink,
                           self->n_refused);
}

static CtlExit
run_import(Import *self)
{
    CtlExit exit_code = choose_sink(self->run, &self->bus_name);

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    if (self->run->is_json) {
        cli_json_open(&self->json, NULL, '{');
        cli_json_text(&self->json, "sink", self->bus_name + strlen(CTL_SINKS_PREFIX));
        cli_json_open(&self->json, "sets", '[');
    }
    exit_code = import_all(self);
    append_end(self);
    const CtlExit printed = ctl_print(self->out, NULL);
    if (exit_code != CTL_EXIT_OK || printed != CTL_EXIT_OK) {
        return exit_code != CTL_EXIT_OK ? exit_code : printed;
    }
    return self->n_refused > 0
               ? ctl_fail(CTL_EXIT_ALTERED, "not all of it was taken over; see above for what")
               : CTL_EXIT_OK;
}

CtlExit
ctl_import(CtlRun *run)
{
    g_autoptr(GError) error = NULL;
    CliSets *sets = cli_sets_open(run->args.operands[0], &error);

    if (sets == NULL) {
        return ctl_fail(g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED)
                            ? CTL_EXIT_NO_PERMISSION
                            : CTL_EXIT_NOT_FOUND,
                        "%s",
                        error->message);
    }
    Import self = { .run = run, .sets = sets, .out = g_string_new(NULL) };
    self.json = (CliJson)CLI_JSON_INIT(self.out);
    const CtlExit exit_code = run_import(&self);
    import_clear(&self);
    return exit_code;
}
