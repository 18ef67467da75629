/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Bounds and pressure: the commit window, the queue, the WAL, a disk that is full for a
 * while, many threads, and the end.
 */
#include "rig.h"
#include "util/error.h"

#include <glib/gstdio.h>

#define LOG_ID UINT64_C(0x1122334455667788)

static const TreatmentPlan plan = { .log_id = LOG_ID, .seed = 21, .n_sessions = 3, .n_blocks = 90 };

static PdSession *
get_first(Rig *rig)
{
    return rig_get_number(rig, LOG_ID, 1);
}

static void
on_answer(GObject *source, GAsyncResult *result, gpointer user_data)
{
    *(GAsyncResult **)user_data = g_object_ref(result);
}

static bool
is_set(gpointer data)
{
    return *(gpointer *)data != NULL;
}

/* Nobody writes for an hour and records come in: 8 MiB, then they are dropped and counted. */
static void
test_queue_is_bounded(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    size_t n_record = 0;
    const uint8_t *record = treatment_get(treatment, 2, &n_record);
    uint32_t n_taken = 0;

    rig_close(rig);
    rig->config.commit_ms = 3600000;
    rig->config.commit_records = UINT32_MAX;
    rig_open(rig);
    g_assert_true(pd_store_is_hungry(rig->store));
    while (n_taken < 1000000 && pd_store_append(rig->store, LOG_ID, record, n_record)) {
        n_taken++;
    }
    g_assert_cmpuint(n_taken, ==, (8u << 20) / (n_record + 10));
    g_assert_false(pd_store_is_hungry(rig->store));
    g_assert_false(pd_store_append(rig->store, LOG_ID, record, n_record));
    const PdStoreHealth health = rig_health(rig);
    g_assert_cmpuint(health.n_dropped, ==, 2);
    g_assert_cmpuint(health.queue_bytes, <=, 8u << 20);
    rig_flush(rig);
    g_assert_true(pd_store_is_hungry(rig->store));
    g_assert_true(pd_store_append(rig->store, LOG_ID, record, n_record));
}

/* Questions do not hold the WAL: it stays small while records come and lists are read. */
static void
test_wal_is_bounded(void)
{
    const TreatmentPlan long_plan = {
        .log_id = LOG_ID, .seed = 8, .n_sessions = 40, .n_blocks = 1000
    };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&long_plan);
    g_autofree char *wal = rig_path(rig, "store/index.db-wal");
    goffset largest = 0;

    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        rig_append(rig, treatment, number);
        if (number % 100 == 0) {
            rig_flush(rig);
        }
        if (number % 400 == 0) {
            g_autoptr(GPtrArray) list = rig_list(rig, NULL, 0, 20);
            GStatBuf st;
            g_assert_cmpuint(list->len, >, 0);
            g_assert_cmpint(g_stat(wal, &st), ==, 0);
            largest = MAX(largest, st.st_size);
        }
    }
    g_test_message("WAL at most %" G_GOFFSET_FORMAT " bytes", largest);
    g_assert_cmpint(largest, <, 20 << 20);
}

static bool
is_state(gpointer data)
{
    return ((const Rig *)data)->state == PD_STORE_FULL;
}

static void
test_full(void)
{
    /* Fewer than a commit's worth: the first to find the disk full is the flush. */
    const TreatmentPlan few = { .log_id = LOG_ID, .seed = 21, .n_sessions = 3, .n_blocks = 60 };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&few);
    g_autoptr(GError) error = NULL;
    const PdAnnotation note = { .note = "x" };

    for (uint32_t number = 1; number <= 30; number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    g_assert_cmpuint(treatment->records->len, <, 30 + 256);
    g_autoptr(PdSession) session = get_first(rig);
    rig_set_disk_full(true);
    for (uint32_t number = 31; number <= treatment->records->len; number++) {
        rig_append(rig, treatment, number);
    }
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*trying again*");
    g_assert_false(rig_try_flush(rig, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_STORE);
    g_assert_true(rig_wait(is_state, rig, 5000));
    g_clear_error(&error);
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*trying again*");
    g_assert_cmpuint(rig_annotate(rig, session->id, &note, &error), ==, 0);
    g_assert_error(error, PD_ERROR, PD_ERROR_STORE);
    g_test_assert_expected_messages();
    g_autofree char *complaint = rig_dup_health_error(rig);
    g_assert_nonnull(complaint);
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_FULL);

    rig_set_disk_full(false);
    rig_flush(rig);
    const PdStoreHealth health = rig_health(rig);
    g_assert_cmpint(health.state, ==, PD_STORE_OK);
    g_assert_null(rig_dup_health_error(rig));
    g_assert_cmpuint(health.n_records, ==, treatment->records->len);
    g_assert_cmpuint(rig->contiguous, ==, treatment->records->len);
    for (guint i = 0; i < treatment->sessions->len; i++) {
        const uint32_t number = g_array_index(treatment->sessions, uint32_t, i);
        g_autoptr(PdSession) after = rig_get_number(rig, LOG_ID, number);
        g_autofree char *expected = treatment_dup_expected(treatment, number, NULL);
        g_autofree char *got = rig_format(after);
        g_assert_cmpstr(got, ==, expected);
        g_assert_null(after->note);
    }
}

