/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl verify: lets penteld check its store, says what is wrong, prints or compares an
 * anchor: one line about the end of the journal that only helps when it is kept elsewhere.
 */
#include "ctl/command.h"
#include "ctl/run.h"
#include "lib/flat.h"
#include "lib/json.h"
#include "lib/lines.h"
#include "lib/text.h"

#include <string.h>
#include <unistd.h>

#define ANCHOR_WORD   "pentel-anchor"
#define ANCHOR_FIELDS 5
#define HASH_DIGITS   64
#define UUID_DIGITS   36

typedef struct {
    GPtrArray *findings; /* owned texts: where, what, where, what */
    char store_id[UUID_DIGITS + 1];
    char hash[HASH_DIGITS + 1];
    int64_t head;
    int64_t entries;
    int64_t sessions;
    int64_t records;
    bool is_whole;
    bool is_torn; /* a line was lost: a finding, as like as not */
} Verdict;

static CtlExit
fail_anchor(const char *path)
{
    return ctl_fail(
        CTL_EXIT_USAGE, "%s is not a line of pentelctl verify --anchor; give one that is", path);
}

static CtlExit
load_anchor(const CtlArgs *args, GVariantDict *options)
{
    const char *path = args->values[CTL_OPTION_ANCHOR_CHECK];
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    guint64 seq = 0;

    if (!args->has[CTL_OPTION_ANCHOR_CHECK]) {
        return CTL_EXIT_OK;
    }
    if (!g_file_get_contents(path, &text, NULL, &error)) {
        return ctl_fail(CTL_EXIT_USAGE, "cannot read the anchor: %s", error->message);
    }
    g_auto(GStrv) fields = g_strsplit(g_strstrip(text), " ", ANCHOR_FIELDS + 1);
    if (g_strv_length(fields) != ANCHOR_FIELDS || strcmp(fields[0], ANCHOR_WORD) != 0 ||
        strcmp(fields[1], "1") != 0 ||
        !g_ascii_string_to_unsigned(fields[3], 10, 0, G_MAXINT64, &seq, NULL)) {
        return fail_anchor(path);
    }
    g_variant_dict_insert(options, "anchor_store", "s", fields[2]);
    g_variant_dict_insert(options, "anchor_seq", "t", seq);
    g_variant_dict_insert(options, "anchor_hash", "s", fields[4]);
    return CTL_EXIT_OK;
}

static void
take_end(Verdict *self, const CliFlat *flat)
{
    const char *store_id = cli_flat_get_text(flat, "store_id");
    const char *hash = cli_flat_get_text(flat, "hash");

    g_strlcpy(self->store_id, store_id != NULL ? store_id : "", sizeof self->store_id);
    g_strlcpy(self->hash, hash != NULL ? hash : "", sizeof self->hash);
    self->is_whole = strlen(self->hash) == HASH_DIGITS &&
                     cli_flat_get_int(flat, "head", &self->head) &&
                     cli_flat_get_int(flat, "entries", &self->entries) &&
                     cli_flat_get_int(flat, "sessions", &self->sessions) &&
                     cli_flat_get_int(flat, "records", &self->records);
}

static void
take_line(Verdict *self, char *line)
{
    CliFlat flat;
    bool is_end = false;

    if (!cli_flat_parse(line, &flat)) {
        self->is_torn = true;
        return;
    }
    if (cli_flat_get_bool(&flat, "end", &is_end) && is_end) {
        take_end(self, &flat);
        return;
    }
    const char *where = cli_flat_get_text(&flat, "where");
    const char *what = cli_flat_get_text(&flat, "what");
    g_ptr_array_add(self->findings, g_strdup(where != NULL ? where : "?"));
    g_ptr_array_add(self->findings, g_strdup(what != NULL ? what : "?"));
}

static void
read_lines(Verdict *self, int fd)
{
    CliLines lines;
    CliLinesStatus status = CLI_LINES_MORE;
    char *line = NULL;

    cli_lines_init(&lines, fd);
    while ((status = cli_lines_read(&lines)) == CLI_LINES_MORE) {
        while ((line = cli_lines_take(&lines)) != NULL) {
            take_line(self, line);
        }
    }
    self->is_torn = self->is_torn || status != CLI_LINES_END;
    cli_lines_clear(&lines);
}

