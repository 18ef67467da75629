/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What was acknowledged is there after SIGKILL, once; damage is moved aside and named; an
 * older file is migrated on a copy; sealing may be cut at any step.
 */
#include "journal.pb-c.h"
#include "rig.h"
#include "store/home.h"
#include "store/identity.h"
#include "store/ledger.h"
#include "store/rebuild.h"
#include "store/schema.h"
#include "store/seal.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_ID UINT64_C(0x9122334455667788)

static const TreatmentPlan plan = {
    .log_id = LOG_ID,
    .seed = 11,
    .n_sessions = 6,
    .n_blocks = 60,
    .reset_first = true,
    .stray_records = true,
};

static void
expect_equal(Rig *rig, const Treatment *treatment)
{
    for (guint i = 0; i < treatment->sessions->len; i++) {
        const uint32_t number = g_array_index(treatment->sessions, uint32_t, i);
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, number);
        g_autofree char *expected = treatment_dup_expected(treatment, number, NULL);
        g_autofree char *got = rig_format(session);
        g_assert_cmpstr(got, ==, expected);
        g_assert_cmpstr(session->state, ==, "complete");
    }
}

/* Runs @child in a process that is killed after @after_us, or with 0 once it said something;
 * returns what it wrote to @fd. */
static GByteArray *
run_and_kill(void (*child)(gpointer data, int fd), gpointer data, uint32_t after_us)
{
    GByteArray *out = g_byte_array_new();
    uint8_t buffer[4096];
    ssize_t n = 0;
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    const pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        close(fds[0]);
        child(data, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    if (after_us == 0) {
        struct pollfd first = { .fd = fds[0], .events = POLLIN };
        (void)poll(&first, 1, 20000);
    } else {
        g_usleep(after_us);
    }
    kill(pid, SIGKILL);
    while ((n = read(fds[0], buffer, sizeof buffer)) > 0) {
        g_byte_array_append(out, buffer, (guint)n);
    }
    close(fds[0]);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    return out;
}

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
        g_autoptr(GByteArray) said = run_and_kill(
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
    expect_equal(rig, treatment);
    expect_sound_journal(rig);
    expect_equal(rig, treatment);
}

/* The path of the one directory below the rig's whose name begins so; NULL when none. */
static char *
find_below(Rig *rig, const char *prefix)
{
    g_autoptr(GDir) directory = g_dir_open(rig->directory, 0, NULL);
    const char *name = NULL;
    char *found = NULL;

    while ((name = g_dir_read_name(directory)) != NULL) {
        if (g_str_has_prefix(name, prefix)) {
            g_assert_null(found);
            found = rig_path(rig, name);
        }
    }
    return found;
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
    g_autoptr(GByteArray) said = run_and_kill(write_and_hang, &writing, 0);
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
    g_autofree char *moved = find_below(rig, "damaged-");
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
    expect_equal(rig, treatment);
    rig_close(rig);
    rig_open(rig);
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_OK);
    expect_equal(rig, treatment);
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
    g_autofree char *moved = find_below(rig, "damaged-");
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
    g_assert_null(find_below(rig, "damaged-"));
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
    g_assert_null(find_below(rig, "damaged-"));
    rig_sql(rig, "pragma user_version = 1");
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

/* The store's own insides, on this thread, while the store is closed. */
typedef struct {
    PdHome home;
    PdDb *db;
    PdLedger ledger;
} Insides;

static void
open_insides(Insides *self, const Rig *rig)
{
    g_autoptr(GError) error = NULL;

    pd_home_enter(&self->home, rig->directory, &error);
    g_assert_no_error(error);
    self->db = pd_home_open_index(&self->home, &error);
    g_assert_no_error(error);
    pd_ledger_init(&self->ledger, self->db, self->home.raw, &rig->config.fold);
    self->ledger.stamp = (PdJournalStamp){ .store_id = "x", .wall_us = 1700000000000000 };
    pd_ledger_reload(&self->ledger, &error);
    g_assert_no_error(error);
}

static void
close_insides(Insides *self)
{
    pd_ledger_clear(&self->ledger);
    pd_db_keep_wal(self->db, false);
    pd_db_close(self->db);
    pd_home_leave(&self->home);
}

static void
seal(const Rig *rig)
{
    Insides insides;
    g_autoptr(GError) error = NULL;

    open_insides(&insides, rig);
    pd_seal_now(&insides.ledger, &error);
    g_assert_no_error(error);
    close_insides(&insides);
}

static void
expect_raw_equal(Rig *rig, const Treatment *treatment)
{
    for (guint i = 0; i < treatment->sessions->len; i++) {
        const uint32_t session_number = g_array_index(treatment->sessions, uint32_t, i);
        const uint32_t last = g_array_index(treatment->session_end, uint32_t, i);
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, session_number);
        g_autoptr(GByteArray) got = rig_read_all_raw(rig, session->id);
        g_autoptr(GByteArray) expected = g_byte_array_new();
        for (uint32_t number = session_number; number <= last; number++) {
            size_t n_record = 0;
            const uint8_t *record = treatment_get(treatment, number, &n_record);
            g_byte_array_append(expected, record, (guint)n_record);
        }
        g_assert_cmpuint(got->len, ==, expected->len);
        g_assert_true(memcmp(got->data, expected->data, got->len) == 0);
    }
}

