/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What was acknowledged is there after SIGKILL, once; damage is moved aside and named; a
 * store that is not this one's successor gets another name.
 */
#include "care.h"
#include "journal.pb-c.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <string.h>
#include <unistd.h>

static const TreatmentPlan plan = {
    .log_id = LOG_ID,
    .seed = 11,
    .n_sessions = 6,
    .n_blocks = 60,
    .reset_first = true,
    .stray_records = true,
};

typedef struct {
    Rig *rig;
    const Treatment *treatment;
    uint32_t from;
} Writing;

/* Acknowledged up to a number, or the journal up to a seq. */
typedef struct {
    uint32_t number;
    uint64_t seq;
} Acknowledged;

static void
acknowledge(int fd, uint32_t number, uint64_t seq)
{
    const Acknowledged said = { .number = number, .seq = seq };

    g_assert_cmpint(write(fd, &said, sizeof said), ==, sizeof said);
}

static void
write_until_killed(gpointer data, int fd)
{
    const Writing *writing = data;
    const uint32_t n = writing->treatment->records->len;
    const PdAnnotation annotation = { .note = "so far so good", .uid = 1000 };

    rig_open(writing->rig);
    for (uint32_t number = writing->from; number <= n; number++) {
        rig_append(writing->rig, writing->treatment, number);
        if (number % 3 == 0 || number == n) {
            rig_flush(writing->rig);
            acknowledge(fd, number, 0);
            g_usleep(300);
        }
        if (number % 21 == 0) {
            g_autoptr(GPtrArray) list = rig_list(writing->rig, NULL, 0, 1);
            const PdSession *session = g_ptr_array_index(list, 0);
            acknowledge(fd, number, rig_annotate(writing->rig, session->id, &annotation, NULL));
        }
    }
    for (;;) {
        pause();
    }
}

/* No change of a session is told twice: same state of the same bytes. */
static void
expect_told_once(GHashTable *told, const Pentel__V1__JournalEntry *entry)
{
    if (entry->kind_case != PENTEL__V1__JOURNAL_ENTRY__KIND_SESSION_CHANGED) {
        return;
    }
    const ProtobufCBinaryData *receipt = &entry->session_changed->receipt_sha256;
    g_autofree char *digest =
        g_compute_checksum_for_data(G_CHECKSUM_MD5, receipt->data, receipt->len);
    char *key = g_strjoin(" ", entry->session, entry->session_changed->state, digest, NULL);
    g_assert_true(g_hash_table_add(told, key));
}

static void
expect_sound_journal(Rig *rig)
{
    g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const uint64_t head = rig_health(rig).head;
    g_autoptr(GPtrArray) entries = rig_read_all_journal(rig, head);

    g_assert_cmpuint(entries->len, ==, head);
    for (guint i = 0; i < entries->len; i++) {
        const Pentel__V1__JournalEntry *entry = g_ptr_array_index(entries, i);
        g_assert_cmpuint(entry->seq, ==, i + 1);
        expect_told_once(told, entry);
    }
    g_assert_cmpuint(g_hash_table_size(told), >, 0);
    rig_close(rig);
    g_assert_cmpint(
        rig_sql_int(rig, "select count(*) - count(distinct log_id || ':' || number) from raw"),
        ==,
        0);
    rig_open(rig);
}

static void
test_killed(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    GRand *rand = g_rand_new_with_seed(5);
    Writing writing = { .rig = rig, .treatment = treatment, .from = 1 };
    int32_t limit_us = 15000;
    int n_rounds = 0;

    rig->config.commit_ms = 5;
    for (; writing.from <= treatment->records->len && n_rounds < 400; n_rounds++) {
        rig_close(rig);
        rig->head = 0;
        g_autoptr(GByteArray) said = rig_run_and_kill(
            write_until_killed, &writing, (uint32_t)g_rand_int_range(rand, 2000, limit_us));
        rig_open(rig);
        PenRanges settled;
        pd_store_get_settled(rig->store, LOG_ID, &settled);
        for (size_t at = 0; at + sizeof(Acknowledged) <= said->len; at += sizeof(Acknowledged)) {
            Acknowledged one;
            memcpy(&one, said->data + at, sizeof one);
            g_assert_cmpuint(pen_ranges_contiguous_from(&settled, 1), >=, one.number);
            g_assert_cmpuint(rig_health(rig).head, >=, one.seq);
        }
        /* A slow machine needs longer to begin at all. */
        limit_us += pen_ranges_contiguous_from(&settled, 1) < writing.from ? 5000 : 0;
        writing.from = pen_ranges_contiguous_from(&settled, 1) + 1;
        pen_ranges_clear(&settled);
    }
    g_test_message("%d rounds", n_rounds);
    g_rand_free(rand);
    g_assert_cmpint(n_rounds, >, 3);
    g_assert_cmpuint(writing.from, >, treatment->records->len);
    rig_flush(rig);
    rig_expect_complete(rig, treatment);
    expect_sound_journal(rig);
    rig_expect_complete(rig, treatment);
}

