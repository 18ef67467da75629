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

/* SHA-256 over the raw bytes, ascending. */
static char *
dup_receipt(const Treatment *treatment, guint index)
{
    const uint32_t first = g_array_index(treatment->sessions, uint32_t, index);
    const uint32_t last = g_array_index(treatment->session_end, uint32_t, index);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);

    for (uint32_t number = first; number <= last; number++) {
        size_t n_record = 0;
        const uint8_t *record = treatment_get(treatment, number, &n_record);
        g_checksum_update(checksum, record, (gssize)n_record);
    }
    return g_strdup(g_checksum_get_string(checksum));
}

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
        g_autofree char *receipt = dup_receipt(treatment, i);
        g_assert_cmpstr(session->receipt_sha256, ==, receipt);
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

/* Appends @order's numbers, with a flush now and then, as a bad link would. */
static void
append_in_order(Rig *rig, const Treatment *treatment, GRand *rand, const GArray *order)
{
    for (guint i = 0; i < order->len; i++) {
        rig_append(rig, treatment, g_array_index(order, uint32_t, i));
        if (g_rand_int_range(rand, 0, 60) == 0) {
            rig_flush(rig);
        }
    }
    rig_flush(rig);
}

static GArray *
shuffled(const Treatment *treatment, GRand *rand)
{
    GArray *order = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        g_array_append_val(order, number);
    }
    for (guint i = order->len - 1; i > 0; i--) {
        const guint j = (guint)g_rand_int_range(rand, 0, (gint32)i + 1);
        const uint32_t kept = g_array_index(order, uint32_t, i);
        g_array_index(order, uint32_t, i) = g_array_index(order, uint32_t, j);
        g_array_index(order, uint32_t, j) = kept;
    }
    return order;
}

static void
test_any_order(void)
{
    for (uint32_t seed = 1; seed <= 6; seed++) {
        g_autoptr(Rig) rig = rig_new();
        g_autoptr(Treatment) treatment = treatment_new(&plan);
        GRand *rand = g_rand_new_with_seed(seed);
        g_autoptr(GArray) order = shuffled(treatment, rand);
        append_in_order(rig, treatment, rand, order);
        expect_equal(rig, treatment, "complete");
        g_assert_cmpuint(rig->contiguous, ==, treatment->records->len);
        g_rand_free(rand);
    }
}

static void
test_reopened_in_between(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);

    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        rig_append(rig, treatment, number);
        if (number % 37 == 0) {
            rig_close(rig);
            rig_open(rig);
        }
    }
    rig_flush(rig);
    expect_equal(rig, treatment, "complete");
}

static bool
has_not_5(uint32_t number)
{
    return number != 5;
}

/* A middle record is asked for, then lost, then found after all. */
static void
test_gap_lost_and_found(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autofree char *with = treatment_dup_expected(treatment, 1, NULL);
    g_autofree char *without = treatment_dup_expected(treatment, 1, has_not_5);

    g_assert_cmpstr(with, !=, without);
    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        if (number != 5) {
            rig_append(rig, treatment, number);
        }
    }
    rig_flush(rig);
    g_assert_cmpuint(rig->contiguous, ==, 4);
    g_autoptr(PdSession) partial = rig_get_number(rig, LOG_ID, 1);
    g_autofree char *partial_state = rig_format_state(partial);
    g_autofree char *partial_text = rig_format(partial);
    g_assert_cmpstr(partial_state, ==, "partial 5-5:missing");
    g_assert_cmpstr(partial_text, ==, without);

    pd_store_settle(rig->store, LOG_ID, 5, 5, PD_CAUSE_HOLE_FLASH_ERROR);
    rig_flush(rig);
    g_assert_cmpuint(rig->contiguous, ==, treatment->records->len);
    g_autoptr(PdSession) lossy = rig_get_number(rig, LOG_ID, 1);
    g_autofree char *lossy_state = rig_format_state(lossy);
    g_assert_cmpstr(lossy_state, ==, "lossy 5-5:hole:flash-error");

    rig_append(rig, treatment, 5);
    rig_flush(rig);
    expect_equal(rig, treatment, "complete");
}

