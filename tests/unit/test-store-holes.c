/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What becomes of a session whose end never comes.
 */
#include "care.h"

static const TreatmentPlan plan = {
    .log_id = LOG_ID,
    .seed = 7,
    .n_sessions = 3,
    .n_blocks = 120,
    .reset_first = true,
    .stray_records = true,
};

static void
test_end_lost(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const uint32_t end = g_array_index(treatment->session_end, uint32_t, 1);
    const uint32_t number = g_array_index(treatment->sessions, uint32_t, 1);

    for (uint32_t i = 1; i <= treatment->records->len; i++) {
        if (i != end) {
            rig_append(rig, treatment, i);
        }
    }
    rig_flush(rig);
    g_autoptr(PdSession) partial = rig_get_number(rig, LOG_ID, number);
    g_assert_cmpstr(partial->state, ==, "partial");
    g_assert_cmpuint(partial->fold.last, ==, end);
    pd_store_settle(rig->store, LOG_ID, end, end, PD_CAUSE_HOLE_TORN_WRITE);
    rig_flush(rig);
    g_autoptr(PdSession) lossy = rig_get_number(rig, LOG_ID, number);
    g_assert_cmpstr(lossy->state, ==, "lossy");
}

static void
expect_state(Rig *rig, uint32_t number, const char *expected)
{
    rig_flush(rig);
    g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, number);
    g_autofree char *state = rig_format_state(session);

    g_assert_cmpstr(state, ==, expected);
}

/* Nothing may come for a long time after a session whose end is a hole: it is over when that
 * is known, and goes on if the pen says so after all. */
static void
test_end_is_hole(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const uint32_t number = g_array_index(treatment->sessions, uint32_t, 1);
    const uint32_t end = g_array_index(treatment->session_end, uint32_t, 1);
    g_autofree char *one = g_strdup_printf("lossy %u-%u:hole:torn-write", end - 2, end - 2);
    g_autofree char *more = g_strdup_printf("lossy %u-%u:hole:torn-write", end - 2, end - 1);
    g_autofree char *two =
        g_strdup_printf("lossy %u-%u:hole:torn-write %u-%u:damaged", end - 2, end - 2, end, end);
    g_autofree char *gone = g_strdup_printf("open %u-%u:hole:torn-write", end - 2, end - 2);

    for (uint32_t i = 1; i < end - 2; i++) {
        rig_append(rig, treatment, i);
    }
    expect_state(rig, number, "open");
    pd_store_settle(rig->store, LOG_ID, end - 2, end - 2, PD_CAUSE_HOLE_TORN_WRITE);
    expect_state(rig, number, one);
    pd_store_settle(rig->store, LOG_ID, end - 1, end - 1, PD_CAUSE_HOLE_TORN_WRITE);
    expect_state(rig, number, more);
    care_expect_sound(rig);
    rig_append(rig, treatment, end - 1);
    expect_state(rig, number, gone);
    pd_store_append_damaged(rig->store, LOG_ID, end, (const uint8_t *)"damaged", 7);
    expect_state(rig, number, two);
    care_expect_sound(rig);
    pd_store_settle(rig->store, LOG_ID, end + 1, end + 1, PD_CAUSE_OVERWRITTEN);
    expect_state(rig, number, two);
    care_expect_sound(rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/holes/end-lost", test_end_lost);
    g_test_add_func("/store/holes/end-is-hole", test_end_is_hole);
    return g_test_run();
}
