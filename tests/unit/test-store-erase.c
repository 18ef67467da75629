/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What is erased is in no file any more and comes back from nowhere; the chain still holds.
 */
#include "care.h"
#include "journal.pb-c.h"
#include "store/home.h"
#include "store/ledger.h"
#include "store/rebuild.h"
#include "store/seal.h"
#include "store/verify.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <string.h>

static const TreatmentPlan plan = {
    .log_id = LOG_ID,
    .seed = 23,
    .n_sessions = 4,
    .n_blocks = 400,
    .stray_records = true,
};

/* A part of a record of a session that no other record has. */
static const uint8_t *
mark_of(const Treatment *treatment, guint session)
{
    size_t n_record = 0;
    const uint8_t *record =
        treatment_get(treatment, care_number_of(treatment, session) + 6, &n_record);

    g_assert_cmpuint(n_record, >, 20 + MARK_BYTES);
    return record + 20;
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

static void
test_session(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autofree char *sealed = care_annotate(rig, treatment, 0, PATIENT);
    g_autofree char *live = care_annotate(rig, treatment, 3, "patient-other");
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    g_assert_true(care_tree_holds(rig->directory, mark_of(treatment, 3), MARK_BYTES));
    /* Sealed, and yet in a page that is free now. */
    g_assert_true(care_tree_holds(rig->directory, mark_of(treatment, 0), MARK_BYTES));
    g_assert_true(care_tree_holds(rig->directory, PATIENT, strlen(PATIENT)));
    g_assert_true(care_erase(
        rig, &(PdErasure){ .session = sealed, .reason = "asked", .uid = 7 }, &n, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, 1);
    g_assert_true(
        care_erase(rig, &(PdErasure){ .session = live, .reason = "asked", .uid = 7 }, &n, &error));
    g_assert_no_error(error);
    g_assert_false(care_tree_holds(rig->directory, PATIENT, strlen(PATIENT)));
    for (guint i = 0; i < 4; i++) {
        g_assert_false(care_tree_holds(rig->directory, mark_of(treatment, i), MARK_BYTES));
    }
    care_expect_erased(rig, treatment, 0);
    care_expect_erased(rig, treatment, 3);
    care_expect_sound(rig);
    g_autoptr(GPtrArray) entries = rig_read_all_journal(rig, rig_health(rig).head);
    const Pentel__V1__Erasure *tombstone = find_tombstone(entries, sealed);
    g_assert_nonnull(tombstone);
    g_assert_cmpstr(tombstone->reason, ==, "asked");
    g_assert_cmpuint(tombstone->first, ==, care_number_of(treatment, 0));
    g_assert_cmpuint(entries->len, ==, rig_health(rig).head);
    /* Once more is not found; nor can anything be said of it. */
    g_assert_false(
        care_erase(rig, &(PdErasure){ .session = live, .reason = "again", .uid = 7 }, &n, &error));
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
    const uint32_t late = care_number_of(treatment, 0) + 6;
    const uint32_t last = g_array_index(treatment->session_end, uint32_t, 0);
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    care_anchor_now(rig);
    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        if (number != late && number != last) {
            rig_append(rig, treatment, number);
        }
    }
    rig_flush(rig);
    g_autofree char *id = care_annotate(rig, treatment, 0, PATIENT);
    g_assert_true(care_erase(rig, &(PdErasure){ .session = id, .reason = "r" }, &n, &error));
    g_assert_no_error(error);
    for (int round = 0; round < 2; round++) {
        rig_append_all(rig, treatment);
        size_t n_record = 0;
        const uint8_t *record = treatment_get(treatment, late, &n_record);
        pd_store_append_damaged(rig->store, LOG_ID, late, record, n_record);
        rig_flush(rig);
        care_expect_erased(rig, treatment, 0);
        g_assert_cmpuint(rig_health(rig).n_erased, ==, last - care_number_of(treatment, 0) + 1);
        g_assert_cmpuint(rig_health(rig).n_conflicts, ==, 0);
        PenRanges settled;
        pd_store_get_settled(rig->store, LOG_ID, &settled);
        g_assert_cmpuint(pen_ranges_contiguous_from(&settled, 1), ==, treatment->records->len);
        pen_ranges_clear(&settled);
        g_assert_false(care_tree_holds(rig->directory, mark_of(treatment, 0), MARK_BYTES));
        care_expect_sound(rig);
        rebuild(rig);
        care_expect_erased(rig, treatment, 0);
        care_expect_sound(rig);
    }
    for (guint i = 1; i < 4; i++) {
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, care_number_of(treatment, i));
        g_assert_cmpstr(session->state, ==, "complete");
    }
}

