/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What is erased is in no file any more and comes back from nowhere; the chain still holds.
 */
#include "journal.pb-c.h"
#include "rig.h"
#include "store/home.h"
#include "store/ledger.h"
#include "store/rebuild.h"
#include "store/seal.h"
#include "store/verify.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <string.h>

#define LOG_ID     UINT64_C(0x9122334455667788)
#define MARK_BYTES 20u
#define PATIENT    "patient-to-be-forgotten"

static const TreatmentPlan plan = {
    .log_id = LOG_ID,
    .seed = 23,
    .n_sessions = 4,
    .n_blocks = 400,
    .stray_records = true,
};

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

static bool
erase(Rig *rig, const PdErasure *erasure, uint32_t *n_out, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;
    uint64_t seq = 0;

    pd_store_erase_async(rig->store, erasure, NULL, on_answer, &result);
    g_assert_true(rig_wait(has_answer, &result, 20000));
    return pd_store_erase_finish(rig->store, result, n_out, &seq, NULL, error);
}

static void
hold(Rig *rig, const char *id, const char *reason, bool release)
{
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t seq = 0;

    pd_store_hold_async(rig->store, id, reason, release, 0, NULL, on_answer, &result);
    g_assert_true(rig_wait(has_answer, &result, 20000));
    g_assert_true(pd_store_hold_finish(rig->store, result, &seq, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(seq, >, 0);
}

static void
expect_sound(Rig *rig)
{
    g_autoptr(PdVerify) verify = pd_store_verify_new(rig->store, NULL);
    bool done = false;

    for (int i = 0; i < 1000 && !done; i++) {
        g_autoptr(GAsyncResult) result = NULL;
        g_autoptr(GError) error = NULL;
        pd_store_verify_async(rig->store, verify, NULL, on_answer, &result);
        g_assert_true(rig_wait(has_answer, &result, 20000));
        g_autoptr(GPtrArray) findings = pd_store_verify_finish(rig->store, result, &done, &error);
        g_assert_no_error(error);
        for (guint at = 0; at < findings->len; at++) {
            const PdFinding *finding = g_ptr_array_index(findings, at);
            g_test_message("%s: %s", finding->where, finding->what);
        }
        g_assert_cmpuint(findings->len, ==, 0);
    }
    g_assert_true(done);
}

/* Whether any file below @path holds these bytes. */
static bool
tree_holds(const char *path, const void *bytes, size_t n_bytes)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name = NULL;
    g_autofree char *content = NULL;
    gsize n_content = 0;

    if (directory == NULL) {
        return g_file_get_contents(path, &content, &n_content, NULL) &&
               memmem(content, n_content, bytes, n_bytes) != NULL;
    }
    while ((name = g_dir_read_name(directory)) != NULL) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        if (tree_holds(below, bytes, n_bytes)) {
            return true;
        }
    }
    return false;
}

static uint32_t
number_of(const Treatment *treatment, guint session)
{
    return g_array_index(treatment->sessions, uint32_t, session);
}

/* A part of a record of a session that no other record has. */
static const uint8_t *
mark_of(const Treatment *treatment, guint session)
{
    size_t n_record = 0;
    const uint8_t *record = treatment_get(treatment, number_of(treatment, session) + 6, &n_record);

    g_assert_cmpuint(n_record, >, 20 + MARK_BYTES);
    return record + 20;
}

static void
anchor_now(Rig *rig)
{
    const PenAnchor anchor = {
        .boot = 1, .tick_us = 1000, .wall_us = g_get_real_time(), .wall_synced = true
    };

    pd_store_add_anchor(rig->store, LOG_ID, &anchor);
}

static void
seal(Rig *rig)
{
    PdHome home;
    PdLedger ledger;
    g_autoptr(GError) error = NULL;

    rig_close(rig);
    pd_home_enter(&home, rig->directory, &error);
    PdDb *db = pd_home_open_index(&home, &error);
    g_assert_no_error(error);
    pd_ledger_init(&ledger, db, home.raw, &rig->config.fold);
    ledger.stamp = (PdJournalStamp){ .store_id = "x", .wall_us = 1700000000000000 };
    pd_ledger_reload(&ledger, &error);
    pd_seal_now(&ledger, &error);
    g_assert_no_error(error);
    pd_ledger_clear(&ledger);
    pd_db_close(db);
    pd_home_leave(&home);
    rig_open(rig);
}

