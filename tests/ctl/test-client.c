/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * client/lib alone: times, text, tables, JSON, lines, the table of errors.
 */
#include "lib/dict.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/flat.h"
#include "lib/json.h"
#include "lib/lines.h"
#include "lib/table.h"
#include "lib/text.h"
#include "lib/time.h"

#include <glib/gstdio.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 2026-11-24 14:30:00 UTC; the zone is Berlin's, so 15:30 there. */
#define NOW_US 1795530600000000LL

typedef struct {
    const char *text;
    bool is_end;
    const char *wanted; /* RFC 3339, NULL when refused */
} TimeRow;

static const TimeRow time_rows[] = {
    { "", false, NULL },
    { "foo", false, NULL },
    { "2026-11-31", false, NULL },
    { "2026-13-01", false, NULL },
    { "2026-11-24 25:00", false, NULL },
    { "2026-11-2", false, NULL },
    { "-2h ago", false, NULL },
    { "2h", false, NULL },
    { "2h ago x", false, NULL },
    { "2 fortnights ago", false, NULL },
    { "99999999999999999999h ago", false, NULL },
    { "24:30", false, NULL },
    { "2026-11-24T", false, NULL },
    { "now", false, "2026-11-24T14:30:00.000Z" },
    { "2h ago", false, "2026-11-24T12:30:00.000Z" },
    { "90 min ago", false, "2026-11-24T13:00:00.000Z" },
    { "2 days ago", false, "2026-11-22T14:30:00.000Z" },
    { "1w ago", false, "2026-11-17T14:30:00.000Z" },
    { "today", false, "2026-11-23T23:00:00.000Z" },
    { "today", true, "2026-11-24T22:59:59.999Z" },
    { "yesterday", false, "2026-11-22T23:00:00.000Z" },
    { "yesterday", true, "2026-11-23T22:59:59.999Z" },
    { "2026-11-24", false, "2026-11-23T23:00:00.000Z" },
    { "2026-11-24", true, "2026-11-24T22:59:59.999Z" },
    /* The clocks go back in this day: it has 25 hours. */
    { "2026-10-25", false, "2026-10-24T22:00:00.000Z" },
    { "2026-10-25", true, "2026-10-25T22:59:59.999Z" },
    { "2026-11-24 15:30", true, "2026-11-24T14:30:00.000Z" },
    { "2026-07-01 15:30:05", false, "2026-07-01T13:30:05.000Z" },
    { "15:45", false, "2026-11-24T14:45:00.000Z" },
    { "2026-11-24T14:30:00Z", true, "2026-11-24T14:30:00.000Z" },
    { "2026-11-24T14:30:00.125+02:00", false, "2026-11-24T12:30:00.125Z" },
    { "2026-11-24T15:30:00", false, "2026-11-24T14:30:00.000Z" },
};

static void
test_time(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(time_rows); i++) {
        const TimeRow *row = &time_rows[i];
        int64_t wall_us = -1;
        const bool is_read = cli_time_parse(row->text, row->is_end, NOW_US, &wall_us);
        g_autofree char *found = is_read ? cli_time_to_rfc3339(wall_us) : NULL;

        if (g_strcmp0(found, row->wanted) != 0) {
            g_test_message("\"%s\" end %d", row->text, row->is_end);
        }
        g_assert_cmpstr(found, ==, row->wanted);
        g_assert_true(is_read || wall_us == -1);
    }
}

static void
test_time_shown(void)
{
    g_autofree char *local = cli_time_to_local(NOW_US, true);
    g_autofree char *before = cli_time_to_rfc3339(-1);
    g_autofree char *never = cli_time_to_rfc3339(G_MAXINT64);
    g_autofree char *none = cli_time_show(NULL, false);
    g_autofree char *odd = cli_time_show("yesterday", false);

    g_assert_cmpstr(local, ==, "2026-11-24 15:30:00");
    g_assert_cmpstr(before, ==, "1969-12-31T23:59:59.999Z");
    g_assert_null(never);
    g_assert_cmpstr(none, ==, "unknown");
    g_assert_cmpstr(odd, ==, "unknown");
}

static void
test_duration(void)
{
    static const struct {
        uint64_t ms;
        const char *wanted;
    } rows[] = { { 0, "0:00" },        { 499, "0:00" },        { 59500, "1:00" },
                 { 3599499, "59:59" }, { 3599500, "1:00:00" }, { 360000000, "100:00:00" } };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *found = cli_duration_show(rows[i].ms);
        g_assert_cmpstr(found, ==, rows[i].wanted);
    }
}