static bool
is_lossy(Rig *rig)
{
    g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, 1);

    return g_str_equal(session->state, "lossy");
}

/* Nothing but the settling itself tells that the session has to be looked at again. */
static void
test_settled_then_killed(void)
{
    const TreatmentPlan short_plan = {
        .log_id = LOG_ID, .seed = 12, .n_sessions = 2, .n_blocks = 10
    };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&short_plan);
    g_autoptr(GError) error = NULL;

    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        if (number != 4) {
            rig_append(rig, treatment, number);
        }
    }
    rig_flush(rig);
    rig_close(rig);
    rig_sql(rig,
            "create trigger no_fold before update on session begin"
            " select raise(abort, 'no fold today'); end");
    rig_open(rig);
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*no fold today*trying again*");
    pd_store_settle(rig->store, LOG_ID, 4, 4, PD_CAUSE_HOLE_FLASH_ERROR);
    (void)rig_try_flush(rig, &error);
    g_assert_false(is_lossy(rig));
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*no fold today*trying again*");
    rig_close(rig);
    g_test_assert_expected_messages();
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from settled"), ==, 1);
    rig_sql(rig, "drop trigger no_fold");
    rig_open(rig);
    g_assert_true(is_lossy(rig));
    rig_close(rig);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from meta where key = 'unfolded'"), ==, 0);
    rig_open(rig);
}

/* What is on disk and was never folded is shown to who asks first. */
static void
test_unfolded(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const uint32_t first = g_array_index(treatment->sessions, uint32_t, 0);
    g_autofree char *unfold = g_strdup_printf(
        "update meta set value = (select raw_min from session where number = %u) where key ="
        " 'folded_rowid'; update session set raw_max = raw_min, last = first, state = 'open'"
        " where number = %u",
        first,
        first);

    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, first);
    g_autoptr(GByteArray) whole = rig_read_all_raw(rig, session->id);
    for (int round = 0; round < 20; round++) {
        rig_close(rig);
        rig_sql(rig, unfold);
        rig_open(rig);
        g_autoptr(PdSession) shown = rig_get_number(rig, LOG_ID, first);
        g_autoptr(GByteArray) raw = rig_read_all_raw(rig, shown->id);
        g_assert_cmpstr(shown->state, ==, session->state);
        g_assert_cmpuint(shown->fold.last, ==, session->fold.last);
        g_assert_cmpuint(raw->len, ==, whole->len);
    }
}

static void
copy_file(const char *from, const char *to)
{
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    g_assert_true(g_file_get_contents(from, &bytes, &n_bytes, NULL));
    g_assert_true(g_file_set_contents(to, bytes, (gssize)n_bytes, NULL));
}

static void
write_and_hang(gpointer data, int fd)
{
    const Writing *writing = data;

    rig_open(writing->rig);
    rig_append_all(writing->rig, writing->treatment);
    rig_flush(writing->rig);
    acknowledge(fd, writing->treatment->records->len, 0);
    for (;;) {
        pause();
    }
}

/* Committed records that are in the WAL only; then the main file is overwritten. */
static void
break_main_file(Rig *rig, const Treatment *treatment)
{
    Writing writing = { .rig = rig, .treatment = treatment, .from = 1 };

    rig_close(rig);
    g_autoptr(GByteArray) said = rig_run_and_kill(write_and_hang, &writing, 0);
    g_assert_cmpuint(said->len, ==, sizeof(Acknowledged));
}

static void
expect_moved_aside(Rig *rig, bool has_main)
{
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*damaged*moved to*");
    rig_open(rig);
    g_test_assert_expected_messages();
    g_autofree char *complaint = rig_dup_health_error(rig);
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_DAMAGED);
    g_assert_cmpuint(rig_health(rig).n_sessions, ==, 0);
    g_autofree char *moved = care_find(rig, "damaged-");
    g_assert_nonnull(moved);
    g_assert_nonnull(strstr(complaint, moved));
    g_autofree char *wal = g_build_filename(moved, "index.db-wal", NULL);
    g_autofree char *main = g_build_filename(moved, "index.db", NULL);
    GStatBuf st;
    g_assert_cmpint(g_stat(wal, &st), ==, 0);
    g_assert_cmpint(st.st_size, >, 10000);
    g_assert_cmpint(g_file_test(main, G_FILE_TEST_EXISTS), ==, has_main);
}

static void
test_damaged_main(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autofree char *id = g_strdup(pd_store_get_id(rig->store));
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *wal = rig_path(rig, "store/index.db-wal");
    g_autofree char *saved = rig_path(rig, "saved-wal");

    break_main_file(rig, treatment);
    copy_file(wal, saved);
    g_autofree char *garbage = g_strnfill(20000, 'x');
    g_assert_true(g_file_set_contents(index, garbage, 20000, NULL));
    /* A WAL of which nothing is valid any more, so that page 1 is the garbage. */
    FILE *file = fopen(wal, "r+");
    g_assert_nonnull(file);
    fputs("xxxxxxxx", file);
    fclose(file);
    expect_moved_aside(rig, true);
    g_assert_cmpstr(pd_store_get_id(rig->store), !=, id);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    rig_expect_complete(rig, treatment);
    rig_close(rig);
    rig_open(rig);
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_OK);
    rig_expect_complete(rig, treatment);
}

