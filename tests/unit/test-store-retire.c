/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What goes by itself, what must not go, and what stands in the way of neither.
 */
#include "care.h"
#include "util/error.h"

#include <sqlite3.h>

#include <stdio.h>
#include <string.h>

static const TreatmentPlan plan = {
    .log_id = LOG_ID,
    .seed = 23,
    .n_sessions = 4,
    .n_blocks = 400,
    .stray_records = true,
};

/* Its pen's clock stands in 2020. */
static Rig *
new_early_rig(void)
{
    Rig *rig = rig_new();
    const PenAnchor anchor = {
        .boot = 1, .tick_us = 1000, .wall_us = 1600000000000000, .wall_synced = true
    };

    pd_store_add_anchor(rig->store, LOG_ID, &anchor);
    return rig;
}

/* Sessions of long ago go by themselves, but for a held one; only by a clock that is right. */
static void
test_retention(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_early_rig();

    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autofree char *held = care_annotate(rig, treatment, 1, "p");
    care_hold(rig, held, "kept", false);
    rig->config.retention_days = 100;
    for (int synced = 0; synced < 2; synced++) {
        rig_close(rig);
        rig_open(rig);
        pd_store_set_wall_synced(rig->store, synced != 0);
        rig_flush(rig);
        rig_flush(rig);
        for (guint i = 0; i < 4; i++) {
            g_autoptr(PdSession) session =
                rig_get_number(rig, LOG_ID, care_number_of(treatment, i));
            g_assert_cmpstr(session->state, ==, synced != 0 && i != 1 ? "erased" : "complete");
        }
    }
    care_expect_sound(rig);
}