static void
test_escape(void)
{
    static const struct {
        const char *text;
        bool utf8;
        const char *wanted;
    } rows[] = {
        { "plain", true, "plain" },
        { "a\nb\tc", true, "a\\nb\\tc" },
        { "\033[31mred", true, "\\x1b[31mred" },
        { "\xc2\x9b"
          "31m",
          true,
          "\\u{9b}31m" },
        { "\x7f", true, "\\x7f" },
        { "a\xff"
          "b",
          true,
          "a\\xffb" },
        { "cut \xe2\x82", true, "cut \\xe2\\x82" },
        { "mirrored \xe2\x80\xae", true, "mirrored \\u{202e}" },
        { "\xe2\x80\xa8", true, "\\u{2028}" },
        { "µm 針", true, "µm 針" },
        { "µm", false, "\\u{b5}m" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *found = cli_text_escape(rows[i].text, rows[i].utf8);
        g_assert_cmpstr(found, ==, rows[i].wanted);
    }
}

static void
test_fit(void)
{
    static const struct {
        const char *text;
        int width;
        const char *wanted;
    } rows[] = {
        { "abc", 3, "abc" },    { "abcd", 3, "ab…" },
        { "針針", 4, "針針" },  { "針針", 3, "針…" },
        { "針針針", 4, "針…" }, { "", 0, "" },
        { "abc", 1, "…" },      { "e\xcc\x81t\xc3\xa9", 3, "e\xcc\x81t\xc3\xa9" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *found = cli_text_fit(rows[i].text, rows[i].width, true);
        g_assert_cmpstr(found, ==, rows[i].wanted);
        g_assert_cmpint(cli_text_width(found), <=, rows[i].width);
    }
}

static void
test_nearest(void)
{
    static const char *const words[] = { "sessions", "show", "status", "export", NULL };

    g_assert_cmpstr(cli_text_nearest("sesions", words), ==, "sessions");
    g_assert_cmpstr(cli_text_nearest("sohw", words), ==, "show");
    g_assert_cmpstr(cli_text_nearest("stat", words), ==, "status");
    g_assert_null(cli_text_nearest("frobnicate", words));
    g_assert_null(cli_text_nearest("frob", words));
    g_assert_null(cli_text_nearest("", words));
    g_autofree char *endless = g_strnfill(5000, 'x');
    g_assert_null(cli_text_nearest(endless, words));
}

static void
test_wrap(void)
{
    g_autoptr(GString) out = g_string_new(NULL);

    cli_text_append_wrapped(out, "one two three four", 11, 2, 4, true);
    g_assert_cmpstr(out->str, ==, "  one two\n    three\n    four\n");
}

static const CliColumn columns[] = {
    { .title = "ID" },
    { .title = "NAME", .is_flexible = true },
    { .title = "N", .is_right = true },
    { .title = "NOTE", .is_optional = true },
    { .title = NULL },
};

static char *
render(int n_columns, const char *name)
{
    const CliTerm term = { .has_utf8 = true, .n_columns = n_columns };
    g_autoptr(CliTable) table = cli_table_new(columns);
    GString *out = g_string_new(NULL);

    cli_table_add(table, &term, "a1");
    cli_table_add(table, &term, name);
    cli_table_add(table, &term, "12");
    cli_table_add(table, &term, "first");
    cli_table_add(table, &term, "b2");
    cli_table_add(table, &term, NULL);
    cli_table_add(table, &term, "3");
    cli_table_add(table, &term, NULL);
    cli_table_render(table, &term, true, out);
    return g_string_free(out, FALSE);
}

static void
test_table(void)
{
    g_autofree char *wide = render(80, "針\n");
    g_autofree char *narrow = render(19, "a name that is long");

    g_assert_cmpstr(wide,
                    ==,
                    "ID  NAME   N  NOTE\n"
                    "a1  針\\n  12  first\n"
                    "b2  -      3  -\n");
    g_assert_cmpstr(narrow,
                    ==,
                    "ID  NAME          N\n"
                    "a1  a name tha…  12\n"
                    "b2  -             3\n");
}

static void
test_json(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GVariant) dict = g_variant_ref_sink(
        g_variant_new_parsed("{'n': <uint64 18446744073709551615>, 'wrong': <'7'>, 'minus': <-1>,"
                             " 'empty': <''>, 'd': <116.7>}"));
    CliJson json = CLI_JSON_INIT(out);

    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "t", "a\"\\\n\033\xc2\x9b\x7fµ");
    cli_json_text(&json, "bad", "\xff");
    cli_json_dict_uint(&json, dict, "n");
    cli_json_dict_uint(&json, dict, "wrong");
    cli_json_dict_uint(&json, dict, "minus");
    cli_json_dict_text(&json, dict, "empty");
    cli_json_dict_double(&json, dict, "d");
    cli_json_double(&json, "nan", (double)NAN);
    cli_json_open(&json, "a", '[');
    cli_json_bool(&json, NULL, true);
    cli_json_null(&json, NULL);
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    g_assert_cmpstr(out->str,
                    ==,
                    "{\"t\":\"a\\\"\\\\\\n\\u001b\\u009b\\u007fµ\",\"bad\":null,"
                    "\"n\":18446744073709551615,\"wrong\":null,\"minus\":null,\"empty\":null,"
                    "\"d\":116.7,\"nan\":null,\"a\":[true,null]}");
}

