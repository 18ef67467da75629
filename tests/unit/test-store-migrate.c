/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Every schema that ever was can still be read, and a migration cut at any instant leaves a
 * whole file under the name.
 */
#include "rig.h"
#include "store/schema.h"
#include "store/verify.h"
#include "util/error.h"

#include <glib/gstdio.h>
#include <sqlite3.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* From 1 on to one version more than there is, the last one slow enough to be killed in. */
static const PdMigration steps[] = {
    { "alter table pen add column nick text; update pen set nick = lower(serial);", NULL },
    { "create table little (x integer);", NULL },
    { "create table slow (x integer); with recursive c (x) as (select 1 union all select x + 1"
      " from c where x < 60000) insert into slow select x from c;",
      NULL },
};

static const int64_t last = G_N_ELEMENTS(steps) + 1;

static const PdMigration bad_steps[] = {
    { "alter table pen add column nick text;", NULL },
    { "update no_such_table set x = 1;", NULL },
};

static void
run_script(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;

    g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &message);
    g_assert_cmpstr(message, ==, NULL);
    sqlite3_close(db);
}

/* A rig whose store is a committed one, closed. */
static Rig *
new_rig_of(const char *name)
{
    Rig *rig = rig_new();
    g_autofree char *fixture = g_test_build_filename(G_TEST_DIST, name, NULL);
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *sql = NULL;
    g_autoptr(GError) error = NULL;

    rig_close(rig);
    g_assert_cmpint(g_unlink(index), ==, 0);
    g_file_get_contents(fixture, &sql, NULL, &error);
    g_assert_no_error(error);
    run_script(index, sql);
    return rig;
}

static Rig *
new_rig_of_schema_1(void)
{
    return new_rig_of("schema-1.sql");
}

static void
expect_content(Rig *rig)
{
    const TreatmentPlan plan = {
        .log_id = 0x42, .seed = 4, .n_sessions = 2, .n_blocks = 6, .stray_records = true
    };
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(GPtrArray) list = rig_list(rig, NULL, 0, 10);

    g_assert_cmpuint(list->len, ==, 2);
    for (guint i = 0; i < 2; i++) {
        const uint32_t number = g_array_index(treatment->sessions, uint32_t, i);
        g_autoptr(PdSession) session = rig_get_number(rig, 0x42, number);
        g_autofree char *expected = treatment_dup_expected(treatment, number, NULL);
        g_autofree char *got = rig_format(session);
        g_assert_cmpstr(got, ==, expected);
        g_assert_cmpstr(session->state, ==, "complete");
        g_assert_cmpstr(session->serial, ==, "PEN-1");
        g_assert_cmpstr(session->patient, ==, i == 1 ? "P-1" : NULL);
        g_assert_true(session->placed);
    }
    g_assert_cmpuint(rig_health(rig).head, ==, 4);
    g_autoptr(GPtrArray) entries = rig_read_all_journal(rig, 4);
    g_assert_cmpuint(entries->len, ==, 4);
}

static void
test_schema_1(void)
{
    g_autoptr(Rig) rig = new_rig_of_schema_1();

    rig_open(rig);
    expect_content(rig);
}

/* What a verification finds in the closed store, a line each. */
static char *
verify_files(Rig *rig)
{
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *raw = rig_path(rig, "store/raw");
    g_autoptr(PdVerify) verify = pd_verify_new(index, raw, NULL);
    g_autoptr(GPtrArray) findings = g_ptr_array_new();
    GString *out = g_string_new(NULL);

    for (int i = 0; pd_verify_step(verify, findings); i++) {
        g_assert_cmpint(i, <, 1000);
    }
    for (guint i = 0; i < findings->len; i++) {
        PdFinding *finding = g_ptr_array_index(findings, i);
        g_string_append_printf(out, "%s: %s\n", finding->where, finding->what);
        g_free(finding->where);
        g_free(finding->what);
        g_free(finding);
    }
    return g_string_free(out, FALSE);
}

static void
test_schema_2(void)
{
    g_autoptr(Rig) rig = new_rig_of("schema-2.sql");

    rig_open(rig);
    expect_content(rig);
    rig_close(rig);
    g_autofree char *findings = verify_files(rig);
    g_assert_cmpstr(findings, ==, "");
}

/* The chain that the step made anew, and the witnesses that it began, hold. */
static void
test_schema_3(void)
{
    g_autoptr(Rig) rig = new_rig_of("schema-3.sql");
    g_autofree char *findings = verify_files(rig);

    g_assert_cmpstr(findings, ==, "");
    rig_open(rig);
    expect_content(rig);
}

