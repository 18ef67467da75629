/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Nothing that a store answers can change without being found: bytes are flipped in its file
 * and in a segment, and whatever then answers otherwise must be found by a verification.
 */
#include "care.h"
#include "store/home.h"
#include "store/ledger.h"
#include "store/query.h"
#include "store/seal.h"
#include "store/verify.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <string.h>

#define STEPS_MAX 2000

static const TreatmentPlan plan = {
    .log_id = LOG_ID,
    .seed = 17,
    .n_sessions = 4,
    .n_blocks = 12,
    .stray_records = true,
};

static void
append_findings(GString *out, const GPtrArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        const PdFinding *finding = g_ptr_array_index(findings, i);
        g_string_append_printf(out, "%s: %s\n", finding->where, finding->what);
    }
}

/* What a verification of a store that nobody has open finds, a line each. */
static char *
verify_files(const char *index, const char *raw, PdVerifySummary *summary_out)
{
    g_autoptr(PdVerify) verify = pd_verify_new(index, raw, NULL);
    g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func((GDestroyNotify)pd_finding_free);
    GString *out = g_string_new(NULL);
    int n_steps = 0;

    while (pd_verify_step(verify, findings)) {
        g_assert_cmpint(n_steps++, <, STEPS_MAX);
    }
    append_findings(out, findings);
    if (summary_out != NULL) {
        pd_verify_get_summary(verify, summary_out);
    }
    return g_string_free(out, FALSE);
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

/* The same of an open store. */
static char *
verify_store(Rig *rig, const PdVerifyAnchor *anchor, PdVerifySummary *summary_out)
{
    g_autoptr(PdVerify) verify = pd_store_verify_new(rig->store, anchor);
    GString *out = g_string_new(NULL);
    bool done = false;

    for (int i = 0; i < STEPS_MAX && !done; i++) {
        g_autoptr(GAsyncResult) result = NULL;
        g_autoptr(GError) error = NULL;
        pd_store_verify_async(rig->store, verify, NULL, on_answer, &result);
        g_assert_true(rig_wait(has_answer, &result, 20000));
        g_autoptr(GPtrArray) findings = pd_store_verify_finish(rig->store, result, &done, &error);
        g_assert_no_error(error);
        append_findings(out, findings);
    }
    g_assert_true(done);
    if (summary_out != NULL) {
        pd_verify_get_summary(verify, summary_out);
    }
    return g_string_free(out, FALSE);
}

static void
seal(const Rig *rig)
{
    PdHome home;
    PdLedger ledger;
    g_autoptr(GError) error = NULL;

    pd_home_enter(&home, rig->directory, &error);
    g_assert_no_error(error);
    PdDb *db = pd_home_open_index(&home, &error);
    g_assert_no_error(error);
    pd_ledger_init(&ledger, db, home.raw, &rig->config.fold);
    ledger.stamp = (PdJournalStamp){ .store_id = "x", .wall_us = 1700000000000000 };
    pd_ledger_reload(&ledger, &error);
    pd_seal_now(&ledger, &error);
    g_assert_no_error(error);
    pd_ledger_clear(&ledger);
    pd_db_keep_wal(db, false);
    pd_db_close(db);
    pd_home_leave(&home);
}

static void
annotate(Rig *rig, uint32_t number, const PdAnnotation *annotation)
{
    g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, number);
    g_autoptr(GError) error = NULL;

    rig_annotate(rig, session->id, annotation, &error);
    g_assert_no_error(error);
}

static void
add_facts(Rig *rig)
{
    static const char *const adapters[] = { "00:00:00:00:00:01", NULL };
    const PdPenInfo pen = {
        .serial = (char *)(uintptr_t) "PEN-1",
        .address = (char *)(uintptr_t) "AA:BB:CC:DD:EE:FF",
        .name = (char *)(uintptr_t) "left",
        .firmware = (char *)(uintptr_t) "1.2",
        .adapters = (char **)(uintptr_t)adapters,
        .log_id = LOG_ID,
        .last_seen_us = 1700000000000000,
    };
    /* Of today, as what is older is sealed at once. */
    const int64_t now_us = g_get_real_time();
    const PenAnchor anchors[] = {
        { .boot = 1, .tick_us = 1000, .wall_us = now_us, .wall_synced = true },
        { .boot = 1, .tick_us = 90000000, .wall_us = now_us + 89999000, .wall_synced = true },
    };
    g_autoptr(GError) error = NULL;

    rig_save_pen(rig, &pen, &error);
    g_assert_no_error(error);
    pd_store_add_anchor(rig->store, LOG_ID, &anchors[0]);
    pd_store_add_anchor(rig->store, LOG_ID, &anchors[1]);
}