static void
test_patient(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autofree char *first = care_annotate(rig, treatment, 0, PATIENT);
    g_autofree char *second = care_annotate(rig, treatment, 3, PATIENT);
    /* Said by mistake, then put right: the session is another's, only the word goes. */
    g_autofree char *third = care_annotate(rig, treatment, 1, PATIENT);
    g_autofree char *again = care_annotate(rig, treatment, 1, "patient-other");
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    g_assert_true(
        care_erase(rig, &(PdErasure){ .patient = PATIENT, .reason = "asked" }, &n, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, 2);
    care_expect_erased(rig, treatment, 0);
    care_expect_erased(rig, treatment, 3);
    g_autoptr(PdSession) other = rig_get_number(rig, LOG_ID, care_number_of(treatment, 1));
    g_assert_cmpstr(other->patient, ==, "patient-other");
    g_assert_cmpstr(other->state, ==, "complete");
    g_assert_false(care_tree_holds(rig->directory, PATIENT, strlen(PATIENT)));
    g_assert_true(care_tree_holds(rig->directory, "patient-other", 13));
    care_expect_sound(rig);
    g_autoptr(GPtrArray) entries = rig_read_all_journal(rig, rig_health(rig).head);
    g_assert_cmpuint(find_tombstone(entries, third)->n_entries, ==, 1);
    g_assert_cmpstr(third, ==, again);
    g_assert_nonnull(find_tombstone(entries, first));
    g_assert_nonnull(find_tombstone(entries, second));
    g_assert_false(care_erase(rig, &(PdErasure){ .patient = PATIENT, .reason = "r" }, &n, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_NOT_FOUND);
}

static void
test_hold(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autofree char *held = care_annotate(rig, treatment, 0, PATIENT);
    g_autofree char *free_one = care_annotate(rig, treatment, 2, PATIENT);
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;

    care_hold(rig, held, "a lawsuit", false);
    g_autoptr(PdSession) session = rig_get(rig, held, NULL);
    g_assert_cmpstr(session->hold, ==, "a lawsuit");
    care_expect_sound(rig);
    g_assert_false(care_erase(rig, &(PdErasure){ .patient = PATIENT, .reason = "r" }, &n, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_ON_HOLD);
    g_clear_error(&error);
    g_assert_false(care_erase(rig, &(PdErasure){ .session = held, .reason = "r" }, &n, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_ON_HOLD);
    g_clear_error(&error);
    /* Nothing of the patient's was erased, not even what is not held. */
    g_autoptr(PdSession) whole = rig_get(rig, free_one, NULL);
    g_assert_cmpstr(whole->state, ==, "complete");
    g_assert_cmpint(rig_health(rig).state, ==, PD_STORE_OK);
    care_hold(rig, held, "", true);
    g_assert_true(care_erase(rig, &(PdErasure){ .patient = PATIENT, .reason = "r" }, &n, &error));
    g_assert_cmpuint(n, ==, 2);
    care_expect_sound(rig);
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
        g_assert_false(care_erase(rig, &wrong[i], &n, &error));
        g_assert_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT);
    }
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
    return g_test_run();
}