/* Whoever changes the tables must also count the version up and write a step. */
static void
test_schema_is_as_committed(void)
{
    static const char sql[] = "select group_concat(sql, ';') from (select sql from sqlite_master"
                              " where sql is not null and name not like 'sqlite_%' order by name)";
    g_autoptr(Rig) rig = new_rig_of_schema_1();
    g_autoptr(Rig) fresh = rig_new();
    g_autofree char *old_path = rig_path(rig, "store/index.db");
    g_autofree char *new_path = rig_path(fresh, "store/index.db");
    const char *const paths[] = { old_path, new_path };
    char *schemas[2] = { NULL, NULL };

    rig_open(rig);
    rig_close(rig);
    rig_close(fresh);
    g_assert_cmpint(PD_SCHEMA_VERSION, ==, 3);
    g_assert_cmpint(last, ==, PD_SCHEMA_VERSION + 1);
    for (guint i = 0; i < 2; i++) {
        sqlite3 *db = NULL;
        sqlite3_stmt *stmt = NULL;
        g_assert_cmpint(sqlite3_open(paths[i], &db), ==, SQLITE_OK);
        g_assert_cmpint(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), ==, SQLITE_OK);
        g_assert_cmpint(sqlite3_step(stmt), ==, SQLITE_ROW);
        schemas[i] = g_strdup((const char *)sqlite3_column_text(stmt, 0));
        sqlite3_finalize(stmt);
        sqlite3_close(db);
    }
    g_assert_cmpstr(schemas[0], ==, schemas[1]);
    g_free(schemas[0]);
    g_free(schemas[1]);
}

static void
test_steps(void)
{
    g_autoptr(Rig) rig = new_rig_of_schema_1();
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *old_path = rig_path(rig, "store/index.db.v1");
    g_autoptr(GError) error = NULL;

    g_assert_true(pd_schema_migrate(index, steps, last, &error));
    g_assert_no_error(error);
    g_assert_cmpint(rig_sql_int(rig, "pragma user_version"), ==, last);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from pen where nick = 'pen-1'"), ==, 1);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from raw"), ==, 21);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from slow"), ==, 60000);
    g_assert_true(g_file_test(old_path, G_FILE_TEST_EXISTS));
    /* Once more is nothing. */
    g_assert_true(pd_schema_migrate(index, steps, last, &error));
    /* The old one, brought back, is the store it was. */
    g_assert_cmpint(g_rename(old_path, index), ==, 0);
    rig_open(rig);
    expect_content(rig);
}

static void
test_bad_step(void)
{
    g_autoptr(Rig) rig = new_rig_of_schema_1();
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autoptr(GError) error = NULL;

    g_assert_false(pd_schema_migrate(index, bad_steps, 3, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_STORE);
    g_assert_cmpint(rig_sql_int(rig, "pragma user_version"), ==, 1);
    rig_open(rig);
    expect_content(rig);
}

/* A WAL that was not brought in yet belongs to the copy too. */
static void
test_with_wal(void)
{
    g_autoptr(Rig) rig = new_rig_of_schema_1();
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autoptr(GError) error = NULL;
    PdDb *db = pd_db_open(index, PD_DB_WRITER, NULL, &error);

    g_assert_no_error(error);
    g_assert_true(pd_db_script(db, "update pen set name = 'in the WAL'", &error));
    pd_db_close(db);
    g_assert_true(pd_schema_migrate(index, steps, last, &error));
    g_assert_no_error(error);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from pen where name = 'in the WAL'"), ==, 1);
}

static void
migrate_and_die(const char *index, uint32_t after_us)
{
    const pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        _exit(pd_schema_migrate(index, steps, last, NULL) ? 0 : 1);
    }
    g_usleep(after_us);
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void
test_killed(void)
{
    GRand *rand = g_rand_new_with_seed(3);
    int n_cut = 0;

    for (int round = 0; round < 30; round++) {
        g_autoptr(Rig) rig = new_rig_of_schema_1();
        g_autofree char *index = rig_path(rig, "store/index.db");
        g_autoptr(GError) error = NULL;
        migrate_and_die(index, (uint32_t)g_rand_int_range(rand, 1000, 150000));
        const int64_t version = rig_sql_int(rig, "pragma user_version");
        g_assert_true(version == 1 || version == last);
        n_cut += version == 1 ? 1 : 0;
        g_assert_cmpint(rig_sql_int(rig, "select count(*) from raw"), ==, 21);
        if (version == 1) {
            rig_open(rig);
            expect_content(rig);
            rig_close(rig);
        }
        g_assert_true(pd_schema_migrate(index, steps, last, &error));
        g_assert_no_error(error);
        g_assert_cmpint(rig_sql_int(rig, "select count(*) from slow"), ==, 60000);
        g_assert_cmpint(rig_sql_int(rig, "pragma user_version"), ==, last);
    }
    g_test_message("cut %d times of 30", n_cut);
    g_assert_cmpint(n_cut, >, 0);
    g_rand_free(rand);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/migrate/schema-1", test_schema_1);
    g_test_add_func("/store/migrate/schema-2", test_schema_2);
    g_test_add_func("/store/migrate/schema-3", test_schema_3);
    g_test_add_func("/store/migrate/schema-is-as-committed", test_schema_is_as_committed);
    g_test_add_func("/store/migrate/steps", test_steps);
    g_test_add_func("/store/migrate/bad-step", test_bad_step);
    g_test_add_func("/store/migrate/with-wal", test_with_wal);
    g_test_add_func("/store/migrate/killed", test_killed);
    return g_test_run();
}