static void
test_causes(void)
{
    static const struct {
        PdCause cause;
        const char *state;
    } cases[] = {
        { PD_CAUSE_OVERWRITTEN, "lossy 1-9:overwritten" },
        { PD_CAUSE_HOLE_FLASH_ERROR, "lossy 1-9:hole:flash-error" },
        { PD_CAUSE_HOLE_TORN_WRITE, "lossy 1-9:hole:torn-write" },
        { PD_CAUSE_HOLE_UNSPECIFIED, "lossy 1-9:hole:unspecified" },
        { PD_CAUSE_HELD_ELSEWHERE, "complete 1-9:held-elsewhere" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Rig) rig = rig_new();
        g_autoptr(Treatment) treatment = treatment_new(&plan);
        for (uint32_t number = 10; number <= treatment->records->len; number++) {
            rig_append(rig, treatment, number);
        }
        pd_store_settle(rig->store, LOG_ID, 1, 9, cases[i].cause);
        rig_flush(rig);
        g_assert_cmpuint(rig->contiguous, ==, treatment->records->len);
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, 1);
        g_autofree char *state = rig_format_state(session);
        g_assert_cmpstr(state, ==, cases[i].state);
        g_assert_false(session->fold.has_begin);
        g_assert_cmpuint(session->fold.first, ==, 1);
    }
}

/* After the greatest number there is none to look for; another pen's log goes on. */
static void
test_greatest_number(void)
{
    static const uint64_t full_log = 77;
    const PenRecordHeader header = { .guard = 77, .number = UINT32_MAX, .session = UINT32_MAX };
    const PenBody body = { .kind = PEN_BODY_SESSION_BEGIN };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(GBytes) record = treatment_encode(&header, &body);
    size_t n = 0;
    const uint8_t *bytes = g_bytes_get_data(record, &n);

    pd_store_settle(rig->store, full_log, 1, UINT32_MAX - 1, PD_CAUSE_OVERWRITTEN);
    g_assert_true(pd_store_append(rig->store, full_log, bytes, n));
    rig_flush(rig);
    g_autoptr(PdSession) session = rig_get_number(rig, full_log, UINT32_MAX);
    g_assert_true(session->fold.has_begin);
    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    rig_expect_complete(rig, treatment);
}

static void
test_damaged_record(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    static const uint8_t bytes[] = { 1, 2, 3 };

    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        if (number != 7) {
            rig_append(rig, treatment, number);
        }
    }
    pd_store_append_damaged(rig->store, LOG_ID, 7, bytes, sizeof bytes);
    rig_flush(rig);
    g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, 1);
    g_autofree char *state = rig_format_state(session);
    g_assert_cmpstr(state, ==, "lossy 7-7:damaged");
    rig_close(rig);
    g_assert_cmpint(rig_sql_int(rig, "select length(bytes) from damaged where number = 7"), ==, 3);
    rig_open(rig);
}

/* live, open, and over without an end: by the next session, by a later boot. */
static void
test_unfinished(void)
{
    const TreatmentPlan open_plan = {
        .log_id = LOG_ID, .seed = 3, .n_sessions = 1, .n_blocks = 20, .leave_open = true
    };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&open_plan);

    pd_store_set_linked(rig->store, LOG_ID, true);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autoptr(PdSession) live = rig_get_number(rig, LOG_ID, 1);
    g_assert_cmpstr(live->state, ==, "live");
    const PdSessionFilter live_only = { .state = "live" };
    g_autoptr(GPtrArray) lives = rig_list(rig, &live_only, 0, 10);
    g_assert_cmpuint(lives->len, ==, 1);
    pd_store_set_linked(rig->store, LOG_ID, false);
    g_autoptr(PdSession) unlinked = rig_get_number(rig, LOG_ID, 1);
    g_assert_cmpstr(unlinked->state, ==, "open");
    g_autoptr(GPtrArray) none = rig_list(rig, &live_only, 0, 10);
    g_assert_cmpuint(none->len, ==, 0);

    const PenAnchor anchor = { .boot = 2, .tick_us = 10, .wall_us = 1000000, .error_us = 5 };
    pd_store_add_anchor(rig->store, LOG_ID, &anchor);
    rig_flush(rig);
    g_autoptr(PdSession) left = rig_get_number(rig, LOG_ID, 1);
    g_assert_cmpstr(left->state, ==, "partial");
}