static char *
annotate(Rig *rig, const Treatment *treatment, guint session, const char *patient)
{
    g_autoptr(PdSession) found = rig_get_number(rig, LOG_ID, number_of(treatment, session));
    g_autoptr(GError) error = NULL;
    const PdAnnotation said = { .patient = patient, .zone = "cheek", .uid = 1000 };

    rig_annotate(rig, found->id, &said, &error);
    g_assert_no_error(error);
    return g_strdup(found->id);
}

static void
expect_erased(Rig *rig, const Treatment *treatment, guint session)
{
    g_autoptr(PdSession) found = rig_get_number(rig, LOG_ID, number_of(treatment, session));
    g_autoptr(GByteArray) raw = rig_read_all_raw(rig, found->id);

    g_assert_cmpstr(found->state, ==, "erased");
    g_assert_null(found->patient);
    g_assert_cmpuint(found->passes->len, ==, 0);
    g_assert_cmpuint(found->notes->len, ==, 0);
    g_assert_cmpuint(raw->len, ==, 0);
    g_assert_false(found->placed);
}

static const Pentel__V1__Erasure *
find_tombstone(const GPtrArray *entries, const char *id)
{
    for (guint i = 0; i < entries->len; i++) {
        const Pentel__V1__JournalEntry *entry = g_ptr_array_index(entries, i);
        if (entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_ERASURE &&
            g_str_equal(entry->session, id)) {
            return entry->erasure;
        }
    }
    return NULL;
}

