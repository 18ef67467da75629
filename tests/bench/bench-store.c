/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What the store costs, beside a bare loop that inserts the same bytes into SQLite with the
 * same durability, in the same run: at saturation, and in the groups that eight pens make in
 * a commit window. Figures only; it fails when a record is missing afterwards.
 */
#include "core/record.h"
#include "records.h"
#include "store/store.h"

#include <glib/gstdio.h>
#include <sqlite3.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define N_PENS       8u
#define GROUP        80u /* eight pens, five records a second, two seconds */
#define N_GROUPS     250u
#define LIMIT_S      60u
#define N_SATURATION 200000u

/* All records of the run, made before any clock starts. */
typedef struct {
    GPtrArray *records; /* owned GBytes */
} Load;

typedef struct {
    double cpu_s;
    double wall_s;
    uint64_t n_written_bytes;
    GArray *commit_us; /* owned; double */
} Figures;

typedef struct {
    double cpu_s;
    double wall_s;
    uint64_t n_written_bytes;
} Mark;

static double
now_s(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Bytes handed to write() by this process. */
static uint64_t
read_written(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/self/io", &text, NULL, NULL)) {
        return 0;
    }
    const char *line = strstr(text, "wchar:");
    return line == NULL ? 0 : g_ascii_strtoull(line + strlen("wchar:"), NULL, 10);
}

static Mark
begin(void)
{
    return (Mark){ .cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID),
                   .wall_s = now_s(CLOCK_MONOTONIC),
                   .n_written_bytes = read_written() };
}

static void
end(const Mark *from, Figures *figures)
{
    const Mark now = begin();

    figures->cpu_s = now.cpu_s - from->cpu_s;
    figures->wall_s = now.wall_s - from->wall_s;
    figures->n_written_bytes = now.n_written_bytes - from->n_written_bytes;
}

static void
run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        g_error("%s: %s", sql, sqlite3_errmsg(db));
    }
}

/* @group: records in one transaction. */
static void
run_loop(const char *directory, const Load *load, uint32_t group, Figures *figures)
{
    g_autofree char *name = g_strdup_printf("loop-%u.db", group);
    g_autofree char *path = g_build_filename(directory, name, NULL);
    const uint32_t n = load->records->len;
    sqlite3 *db = NULL;
    sqlite3_stmt *insert = NULL;
    double start_s = 0;

    g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
    run_sql(db, "pragma journal_mode=wal; pragma synchronous=full");
    run_sql(db, "create table raw (number integer, bytes blob)");
    sqlite3_prepare_v2(db, "insert into raw values (?, ?)", -1, &insert, NULL);
    const Mark mark = begin();
    for (uint32_t i = 0; i < n; i++) {
        gsize n_bytes = 0;
        const void *bytes = g_bytes_get_data(g_ptr_array_index(load->records, i), &n_bytes);
        if (i % group == 0) {
            start_s = now_s(CLOCK_MONOTONIC);
            run_sql(db, "begin");
        }
        sqlite3_bind_int64(insert, 1, i);
        sqlite3_bind_blob(insert, 2, bytes, (int)n_bytes, SQLITE_STATIC);
        g_assert_cmpint(sqlite3_step(insert), ==, SQLITE_DONE);
        sqlite3_reset(insert);
        if (i % group == group - 1 || i + 1 == n) {
            run_sql(db, "commit");
            const double took_us = (now_s(CLOCK_MONOTONIC) - start_s) * 1e6;
            g_array_append_val(figures->commit_us, took_us);
        }
    }
    sqlite3_finalize(insert);
    sqlite3_close(db);
    end(&mark, figures);
}

static void
append(PdStore *store, uint64_t log_id, GBytes *record)
{
    gsize n_bytes = 0;
    const uint8_t *bytes = g_bytes_get_data(record, &n_bytes);

    while (!pd_store_append(store, log_id, bytes, n_bytes)) {
        g_usleep(500);
    }
}

typedef struct {
    PdStore *store;
    GMainLoop *loop;
    bool ok;
} Waiting;

static void
on_flushed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Waiting *waiting = user_data;

    waiting->ok = pd_store_flush_finish(waiting->store, result, NULL);
    g_main_loop_quit(waiting->loop);
}

static gboolean
on_limit(gpointer user_data)
{
    g_main_loop_quit(user_data);
    return G_SOURCE_REMOVE;
}

static void
flush(PdStore *store)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Waiting waiting = { .store = store, .loop = loop };
    const guint limit = g_timeout_add_seconds(LIMIT_S, on_limit, loop);

    pd_store_flush_async(store, NULL, on_flushed, &waiting);
    g_main_loop_run(loop);
    if (!waiting.ok) {
        g_error("the flush failed, or took longer than %u s", LIMIT_S);
    }
    g_source_remove(limit);
}

static void
expect_all(PdStore *store, uint64_t log_id, uint32_t n)
{
    PenRanges settled;

    pd_store_get_settled(store, log_id, &settled);
    const uint32_t contiguous = pen_ranges_contiguous_from(&settled, 1);
    pen_ranges_clear(&settled);
    if (contiguous != n) {
        g_printerr("only %u of %u records are durable\n", contiguous, n);
        exit(EXIT_FAILURE);
    }
}