/* The end that is written in the next boot must not stretch or place the session. */
static void
test_reset(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const PenAnchor first = { .boot = 1, .tick_us = 1000, .wall_us = 5000000, .error_us = 9 };
    const PenAnchor second = { .boot = 2, .tick_us = 1000, .wall_us = 99000000, .error_us = 9 };
    const uint32_t end = g_array_index(treatment->session_end, uint32_t, 0);

    pd_store_add_anchor(rig->store, LOG_ID, &second);
    rig_append(rig, treatment, end);
    rig_flush(rig);
    g_autoptr(PdSession) alone = rig_get_number(rig, LOG_ID, 1);
    g_assert_false(alone->placed);
    g_assert_cmpuint(alone->fold.end_us, ==, alone->fold.start_us);

    pd_store_add_anchor(rig->store, LOG_ID, &first);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autoptr(PdSession) whole = rig_get_number(rig, LOG_ID, 1);
    g_assert_true(whole->placed);
    g_assert_cmpint(whole->start_wall_us, ==, 5000000);
    g_assert_cmpint(
        whole->end_wall_us, ==, 5000000 + (int64_t)(whole->fold.end_us - whole->fold.start_us));
    expect_equal(rig, treatment, "complete");
}

/* An anchor places what lies around it, however late it comes; a stepped clock moves
 * nothing that was placed between two others. */
static void
test_anchors(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const uint32_t second = g_array_index(treatment->sessions, uint32_t, 1);
    const uint32_t third = g_array_index(treatment->sessions, uint32_t, 2);

    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autoptr(PdSession) unplaced = rig_get_number(rig, LOG_ID, second);
    g_assert_false(unplaced->placed);
    const uint64_t start_us = unplaced->fold.start_us;
    const uint64_t end_us = unplaced->fold.end_us;
    const PenAnchor before = { .boot = 2, .tick_us = start_us, .wall_us = 1000000000 };
    const PenAnchor after = {
        .boot = 2,
        .tick_us = end_us + 1000,
        .wall_us = 1000000000 + (int64_t)(end_us + 1000 - start_us),
    };
    pd_store_add_anchor(rig->store, LOG_ID, &before);
    pd_store_add_anchor(rig->store, LOG_ID, &after);
    rig_flush(rig);
    g_autoptr(PdSession) placed = rig_get_number(rig, LOG_ID, second);
    g_assert_true(placed->placed);
    g_assert_cmpint(placed->start_wall_us, ==, 1000000000);
    g_assert_cmpint(placed->end_wall_us, ==, 1000000000 + (int64_t)(end_us - start_us));

    g_autoptr(PdSession) last = rig_get_number(rig, LOG_ID, third);
    const PenAnchor stepped = { .boot = 2,
                                .tick_us = last->fold.end_us,
                                .wall_us = INT64_C(9000000000000) };
    pd_store_add_anchor(rig->store, LOG_ID, &stepped);
    rig_flush(rig);
    g_autoptr(PdSession) same = rig_get_number(rig, LOG_ID, second);
    g_assert_cmpint(same->start_wall_us, ==, 1000000000);
    g_assert_cmpint(same->end_wall_us, ==, placed->end_wall_us);
    g_autoptr(PdSession) moved = rig_get_number(rig, LOG_ID, third);
    g_assert_cmpint(moved->end_wall_us, ==, INT64_C(9000000000000));
}