/* Four sessions, two of them sealed, with a hole, a damaged record, and much said of them. */
static Rig *
new_rich_rig(Treatment *treatment)
{
    Rig *rig = rig_new();
    const uint32_t third = g_array_index(treatment->sessions, uint32_t, 2);

    add_facts(rig);
    for (uint32_t number = 1; number < third; number++) {
        if (number != 5 && number != 7) {
            rig_append(rig, treatment, number);
        }
    }
    pd_store_settle(rig->store, LOG_ID, 5, 5, PD_CAUSE_HOLE_FLASH_ERROR);
    pd_store_append_damaged(rig->store, LOG_ID, 7, (const uint8_t *)"not a record", 12);
    rig_flush(rig);
    annotate(
        rig,
        1,
        &(PdAnnotation){
            .patient = "P-1", .zone = "cheek", .reaction = "mild", .order = "O-1", .uid = 1000 });
    rig_close(rig);
    seal(rig);
    rig_open(rig);
    for (uint32_t number = third; number <= treatment->records->len; number++) {
        rig_append(rig, treatment, number);
    }
    pd_store_set_marked(rig->store, LOG_ID, third);
    rig_flush(rig);
    annotate(rig, third, &(PdAnnotation){ .note = "again", .operator_name = "O", .uid = 1001 });
    annotate(rig,
             third,
             &(PdAnnotation){ .zone = "chin", .has_pass = true, .pass_index = 1, .uid = 1001 });
    return rig;
}

static void
test_sound(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rich_rig(treatment);
    PdVerifySummary summary;
    g_autofree char *findings = verify_store(rig, NULL, &summary);

    g_assert_cmpstr(findings, ==, "");
    g_assert_cmpstr(summary.store_id, ==, pd_store_get_id(rig->store));
    g_assert_cmpuint(summary.n_sessions, ==, 4);
    g_assert_cmpuint(summary.n_entries, ==, rig_health(rig).head);
    g_assert_cmpuint(summary.head, ==, rig_health(rig).head);
    g_assert_cmpuint(summary.n_records, >, 40);

    PdVerifyAnchor anchor = { .store_id = summary.store_id, .seq = summary.head };
    memcpy(anchor.hash, summary.head_hash, sizeof anchor.hash);
    annotate(rig, 1, &(PdAnnotation){ .note = "later", .uid = 1000 });
    g_autofree char *kept = verify_store(rig, &anchor, NULL);
    g_assert_cmpstr(kept, ==, "");
    anchor.hash[3] ^= 1;
    g_autofree char *other = verify_store(rig, &anchor, NULL);
    g_assert_nonnull(strstr(other, "is another one"));
    anchor.seq = 1000000;
    g_autofree char *gone = verify_store(rig, &anchor, NULL);
    g_assert_nonnull(strstr(gone, "ends before"));
}

/* What is under way is no finding. */
static void
test_while_writing(void)
{
    const TreatmentPlan long_plan = {
        .log_id = LOG_ID, .seed = 3, .n_sessions = 8, .n_blocks = 200
    };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&long_plan);
    uint32_t number = 1;

    add_facts(rig);
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 130 && number <= treatment->records->len; i++, number++) {
            rig_append(rig, treatment, number);
        }
        const PenAnchor anchor = { .boot = 1,
                                   .tick_us = (uint64_t)number * 200000,
                                   .wall_us = 1700000000000000 + (int64_t)number * 200000 };
        pd_store_add_anchor(rig->store, LOG_ID, &anchor);
        if (round % 3 == 0) {
            rig_flush(rig);
        }
        g_autofree char *findings = verify_store(rig, NULL, NULL);
        g_assert_cmpstr(findings, ==, "");
    }
}