static PdStore *
open_store(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    const PdStoreConfig config = {
        .directory = path,
        .commit_ms = 2000,
        .commit_records = 256,
        .fold = PEN_FOLD_DEFAULT,
    };
    g_autoptr(GError) error = NULL;
    PdStore *store = pd_store_open(&config, NULL, NULL, &error);

    g_assert_no_error(error);
    return store;
}

static void
run_saturated(const char *directory, const Load *load, Figures *figures)
{
    PdStore *store = open_store(directory, "saturated");
    const Mark mark = begin();

    for (uint32_t i = 0; i < load->records->len; i++) {
        append(store, BENCH_LOG_ID, g_ptr_array_index(load->records, i));
    }
    flush(store);
    expect_all(store, BENCH_LOG_ID, load->records->len);
    pd_store_close(store);
    end(&mark, figures);
}

/* Eight pens in turn; each group is committed before the next one comes. */
static void
run_groups(const char *directory, const Load *load, Figures *figures)
{
    PdStore *store = open_store(directory, "groups");
    const Mark mark = begin();

    for (uint32_t group = 0; group < N_GROUPS; group++) {
        for (uint32_t i = 0; i < GROUP; i++) {
            const uint32_t at = group * (GROUP / N_PENS) + i / N_PENS;
            append(store, BENCH_LOG_ID + i % N_PENS, g_ptr_array_index(load->records, at));
        }
        const double start_s = now_s(CLOCK_MONOTONIC);
        flush(store);
        const double took_us = (now_s(CLOCK_MONOTONIC) - start_s) * 1e6;
        g_array_append_val(figures->commit_us, took_us);
    }
    for (uint32_t pen = 0; pen < N_PENS; pen++) {
        expect_all(store, BENCH_LOG_ID + pen, N_GROUPS * GROUP / N_PENS);
    }
    pd_store_close(store);
    end(&mark, figures);
}

static int
compare_double(gconstpointer a, gconstpointer b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;

    return left < right ? -1 : left > right;
}

static double
percentile(GArray *values, double share)
{
    if (values->len == 0) {
        return 0;
    }
    g_array_sort(values, compare_double);
    return g_array_index(values, double, (guint)((values->len - 1) * share));
}

static void
print_figures(const char *name, uint32_t n_records, Figures *figures)
{
    printf("%-28s %9.0f records/s %6.2f us CPU/record %7.0f bytes/record",
           name,
           n_records / figures->wall_s,
           figures->cpu_s * 1e6 / n_records,
           (double)figures->n_written_bytes / n_records);
    if (figures->commit_us->len > 0) {
        printf("  commit p50 %.2f p99 %.2f max %.2f ms",
               percentile(figures->commit_us, 0.5) / 1e3,
               percentile(figures->commit_us, 0.99) / 1e3,
               percentile(figures->commit_us, 1.0) / 1e3);
    }
    printf("\n");
    g_array_set_size(figures->commit_us, 0);
}

static void
unref_bytes(gpointer data)
{
    g_bytes_unref(data);
}

static void
fill_load(Load *load, uint32_t n_records)
{
    load->records = g_ptr_array_new_with_free_func(unref_bytes);
    for (uint32_t number = 1; number <= n_records; number++) {
        uint8_t record[PEN_RECORD_MAX];
        const size_t n_record = bench_record(number, record);
        g_ptr_array_add(load->records, g_bytes_new(record, n_record));
    }
}

int
main(int argc, char **argv)
{
    const uint32_t n_wanted = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : N_SATURATION;
    const uint32_t n_records = MAX(n_wanted, N_GROUPS * GROUP / N_PENS);
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = g_dir_make_tmp("pentel-bench-XXXXXX", &error);
    Figures figures = { .commit_us = g_array_new(FALSE, FALSE, sizeof(double)) };
    Load load;

    g_assert_no_error(error);
    fill_load(&load, n_records);
    run_loop(directory, &load, 256, &figures);
    g_array_set_size(figures.commit_us, 0);
    const double loop_us = figures.cpu_s * 1e6 / n_records;
    print_figures("insert loop, 256 at once", n_records, &figures);
    run_saturated(directory, &load, &figures);
    print_figures("store, saturated", n_records, &figures);
    printf("%-28s %9.2f of the insert loop\n",
           "store, CPU per record",
           figures.cpu_s * 1e6 / n_records / loop_us);
    g_ptr_array_set_size(load.records, (gint)MIN(n_records, N_GROUPS * GROUP));
    run_loop(directory, &load, GROUP, &figures);
    print_figures("insert loop, 80 at once", load.records->len, &figures);
    run_groups(directory, &load, &figures);
    print_figures("store, 8 pens, 80 at once", N_GROUPS * GROUP, &figures);
    g_array_unref(figures.commit_us);
    g_ptr_array_unref(load.records);
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", directory);
    return system(command) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