/* The ballast is let go for what people do; records wait on the pens. */
static void
test_ballast(void)
{
    const TreatmentPlan few = { .log_id = LOG_ID, .seed = 21, .n_sessions = 3, .n_blocks = 60 };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&few);
    g_autofree char *ballast = rig_path(rig, "ballast");
    const PdAnnotation note = { .note = "said while the disk was full" };
    g_autoptr(GError) error = NULL;
    GStatBuf st;

    for (uint32_t number = 1; number <= 30; number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    g_assert_cmpint(g_stat(ballast, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 16 << 20);
    g_assert_cmpint(st.st_blocks * 512, >=, 16 << 20);
    g_autoptr(PdSession) session = get_first(rig);
    rig_set_disk_full_while(ballast);
    for (uint32_t number = 31; number <= treatment->records->len; number++) {
        rig_append(rig, treatment, number);
    }
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*trying again*");
    g_assert_false(rig_try_flush(rig, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_STORE);
    g_clear_error(&error);
    g_assert_false(g_file_test(ballast, G_FILE_TEST_EXISTS));
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*trying again*");
    g_assert_cmpuint(rig_annotate(rig, session->id, &note, &error), >, 0);
    g_assert_no_error(error);
    g_test_assert_expected_messages();
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_FULL);
    g_assert_cmpuint(rig->contiguous, ==, 30);
    rig_set_disk_full_while(NULL);
    rig_flush(rig);
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_OK);
    g_assert_cmpuint(rig->contiguous, ==, treatment->records->len);
    g_assert_true(g_file_test(ballast, G_FILE_TEST_EXISTS));
    g_autoptr(PdSession) after = rig_get(rig, session->id, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(after->note, ==, note.note);
    g_assert_cmpuint(rig_health(rig).n_records, ==, treatment->records->len);
}

/* A disk that is full all day is no reason not to start, nor to lose what is there. */
static void
test_full_from_the_start(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const uint32_t n = treatment->records->len;

    for (uint32_t number = 1; number <= 30; number++) {
        rig_append(rig, treatment, number);
    }
    rig_close(rig);
    rig_set_disk_full(true);
    rig_open(rig);
    g_autoptr(PdSession) there = get_first(rig);
    g_assert_cmpuint(there->fold.last, ==, 30);
    for (uint32_t number = 31; number <= 100; number++) {
        rig_append(rig, treatment, number);
    }
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*trying again*");
    rig_close(rig);
    g_test_assert_expected_messages();
    rig_set_disk_full(false);
    rig_open(rig);
    PenRanges settled;
    pd_store_get_settled(rig->store, LOG_ID, &settled);
    g_assert_cmpuint(pen_ranges_contiguous_from(&settled, 1), ==, 30);
    pen_ranges_clear(&settled);
    for (uint32_t number = 31; number <= n; number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    g_assert_cmpuint(rig->contiguous, ==, n);
}

static void
test_private(void)
{
    static const char *const names[] = { "store/index.db", "store/index.db-wal", "lock" };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);

    rig_append_all(rig, treatment);
    rig_flush(rig);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = rig_path(rig, names[i]);
        GStatBuf st;
        g_assert_cmpint(g_stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777u, ==, 0600);
    }
}

static bool
is_durable(gpointer data)
{
    return ((const Rig *)data)->n_durable > 0;
}

/* A few records wait for the window; a group does not, nor does who wants an answer. */
static void
test_commit_window(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);

    rig_close(rig);
    rig->config.commit_ms = 400;
    rig_open(rig);
    const int64_t start_us = g_get_monotonic_time();
    rig_append(rig, treatment, 1);
    g_assert_true(rig_wait(is_durable, rig, 10000));
    g_assert_cmpint(g_get_monotonic_time() - start_us, >=, 390000);
    g_assert_cmpuint(rig->contiguous, ==, 1);
    rig_close(rig);

    rig->config.commit_ms = 3600000;
    rig_open(rig);
    rig->n_durable = 0;
    for (uint32_t number = 2; number <= 256; number++) {
        rig_append(rig, treatment, number);
    }
    g_assert_false(rig_wait(is_durable, rig, 300));
    rig_append(rig, treatment, 257);
    g_assert_true(rig_wait(is_durable, rig, 10000));
    g_assert_cmpuint(rig->contiguous, ==, 257);
    rig_append(rig, treatment, 258);
    rig_flush(rig);
    g_assert_cmpuint(rig->contiguous, ==, 258);
}

