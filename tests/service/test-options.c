/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * penteld's settings: what is wrong is named, what is left out has its default.
 */
#include "options.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <string.h>
#include <unistd.h>

static char *
write_file(const char *text)
{
    GError *error = NULL;
    char *name = NULL;
    const int fd = g_file_open_tmp("penteld-XXXXXX.conf", &name, &error);

    g_assert_no_error(error);
    close(fd);
    g_assert_true(g_file_set_contents(name, text, -1, NULL));
    return name;
}

static void
test_wrong(void)
{
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        { "[store]\ncommit-ms=soon\n", "[store] commit-ms: 'soon' will not do; write a whole" },
        { "[store]\ncommit-ms=0\n", "from 1 to 60000" },
        { "[store]\ncommit-ms=1e3\n", "commit-ms" },
        { "[store]\ncommit-records=100001\n", "from 1 to 100000" },
        { "[store]\ncommit_ms=5\n", "there is no such setting" },
        { "[pass]\nlift-ms=-1\n", "from 1 to 60000" },
        { "[pass]\nmin-contact-ms=\n", "from 0 to 60000" },
        { "[link]\nnotify=maybe\n", "[link] notify: 'maybe' will not do; write acquire or start" },
        { "[link]\nrssi-floor-dbm=1\n", "from -127 to 0" },
        { "[radio]\nnotify=start\n", "there is no such setting" },
        { "notify=start\n", "group" },
        { "[link\n", "" },
        { "\xff\xfe", "" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *name = write_file(rows[i].text);
        PdOptions options = { 0 };

        g_assert_false(pd_options_load(&options, name, true, &error));
        g_test_message("%s", error->message);
        g_assert_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT);
        g_assert_true(g_str_has_prefix(error->message, name));
        g_assert_nonnull(strstr(error->message, rows[i].says));
        g_assert_null(strchr(error->message, '\n'));
        g_unlink(name);
    }
}

static bool
parse(PdOptions *options, const char *line, GError **error)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    g_autofree char **argv = g_memdup2(words, (g_strv_length(words) + 1) * sizeof *words);

    return pd_options_init(options, (int)g_strv_length(words), argv, error);
}

static void
test_right(void)
{
    g_autofree char *name = write_file(
        "# all of them\n[store]\ncommit-ms = 250\ncommit-records=8\ncheckpoint-pages=64\n"
        "[pass]\nlift-ms=700\nmin-contact-ms=0\n"
        "[link]\nnotify=start\nrssi-floor-dbm=-75\nlinks-per-adapter=5\n");
    g_autofree char *line = g_strdup_printf("penteld --state-dir /x --config %s", name);
    g_autoptr(GError) error = NULL;
    PdOptions options;

    g_assert_true(parse(&options, line, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(options.store.directory, ==, "/x");
    g_assert_cmpuint(options.store.commit_ms, ==, 250);
    g_assert_cmpuint(options.store.commit_records, ==, 8);
    g_assert_cmpuint(options.store.checkpoint_pages, ==, 64);
    g_assert_cmpuint(options.store.fold.lift_us, ==, 700000);
    g_assert_cmpuint(options.store.fold.min_contact_us, ==, 0);
    g_assert_true(options.pen.notify_by_signal);
    g_assert_cmpint(options.pen.rssi_floor_dbm, ==, -75);
    g_assert_cmpuint(options.pen.links_per_adapter, ==, 5);
    pd_options_clear(&options);
    g_unlink(name);
}

static void
test_command_line(void)
{
    static const char *const wrong[] = { "penteld --nonsense",
                                         "penteld word",
                                         "penteld --config /nowhere/at/all.conf",
                                         "penteld --state-dir" };
    PdOptions options;

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(parse(&options, wrong[i], &error));
        g_test_message("%s", error->message);
        pd_options_clear(&options);
    }
    g_setenv("STATE_DIRECTORY", "/a/b:/c", TRUE);
    g_assert_true(parse(&options, "penteld --version", NULL));
    g_assert_true(options.show_version);
    g_assert_cmpstr(options.store.directory, ==, "/a/b");
    g_assert_cmpuint(options.store.commit_ms, ==, 2000);
    g_assert_cmpuint(options.store.commit_records, ==, 256);
    g_assert_cmpuint(options.store.checkpoint_pages, ==, 1024);
    g_assert_cmpuint(options.store.fold.lift_us, ==, 800000);
    g_assert_cmpuint(options.store.fold.min_contact_us, ==, 300000);
    g_assert_false(options.pen.notify_by_signal);
    pd_options_clear(&options);
}

static void
test_absent(void)
{
    PdOptions options = { 0 };

    g_assert_true(pd_options_load(&options, "/nowhere/at/all.conf", false, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/penteld/options/wrong", test_wrong);
    g_test_add_func("/penteld/options/command-line", test_command_line);
    g_test_add_func("/penteld/options/right", test_right);
    g_test_add_func("/penteld/options/absent", test_absent);
    return g_test_run();
}