static void
test_sealed(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const uint32_t late = 9;

    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        if (number != late) {
            rig_append(rig, treatment, number);
        }
    }
    pd_store_settle(rig->store, LOG_ID, late, late, PD_CAUSE_HELD_ELSEWHERE);
    rig_flush(rig);
    rig_close(rig);
    seal(rig);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from raw where session != 0"), ==, 0);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from raw"), ==, 6);
    rig_open(rig);
    /* A late record goes to the tail, and is read in its place. */
    rig_append(rig, treatment, late);
    rig_flush(rig);
    expect_equal(rig, treatment);
    expect_raw_equal(rig, treatment);
    rig_close(rig);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from raw where session != 0"), ==, 1);
    seal(rig);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from raw where session != 0"), ==, 0);
    rig_open(rig);
    expect_equal(rig, treatment);
    expect_raw_equal(rig, treatment);
    /* All of it once more: nothing new. */
    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_assert_cmpuint(rig_health(rig).n_records, ==, 0);
    g_assert_cmpuint(rig_health(rig).n_conflicts, ==, 0);
}

static bool
is_sealed(gpointer data)
{
    g_autofree char *path = rig_path(data, "store/raw");
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while ((name = g_dir_read_name(directory)) != NULL) {
        if (g_str_has_suffix(name, ".seg")) {
            return true;
        }
    }
    g_usleep(1000);
    return false;
}

static gboolean
on_tick(gpointer data)
{
    return G_SOURCE_CONTINUE;
}

/* Nobody asks for it: sessions of long ago are sealed while another one is under way. */
static void
test_sealed_by_itself(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const TreatmentPlan now_plan = {
        .log_id = 77, .seed = 3, .n_sessions = 1, .n_blocks = 20, .leave_open = true
    };
    g_autoptr(Treatment) now = treatment_new(&now_plan);
    const PenAnchor first = { .boot = 1, .tick_us = 1000, .wall_us = 1000000 };
    const PenAnchor second = { .boot = 2, .tick_us = 1000, .wall_us = 900000000 };

    pd_store_add_anchor(rig->store, LOG_ID, &first);
    pd_store_add_anchor(rig->store, LOG_ID, &second);
    rig_append_all(rig, treatment);
    rig_close(rig);
    rig_open(rig);
    rig_append_all(rig, now);
    rig_flush(rig);
    const guint tick = g_timeout_add(20, on_tick, NULL);
    g_assert_true(rig_wait(is_sealed, rig, 10000));
    g_source_remove(tick);
    expect_equal(rig, treatment);
    expect_raw_equal(rig, treatment);
    rig_close(rig);
    g_assert_cmpint(
        rig_sql_int(rig, "select count(*) from raw where session != 0 and log_id != 77"), ==, 0);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from raw where log_id = 77"),
                    ==,
                    (int64_t)now->records->len);
    rig_open(rig);
    expect_equal(rig, treatment);
    g_autoptr(PdSession) open = rig_get_number(rig, 77, 1);
    g_autofree char *expected = treatment_dup_expected(now, 1, NULL);
    g_autofree char *got = rig_format(open);
    g_assert_cmpstr(got, ==, expected);
}

