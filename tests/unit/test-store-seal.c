/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Sealing may be cut at any step, bit rot harms one session, and what is derived is only a
 * view of raw records and the journal.
 */
#include "rig.h"
#include "store/home.h"
#include "store/ledger.h"
#include "store/rebuild.h"
#include "store/seal.h"
#include "util/error.h"

#include <string.h>
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
copy_file(const char *from, const char *to)
{
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    g_assert_true(g_file_get_contents(from, &bytes, &n_bytes, NULL));
    g_assert_true(g_file_set_contents(to, bytes, (gssize)n_bytes, NULL));
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
    rig_expect_complete(rig, treatment);
    expect_raw_equal(rig, treatment);
    rig_close(rig);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from raw where session != 0"), ==, 1);
    seal(rig);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from raw where session != 0"), ==, 0);
    rig_open(rig);
    rig_expect_complete(rig, treatment);
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
    rig_expect_complete(rig, treatment);
    expect_raw_equal(rig, treatment);
    rig_close(rig);
    g_assert_cmpint(
        rig_sql_int(rig, "select count(*) from raw where session != 0 and log_id != 77"), ==, 0);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from raw where log_id = 77"),
                    ==,
                    (int64_t)now->records->len);
    rig_open(rig);
    rig_expect_complete(rig, treatment);
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
    rig_expect_complete(rig, treatment);
    expect_raw_equal(rig, treatment);
    rig_close(rig);
    seal(rig);
    rig_open(rig);
    rig_expect_complete(rig, treatment);
    expect_raw_equal(rig, treatment);
}

static void
seal_until_killed(gpointer data, int fd)
{
    seal(data);
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
        rig_append_all(rig, treatment);
        rig_close(rig);
        g_autoptr(GByteArray) said =
            rig_run_and_kill(seal_until_killed, rig, (uint32_t)g_rand_int_range(rand, 500, 20000));
        g_assert_cmpuint(said->len, ==, 0);
        rig_open(rig);
        rig_expect_complete(rig, treatment);
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
                               " %s %s [%s] p=%s o=%s n=%s r=%s d=%s c=%s z=%s w=%" G_GINT64_FORMAT
                               "\n%s",
                               session->id,
                               session->opened_seq,
                               state,
                               session->receipt_sha256,
                               session->definition,
                               session->patient,
                               session->operator_name,
                               session->note,
                               session->reaction,
                               session->order,
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
    const PdAnnotation first = { .patient = "P-1",
                                 .zone = "forehead",
                                 .note = "old",
                                 .reaction = "mild erythema",
                                 .order = "CarePlan/7" };
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
            " reaction = 'X', order_ref = null,"
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
    g_test_add_func("/store/seal/sealed", test_sealed);
    g_test_add_func("/store/seal/sealed-by-itself", test_sealed_by_itself);
    g_test_add_func("/store/seal/sealing-cut", test_sealing_cut);
    g_test_add_func("/store/seal/sealing-killed", test_sealing_killed);
    g_test_add_func("/store/seal/sealed-block-damaged", test_sealed_block_damaged);
    g_test_add_func("/store/seal/rebuilt", test_rebuilt);
    return g_test_run();
}