static CtlExit
ask(CtlRun *run, GVariant *options, Verdict *verdict)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(options);
    g_autoptr(GError) error = NULL;
    int fd = -1;
    const CtlExit exit_code = ctl_run_open_bus(run, "verify");

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_autoptr(GVariant) reply = cli_bus_call_fd(
        run->bus, CLI_BUS_LOG1, "Verify", g_variant_new("(@a{sv})", owned), "(h)", &fd, &error);
    if (reply == NULL) {
        return ctl_fail_error("verify", error);
    }
    read_lines(verdict, fd);
    close(fd);
    return verdict->is_whole && !verdict->is_torn
               ? CTL_EXIT_OK
               : ctl_fail(CTL_EXIT_FAILED,
                          "the verification broke off; see: journalctl -u penteld, then run it "
                          "again");
}

static void
append_json(GString *out, const Verdict *verdict)
{
    CliJson json = CLI_JSON_INIT(out);

    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "store_id", verdict->store_id);
    cli_json_uint(&json, "head", (uint64_t)verdict->head);
    cli_json_text(&json, "hash", verdict->hash);
    cli_json_uint(&json, "entries", (uint64_t)verdict->entries);
    cli_json_uint(&json, "sessions", (uint64_t)verdict->sessions);
    cli_json_uint(&json, "records", (uint64_t)verdict->records);
    cli_json_open(&json, "findings", '[');
    for (guint i = 0; i + 1 < verdict->findings->len; i += 2) {
        cli_json_open(&json, NULL, '{');
        cli_json_text(&json, "where", g_ptr_array_index(verdict->findings, i));
        cli_json_text(&json, "what", g_ptr_array_index(verdict->findings, i + 1));
        cli_json_close(&json, '}');
    }
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    g_string_append_c(out, '\n');
}

static void
append_text(GString *out, const CtlRun *run, const Verdict *verdict)
{
    for (guint i = 0; i + 1 < verdict->findings->len; i += 2) {
        g_autofree char *line =
            g_strdup_printf("%s: %s",
                            (const char *)g_ptr_array_index(verdict->findings, i),
                            (const char *)g_ptr_array_index(verdict->findings, i + 1));
        cli_text_append_wrapped(out, line, run->out.n_columns, 0, 4, run->out.has_utf8);
    }
    if (verdict->findings->len == 0 && !run->args.has[CTL_OPTION_ANCHOR]) {
        g_string_append_printf(out,
                               "sound: %" G_GINT64_FORMAT " sessions, %" G_GINT64_FORMAT
                               " records, %" G_GINT64_FORMAT " journal entries\n",
                               verdict->sessions,
                               verdict->records,
                               verdict->entries);
    }
    if (verdict->findings->len == 0 && run->args.has[CTL_OPTION_ANCHOR]) {
        g_string_append_printf(out,
                               ANCHOR_WORD " 1 %s %" G_GINT64_FORMAT " %s\n",
                               verdict->store_id,
                               verdict->head,
                               verdict->hash);
    }
}

static CtlExit
print(CtlRun *run, const Verdict *verdict)
{
    g_autoptr(GString) out = g_string_new(NULL);

    if (run->is_json) {
        append_json(out, verdict);
    } else {
        append_text(out, run, verdict);
    }
    const CtlExit exit_code = ctl_print(out, NULL);
    return exit_code == CTL_EXIT_OK && verdict->findings->len > 0 ? CTL_EXIT_ALTERED : exit_code;
}

CtlExit
ctl_verify(CtlRun *run)
{
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    Verdict verdict = { .findings = g_ptr_array_new_with_free_func(g_free) };
    CtlExit exit_code = load_anchor(&run->args, &options);

    if (exit_code == CTL_EXIT_OK) {
        exit_code = ask(run, g_variant_dict_end(&options), &verdict);
    }
    if (exit_code == CTL_EXIT_OK) {
        exit_code = print(run, &verdict);
    }
    g_ptr_array_unref(verdict.findings);
    return exit_code;
}