static GBytes *
other_bytes(const Treatment *treatment, uint32_t number, uint32_t session)
{
    const PenRecordHeader header = {
        .guard = (uint32_t)treatment->log_id,
        .number = number,
        .session = session,
        .boot = 1,
        .tick = 12345,
    };
    const PenBody body = { .kind = PEN_BODY_BUTTON, .button = { .button = 2 } };

    return treatment_encode(&header, &body);
}

static void
append_bytes(Rig *rig, GBytes *bytes)
{
    gsize n_bytes = 0;
    const uint8_t *data = g_bytes_get_data(bytes, &n_bytes);

    g_assert_true(pd_store_append(rig->store, LOG_ID, data, n_bytes));
}

static void
expect_counts(Rig *rig, uint64_t n_records, uint64_t n_duplicates, uint64_t n_conflicts)
{
    rig_flush(rig);
    const PdStoreHealth health = rig_health(rig);
    g_assert_cmpuint(health.n_records, ==, n_records);
    g_assert_cmpuint(health.n_duplicates, ==, n_duplicates);
    g_assert_cmpuint(health.n_conflicts, ==, n_conflicts);
}

static void
test_duplicates_and_conflicts(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const uint32_t n = treatment->records->len;
    const uint32_t stray = g_array_index(treatment->session_end, uint32_t, 0) + 1;
    const uint32_t second = g_array_index(treatment->sessions, uint32_t, 1);
    g_autoptr(GBytes) same_session = other_bytes(treatment, 5, 1);
    g_autoptr(GBytes) to_outside = other_bytes(treatment, 5, 0);
    g_autoptr(GBytes) from_outside = other_bytes(treatment, stray, 0);
    g_autoptr(GBytes) other_session = other_bytes(treatment, second + 1, 1);

    rig_append_all(rig, treatment);
    expect_counts(rig, n, 0, 0);
    rig_append_all(rig, treatment);
    expect_counts(rig, n, n, 0);
    append_bytes(rig, same_session);
    append_bytes(rig, to_outside);
    append_bytes(rig, from_outside);
    append_bytes(rig, other_session);
    expect_counts(rig, n, n, 4);
    append_bytes(rig, same_session);
    expect_counts(rig, n, n, 5);
    expect_equal(rig, treatment, "complete");
    rig_close(rig);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from conflict"), ==, 4);
    rig_open(rig);
    rig_append_all(rig, treatment);
    append_bytes(rig, same_session);
    expect_counts(rig, 0, n, 1);
    expect_equal(rig, treatment, "complete");
}

/* A late record of a session that was complete is a new entry, not a new session. */
static void
test_late_record_is_an_entry(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);

    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        if (number != 5) {
            rig_append(rig, treatment, number);
        }
    }
    pd_store_settle(rig->store, LOG_ID, 5, 5, PD_CAUSE_HELD_ELSEWHERE);
    rig_flush(rig);
    const uint64_t before = rig_health(rig).head;
    g_autoptr(PdSession) held = rig_get_number(rig, LOG_ID, 1);
    g_assert_cmpstr(held->state, ==, "complete");
    rig_append(rig, treatment, 5);
    rig_flush(rig);
    g_assert_cmpuint(rig_health(rig).head, ==, before + 1);
    g_autoptr(PdSession) whole = rig_get_number(rig, LOG_ID, 1);
    g_assert_cmpuint(whole->opened_seq, ==, held->opened_seq);
    g_assert_cmpstr(whole->receipt_sha256, !=, held->receipt_sha256);
    /* Nothing new, nothing said. */
    rig_append(rig, treatment, 5);
    rig_flush(rig);
    g_assert_cmpuint(rig_health(rig).head, ==, before + 1);
}

/* A pen that makes a session of every number takes no more memory than any other. */
static void
test_many_sessions(void)
{
    const TreatmentPlan many = { .log_id = LOG_ID, .seed = 5, .n_sessions = 700, .n_blocks = 1 };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&many);

    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_assert_cmpuint(rig_health(rig).n_sessions, ==, 700);
    expect_equal(rig, treatment, "complete");
}

