/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A disk that fails while the WAL is brought into the database, and the power cut after it.
 */
#include "rig.h"
#include "store/checkpoint.h"

#include <glib/gstdio.h>

#include <stdatomic.h>

#define N_ROWS     40
#define NEVER_US   INT64_C(3600000000)
#define PAUSE_US   INT64_C(300000)
#define MANY_PAGES 100000

typedef struct {
    char *directory;
    char *path;
    PdDb *writer;
    PdDb *reader;
    PdCheckpointer *checkpointer;
    atomic_uint n_asked;
} Fixture;

static void
run_sql(PdDb *db, const char *sql)
{
    g_autoptr(GError) error = NULL;

    (void)pd_db_script(db, sql, &error);
    g_assert_no_error(error);
}

static void
on_must_restart(void *user_data)
{
    Fixture *fixture = user_data;

    atomic_fetch_add(&fixture->n_asked, 1);
}

static void
start(Fixture *fixture, int n_alarm_pages, int64_t pause_us)
{
    const PdCheckpointerConfig config = {
        .n_pages = MANY_PAGES,
        .n_alarm_pages = n_alarm_pages,
        .idle_us = pause_us,
        .failed_us = 2 * pause_us,
        .must_restart = on_must_restart,
        .user_data = fixture,
    };
    g_autoptr(GError) error = NULL;

    fixture->writer = pd_db_open(fixture->path, PD_DB_WRITER, NULL, &error);
    g_assert_no_error(error);
    /* Who is in the way stays: this is one thread. */
    sqlite3_busy_timeout(pd_db_handle(fixture->writer), 0);
    fixture->checkpointer = pd_checkpointer_start(&config, fixture->path, fixture->writer, &error);
    g_assert_no_error(error);
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->directory = g_dir_make_tmp("pentel-unit-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->path = g_build_filename(fixture->directory, "index.db", NULL);
    start(fixture, MANY_PAGES, NEVER_US);
    run_sql(fixture->writer, "create table row (n integer primary key, filling blob)");
    g_assert_true(pd_checkpointer_truncate(fixture->checkpointer, fixture->writer));
    rig_watch_durable(fixture->path);
}

static void
stop(Fixture *fixture)
{
    pd_checkpointer_stop(fixture->checkpointer);
    pd_db_close(fixture->writer);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    rig_watch_durable(NULL);
    rig_remove_tree(fixture->directory);
    g_free(fixture->directory);
    g_free(fixture->path);
}

/* Each on a page of its own. */
static void
insert(Fixture *fixture)
{
    run_sql(fixture->writer,
            "with recursive one (n) as (select 1 union all select n + 1 from one where n "
            "< " G_STRINGIFY(N_ROWS) ") insert into row (filling) select zeroblob(3000) from one");
}

/* Rows that are there after a cut now: the WAL was synced by each commit. */
static int64_t
count_after_cut(const Fixture *fixture)
{
    g_autofree char *path = g_build_filename(fixture->directory, "cut.db", NULL);
    g_autofree char *wal = g_strconcat(path, "-wal", NULL);
    g_autofree char *shm = g_strconcat(path, "-shm", NULL);
    g_autofree char *old_wal = g_strconcat(fixture->path, "-wal", NULL);
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;
    g_autoptr(GError) error = NULL;
    int64_t n_rows = -1;

    g_unlink(shm);
    rig_write_durable(path);
    g_assert_true(g_file_get_contents(old_wal, &bytes, &n_bytes, NULL));
    g_assert_true(g_file_set_contents(wal, bytes, (gssize)n_bytes, NULL));
    g_autoptr(PdDb) db = pd_db_open(path, PD_DB_WRITER, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(pd_db_check_pages(db, &error));
    g_assert_true(pd_db_get_int(db, 0, &n_rows, &error, "select count(*) from row"));
    g_assert_no_error(error);
    return n_rows;
}

/* As far as the reader was when it began, and without a sync. */
static void
bring_over_partly(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    fixture->reader = pd_db_open(fixture->path, PD_DB_READER, NULL, &error);
    g_assert_no_error(error);
    insert(fixture);
    run_sql(fixture->reader, "begin; select count(*) from row");
    insert(fixture);
    g_assert_false(pd_checkpointer_truncate(fixture->checkpointer, fixture->writer));
    run_sql(fixture->reader, "rollback");
}

static void
fail_to_sync(Fixture *fixture)
{
    rig_set_disk_unsyncable(true);
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*did not take*stays in index.db-wal*");
    g_assert_false(pd_checkpointer_truncate(fixture->checkpointer, fixture->writer));
    g_test_assert_expected_messages();
    rig_set_disk_unsyncable(false);
}

static void
test_partly(Fixture *fixture, gconstpointer data)
{
    bring_over_partly(fixture);
    g_assert_false(pd_checkpointer_has_failed(fixture->checkpointer));
    fail_to_sync(fixture);
    g_assert_true(pd_checkpointer_has_failed(fixture->checkpointer));
    /* The disk is well again, and the same process would now begin the WAL anew. */
    g_assert_false(pd_checkpointer_truncate(fixture->checkpointer, fixture->writer));
    insert(fixture);
    g_assert_cmpint(count_after_cut(fixture), ==, 3 * N_ROWS);
    pd_db_close(fixture->reader);
    stop(fixture);
    g_assert_cmpint(count_after_cut(fixture), ==, 3 * N_ROWS);

    start(fixture, MANY_PAGES, NEVER_US);
    g_assert_true(pd_checkpointer_truncate(fixture->checkpointer, fixture->writer));
    insert(fixture);
    g_assert_cmpint(count_after_cut(fixture), ==, 4 * N_ROWS);
    stop(fixture);
}

/* What a sync that did not fail brings over needs no WAL. */
static void
test_whole(Fixture *fixture, gconstpointer data)
{
    bring_over_partly(fixture);
    g_assert_true(pd_checkpointer_truncate(fixture->checkpointer, fixture->writer));
    insert(fixture);
    g_assert_cmpint(count_after_cut(fixture), ==, 3 * N_ROWS);
    pd_db_close(fixture->reader);
    stop(fixture);
}

static bool
has_asked(gpointer data)
{
    return atomic_load(&((Fixture *)data)->n_asked) > 0;
}

static void
restart_checkpointer(Fixture *fixture, int n_alarm_pages, int64_t pause_us)
{
    stop(fixture);
    start(fixture, n_alarm_pages, pause_us);
}

/* A WAL that nobody brings over any more does not grow for ever. */
static void
test_alarm(Fixture *fixture, gconstpointer data)
{
    restart_checkpointer(fixture, 3 * N_ROWS, NEVER_US);
    insert(fixture);
    fail_to_sync(fixture);
    pd_checkpointer_written(fixture->checkpointer);
    g_assert_false(rig_wait(has_asked, fixture, 100));
    insert(fixture);
    insert(fixture);
    pd_checkpointer_written(fixture->checkpointer);
    g_assert_true(rig_wait(has_asked, fixture, 5000));
    insert(fixture);
    pd_checkpointer_written(fixture->checkpointer);
    stop(fixture);
    g_assert_cmpuint(atomic_load(&fixture->n_asked), ==, 1);
}

/* Nor does what was erased stay in it for ever. */
static void
test_pause(Fixture *fixture, gconstpointer data)
{
    restart_checkpointer(fixture, MANY_PAGES, PAUSE_US);
    insert(fixture);
    fail_to_sync(fixture);
    const int64_t failed_us = g_get_monotonic_time();
    g_assert_true(rig_wait(has_asked, fixture, 5000));
    g_assert_cmpint(g_get_monotonic_time() - failed_us, >=, 2 * PAUSE_US - 10000);
    stop(fixture);
}

int
main(int argc, char **argv)
{
    rig_watch_disk();
    g_test_init(&argc, &argv, NULL);
    g_test_add("/store/checkpoint/partly", Fixture, NULL, set_up, test_partly, tear_down);
    g_test_add("/store/checkpoint/whole", Fixture, NULL, set_up, test_whole, tear_down);
    g_test_add("/store/checkpoint/alarm", Fixture, NULL, set_up, test_alarm, tear_down);
    g_test_add("/store/checkpoint/pause", Fixture, NULL, set_up, test_pause, tear_down);
    return g_test_run();
}