/* Of four sessions three are sealed in one segment and one lies in the tail. */
static Rig *
new_rig(const Treatment *treatment)
{
    Rig *rig = rig_new();

    anchor_now(rig);
    for (uint32_t number = 1; number < number_of(treatment, 3); number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    seal(rig);
    for (uint32_t number = number_of(treatment, 3); number <= treatment->records->len; number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    return rig;
}

static void
test_session(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rig(treatment);
    g_autofree char *sealed = annotate(rig, treatment, 0, PATIENT);
    g_autofree char *live = annotate(rig, treatment, 3, "patient-other");
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    g_assert_true(tree_holds(rig->directory, mark_of(treatment, 3), MARK_BYTES));
    /* Sealed, and yet in a page that is free now. */
    g_assert_true(tree_holds(rig->directory, mark_of(treatment, 0), MARK_BYTES));
    g_assert_true(tree_holds(rig->directory, PATIENT, strlen(PATIENT)));
    g_assert_true(
        erase(rig, &(PdErasure){ .session = sealed, .reason = "asked", .uid = 7 }, &n, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, 1);
    g_assert_true(
        erase(rig, &(PdErasure){ .session = live, .reason = "asked", .uid = 7 }, &n, &error));
    g_assert_no_error(error);
    g_assert_false(tree_holds(rig->directory, PATIENT, strlen(PATIENT)));
    for (guint i = 0; i < 4; i++) {
        g_assert_false(tree_holds(rig->directory, mark_of(treatment, i), MARK_BYTES));
    }
    expect_erased(rig, treatment, 0);
    expect_erased(rig, treatment, 3);
    expect_sound(rig);
    g_autoptr(GPtrArray) entries = rig_read_all_journal(rig, rig_health(rig).head);
    const Pentel__V1__Erasure *tombstone = find_tombstone(entries, sealed);
    g_assert_nonnull(tombstone);
    g_assert_cmpstr(tombstone->reason, ==, "asked");
    g_assert_cmpuint(tombstone->first, ==, number_of(treatment, 0));
    g_assert_cmpuint(entries->len, ==, rig_health(rig).head);
    /* Once more is not found; nor can anything be said of it. */
    g_assert_false(
        erase(rig, &(PdErasure){ .session = live, .reason = "again", .uid = 7 }, &n, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_cmpuint(rig_annotate(rig, live, &(PdAnnotation){ .note = "x" }, &error), ==, 0);
    g_assert_error(error, PD_ERROR, PD_ERROR_NOT_FOUND);
}

static void
rebuild(Rig *rig)
{
    PdHome home;
    PdLedger ledger;
    g_autoptr(GError) error = NULL;

    rig_close(rig);
    pd_home_enter(&home, rig->directory, &error);
    PdDb *db = pd_home_open_index(&home, &error);
    pd_ledger_init(&ledger, db, home.raw, &rig->config.fold);
    ledger.stamp = (PdJournalStamp){ .store_id = "x", .wall_us = 1700000000000000 };
    pd_rebuild_all(&ledger, &error);
    g_assert_no_error(error);
    pd_ledger_clear(&ledger);
    pd_db_close(db);
    pd_home_leave(&home);
    rig_open(rig);
}

/* From the pen again, with a record that it never gave before; after a restart; refolded. */
static void
test_stays_away(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = rig_new();
    const uint32_t late = number_of(treatment, 0) + 6;
    const uint32_t last = g_array_index(treatment->session_end, uint32_t, 0);
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    anchor_now(rig);
    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        if (number != late && number != last) {
            rig_append(rig, treatment, number);
        }
    }
    rig_flush(rig);
    g_autofree char *id = annotate(rig, treatment, 0, PATIENT);
    g_assert_true(erase(rig, &(PdErasure){ .session = id, .reason = "r" }, &n, &error));
    g_assert_no_error(error);
    for (int round = 0; round < 2; round++) {
        rig_append_all(rig, treatment);
        size_t n_record = 0;
        const uint8_t *record = treatment_get(treatment, late, &n_record);
        pd_store_append_damaged(rig->store, LOG_ID, late, record, n_record);
        rig_flush(rig);
        expect_erased(rig, treatment, 0);
        g_assert_cmpuint(rig_health(rig).n_erased, ==, last - number_of(treatment, 0) + 1);
        g_assert_cmpuint(rig_health(rig).n_conflicts, ==, 0);
        PenRanges settled;
        pd_store_get_settled(rig->store, LOG_ID, &settled);
        g_assert_cmpuint(pen_ranges_contiguous_from(&settled, 1), ==, treatment->records->len);
        pen_ranges_clear(&settled);
        g_assert_false(tree_holds(rig->directory, mark_of(treatment, 0), MARK_BYTES));
        expect_sound(rig);
        rebuild(rig);
        expect_erased(rig, treatment, 0);
        expect_sound(rig);
    }
    for (guint i = 1; i < 4; i++) {
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, number_of(treatment, i));
        g_assert_cmpstr(session->state, ==, "complete");
    }
}

static void
test_patient(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rig(treatment);
    g_autofree char *first = annotate(rig, treatment, 0, PATIENT);
    g_autofree char *second = annotate(rig, treatment, 3, PATIENT);
    /* Said by mistake, then put right: the session is another's, only the word goes. */
    g_autofree char *third = annotate(rig, treatment, 1, PATIENT);
    g_autofree char *again = annotate(rig, treatment, 1, "patient-other");
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    g_assert_true(erase(rig, &(PdErasure){ .patient = PATIENT, .reason = "asked" }, &n, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, 2);
    expect_erased(rig, treatment, 0);
    expect_erased(rig, treatment, 3);
    g_autoptr(PdSession) other = rig_get_number(rig, LOG_ID, number_of(treatment, 1));
    g_assert_cmpstr(other->patient, ==, "patient-other");
    g_assert_cmpstr(other->state, ==, "complete");
    g_assert_false(tree_holds(rig->directory, PATIENT, strlen(PATIENT)));
    g_assert_true(tree_holds(rig->directory, "patient-other", 13));
    expect_sound(rig);
    g_autoptr(GPtrArray) entries = rig_read_all_journal(rig, rig_health(rig).head);
    g_assert_cmpuint(find_tombstone(entries, third)->n_entries, ==, 1);
    g_assert_cmpstr(third, ==, again);
    g_assert_nonnull(find_tombstone(entries, first));
    g_assert_nonnull(find_tombstone(entries, second));
    g_assert_false(erase(rig, &(PdErasure){ .patient = PATIENT, .reason = "r" }, &n, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_NOT_FOUND);
}

static void
test_hold(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_rig(treatment);
    g_autofree char *held = annotate(rig, treatment, 0, PATIENT);
    g_autofree char *free_one = annotate(rig, treatment, 2, PATIENT);
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    hold(rig, held, "a lawsuit", false);
    g_autoptr(PdSession) session = rig_get(rig, held, NULL);
    g_assert_cmpstr(session->hold, ==, "a lawsuit");
    expect_sound(rig);
    g_assert_false(erase(rig, &(PdErasure){ .patient = PATIENT, .reason = "r" }, &n, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_ON_HOLD);
    g_clear_error(&error);
    g_assert_false(erase(rig, &(PdErasure){ .session = held, .reason = "r" }, &n, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_ON_HOLD);
    g_clear_error(&error);
    /* Nothing of the patient's was erased, not even what is not held. */
    g_autoptr(PdSession) whole = rig_get(rig, free_one, NULL);
    g_assert_cmpstr(whole->state, ==, "complete");
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_OK);
    hold(rig, held, "", true);
    g_assert_true(erase(rig, &(PdErasure){ .patient = PATIENT, .reason = "r" }, &n, &error));
    g_assert_cmpuint(n, ==, 2);
    expect_sound(rig);
}

static void
test_arguments(void)
{
    static const PdErasure wrong[] = {
        { .reason = "r" },
        { .session = "12345678", .patient = "p", .reason = "r" },
        { .session = "12345678" },
        { .session = "1234", .reason = "r" },
        { .patient = "", .reason = "r" },
    };
    g_autoptr(Rig) rig = rig_new();
    uint32_t n = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(erase(rig, &wrong[i], &n, &error));
        g_assert_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT);
    }
}

/* Sessions of long ago go by themselves, but for a held one; only by a clock that is right. */
static void
test_retention(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = rig_new();
    const PenAnchor anchor = {
        .boot = 1, .tick_us = 1000, .wall_us = 1600000000000000, .wall_synced = true
    };

    pd_store_add_anchor(rig->store, LOG_ID, &anchor);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autofree char *held = annotate(rig, treatment, 1, "p");
    hold(rig, held, "kept", false);
    rig->config.retention_days = 100;
    for (int synced = 0; synced < 2; synced++) {
        rig_close(rig);
        rig_open(rig);
        pd_store_set_wall_synced(rig->store, synced != 0);
        rig_flush(rig);
        rig_flush(rig);
        for (guint i = 0; i < 4; i++) {
            g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, number_of(treatment, i));
            g_assert_cmpstr(session->state, ==, synced != 0 && i != 1 ? "erased" : "complete");
        }
    }
    expect_sound(rig);
}

static void
append_session(Rig *rig, const Treatment *treatment, guint session)
{
    const uint32_t last = g_array_index(treatment->session_end, uint32_t, session);

    for (uint32_t number = number_of(treatment, session); number <= last; number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
}

/* An old session for each segment. */
static Rig *
new_old_rig(const Treatment *treatment, guint n_sessions)
{
    Rig *rig = rig_new();
    const PenAnchor anchor = {
        .boot = 1, .tick_us = 1000, .wall_us = 1600000000000000, .wall_synced = true
    };

    pd_store_add_anchor(rig->store, LOG_ID, &anchor);
    for (guint i = 0; i < n_sessions; i++) {
        append_session(rig, treatment, i);
        seal(rig);
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
    const uint32_t first = number_of(treatment, 0);
    g_autoptr(GError) error = NULL;
    uint32_t n_looked = 0;
    uint32_t n = 0;

    anchor_now(rig);
    for (uint32_t number = first; number < first + 100; number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    g_autofree char *id = annotate(rig, treatment, 0, PATIENT);
    for (uint32_t number = first + 100; number < first + 200; number++) {
        rig_append(rig, treatment, number);
    }
    pd_store_append_damaged(rig->store, LOG_ID, first + 150, (const uint8_t *)PATIENT, 20);
    g_assert_true(erase(rig, &(PdErasure){ .session = id, .reason = "r" }, &n, &error));
    g_assert_no_error(error);
    for (uint32_t number = first + 6; number < first + 200; number++) {
        size_t n_record = 0;
        const uint8_t *record = treatment_get(treatment, number, &n_record);
        if (n_record > 20 + MARK_BYTES) {
            n_looked++;
            g_assert_false(tree_holds(rig->directory, record + 20, MARK_BYTES));
        }
    }
    g_assert_cmpuint(n_looked, >, 100);
    g_assert_false(tree_holds(rig->directory, PATIENT, 20));
    expect_erased(rig, treatment, 0);
    rig_flush(rig);
    expect_sound(rig);
}

static void
forbid_erasing(Rig *rig, uint32_t number)
{
    g_autofree char *sql =
        g_strdup_printf("create trigger forbid before update on session when new.state = 'erased'"
                        " and new.number = %u begin select raise(abort, 'forbidden'); end",
                        number);

    rig_close(rig);
    rig_sql(rig, sql);
    rig_open(rig);
}

/* An erasure that was rolled back has taken nothing, neither then nor with the next one. */
static void
test_rolled_back(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = new_old_rig(treatment, 2);
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    forbid_erasing(rig, number_of(treatment, 1));
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*forbidden*");
    retire(rig);
    g_test_assert_expected_messages();
    append_session(rig, treatment, 2);
    g_autofree char *next = annotate(rig, treatment, 2, PATIENT);
    g_assert_true(erase(rig, &(PdErasure){ .session = next, .reason = "r" }, &n, &error));
    g_assert_no_error(error);
    rig->config.retention_days = 0;
    rig_close(rig);
    rig_sql(rig, "drop trigger forbid");
    rig_open(rig);
    g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, number_of(treatment, 1));
    g_assert_cmpstr(session->state, ==, "complete");
    g_autoptr(GByteArray) raw = rig_read_all_raw(rig, session->id);
    g_assert_cmpuint(raw->len, >, 0);
    expect_sound(rig);
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
    g_autoptr(Rig) rig = new_rig(treatment);
    g_autofree char *id = annotate(rig, treatment, 0, PATIENT);
    g_autoptr(GError) error = NULL;
    uint32_t after = 0;
    uint32_t n = 0;

    rig_close(rig);
    spoil_block(rig, number_of(treatment, 1));
    rig_open(rig);
    g_assert_true(erase(rig, &(PdErasure){ .session = id, .reason = "r" }, &n, &error));
    g_assert_no_error(error);
    expect_erased(rig, treatment, 0);
    g_autoptr(PdSession) damaged = rig_get_number(rig, LOG_ID, number_of(treatment, 1));
    g_assert_cmpstr(damaged->state, ==, "complete");
    g_assert_null(rig_read_raw(rig, damaged->id, &after, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_MALFORMED);
    g_autoptr(PdSession) whole = rig_get_number(rig, LOG_ID, number_of(treatment, 2));
    g_autoptr(GByteArray) raw = rig_read_all_raw(rig, whole->id);
    g_assert_cmpuint(raw->len, >, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/erase/session", test_session);
    g_test_add_func("/store/erase/stays-away", test_stays_away);
    g_test_add_func("/store/erase/patient", test_patient);
    g_test_add_func("/store/erase/hold", test_hold);
    g_test_add_func("/store/erase/arguments", test_arguments);
    g_test_add_func("/store/erase/retention", test_retention);
    g_test_add_func("/store/erase/rolled-back", test_rolled_back);
    g_test_add_func("/store/erase/open", test_open);
    g_test_add_func("/store/erase/damaged-neighbour", test_damaged_neighbour);
    return g_test_run();
}