/* Changes that a person could make with SQL. */
static void
test_edited(void)
{
    static const struct {
        const char *sql;
        const char *found;
    } edits[] = {
        { "update journal set wall_us = wall_us + 1 where seq = 3", "journal 3" },
        { "update journal set kind = 12 where seq = 2", "journal 2" },
        { "update journal set session = 'x' where seq = 3", "journal 3" },
        { "delete from journal where seq = 3", "journal 4" },
        { "update journal set entry = (select entry from journal where seq = 2) where seq = 3",
          "journal 3" },
        { "update session set patient = 'P-2' where patient = 'P-1'", "patient" },
        { "update session set note = null where note = 'again'", "note" },
        { "update session set reaction = 'none' where reaction = 'mild'", "reaction" },
        { "update session set order_ref = null where order_ref = 'O-1'", "order_ref" },
        { "update session set depth_max = depth_max + 1 where opened_seq = 2", "depth_max" },
        { "update session set state = 'complete' where state = 'lossy'", "state" },
        /* Other thresholds that give the same numbers. */
        { "update session set definition = 'pass/1 lift=800ms min=310ms' where opened_seq = 2",
          "its receipt in the journal" },
        { "update session set start_wall_us = start_wall_us + 1 where opened_seq = 3",
          "start_wall_us" },
        { "delete from session where opened_seq = 4", "is gone" },
        { "delete from pass where opened_seq = 3 and idx = 1", "its passes" },
        { "update pass_zone set zone = 'nose'", "zones" },
        { "update note set value = value + 1 where opened_seq = 3", "settings" },
        { "delete from raw where rowid = (select max(rowid) - 3 from raw)", "session" },
        { "update raw set number = number + 1000 where rowid = (select max(rowid) from raw)",
          "record" },
        { "update raw set bytes = zeroblob(60) where session != 0 and rowid ="
          " (select max(rowid) - 2 from raw)",
          "record" },
        { "update anchor set wall_us = wall_us + 5", "table anchor" },
        { "delete from settled where first = 5", "table settled" },
        { "update damaged set bytes = x'00'", "table damaged" },
        { "update pen set name = 'right'", "table pen" },
        { "update log set marked = marked + 1", "table log" },
        { "update log set stored = x'0100000003000000'", "log 9122" },
        { "delete from witness where name = 'pen'", "table pen" },
        { "create table extra (x)", "schema" },
        { "pragma user_version = 1", "schema" },
        { "update meta set value = 'x' where key = 'store_id'", "table meta" },
        { "insert into former_store values ('x', 1, 1)", "table former_store" },
    };
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rich_rig(treatment);
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *raw = rig_path(rig, "store/raw");
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    rig_close(rig);
    rig_sql(rig, "pragma wal_checkpoint(truncate)");
    g_assert_true(g_file_get_contents(index, &bytes, &n_bytes, NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(edits); i++) {
        g_assert_true(g_file_set_contents(index, bytes, (gssize)n_bytes, NULL));
        rig_sql(rig, edits[i].sql);
        g_autofree char *findings = verify_files(index, raw, NULL);
        g_test_message("%s\n-> %s", edits[i].sql, findings);
        g_assert_nonnull(strstr(findings, edits[i].found));
    }
    g_assert_true(g_file_set_contents(index, bytes, (gssize)n_bytes, NULL));
}

/* A page of what is only derived: all that was taken and said is in the fresh store. */
static void
test_salvaged(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rich_rig(treatment);
    const uint32_t third = g_array_index(treatment->sessions, uint32_t, 2);
    g_autofree char *old_id = g_strdup(pd_store_get_id(rig->store));

    rig_close(rig);
    care_spoil(rig, "pass");
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*damaged*moved to*");
    g_test_expect_message("store", G_LOG_LEVEL_MESSAGE, "*salvaged*");
    rig->head = 0;
    rig_open(rig);
    g_test_assert_expected_messages();
    g_assert_cmpstr(pd_store_get_id(rig->store), !=, old_id);
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_DAMAGED);
    rig_flush(rig);
    g_autofree char *findings = verify_store(rig, NULL, NULL);
    g_assert_cmpstr(findings, ==, "");
    for (guint i = 0; i < 4; i++) {
        const uint32_t number = g_array_index(treatment->sessions, uint32_t, i);
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, number);
        g_autofree char *state = rig_format_state(session);
        g_assert_cmpstr(state, ==, i == 0 ? "lossy 5-5:hole:flash-error 7-7:damaged" : "complete");
        g_assert_true(session->placed);
        g_assert_cmpstr(session->serial, ==, "PEN-1");
        g_assert_cmpstr(session->patient, ==, i == 0 ? "P-1" : NULL);
    }
    g_autoptr(PdSession) said = rig_get_number(rig, LOG_ID, third);
    g_assert_cmpstr(said->note, ==, "again");
    g_assert_cmpstr(((PdPass *)g_ptr_array_index(said->passes, 0))->zone, ==, "chin");
    rig_close(rig);
    rig_open(rig);
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_OK);
}

