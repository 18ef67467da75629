/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * How fast the store takes records at saturation, beside a bare loop that only
 * inserts the same bytes into SQLite with the same durability, in the same run.
 * Prints both and their ratio; fails when a record is missing afterwards.
 */
#include "core/record.h"
#include "records.h"
#include "store/store.h"

#include <glib/gstdio.h>
#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    GMainLoop *loop;
    uint32_t target;
    uint32_t durable;
} Waiter;

static double
now_s(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        g_error("%s: %s", sql, sqlite3_errmsg(db));
    }
}

static double
run_baseline(const char *directory, uint32_t n_records)
{
    g_autofree char *path = g_build_filename(directory, "baseline.db", NULL);
    sqlite3 *db = NULL;
    sqlite3_stmt *insert = NULL;
    uint8_t record[PEN_RECORD_MAX];

    g_assert(sqlite3_open(path, &db) == SQLITE_OK);
    run_sql(db, "pragma journal_mode=wal; pragma synchronous=full");
    run_sql(db, "create table raw (number integer, bytes blob)");
    sqlite3_prepare_v2(db, "insert into raw values (?, ?)", -1, &insert, NULL);
    const double start = now_s(CLOCK_PROCESS_CPUTIME_ID);
    for (uint32_t number = 1; number <= n_records; number++) {
        const size_t n = bench_record(number, record);
        if (number % 256 == 1) {
            run_sql(db, "begin");
        }
        sqlite3_bind_int64(insert, 1, number);
        sqlite3_bind_blob(insert, 2, record, (int)n, SQLITE_STATIC);
        g_assert(sqlite3_step(insert) == SQLITE_DONE);
        sqlite3_reset(insert);
        if (number % 256 == 0 || number == n_records) {
            run_sql(db, "commit");
        }
    }
    const double cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - start;
    sqlite3_finalize(insert);
    sqlite3_close(db);
    return cpu_s;
}

static void
on_durable(void *user_data, uint64_t log_id, uint32_t contiguous)
{
    Waiter *waiter = user_data;

    waiter->durable = contiguous;
    if (contiguous >= waiter->target) {
        g_main_loop_quit(waiter->loop);
    }
}

static gboolean
on_time_out(gpointer user_data)
{
    g_main_loop_quit(user_data);
    return G_SOURCE_REMOVE;
}

static double
run_store(const char *directory, uint32_t n_records, double *wall_s_out, uint32_t *commit_us_out)
{
    const PdStoreConfig config = {
        .directory = directory,
        .commit_ms = 2000,
        .commit_records = 256,
        .fold = PEN_FOLD_DEFAULT,
    };
    const PdStoreListener listener = { .durable = on_durable };
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GError) error = NULL;
    Waiter waiter = { .loop = loop, .target = n_records };
    PdStore *store = pd_store_open(&config, &listener, &waiter, &error);
    uint8_t record[PEN_RECORD_MAX];

    g_assert_no_error(error);
    const double cpu_start = now_s(CLOCK_PROCESS_CPUTIME_ID);
    const double wall_start = now_s(CLOCK_MONOTONIC);
    for (uint32_t number = 1; number <= n_records; number++) {
        const size_t n = bench_record(number, record);
        while (!pd_store_append(store, BENCH_LOG_ID, record, n)) {
            g_usleep(1000);
        }
    }
    g_timeout_add_seconds(60, on_time_out, loop);
    g_main_loop_run(loop);
    *wall_s_out = now_s(CLOCK_MONOTONIC) - wall_start;
    const double cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;
    PdStoreHealth health;
    pd_store_get_health(store, &health);
    *commit_us_out = health.commit_us_max;
    pd_store_health_clear(&health);
    pd_store_close(store);
    if (waiter.durable != n_records) {
        g_printerr("only %u of %u records are durable\n", waiter.durable, n_records);
        exit(EXIT_FAILURE);
    }
    return cpu_s;
}

int
main(int argc, char **argv)
{
    const uint32_t n_records = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 50000u;
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = g_dir_make_tmp("pentel-bench-XXXXXX", &error);
    double wall_s = 0;
    uint32_t commit_us = 0;

    g_assert_no_error(error);
    const double base_s = run_baseline(directory, n_records);
    const double store_s = run_store(directory, n_records, &wall_s, &commit_us);
    printf("records                    %u\n", n_records);
    printf("insert loop, CPU/record    %.1f us\n", base_s * 1e6 / n_records);
    printf("store, CPU/record          %.1f us (%.2f of the loop)\n",
           store_s * 1e6 / n_records,
           store_s / base_s);
    printf("store, records/s           %.0f\n", n_records / wall_s);
    printf("store, longest commit      %.1f ms\n", commit_us / 1e3);
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", directory);
    return system(command) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
