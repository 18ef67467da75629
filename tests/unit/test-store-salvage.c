/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * From a damaged store comes all that can be read, wherever its keys begin and whatever of
 * them is on a page that cannot be.
 */
#include "care.h"
#include "journal.pb-c.h"
#include "store/home.h"
#include "store/restore.h"
#include "store/verify.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <string.h>

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

/* The page with the highest keys of a table that has several. */
static void
spoil_last_page(Rig *rig, const char *table)
{
    g_autofree char *index = rig_path(rig, "store/index.db");
    const int64_t root = care_offset_of(rig, table);
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    g_assert_true(g_file_get_contents(index, &bytes, &n_bytes, NULL));
    g_assert_cmpint(bytes[root], ==, 5); /* not a leaf */
    care_overwrite(rig, root + 8, "\x7f\xff\xff\xff", 4);
}

/* The one with the lowest. */
static void
spoil_first_page(Rig *rig, const char *table)
{
    g_autofree char *index = rig_path(rig, "store/index.db");
    const int64_t root = care_offset_of(rig, table);
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    g_assert_true(g_file_get_contents(index, &bytes, &n_bytes, NULL));
    g_assert_cmpint(bytes[root], ==, 5);
    const int64_t cell = (uint8_t)bytes[root + 12] << 8 | (uint8_t)bytes[root + 13];
    care_overwrite(rig, root + cell, "\x7f\xff\xff\xff", 4);
}

/* As after a kill: what was made of the old store fits together, or it would be moved as well. */
static void
open_again(Rig *rig)
{
    g_autofree char *mark = rig_path(rig, "store/open");

    rig_close(rig);
    g_assert_true(g_file_set_contents(mark, "", 0, NULL));
    rig->head = 0;
    rig_open(rig);
}

/* @why: pattern of what the log says. */
static void
open_damaged(Rig *rig, const char *why)
{
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, why);
    g_test_expect_message("store", G_LOG_LEVEL_MESSAGE, "*salvaged*");
    rig->head = 0;
    rig_open(rig);
    g_test_assert_expected_messages();
    rig_flush(rig);
    open_again(rig);
}

static void
reopen(Rig *rig)
{
    g_autofree char *suspect = rig_path(rig, "store/suspect");

    g_assert_true(g_file_set_contents(suspect, "", 0, NULL));
    open_damaged(rig, "*damaged*moved to*");
}

/* Where only the start itself looks, and nobody could have left a mark. */
static void
test_start(gconstpointer table)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rig(treatment);

    rig_close(rig);
    rig_sql(rig, "pragma wal_checkpoint(truncate)");
    care_spoil(rig, table);
    open_damaged(rig, "*damaged*moved to*");
    rig_expect_complete(rig, treatment);
    rig_close(rig);
    rig_open(rig);
    rig_expect_complete(rig, treatment);
}

static void
close_unmarked(Rig *rig, const char *sql)
{
    g_autofree char *mark = rig_path(rig, "store/open");

    g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS));
    rig_close(rig);
    g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
    rig_sql(rig, sql);
    g_assert_true(g_file_set_contents(mark, "", 0, NULL));
}

/* As a disk leaves it that lied of its syncs: whole pages, but of different ages. A pen that is
 * believed to have delivered would be told to forget. */
static void
test_unclosed(gconstpointer sql)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rig(treatment);

    close_unmarked(rig, sql);
    open_damaged(rig, "*was not closed*moved to*");
    rig_append_all(rig, treatment);
    rig_flush(rig);
    rig_expect_complete(rig, treatment);
    open_again(rig);
    rig_expect_complete(rig, treatment);
}

/* Nor is one that fits together moved for it. */
static void
test_unclosed_whole(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rig(treatment);

    close_unmarked(rig, "select 1");
    rig_open(rig);
    rig_expect_complete(rig, treatment);
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_OK);
}