static void
test_flat_bad(void)
{
    static const char *const rows[] = {
        "",
        "x",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{\"a\":}",
        "{\"a\":\"b",
        "{\"a\":\"b\\",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\ud83d\"}",
        "{\"a\":\"\\q\"}",
        "{\"a\":{\"b\":1}}",
        "{\"a\":[1]}",
        "{a:1}",
        "{\"a\":1} x",
        "{\"a\" 1}",
        "[1]",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *line = g_strdup(rows[i]);
        CliFlat flat;
        if (cli_flat_parse(line, &flat)) {
            g_test_message("taken: %s", rows[i]);
            g_test_fail();
        }
    }
}

static void
test_flat(void)
{
    g_autofree char *line =
        g_strdup(" { \"tick_us\" : 12 , \"wall_us\":null,\"contact\":true ,\"neg\":-5,"
                 "\"text\":\"a\\\"\\u00b5\\ud83d\\ude00\\n\",\"big\":99999999999999999999} ");
    g_autofree char *empty = g_strdup("{}");
    CliFlat flat;
    int64_t value = 7;
    bool is_true = false;

    g_assert_true(cli_flat_parse(line, &flat));
    g_assert_true(cli_flat_get_int(&flat, "tick_us", &value) && value == 12);
    g_assert_true(cli_flat_get_int(&flat, "neg", &value) && value == -5);
    g_assert_false(cli_flat_get_int(&flat, "wall_us", &value));
    g_assert_false(cli_flat_get_int(&flat, "big", &value));
    g_assert_false(cli_flat_get_int(&flat, "text", &value));
    g_assert_false(cli_flat_get_int(&flat, "none", &value));
    g_assert_true(cli_flat_get_bool(&flat, "contact", &is_true) && is_true);
    g_assert_false(cli_flat_get_bool(&flat, "tick_us", &is_true));
    g_assert_cmpstr(cli_flat_get_text(&flat, "text"), ==, "a\"µ😀\n");
    g_assert_null(cli_flat_get_text(&flat, "tick_us"));
    g_assert_true(cli_flat_parse(empty, &flat) && flat.n_members == 0);
}

/* Cut a good line at every byte, and put every byte in every place: never a crash. */
static void
test_flat_damaged(void)
{
    static const char good[] = "{\"pen\":\"P\\u00b5\",\"tick_us\":12,\"contact\":true,\"w\":null}";

    for (gsize i = 0; i < sizeof good; i++) {
        g_autofree char *cut = g_strndup(good, i);
        CliFlat flat;
        g_assert_cmpint(cli_flat_parse(cut, &flat), ==, i == sizeof good - 1);
        for (int byte = 0; byte < 256; byte++) {
            g_autofree char *damaged = g_strdup(good);
            damaged[i] = (char)byte;
            damaged[strlen(good)] = '\0';
            (void)cli_flat_parse(damaged, &flat);
        }
    }
}

static void
test_lines(void)
{
    int ends[2];
    CliLines lines;

    g_assert_cmpint(pipe(ends), ==, 0);
    cli_lines_init(&lines, ends[0]);
    g_assert_cmpint(write(ends[1], "one\ntw", 6), ==, 6);
    g_assert_cmpint(cli_lines_read(&lines), ==, CLI_LINES_MORE);
    g_assert_cmpstr(cli_lines_take(&lines), ==, "one");
    g_assert_null(cli_lines_take(&lines));
    g_assert_cmpint(write(ends[1], "o\n\nx", 4), ==, 4);
    g_assert_cmpint(cli_lines_read(&lines), ==, CLI_LINES_MORE);
    g_assert_cmpstr(cli_lines_take(&lines), ==, "two");
    g_assert_cmpstr(cli_lines_take(&lines), ==, "");
    g_assert_null(cli_lines_take(&lines));
    close(ends[1]);
    g_assert_cmpint(cli_lines_read(&lines), ==, CLI_LINES_CUT);
    cli_lines_clear(&lines);
    close(ends[0]);
}

static void
test_line_too_long(void)
{
    int ends[2];
    CliLines lines;
    CliLinesStatus status = CLI_LINES_MORE;
    g_autofree char *block = g_strnfill(4096, 'x');

    g_assert_cmpint(pipe(ends), ==, 0);
    cli_lines_init(&lines, ends[0]);
    for (int i = 0; i < 40 && status == CLI_LINES_MORE; i++) {
        g_assert_cmpint(write(ends[1], block, 4096), ==, 4096);
        status = cli_lines_read(&lines);
        g_assert_null(cli_lines_take(&lines));
    }
    g_assert_cmpint(status, ==, CLI_LINES_TOO_LONG);
    cli_lines_clear(&lines);
    close(ends[0]);
    close(ends[1]);
}

static void
test_faults(void)
{
    gsize n = 0;
    const CliFault *rows = cli_fault_list(&n);

    for (gsize i = 0; i < n; i++) {
        g_assert_cmpint(rows[i].exit_code, !=, CTL_EXIT_OK);
        g_assert_cmpstr(rows[i].advice, !=, "");
        g_assert_null(strchr(rows[i].advice, '\n'));
        if (!g_str_has_suffix(rows[i].name, "*")) {
            g_assert_true(cli_fault_find(rows[i].name) == &rows[i]);
        }
    }
    g_assert_cmpstr(cli_fault_find("org.pentel.Error.New")->name, ==, "org.pentel.Error.Failed");
    g_assert_cmpint(cli_fault_find("org.freedesktop.DBus.Error.Spawn.ExecFailed")->exit_code,
                    ==,
                    CTL_EXIT_NO_DAEMON);
}

static void
test_fault_line(void)
{
    g_autoptr(GError) error = g_dbus_error_new_for_dbus_error("org.pentel.Error.NotFound",
                                                              "no session\nbegins with \033[1m.");
    g_autoptr(GError) timeout =
        g_error_new_literal(G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Timeout was reached");
    CtlExit exit_code = CTL_EXIT_OK;
    g_autofree char *line = cli_fault_describe("show it", error, &exit_code);

    g_assert_cmpint(exit_code, ==, CTL_EXIT_NOT_FOUND);
    g_assert_true(g_str_has_prefix(line, "cannot show it: no session\\nbegins with \\x1b[1m; "));
    g_autofree char *late = cli_fault_describe("show it", timeout, &exit_code);
    g_assert_cmpint(exit_code, ==, CTL_EXIT_TIMEOUT);
    g_assert_true(g_str_has_prefix(late, "cannot show it: penteld does not answer; "));
}

static guint
count_entries(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir) != NULL) {
        n++;
    }
    return n;
}

