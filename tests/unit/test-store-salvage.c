/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * From a damaged store comes all that can be read, wherever its keys begin and whatever of
 * them is on a page that cannot be.
 */
#include "rig.h"

#include <glib/gstdio.h>

#include <string.h>

#define LOG_ID  UINT64_C(0x9122334455667788)
#define N_SAID  60
#define HISTORY "2000000"

static const TreatmentPlan plan = {
    .log_id = LOG_ID,
    .seed = 29,
    .n_sessions = 3,
    .n_blocks = 200,
};

static uint32_t
number_of(const Treatment *treatment, guint session)
{
    return g_array_index(treatment->sessions, uint32_t, session);
}

static void
say(Rig *rig, const Treatment *treatment, guint session, const char *note)
{
    g_autoptr(PdSession) found = rig_get_number(rig, LOG_ID, number_of(treatment, session));
    g_autoptr(GError) error = NULL;

    rig_annotate(rig, found->id, &(PdAnnotation){ .note = note, .uid = 1000 }, &error);
    g_assert_no_error(error);
}

static Rig *
new_rig(const Treatment *treatment)
{
    Rig *rig = rig_new();
    const PenAnchor anchor = {
        .boot = 1, .tick_us = 1000, .wall_us = g_get_real_time(), .wall_synced = true
    };

    pd_store_add_anchor(rig->store, LOG_ID, &anchor);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    return rig;
}

/* As of a store with years behind it. */
static void
add_history(Rig *rig)
{
    rig_sql(rig,
            "update raw set rowid = -rowid; update raw set rowid = " HISTORY " - rowid;"
            "update session set raw_min = raw_min + " HISTORY ", raw_max = raw_max + " HISTORY ";"
            "update meta set value = value + " HISTORY " where key = 'folded_rowid';"
            "update journal set seq = -seq; update journal set seq = " HISTORY " - seq");
}

static void
overwrite(const char *path, int64_t offset, const void *bytes, size_t n_bytes)
{
    FILE *file = fopen(path, "r+");

    g_assert_nonnull(file);
    g_assert_cmpint(fseek(file, (long)offset, SEEK_SET), ==, 0);
    g_assert_cmpuint(fwrite(bytes, 1, n_bytes, file), ==, n_bytes);
    fclose(file);
}

/* Where the page that @table's tree begins with lies in the file. */
static int64_t
offset_of(Rig *rig, const char *table)
{
    g_autofree char *sql =
        g_strdup_printf("select (rootpage - 1) * 4096 from sqlite_master where name = '%s'", table);

    return rig_sql_int(rig, sql);
}

static void
spoil_table(Rig *rig, const char *table)
{
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *garbage = g_strnfill(4096, 'x');

    overwrite(index, offset_of(rig, table), garbage, 4096);
}

/* The page with the highest keys of a table that has several. */
static void
spoil_last_page(Rig *rig, const char *table)
{
    g_autofree char *index = rig_path(rig, "store/index.db");
    const int64_t root = offset_of(rig, table);
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    g_assert_true(g_file_get_contents(index, &bytes, &n_bytes, NULL));
    g_assert_cmpint(bytes[root], ==, 5); /* not a leaf */
    overwrite(index, root + 8, "\x7f\xff\xff\xff", 4);
}

/* The one with the lowest. */
static void
spoil_first_page(Rig *rig, const char *table)
{
    g_autofree char *index = rig_path(rig, "store/index.db");
    const int64_t root = offset_of(rig, table);
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    g_assert_true(g_file_get_contents(index, &bytes, &n_bytes, NULL));
    g_assert_cmpint(bytes[root], ==, 5);
    const int64_t cell = (uint8_t)bytes[root + 12] << 8 | (uint8_t)bytes[root + 13];
    overwrite(index, root + cell, "\x7f\xff\xff\xff", 4);
}

static void
reopen(Rig *rig)
{
    g_autofree char *suspect = rig_path(rig, "store/suspect");

    g_assert_true(g_file_set_contents(suspect, "", 0, NULL));
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*damaged*moved to*");
    g_test_expect_message("store", G_LOG_LEVEL_MESSAGE, "*salvaged*");
    rig->head = 0;
    rig_open(rig);
    g_test_assert_expected_messages();
    rig_flush(rig);
}

static void
test_history(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rig(treatment);

    say(rig, treatment, 1, "said long ago");
    rig_close(rig);
    add_history(rig);
    rig_sql(rig, "pragma wal_checkpoint(truncate)");
    spoil_table(rig, "pass");
    reopen(rig);
    rig_expect_complete(rig, treatment);
    g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, number_of(treatment, 1));
    g_assert_cmpstr(session->note, ==, "said long ago");
}

/* Neither where the words end nor where the records begin can be read. */
static void
test_ends(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rig(treatment);
    g_autofree char *long_note = g_strnfill(900, 'n');

    say(rig, treatment, 1, "said first");
    for (int i = 0; i < N_SAID; i++) {
        say(rig, treatment, 2, long_note);
    }
    rig_close(rig);
    add_history(rig);
    rig_sql(rig, "pragma wal_checkpoint(truncate)");
    spoil_last_page(rig, "journal");
    spoil_first_page(rig, "raw");
    reopen(rig);
    g_autoptr(PdSession) first = rig_get_number(rig, LOG_ID, number_of(treatment, 0));
    g_assert_cmpstr(first->state, ==, "partial");
    for (guint i = 1; i < 3; i++) {
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, number_of(treatment, i));
        g_assert_cmpstr(session->state, ==, "complete");
        g_assert_cmpstr(session->note, ==, i == 1 ? "said first" : long_note);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/salvage/history", test_history);
    g_test_add_func("/store/salvage/ends", test_ends);
    return g_test_run();
}