/* A segment without a row goes when what is in it is elsewhere, and stays when it is not. */
static void
test_orphans(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rich_rig(treatment);
    g_autofree char *raw = rig_path(rig, "store/raw");
    g_autoptr(GDir) directory = g_dir_open(raw, 0, NULL);
    g_autofree char *segment = g_build_filename(raw, g_dir_read_name(directory), NULL);
    g_autofree char *copy = g_build_filename(raw, "2020-01-000001.seg", NULL);
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    rig_close(rig);
    g_assert_true(g_file_get_contents(segment, &bytes, &n_bytes, NULL));
    g_assert_true(g_file_set_contents(copy, bytes, (gssize)n_bytes, NULL));
    rig_open(rig);
    rig_close(rig);
    g_assert_false(g_file_test(copy, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(segment, G_FILE_TEST_EXISTS));
    rig_sql(rig, "delete from segment; update session set segment = null, block_sha256 = null");
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "no session is in *");
    rig_open(rig);
    g_test_assert_expected_messages();
    rig_close(rig);
    g_assert_true(g_file_test(segment, G_FILE_TEST_EXISTS));
}

static bool
never_linked(void *user_data, uint64_t log_id)
{
    return false;
}

static void
append_bytes(GString *out, GBytes *bytes)
{
    if (bytes == NULL) {
        g_string_append(out, "none");
        return;
    }
    g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);
    g_string_append_printf(out, " %s", sum);
    g_bytes_unref(bytes);
}

static void
append_session(GString *out, PdQuery *query, const char *id)
{
    g_autoptr(PdSession) session = pd_query_get_session(query, id, NULL);
    uint32_t last = 0;

    if (session == NULL) {
        g_string_append(out, "gone\n");
        return;
    }
    g_autofree char *format = rig_format(session);
    g_autofree char *state = rig_format_state(session);
    g_autofree char *zones = g_strjoinv(",", session->zones);
    g_string_append_printf(out,
                           "%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %u %s %s %s %d"
                           " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
                           " %u %s|%s|%s|%s|%s|%s|%s %s %s %u %" G_GINT64_FORMAT "\n",
                           session->id,
                           session->opened_seq,
                           session->log_id,
                           session->number,
                           session->serial,
                           format,
                           state,
                           session->placed,
                           session->start_wall_us,
                           session->end_wall_us,
                           session->time_error_us,
                           zones,
                           session->patient,
                           session->operator_name,
                           session->note,
                           session->reaction,
                           session->order,
                           session->closed_reason,
                           session->definition,
                           session->receipt_sha256,
                           session->marked,
                           session->marked_wall_us);
    for (guint i = 0; i < session->passes->len; i++) {
        const PdPass *pass = g_ptr_array_index(session->passes, i);
        g_string_append_printf(out, " %" G_GINT64_FORMAT " %s", pass->start_wall_us, pass->zone);
    }
    append_bytes(out, pd_query_read_raw(query, id, 0, &last, NULL));
}

/* Everything that can be asked, as text. */
static char *
ask_all(const char *index, const char *raw)
{
    const PdSessionFilter all = { 0 };
    g_autoptr(PdDb) db = pd_db_open(index, PD_DB_READER, NULL, NULL);
    PdQuery query = { .db = db, .raw_directory = raw, .is_linked = never_linked };
    GString *out = g_string_new(NULL);
    uint64_t last = 0;
    uint32_t tick_unit = 0;

    if (db == NULL) {
        return g_string_free(out, FALSE);
    }
    g_autoptr(GPtrArray) list = pd_query_list_sessions(&query, &all, 0, 100, NULL);
    g_autoptr(GPtrArray) pens = pd_query_load_pens(&query, NULL);
    g_autoptr(GArray) anchors = pd_query_get_anchors(&query, LOG_ID, &tick_unit, NULL);
    for (guint i = 0; list != NULL && i < list->len; i++) {
        append_session(out, &query, ((PdSession *)g_ptr_array_index(list, i))->id);
    }
    for (guint i = 0; pens != NULL && i < pens->len; i++) {
        const PdPenInfo *pen = g_ptr_array_index(pens, i);
        g_autofree char *adapters = g_strjoinv(",", pen->adapters);
        g_string_append_printf(out,
                               "%s %s %s %s %s %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT
                               " %u %u %u\n",
                               pen->serial,
                               pen->address,
                               pen->name,
                               pen->firmware,
                               adapters,
                               pen->log_id,
                               pen->last_seen_us,
                               pen->overwritten,
                               pen->tick_unit,
                               pen->marked);
    }
    for (guint i = 0; anchors != NULL && i < anchors->len; i++) {
        const PenAnchor *anchor = &g_array_index(anchors, PenAnchor, i);
        g_string_append_printf(out,
                               "%u %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %d %u\n",
                               anchor->boot,
                               anchor->tick_us,
                               anchor->wall_us,
                               anchor->wall_synced,
                               anchor->error_us);
    }
    append_bytes(out, pd_query_read_journal(&query, 0, 1000, &last, NULL));
    g_string_append_printf(out, "%" G_GUINT64_FORMAT " %u", last, tick_unit);
    return g_string_free(out, FALSE);
}