static void
test_file(void)
{
    g_autofree char *folder = g_dir_make_tmp("pentel-file-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "out", NULL);
    g_autofree char *link_path = g_build_filename(folder, "link", NULL);
    g_autofree char *text = NULL;
    struct stat info;

    g_autoptr(CliFile) given_up = cli_file_new(path, NULL);
    g_assert_cmpuint(count_entries(folder), ==, 1);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    cli_file_free(g_steal_pointer(&given_up));
    g_assert_cmpuint(count_entries(folder), ==, 0);

    g_assert_true(g_file_set_contents_full(path, "old", -1, G_FILE_SET_CONTENTS_NONE, 0640, NULL));
    g_assert_cmpint(symlink("out", link_path), ==, 0);
    g_autoptr(CliFile) file = cli_file_new(link_path, NULL);
    g_assert_nonnull(file);
    g_assert_cmpint(write(cli_file_get_fd(file), "new", 3), ==, 3);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "old");
    g_assert_true(cli_file_commit(file, NULL));
    g_clear_pointer(&text, g_free);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "new");
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 0777, ==, 0640);
    g_assert_true(g_file_test(link_path, G_FILE_TEST_IS_SYMLINK));
    g_assert_cmpuint(count_entries(folder), ==, 2);
    g_unlink(link_path);
    g_unlink(path);
    g_rmdir(folder);
}

static void
test_file_refused(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(cli_file_new("/tmp", &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_ISDIR);
    g_clear_error(&error);
    g_assert_null(cli_file_new("/no/such/folder/out", &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

int
main(int argc, char **argv)
{
    setenv("TZ", "Europe/Berlin", 1);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/time/parse", test_time);
    g_test_add_func("/time/shown", test_time_shown);
    g_test_add_func("/time/duration", test_duration);
    g_test_add_func("/text/escape", test_escape);
    g_test_add_func("/text/fit", test_fit);
    g_test_add_func("/text/nearest", test_nearest);
    g_test_add_func("/text/wrap", test_wrap);
    g_test_add_func("/table", test_table);
    g_test_add_func("/json", test_json);
    g_test_add_func("/flat/bad", test_flat_bad);
    g_test_add_func("/flat/good", test_flat);
    g_test_add_func("/flat/damaged", test_flat_damaged);
    g_test_add_func("/lines", test_lines);
    g_test_add_func("/lines/too-long", test_line_too_long);
    g_test_add_func("/fault/table", test_faults);
    g_test_add_func("/fault/line", test_fault_line);
    g_test_add_func("/file/whole-or-not", test_file);
    g_test_add_func("/file/refused", test_file_refused);
    return g_test_run();
}