typedef struct {
    Rig *rig;
    const Treatment *treatment;
    uint64_t log_id;
} Reader;

/* What the reader thread and a supervisor do, as fast as they can. */
static gpointer
append_from_thread(gpointer data)
{
    const Reader *reader = data;
    PdStore *store = reader->rig->store;

    for (uint32_t number = 1; number <= reader->treatment->records->len; number++) {
        size_t n_record = 0;
        const uint8_t *record = treatment_get(reader->treatment, number, &n_record);
        while (!pd_store_append(store, reader->log_id, record, n_record)) {
            g_usleep(100);
        }
        if (number % 50 == 0) {
            const PenAnchor anchor = { .boot = 1, .tick_us = number, .wall_us = number };
            PenRanges settled;
            pd_store_get_settled(store, reader->log_id, &settled);
            pen_ranges_clear(&settled);
            pd_store_add_anchor(store, reader->log_id, &anchor);
            pd_store_set_linked(store, reader->log_id, number % 100 == 0);
            pd_store_set_wall_synced(store, number % 100 == 0);
            pd_store_settle(store, reader->log_id, 100000, 100001, PD_CAUSE_OVERWRITTEN);
            pd_store_set_marked(store, reader->log_id, number / 2);
            (void)pd_store_is_hungry(store);
        }
    }
    return NULL;
}

static void
test_threads(void)
{
    const TreatmentPlan long_plan = {
        .log_id = LOG_ID, .seed = 31, .n_sessions = 4, .n_blocks = 400
    };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&long_plan);
    const uint32_t n = treatment->records->len;
    Reader readers[3];
    GThread *threads[3];

    for (guint i = 0; i < 3; i++) {
        readers[i] = (Reader){ .rig = rig, .treatment = treatment, .log_id = LOG_ID + i };
        threads[i] = g_thread_new("reader", append_from_thread, &readers[i]);
    }
    for (int i = 0; i < 40; i++) {
        g_autoptr(GPtrArray) list = rig_list(rig, NULL, 0, 5);
        for (guint j = 0; j < list->len; j++) {
            const PdSession *session = g_ptr_array_index(list, j);
            g_autoptr(PdSession) whole = rig_get(rig, session->id, NULL);
            g_assert_nonnull(whole);
        }
        (void)rig_health(rig);
        rig_flush(rig);
    }
    for (guint i = 0; i < 3; i++) {
        g_thread_join(threads[i]);
    }
    rig_flush(rig);
    g_assert_cmpuint(rig_health(rig).n_records, ==, 3 * n);
    for (guint i = 0; i < 3; i++) {
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID + i, 1);
        g_autofree char *expected = treatment_dup_expected(treatment, 1, NULL);
        g_autofree char *got = rig_format(session);
        g_assert_cmpstr(got, ==, expected);
    }
}

static void
on_never(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(pd_store_list_sessions_finish(NULL, result, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    *(bool *)user_data = true;
}

static bool
is_true(gpointer data)
{
    return *(bool *)data;
}

/* Who gave up is told so; who asked just before the end is answered after it. */
static void
test_cancelled_and_closed(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GAsyncResult) late = NULL;
    const PdSessionFilter all = { 0 };
    bool called = false;

    g_cancellable_cancel(cancellable);
    pd_store_list_sessions_async(rig->store, &all, 0, 1, cancellable, on_never, &called);
    g_assert_true(rig_wait(is_true, &called, 5000));
    pd_store_flush_async(rig->store, NULL, on_answer, &late);
    rig_close(rig);
    g_assert_true(rig_wait(is_set, &late, 5000));
    rig_open(rig);
}

int
main(int argc, char **argv)
{
    rig_watch_disk();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/load/queue-is-bounded", test_queue_is_bounded);
    g_test_add_func("/store/load/wal-is-bounded", test_wal_is_bounded);
    g_test_add_func("/store/load/full", test_full);
    g_test_add_func("/store/load/ballast", test_ballast);
    g_test_add_func("/store/load/full-from-the-start", test_full_from_the_start);
    g_test_add_func("/store/load/private", test_private);
    g_test_add_func("/store/load/commit-window", test_commit_window);
    g_test_add_func("/store/load/threads", test_threads);
    g_test_add_func("/store/load/cancelled-and-closed", test_cancelled_and_closed);
    return g_test_run();
}