static void
append_session(Rig *rig, const Treatment *treatment, guint session)
{
    const uint32_t last = g_array_index(treatment->session_end, uint32_t, session);

    for (uint32_t number = care_number_of(treatment, session); number <= last; number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
}

/* An old session for each segment. */
static Rig *
new_old_rig(const Treatment *treatment, guint n_sessions)
{
    Rig *rig = new_early_rig();

    for (guint i = 0; i < n_sessions; i++) {
        append_session(rig, treatment, i);
        care_seal(rig);
    }
    return rig;
}

static void
retire(Rig *rig)
{
    rig->config.retention_days = 100;
    rig_close(rig);
    rig_open(rig);
    pd_store_set_wall_synced(rig->store, true);
    rig_flush(rig);
    rig_flush(rig);
    rig_flush(rig);
}

/* A session under way, with records that its row does not know of yet. */
static void
test_open(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = rig_new();
    const uint32_t first = care_number_of(treatment, 0);
    g_autoptr(GError) error = NULL;
    uint32_t n_looked = 0;
    uint32_t n = 0;

    care_anchor_now(rig);
    for (uint32_t number = first; number < first + 100; number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    g_autofree char *id = care_annotate(rig, treatment, 0, PATIENT);
    for (uint32_t number = first + 100; number < first + 200; number++) {
        rig_append(rig, treatment, number);
    }
    pd_store_append_damaged(rig->store, LOG_ID, first + 150, (const uint8_t *)PATIENT, 20);
    g_assert_true(care_erase(rig, &(PdErasure){ .session = id, .reason = "r" }, &n, &error));
    g_assert_no_error(error);
    for (uint32_t number = first + 6; number < first + 200; number++) {
        size_t n_record = 0;
        const uint8_t *record = treatment_get(treatment, number, &n_record);
        if (n_record > 20 + MARK_BYTES) {
            n_looked++;
            g_assert_false(care_tree_holds(rig->directory, record + 20, MARK_BYTES));
        }
    }
    g_assert_cmpuint(n_looked, >, 100);
    g_assert_false(care_tree_holds(rig->directory, PATIENT, 20));
    care_expect_erased(rig, treatment, 0);
    rig_flush(rig);
    care_expect_sound(rig);
}

static void
forbid_erasing(Rig *rig, uint32_t first, uint32_t last)
{
    g_autofree char *sql = g_strdup_printf(
        "create trigger forbid before update on session when new.state = 'erased'"
        " and new.number between %u and %u begin select raise(abort, 'forbidden'); end",
        first,
        last);

    rig_close(rig);
    rig_sql(rig, sql);
    rig_open(rig);
}

/* Nothing of what went is left in a file that no row names. */
static void
expect_no_more_files(Rig *rig)
{
    g_autofree char *raw = rig_path(rig, "store/raw");
    g_autoptr(GDir) directory = g_dir_open(raw, 0, NULL);
    const int64_t n_rows = rig_sql_int(rig, "select count(*) from segment");
    int64_t n_files = 0;

    while (g_dir_read_name(directory) != NULL) {
        n_files++;
    }
    g_assert_cmpint(n_files, ==, n_rows);
}

/* An erasure that was rolled back has taken nothing, neither then nor with the next one. */
static void
test_rolled_back(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_old_rig(treatment, 2);
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    forbid_erasing(rig, care_number_of(treatment, 1), care_number_of(treatment, 1));
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*forbidden*");
    retire(rig);
    g_test_assert_expected_messages();
    expect_no_more_files(rig);
    append_session(rig, treatment, 2);
    g_autofree char *next = care_annotate(rig, treatment, 2, PATIENT);
    g_assert_true(care_erase(rig, &(PdErasure){ .session = next, .reason = "r" }, &n, &error));
    g_assert_no_error(error);
    rig->config.retention_days = 0;
    rig_close(rig);
    rig_sql(rig, "drop trigger forbid");
    rig_open(rig);
    g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, care_number_of(treatment, 1));
    g_assert_cmpstr(session->state, ==, "complete");
    g_autoptr(GByteArray) raw = rig_read_all_raw(rig, session->id);
    g_assert_cmpuint(raw->len, >, 0);
    care_expect_sound(rig);
}

/* A byte in the block of a sealed session, in the closed store. */
static void
spoil_block(Rig *rig, uint32_t number)
{
    g_autofree char *where = g_strdup_printf(
        "select block_offset + block_size / 2 from session where number = %u", number);
    const int64_t offset = rig_sql_int(rig, where);
    g_autofree char *raw = rig_path(rig, "store/raw");
    g_autoptr(GDir) directory = g_dir_open(raw, 0, NULL);
    g_autofree char *path = g_build_filename(raw, g_dir_read_name(directory), NULL);
    FILE *file = fopen(path, "r+");

    g_assert_nonnull(file);
    g_assert_null(g_dir_read_name(directory));
    fseek(file, (long)offset, SEEK_SET);
    const int byte = fgetc(file);
    fseek(file, (long)offset, SEEK_SET);
    g_assert_cmpint(fputc(byte ^ 0x55, file), !=, EOF);
    fclose(file);
}

/* Of three sessions in a segment one is damaged: another is erased, the third is readable. */
static void
test_damaged_neighbour(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autofree char *id = care_annotate(rig, treatment, 0, PATIENT);
    g_autoptr(GError) error = NULL;
    uint32_t after = 0;
    uint32_t n = 0;

    rig_close(rig);
    spoil_block(rig, care_number_of(treatment, 1));
    rig_open(rig);
    g_assert_true(care_erase(rig, &(PdErasure){ .session = id, .reason = "r" }, &n, &error));
    g_assert_no_error(error);
    care_expect_erased(rig, treatment, 0);
    g_autoptr(PdSession) damaged = rig_get_number(rig, LOG_ID, care_number_of(treatment, 1));
    g_assert_cmpstr(damaged->state, ==, "complete");
    g_assert_null(rig_read_raw(rig, damaged->id, &after, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_MALFORMED);
    g_autoptr(PdSession) whole = rig_get_number(rig, LOG_ID, care_number_of(treatment, 2));
    g_autoptr(GByteArray) raw = rig_read_all_raw(rig, whole->id);
    g_assert_cmpuint(raw->len, >, 0);
}

/* What cannot be erased is passed over, be it all that is looked at in one go. */
static void
test_stuck(void)
{
    const TreatmentPlan many = { .log_id = LOG_ID, .seed = 5, .n_sessions = 20, .n_blocks = 4 };
    g_autoptr(Treatment) treatment = treatment_new(&many);
    g_autoptr(Rig) rig = new_early_rig();

    rig_append_all(rig, treatment);
    rig_flush(rig);
    forbid_erasing(rig, 1, care_number_of(treatment, 16));
    for (int i = 0; i < 17; i++) {
        g_test_expect_message("store", G_LOG_LEVEL_WARNING, "session *stays*forbidden*");
    }
    retire(rig);
    g_test_assert_expected_messages();
    for (guint i = 0; i < 20; i++) {
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, care_number_of(treatment, i));
        g_assert_cmpstr(session->state, ==, i < 17 ? "complete" : "erased");
    }
}

/* What goes out of one segment goes at once: it is written anew for that. */
static void
test_one_segment(void)
{
    const TreatmentPlan many = { .log_id = LOG_ID, .seed = 5, .n_sessions = 30, .n_blocks = 4 };
    g_autoptr(Treatment) treatment = treatment_new(&many);
    g_autoptr(Rig) rig = new_early_rig();

    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autofree char *held = care_annotate(rig, treatment, 20, "p");
    care_hold(rig, held, "kept", false);
    care_seal(rig);
    g_test_expect_message("store", G_LOG_LEVEL_MESSAGE, "29 sessions are older than 100 days*");
    retire(rig);
    g_test_assert_expected_messages();
    for (guint i = 0; i < 30; i++) {
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, care_number_of(treatment, i));
        g_assert_cmpstr(session->state, ==, i == 20 ? "complete" : "erased");
    }
    care_expect_sound(rig);
}