/* A check that could not be done is still to be done after a clean end. */
static void
test_unchecked(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autofree char *mark = rig_path(rig, "store/open");
    g_autoptr(GError) error = NULL;
    PdHome home;

    rig_close(rig);
    for (int i = 0; i < 2; i++) {
        g_assert_true(pd_home_enter(&home, rig->directory, &error));
        PdDb *db = pd_home_open_index(&home, &error);
        g_assert_no_error(error);
        g_assert_cmpint(home.must_check, ==, i == 1);
        home.must_check = i == 0;
        pd_db_keep_wal(db, false);
        pd_db_close(db);
        pd_home_mark_closed(&home);
        g_assert_cmpint(g_file_test(mark, G_FILE_TEST_EXISTS), ==, i == 0);
        pd_home_leave(&home);
    }
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
    care_spoil(rig, "pass");
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

static void
on_answer(GObject *source, GAsyncResult *result, gpointer user_data)
{
    *(GAsyncResult **)user_data = g_object_ref(result);
}

static bool
has_answer(gpointer data)
{
    return *(GAsyncResult **)data != NULL;
}

static char *
erase(Rig *rig, const Treatment *treatment, guint session)
{
    g_autoptr(PdSession) found = rig_get_number(rig, LOG_ID, number_of(treatment, session));
    const PdErasure erasure = { .session = found->id, .reason = "asked", .uid = 7 };
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;
    uint64_t seq = 0;

    pd_store_erase_async(rig->store, &erasure, NULL, on_answer, &result);
    g_assert_true(rig_wait(has_answer, &result, 20000));
    g_assert_true(pd_store_erase_finish(rig->store, result, &n, &seq, NULL, &error));
    g_assert_no_error(error);
    return g_strdup(found->id);
}

static void
expect_sound(Rig *rig)
{
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *raw = rig_path(rig, "store/raw");
    g_autoptr(PdVerify) verify = pd_verify_new(index, raw, NULL);
    g_autoptr(GPtrArray) findings = g_ptr_array_new();

    for (int i = 0; i < 1000 && pd_verify_step(verify, findings); i++) {
    }
    for (guint i = 0; i < findings->len; i++) {
        const PdFinding *finding = g_ptr_array_index(findings, i);
        g_test_message("%s: %s", finding->where, finding->what);
    }
    g_assert_cmpuint(findings->len, ==, 0);
}

/* One tombstone, whoever says it again; nothing of the session from its pen. */
static void
expect_buried(Rig *rig, const Treatment *treatment, guint session, const char *id)
{
    g_autoptr(GError) error = NULL;
    guint n_tombstones = 0;

    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_assert_null(rig_get(rig, id, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_NOT_FOUND);
    g_assert_cmpuint(rig_health(rig).n_erased, >, 100);
    g_autoptr(GPtrArray) entries = rig_read_all_journal(rig, rig_health(rig).head);
    for (guint i = 0; i < entries->len; i++) {
        const Pentel__V1__JournalEntry *entry = g_ptr_array_index(entries, i);
        if (entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_ERASURE) {
            g_assert_cmpstr(entry->session, ==, id);
            g_assert_cmpuint(entry->uid, ==, 7);
            g_assert_cmpstr(entry->erasure->reason, ==, "asked");
            g_assert_cmpuint(entry->erasure->first, ==, number_of(treatment, session));
            n_tombstones++;
        }
    }
    g_assert_cmpuint(n_tombstones, ==, 1);
    expect_sound(rig);
}

static void
test_tombstone(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rig(treatment);
    g_autofree char *id = erase(rig, treatment, 1);

    rig_close(rig);
    rig_sql(rig, "pragma wal_checkpoint(truncate)");
    care_spoil(rig, "pass");
    care_spoil(rig, "erased");
    reopen(rig);
    expect_buried(rig, treatment, 1, id);
}

/* The backup is older than the session: its tombstone is handed on all the same. */
static void
test_restored(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = rig_new();
    g_autofree char *path = rig_path(rig, "backup.tar");
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *tombstones = rig_path(rig, "tombstones");
    g_autoptr(GError) error = NULL;

    care_back_up(rig, path);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autofree char *id = erase(rig, treatment, 1);
    rig_close(rig);
    /* Said twice: by the store that is replaced, and by a file. */
    g_autoptr(GBytes) bytes = pd_read_tombstones(index, &error);
    g_assert_no_error(error);
    g_assert_true(g_file_set_contents(
        tombstones, g_bytes_get_data(bytes, NULL), (gssize)g_bytes_get_size(bytes), NULL));
    for (int round = 0; round < 2; round++) {
        g_test_expect_message("store", G_LOG_LEVEL_MESSAGE, "*replaced*");
        g_assert_true(pd_store_restore(rig->directory, path, tombstones, &error));
        g_test_assert_expected_messages();
        g_assert_no_error(error);
        rig->head = 0;
        rig_open(rig);
        expect_buried(rig, treatment, 1, id);
        rig_close(rig);
        g_usleep(1100000); /* what is replaced is named by the second */
    }
    rig_open(rig);
}

/* Who restores over a damaged store hears that what was erased in it may come back. */
static void
test_unreadable_tombstones(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autofree char *path = rig_path(rig, "backup.tar");
    g_autoptr(GError) error = NULL;

    care_back_up(rig, path);
    rig_close(rig);
    rig_sql(rig, "pragma wal_checkpoint(truncate)");
    care_spoil(rig, "journal");
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*erased*cannot all be read*");
    g_test_expect_message("store", G_LOG_LEVEL_MESSAGE, "*replaced*");
    g_assert_true(pd_store_restore(rig->directory, path, NULL, &error));
    g_test_assert_expected_messages();
    g_assert_no_error(error);
    rig_open(rig);
}

/* One at a time; one that never came about is not in the way of the next. */
static void
test_backup_cancelled(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GCancellable) cancelled = g_cancellable_new();
    g_autofree char *path = rig_path(rig, "backup.tar");
    g_autoptr(GError) error = NULL;

    g_cancellable_cancel(cancelled);
    g_assert_null(care_begin_backup(rig, cancelled, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error(&error);
    care_back_up(rig, path);
    g_autoptr(PdBackup) first = care_begin_backup(rig, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(first);
    g_assert_null(care_begin_backup(rig, NULL, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_BUSY);
}

static bool
is_gone(gpointer data)
{
    return !g_file_test(data, G_FILE_TEST_EXISTS);
}

/* Who was read to its end is deleted elsewhere, and is not in the way of the next one. */
static void
test_backup_dropped(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autofree char *copy = rig_path(rig, "backup.tmp");
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 20; i++) {
        PdBackup *backup = care_begin_backup(rig, NULL, &error);
        g_assert_no_error(error);
        g_assert_false(is_gone(copy));
        pd_store_backup_drop(rig->store, backup);
    }
    rig_close(rig);
    g_assert_true(is_gone(copy));
    rig_open(rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/store/salvage/start/log", "log", test_start);
    g_test_add_data_func("/store/salvage/start/witness", "witness", test_start);
    g_test_add_data_func("/store/salvage/unclosed/record",
                         "delete from raw where rowid = (select max(rowid) from raw)",
                         test_unclosed);
    g_test_add_data_func("/store/salvage/unclosed/twice",
                         "insert into raw (log_id, number, session, bytes)"
                         " select log_id, number, session, bytes from raw limit 1",
                         test_unclosed);
    g_test_add_data_func("/store/salvage/unclosed/pass", "delete from pass", test_unclosed);
    g_test_add_data_func("/store/salvage/unclosed/entry",
                         "update journal set wall_us = wall_us + 1 where seq = 2",
                         test_unclosed);
    g_test_add_func("/store/salvage/unclosed/whole", test_unclosed_whole);
    g_test_add_func("/store/salvage/unclosed/unchecked", test_unchecked);
    g_test_add_func("/store/salvage/history", test_history);
    g_test_add_func("/store/salvage/ends", test_ends);
    g_test_add_func("/store/salvage/tombstone", test_tombstone);
    g_test_add_func("/store/salvage/restored", test_restored);
    g_test_add_func("/store/salvage/unreadable-tombstones", test_unreadable_tombstones);
    g_test_add_func("/store/salvage/backup-cancelled", test_backup_cancelled);
    g_test_add_func("/store/salvage/backup-dropped", test_backup_dropped);
    return g_test_run();
}