/* Whole records that make no sense together: kept, counted, and nobody else suffers. */
static void
test_hostile(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    GRand *rand = g_rand_new_with_seed(77);
    const uint64_t bad_log = 66;
    const uint32_t n = 4000;

    for (uint32_t i = 0; i < n; i++) {
        const PenRecordHeader header = {
            .guard = (uint32_t)bad_log,
            .number = (uint32_t)g_rand_int_range(rand, 1, 3000),
            .session = (uint32_t)g_rand_int_range(rand, 0, 3000),
            .boot = (uint32_t)g_rand_int_range(rand, 0, 4),
            .tick = (uint64_t)g_rand_int(rand) << 16,
        };
        PenBody body = { .kind = PEN_BODY_BUTTON, .button = { .button = g_rand_int(rand) % 4 } };
        if (i % 3 == 0) {
            body = (PenBody){ .kind = PEN_BODY_SESSION_END, .end = { .cause = i % 6 } };
        }
        g_autoptr(GBytes) bytes = treatment_encode(&header, &body);
        gsize n_bytes = 0;
        const uint8_t *data = g_bytes_get_data(bytes, &n_bytes);
        g_assert_true(pd_store_append(rig->store, bad_log, data, n_bytes));
        if (i < treatment->records->len) {
            rig_append(rig, treatment, i + 1);
        }
        if (i % 200 == 0) {
            pd_store_settle(rig->store, bad_log, i, i * 3, (PdCause)(i / 200 % 6 + 1));
            rig_flush(rig);
        }
    }
    g_rand_free(rand);
    rig_flush(rig);
    const PdStoreHealth health = rig_health(rig);
    g_assert_cmpint(health.state, ==, PD_STORE_OK);
    g_assert_cmpuint(health.n_records + health.n_duplicates + health.n_conflicts,
                     ==,
                     n + treatment->records->len);
    g_assert_cmpuint(health.n_conflicts, >, 100);
    g_assert_cmpuint(health.n_bad, >, 100);
    expect_equal(rig, treatment, "complete");
    rig_close(rig);
    g_assert_cmpint(rig_sql_int(rig, "select count(*) from conflict"), <=, 1024);
    g_assert_cmpint(
        rig_sql_int(rig, "select count(*) - count(distinct log_id || ':' || number) from raw"),
        ==,
        0);
    rig_open(rig);
    expect_equal(rig, treatment, "complete");
}

static void
test_no_record(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    size_t n_record = 0;
    const uint8_t *record = treatment_get(treatment, 1, &n_record);
    g_autofree uint8_t *huge = g_malloc0(5000);

    g_assert_false(pd_store_append(rig->store, LOG_ID, record, n_record - 1));
    g_assert_false(pd_store_append(rig->store, LOG_ID, record, 0));
    g_assert_false(pd_store_append(rig->store, LOG_ID, huge, 5000));
    g_assert_cmpuint(rig_health(rig).n_dropped, ==, 3);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/fold/in-order", test_in_order);
    g_test_add_func("/store/fold/any-order", test_any_order);
    g_test_add_func("/store/fold/reopened-in-between", test_reopened_in_between);
    g_test_add_func("/store/fold/gap-lost-and-found", test_gap_lost_and_found);
    g_test_add_func("/store/fold/causes", test_causes);
    g_test_add_func("/store/fold/greatest-number", test_greatest_number);
    g_test_add_func("/store/fold/damaged-record", test_damaged_record);
    g_test_add_func("/store/fold/unfinished", test_unfinished);
    g_test_add_func("/store/fold/reset", test_reset);
    g_test_add_func("/store/fold/anchors", test_anchors);
    g_test_add_func("/store/fold/duplicates-and-conflicts", test_duplicates_and_conflicts);
    g_test_add_func("/store/fold/late-record-is-an-entry", test_late_record_is_an_entry);
    g_test_add_func("/store/fold/many-sessions", test_many_sessions);
    g_test_add_func("/store/fold/hostile", test_hostile);
    g_test_add_func("/store/fold/no-record", test_no_record);
    return g_test_run();
}