/* Those that are far behind in a large store are found as well, and nobody has to write. */
static void
test_far(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_old_rig(treatment, 1);

    rig_close(rig);
    rig_sql(rig,
            "update session set opened_seq = opened_seq + 20000;"
            "update pass set opened_seq = opened_seq + 20000;"
            "update note set opened_seq = opened_seq + 20000");
    rig->config.retention_days = 100;
    rig_open(rig);
    pd_store_set_wall_synced(rig->store, true);
    rig_flush(rig);
    for (int i = 0; i < 200 && rig_sql_int(rig, "select count(*) from erased") == 0; i++) {
        g_usleep(50000);
    }
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from erased"), ==, 1);
}

/* A reader that keeps the WAL as it is, until it is closed. */
static sqlite3 *
begin_reading(Rig *rig)
{
    g_autofree char *path = rig_path(rig, "store/index.db");
    sqlite3 *db = NULL;

    g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
    g_assert_cmpint(
        sqlite3_exec(db, "begin; select count(*) from raw", NULL, NULL, NULL), ==, SQLITE_OK);
    return db;
}

static bool
is_unmarked(gpointer data)
{
    return rig_sql_int(data, "select count(*) from meta where key = 'scrub'") == 0;
}

static gboolean
on_tick(gpointer data)
{
    return G_SOURCE_CONTINUE;
}

/* Free pages are overwritten once; that the WAL is not empty yet is remembered. */
static void
test_reader(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autofree char *id = care_annotate(rig, treatment, 0, PATIENT);
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    sqlite3 *reader = begin_reading(rig);
    g_assert_true(care_erase(rig, &(PdErasure){ .session = id, .reason = "r" }, &n, &error));
    g_assert_no_error(error);
    rig_flush(rig);
    const int64_t version = rig_sql_int(rig, "pragma schema_version");
    for (int i = 0; i < 3; i++) {
        care_anchor_now(rig);
        rig_flush(rig);
    }
    g_assert_cmpint(rig_sql_int(rig, "pragma schema_version"), ==, version);
    g_assert_false(is_unmarked(rig));
    g_assert_cmpint(sqlite3_close_v2(reader), ==, SQLITE_OK);
    const guint tick = g_timeout_add(500, on_tick, NULL);
    g_assert_true(rig_wait(is_unmarked, rig, 20000));
    g_source_remove(tick);
    g_assert_false(care_tree_holds(rig->directory, PATIENT, strlen(PATIENT)));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/retire/retention", test_retention);
    g_test_add_func("/store/retire/rolled-back", test_rolled_back);
    g_test_add_func("/store/retire/open", test_open);
    g_test_add_func("/store/retire/damaged-neighbour", test_damaged_neighbour);
    g_test_add_func("/store/retire/stuck", test_stuck);
    g_test_add_func("/store/retire/one-segment", test_one_segment);
    g_test_add_func("/store/retire/far", test_far);
    g_test_add_func("/store/retire/reader", test_reader);
    return g_test_run();
}