typedef struct {
    int n_flips;
    int n_changed;
    int n_found;
    int n_missed;
} Tally;

static void
flip(const char *path,
     const char *index,
     const char *raw,
     const char *truth,
     GRand *rand,
     int n_flips,
     Tally *tally)
{
    g_autofree char *bytes = NULL;
    gsize n_bytes = 0;

    g_assert_true(g_file_get_contents(path, &bytes, &n_bytes, NULL));
    for (int i = 0; i < n_flips; i++) {
        const guint32 at = (guint32)g_rand_int_range(rand, 0, (gint32)n_bytes);
        const char kept = bytes[at];
        bytes[at] = (char)(bytes[at] ^ 1 << g_rand_int_range(rand, 0, 8));
        FILE *file = fopen(path, "r+");
        g_assert_nonnull(file);
        fseek(file, (long)at, SEEK_SET);
        g_assert_cmpint(fputc(bytes[at], file), !=, EOF);
        fclose(file);
        g_autofree char *answers = ask_all(index, raw);
        g_autofree char *findings = verify_files(index, raw, NULL);
        const bool changed = !g_str_equal(answers, truth);
        tally->n_flips++;
        tally->n_changed += changed ? 1 : 0;
        tally->n_found += findings[0] != '\0' ? 1 : 0;
        if (changed && findings[0] == '\0') {
            g_test_message("byte %u of %s: nothing is found, though\n%s\nbecame\n%s",
                           at,
                           path,
                           truth,
                           answers);
            tally->n_missed++;
        }
        bytes[at] = kept;
        file = fopen(path, "r+");
        fseek(file, (long)at, SEEK_SET);
        fputc(kept, file);
        fclose(file);
    }
}

static void
test_flips(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rich_rig(treatment);
    g_autofree char *index = rig_path(rig, "store/index.db");
    g_autofree char *raw = rig_path(rig, "store/raw");
    const int n_flips = g_test_slow() ? 20000 : 1500;
    GRand *rand = g_rand_new_with_seed((guint32)g_test_rand_int());
    Tally tally = { 0 };

    rig_close(rig);
    /* Without a WAL, which each opening would make and sync anew. */
    rig_sql(rig, "pragma journal_mode=delete");
    g_autofree char *truth = ask_all(index, raw);
    g_autofree char *sound = verify_files(index, raw, NULL);
    g_assert_cmpstr(sound, ==, "");
    flip(index, index, raw, truth, rand, n_flips, &tally);
    g_autoptr(GDir) directory = g_dir_open(raw, 0, NULL);
    g_autofree char *segment = g_build_filename(raw, g_dir_read_name(directory), NULL);
    flip(segment, index, raw, truth, rand, n_flips / 4, &tally);
    g_test_message("%d flips, %d changed an answer, %d were found, %d missed",
                   tally.n_flips,
                   tally.n_changed,
                   tally.n_found,
                   tally.n_missed);
    g_assert_cmpint(tally.n_changed, >, n_flips / 100);
    g_assert_cmpint(tally.n_missed, ==, 0);
    g_rand_free(rand);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/verify/sound", test_sound);
    g_test_add_func("/store/verify/while-writing", test_while_writing);
    g_test_add_func("/store/verify/edited", test_edited);
    g_test_add_func("/store/verify/salvaged", test_salvaged);
    g_test_add_func("/store/verify/orphans", test_orphans);
    g_test_add_func("/store/verify/flips", test_flips);
    return g_test_run();
}
