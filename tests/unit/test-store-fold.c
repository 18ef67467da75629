/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What goes in comes out: the store's answers equal what core's fold alone makes of the
 * same records, however they arrived.
 */
#include "rig.h"

#define LOG_ID UINT64_C(0x9122334455667788)

static const TreatmentPlan plan = {
    .log_id = LOG_ID,
    .seed = 7,
    .n_sessions = 3,
    .n_blocks = 120,
    .reset_first = true,
    .stray_records = true,
};

static void
expect_equal(Rig *rig, const Treatment *treatment, const char *state)
{
    for (guint i = 0; i < treatment->sessions->len; i++) {
        const uint32_t number = g_array_index(treatment->sessions, uint32_t, i);
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, number);
        g_autofree char *expected = treatment_dup_expected(treatment, number, NULL);
        g_autofree char *got = rig_format(session);
        g_autofree char *got_state = rig_format_state(session);
        g_assert_cmpstr(got, ==, expected);
        g_assert_cmpstr(got_state, ==, state);
    }
}

static void
test_in_order(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);

    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_assert_cmpuint(rig->contiguous, ==, treatment->records->len);
    expect_equal(rig, treatment, "complete");
    g_autoptr(GPtrArray) list = rig_list(rig, NULL, 0, 10);
    g_assert_cmpuint(list->len, ==, 3);
    rig_close(rig);
    rig_open(rig);
    expect_equal(rig, treatment, "complete");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/fold/in-order", test_in_order);
    return g_test_run();
}