/* The segment has its name, the transaction never came: the rows are still the truth. */
static void
test_sealing_cut(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *before = rig_path(rig, "before.db");
    g_autofree char *temporary = rig_path(rig, "store/raw/sealing.tmp");

    rig_append_all(rig, treatment);
    rig_close(rig);
    copy_file(index, before);
    seal(rig);
    copy_file(before, index);
    g_assert_true(g_file_set_contents(temporary, "half", 4, NULL));
    rig_open(rig);
    expect_equal(rig, treatment);
    expect_raw_equal(rig, treatment);
    rig_close(rig);
    seal(rig);
    rig_open(rig);
    expect_equal(rig, treatment);
    expect_raw_equal(rig, treatment);
}

static void
seal_until_killed(gpointer data, int fd)
{
    const Writing *writing = data;

    seal(writing->rig);
    for (;;) {
        pause();
    }
}

static void
test_sealing_killed(void)
{
    GRand *rand = g_rand_new_with_seed(9);

    for (int round = 0; round < 25; round++) {
        g_autoptr(Rig) rig = rig_new();
        g_autoptr(Treatment) treatment = treatment_new(&plan);
        Writing writing = { .rig = rig, .treatment = treatment };
        rig_append_all(rig, treatment);
        rig_close(rig);
        g_autoptr(GByteArray) said =
            run_and_kill(seal_until_killed, &writing, (uint32_t)g_rand_int_range(rand, 500, 20000));
        g_assert_cmpuint(said->len, ==, 0);
        rig_open(rig);
        expect_equal(rig, treatment);
        expect_raw_equal(rig, treatment);
    }
    g_rand_free(rand);
}

/* Bit rot in a sealed block harms its session only. */
static void
test_sealed_block_damaged(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autofree char *path = NULL;
    g_autofree char *bytes = NULL;
    g_autoptr(GError) error = NULL;
    gsize n_bytes = 0;

    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        if (number != 3) {
            rig_append(rig, treatment, number);
        }
    }
    pd_store_settle(rig->store, LOG_ID, 3, 3, PD_CAUSE_HELD_ELSEWHERE);
    rig_close(rig);
    seal(rig);
    path = rig_path(rig, "store/raw/2023-11-000001.seg");
    g_assert_true(g_file_get_contents(path, &bytes, &n_bytes, NULL));
    g_assert_cmpuint(n_bytes, >, 4000);
    rig_open(rig);
    g_autoptr(PdSession) before = rig_get_number(rig, LOG_ID, 1);
    for (gsize at = 30; at < 2000; at += 37) {
        uint32_t after = 0;
        bytes[at] ^= 4;
        g_assert_true(g_file_set_contents(path, bytes, (gssize)n_bytes, NULL));
        g_assert_null(rig_read_raw(rig, before->id, &after, &error));
        g_assert_error(error, PD_ERROR, PD_ERROR_MALFORMED);
        g_clear_error(&error);
        bytes[at] ^= 4;
    }
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*stays as it was*");
    rig_append(rig, treatment, 3);
    rig_flush(rig);
    g_test_assert_expected_messages();
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_OK);
    g_autoptr(PdSession) after_all = rig_get_number(rig, LOG_ID, 1);
    g_autofree char *text = rig_format(before);
    g_autofree char *same = rig_format(after_all);
    g_assert_cmpstr(text, ==, same);
    g_autoptr(PdSession) other =
        rig_get_number(rig, LOG_ID, g_array_index(treatment->sessions, uint32_t, 1));
    g_autoptr(GByteArray) raw = rig_read_all_raw(rig, other->id);
    g_assert_cmpuint(raw->len, >, 0);
}