static void
test_main_gone(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autofree char *index = rig_path(rig, "store/index.db");

    break_main_file(rig, treatment);
    g_assert_cmpint(g_unlink(index), ==, 0);
    expect_moved_aside(rig, false);
}

/* A page in the middle: found at the start after SQLite met it, or by a check. */
static void
test_damaged_page(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *suspect = rig_path(rig, "store/suspect");
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    rig_append_all(rig, treatment);
    rig_close(rig);
    g_assert_true(g_file_get_contents(index, &bytes, &n_bytes, NULL));
    memset(bytes + n_bytes / 2, 0xa5, n_bytes / 4);
    g_assert_true(g_file_set_contents(index, bytes, (gssize)n_bytes, NULL));
    g_assert_true(g_file_set_contents(suspect, "", 0, NULL));
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*damaged*moved to*");
    rig_open(rig);
    g_test_assert_expected_messages();
    g_assert_cmpuint(rig_health(rig).n_sessions, ==, 0);
    g_autofree char *moved = care_find(rig, "damaged-");
    g_assert_nonnull(moved);
}

/* A file that cannot be opened is not damage: nothing is moved. */
static void
test_cannot_open(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *kept = rig_path(rig, "kept.db");

    rig_close(rig);
    g_assert_cmpint(g_rename(index, kept), ==, 0);
    g_assert_cmpint(g_mkdir(index, 0700), ==, 0);
    g_autoptr(GError) error = rig_open_fails(rig);
    g_assert_error(error, PD_ERROR, PD_ERROR_STORE);
    g_assert_null(care_find(rig, "damaged-"));
    g_assert_cmpint(g_rmdir(index), ==, 0);
    g_assert_cmpint(g_rename(kept, index), ==, 0);
    rig_open(rig);
}

static void
test_newer(void)
{
    g_autoptr(Rig) rig = rig_new();

    rig_close(rig);
    rig_sql(rig, "pragma user_version = 99");
    g_autoptr(GError) error = rig_open_fails(rig);
    g_assert_error(error, PD_ERROR, PD_ERROR_STORE_NEWER);
    g_assert_null(care_find(rig, "damaged-"));
    rig_sql(rig, "pragma user_version = 3");
    rig_open(rig);
}

static void
test_locked(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GError) error = NULL;

    g_assert_null(pd_store_open(&rig->config, NULL, NULL, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_STORE);
}

/* A new machine, or a store older than what was seen here, is another store. */
static void
test_identity(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autofree char *id = g_strdup(pd_store_get_id(rig->store));
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *backup = rig_path(rig, "backup.db");

    rig_close(rig);
    copy_file(index, backup);
    rig_open(rig);
    g_assert_cmpstr(pd_store_get_id(rig->store), ==, id);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    const uint64_t head = rig_health(rig).head;
    g_assert_cmpuint(head, >, 0);
    rig_close(rig);

    copy_file(backup, index);
    rig->head = 0;
    rig_open(rig);
    g_autofree char *restored = g_strdup(pd_store_get_id(rig->store));
    g_assert_cmpstr(restored, !=, id);
    rig_close(rig);
    g_autofree char *sql =
        g_strdup_printf("select head from former_store where store_id = '%s'", id);
    g_assert_cmpint(rig_sql_int(rig, sql), ==, (int64_t)head);

    rig_sql(rig, "update meta set value = 'another machine' where key = 'machine'");
    rig_open(rig);
    if (g_file_test("/etc/machine-id", G_FILE_TEST_EXISTS)) {
        g_assert_cmpstr(pd_store_get_id(rig->store), !=, restored);
    }
    rig_close(rig);
    g_autofree char *last = NULL;
    rig_open(rig);
    last = g_strdup(pd_store_get_id(rig->store));
    rig_close(rig);
    rig_open(rig);
    g_assert_cmpstr(pd_store_get_id(rig->store), ==, last);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/crash/killed", test_killed);
    g_test_add_func("/store/crash/unfolded", test_unfolded);
    g_test_add_func("/store/crash/settled-then-killed", test_settled_then_killed);
    g_test_add_func("/store/crash/damaged-main", test_damaged_main);
    g_test_add_func("/store/crash/main-gone", test_main_gone);
    g_test_add_func("/store/crash/damaged-page", test_damaged_page);
    g_test_add_func("/store/crash/cannot-open", test_cannot_open);
    g_test_add_func("/store/crash/newer", test_newer);
    g_test_add_func("/store/crash/locked", test_locked);
    g_test_add_func("/store/crash/identity", test_identity);
    return g_test_run();
}
