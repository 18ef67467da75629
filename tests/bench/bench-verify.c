/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What a verification of a large store costs those who write meanwhile: how long the WAL
 * becomes beside as much writing without one. Figures only; it fails when there is a finding.
 */
#include "core/record.h"
#include "records.h"
#include "store/store.h"

#include <glib/gstdio.h>

#include <stdio.h>
#include <stdlib.h>

#define N_LOGS      100u
#define N_EACH      100u /* records of a session */
#define HOLE_EACH   50u  /* records from hole to hole */
#define TICK_MS     10u
#define BURST       4u /* records for each tick */
#define BESIDE_LOG  (BENCH_LOG_ID + N_LOGS)
#define QUIET_TICKS 300u

typedef struct {
    PdStore *store;
    PdVerify *verify;
    GMainLoop *loop;
    char *wal_path;
    uint32_t n_beside; /* records written meanwhile */
    uint32_t n_ticks;
    uint64_t wal_bytes_max;
    int64_t step_begun_us;
    int64_t step_us_max;
    uint32_t n_steps;
    guint n_findings;
    bool is_verified;
} Run;

static void
append(PdStore *store, uint64_t log_id, uint32_t number)
{
    uint8_t record[PEN_RECORD_MAX];
    const size_t n_record = bench_record_of(log_id, number, N_EACH, record);

    while (!pd_store_append(store, log_id, record, n_record)) {
        g_usleep(500);
    }
}

static void
fill(PdStore *store, uint32_t n_records)
{
    for (uint32_t i = 0; i < n_records; i++) {
        const uint64_t log_id = BENCH_LOG_ID + i / (n_records / N_LOGS + 1);
        const uint32_t number = i % (n_records / N_LOGS + 1) + 1;
        if (number % HOLE_EACH == 0) {
            pd_store_settle(store, log_id, number, number, PD_CAUSE_HOLE_FLASH_ERROR);
        } else {
            append(store, log_id, number);
        }
    }
}

static gboolean
on_tick(gpointer user_data)
{
    Run *self = user_data;
    GStatBuf st;

    for (uint32_t i = 0; i < BURST; i++) {
        append(self->store, BESIDE_LOG, ++self->n_beside);
    }
    if (g_stat(self->wal_path, &st) == 0) {
        self->wal_bytes_max = MAX(self->wal_bytes_max, (uint64_t)st.st_size);
    }
    self->n_ticks++;
    if (self->verify == NULL && self->n_ticks >= QUIET_TICKS) {
        g_main_loop_quit(self->loop);
    }
    return G_SOURCE_CONTINUE;
}

static void ask_step(Run *self);

static void
on_step(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Run *self = user_data;
    g_autoptr(GError) error = NULL;
    bool done = false;
    g_autoptr(GPtrArray) findings = pd_store_verify_finish(self->store, result, &done, &error);

    g_assert_no_error(error);
    self->step_us_max = MAX(self->step_us_max, g_get_monotonic_time() - self->step_begun_us);
    self->n_steps++;
    self->n_findings += findings->len;
    if (done) {
        g_main_loop_quit(self->loop);
    } else {
        ask_step(self);
    }
}

static void
ask_step(Run *self)
{
    self->step_begun_us = g_get_monotonic_time();
    pd_store_verify_async(self->store, self->verify, NULL, on_step, self);
}

static void
on_flushed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Run *self = user_data;

    g_assert_true(pd_store_flush_finish(self->store, result, NULL));
    g_main_loop_quit(self->loop);
}

/* With a WAL that begins anew. */
static void
open_store(Run *self, const char *directory)
{
    const PdStoreConfig config = {
        .directory = directory, .commit_ms = 200, .commit_records = 256, .fold = PEN_FOLD_DEFAULT
    };
    g_autoptr(GError) error = NULL;

    pd_store_close(self->store);
    self->store = pd_store_open(&config, NULL, NULL, &error);
    g_assert_no_error(error);
}

/* A while of writing, with a verification or without. */
static void
measure(Run *self, const char *what)
{
    const int64_t begun_us = g_get_monotonic_time();
    const uint32_t n_before = self->n_beside;

    self->n_ticks = 0;
    self->wal_bytes_max = 0;
    if (self->verify != NULL) {
        ask_step(self);
    }
    const guint tick = g_timeout_add(TICK_MS, on_tick, self);
    g_main_loop_run(self->loop);
    g_source_remove(tick);
    printf("%-10s %6.2f s  %6u records beside  WAL at most %6.1f MiB",
           what,
           (double)(g_get_monotonic_time() - begun_us) / 1e6,
           self->n_beside - n_before,
           (double)self->wal_bytes_max / (1 << 20));
    if (self->verify != NULL) {
        printf("  %u steps, the longest %.0f ms", self->n_steps, (double)self->step_us_max / 1e3);
    }
    printf("\n");
}

/* What a start takes, and what it takes after an end that was none. */
static void
measure_start(Run *self, const char *directory)
{
    g_autofree char *mark = g_build_filename(directory, "store", "open", NULL);
    int64_t took_us[2];

    for (int i = 0; i < 2; i++) {
        pd_store_close(g_steal_pointer(&self->store));
        g_assert_true(i == 0 || g_file_set_contents(mark, "", 0, NULL));
        const int64_t begun_us = g_get_monotonic_time();
        open_store(self, directory);
        took_us[i] = g_get_monotonic_time() - begun_us;
    }
    printf("start      %6.0f ms  not closed before %6.0f ms\n",
           (double)took_us[0] / 1e3,
           (double)took_us[1] / 1e3);
}

int
main(int argc, char **argv)
{
    const uint32_t n_records = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 200000;
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = g_dir_make_tmp("pentel-bench-XXXXXX", &error);
    Run run = { .loop = g_main_loop_new(NULL, FALSE),
                .wal_path = g_build_filename(directory, "store", "index.db-wal", NULL) };

    g_assert_no_error(error);
    open_store(&run, directory);
    fill(run.store, n_records);
    pd_store_flush_async(run.store, NULL, on_flushed, &run);
    g_main_loop_run(run.loop);
    open_store(&run, directory);
    measure(&run, "without");
    open_store(&run, directory);
    run.verify = pd_store_verify_new(run.store, NULL);
    measure(&run, "verifying");
    /* Its connection would keep the store from being closed. */
    pd_verify_free(g_steal_pointer(&run.verify));
    measure_start(&run, directory);
    pd_store_close(run.store);
    g_free(run.wal_path);
    g_main_loop_unref(run.loop);
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", directory);
    return system(command) == 0 && run.n_findings == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