static char *
dump_all(Rig *rig)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GPtrArray) list = rig_list(rig, NULL, 0, 1000);

    for (guint i = 0; i < list->len; i++) {
        const PdSession *listed = g_ptr_array_index(list, i);
        g_autoptr(PdSession) session = rig_get(rig, listed->id, NULL);
        g_autofree char *text = rig_format(session);
        g_autofree char *state = rig_format_state(session);
        g_autofree char *zones = g_strjoinv(",", session->zones);
        g_string_append_printf(out,
                               "%s %" G_GUINT64_FORMAT
                               " %s %s [%s] p=%s o=%s n=%s c=%s z=%s w=%" G_GINT64_FORMAT "\n%s",
                               session->id,
                               session->opened_seq,
                               state,
                               session->receipt_sha256,
                               session->definition,
                               session->patient,
                               session->operator_name,
                               session->note,
                               session->closed_reason,
                               zones,
                               session->start_wall_us,
                               text);
    }
    return g_string_free(out, FALSE);
}

static void
test_rebuilt(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const PenAnchor anchor = { .boot = 2, .tick_us = 10, .wall_us = 1000000, .error_us = 5 };
    const PdAnnotation first = { .patient = "P-1", .zone = "forehead", .note = "old" };
    const PdAnnotation second = { .note = "", .zone = "cheek", .has_pass = true, .pass_index = 1 };
    Insides insides;
    g_autoptr(GError) error = NULL;

    pd_store_add_anchor(rig->store, LOG_ID, &anchor);
    for (uint32_t number = 1; number + 4 <= treatment->records->len; number++) {
        if (number != 20) {
            rig_append(rig, treatment, number);
        }
    }
    pd_store_settle(rig->store, LOG_ID, 20, 20, PD_CAUSE_HOLE_TORN_WRITE);
    rig_flush(rig);
    rig_close(rig);
    seal(rig);
    rig_open(rig);
    g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, 1);
    g_assert_cmpuint(rig_annotate(rig, session->id, &first, &error), >, 0);
    g_assert_cmpuint(rig_annotate(rig, session->id, &second, &error), >, 0);
    g_assert_no_error(error);
    g_autofree char *live = dump_all(rig);
    const uint64_t head = rig_health(rig).head;
    rig_close(rig);

    rig_sql(rig,
            "delete from pass; delete from note; delete from pass_zone; update session set"
            " contact_us = 7, n_passes = 7, depth_min = null, patient = 'X', note = 'X',"
            " zone = 'X', start_wall_us = 7, missing = null, last = 7, start_us = 7");
    rig_open(rig);
    g_autofree char *spoilt = dump_all(rig);
    g_assert_cmpstr(spoilt, !=, live);
    rig_close(rig);
    open_insides(&insides, rig);
    pd_rebuild_all(&insides.ledger, &error);
    g_assert_no_error(error);
    close_insides(&insides);
    rig_open(rig);
    g_autofree char *rebuilt = dump_all(rig);
    g_assert_cmpstr(rebuilt, ==, live);
    g_assert_cmpuint(rig_health(rig).head, ==, head);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/crash/killed", test_killed);
    g_test_add_func("/store/crash/damaged-main", test_damaged_main);
    g_test_add_func("/store/crash/main-gone", test_main_gone);
    g_test_add_func("/store/crash/damaged-page", test_damaged_page);
    g_test_add_func("/store/crash/cannot-open", test_cannot_open);
    g_test_add_func("/store/crash/newer", test_newer);
    g_test_add_func("/store/crash/locked", test_locked);
    g_test_add_func("/store/crash/identity", test_identity);
    g_test_add_func("/store/crash/sealed", test_sealed);
    g_test_add_func("/store/crash/sealed-by-itself", test_sealed_by_itself);
    g_test_add_func("/store/crash/sealing-cut", test_sealing_cut);
    g_test_add_func("/store/crash/sealing-killed", test_sealing_killed);
    g_test_add_func("/store/crash/sealed-block-damaged", test_sealed_block_damaged);
    g_test_add_func("/store/crash/rebuilt", test_rebuilt);
    return g_test_run();
}
