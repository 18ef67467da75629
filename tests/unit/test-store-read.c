/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What people say and ask: annotations, pens, filters, and pages that stay true while
 * records arrive.
 */
#include "journal.pb-c.h"
#include "rig.h"
#include "store/db.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <string.h>

#define LOG_ID UINT64_C(0x1122334455667788)

static const TreatmentPlan plan = { .log_id = LOG_ID, .seed = 21, .n_sessions = 3, .n_blocks = 90 };

static PdSession *
get_first(Rig *rig)
{
    return rig_get_number(rig, LOG_ID, 1);
}

static void
annotate(Rig *rig, const PdAnnotation *annotation)
{
    g_autoptr(PdSession) session = get_first(rig);
    g_autoptr(GError) error = NULL;
    const uint64_t before = rig_health(rig).head;
    const uint64_t seq = rig_annotate(rig, session->id, annotation, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(seq, >, before);
}

static const char *
zone_of(const PdSession *session, guint index)
{
    return ((const PdPass *)g_ptr_array_index(session->passes, index - 1))->zone;
}

static void
test_annotations(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);

    rig_append_all(rig, treatment);
    rig_flush(rig);
    annotate(rig, &(PdAnnotation){ .patient = "P-17", .operator_name = "nurse", .note = "ok" });
    annotate(rig, &(PdAnnotation){ .reaction = "erythema", .order = "CarePlan/7" });
    annotate(rig, &(PdAnnotation){ .reaction = "mild erythema" });
    annotate(rig, &(PdAnnotation){ .zone = "forehead", .note = "" });
    annotate(rig, &(PdAnnotation){ .zone = "cheek", .has_pass = true, .pass_index = 1 });
    rig_close(rig);
    rig_open(rig);
    g_autoptr(PdSession) said = get_first(rig);
    g_assert_cmpuint(said->passes->len, >=, 2);
    g_assert_cmpstr(said->patient, ==, "P-17");
    g_assert_cmpstr(said->operator_name, ==, "nurse");
    g_assert_null(said->note);
    g_assert_cmpstr(said->reaction, ==, "mild erythema");
    g_assert_cmpstr(said->order, ==, "CarePlan/7");
    g_assert_cmpstr(zone_of(said, 1), ==, "cheek");
    g_assert_cmpstr(zone_of(said, 2), ==, "forehead");
    g_autofree char *zones = g_strjoinv(" ", said->zones);
    g_assert_cmpstr(zones, ==, "cheek forehead");

    annotate(rig, &(PdAnnotation){ .zone = "", .has_pass = true, .pass_index = 1 });
    annotate(rig, &(PdAnnotation){ .patient = "" });
    annotate(rig, &(PdAnnotation){ .reaction = "", .order = "" });
    g_autoptr(PdSession) cleared = get_first(rig);
    g_assert_cmpstr(zone_of(cleared, 1), ==, "forehead");
    g_assert_null(cleared->patient);
    g_assert_null(cleared->reaction);
    g_assert_null(cleared->order);
    annotate(rig, &(PdAnnotation){ .zone = "" });
    g_autoptr(PdSession) bare = get_first(rig);
    g_assert_null(zone_of(bare, 1));
    g_assert_null(bare->zones[0]);
    g_assert_cmpstr(bare->operator_name, ==, "nurse");
}

static void
refuse(Rig *rig, const char *id, const PdAnnotation *annotation, int code)
{
    g_autoptr(GError) error = NULL;
    const uint64_t before = rig_health(rig).head;

    g_assert_cmpuint(rig_annotate(rig, id, annotation, &error), ==, 0);
    g_assert_error(error, PD_ERROR, code);
    g_assert_cmpuint(rig_health(rig).head, ==, before);
}

static void
test_refusals(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const PdAnnotation note = { .note = "x" };
    g_autofree char *long_text = g_strnfill(5000, 'x');
    const PdAnnotation too_long = { .note = long_text };
    const PdAnnotation not_utf8 = { .patient = "\xff\xfe" };
    const PdAnnotation pass_0 = { .zone = "x", .has_pass = true, .pass_index = 0 };
    const PdAnnotation pass_99 = { .zone = "x", .has_pass = true, .pass_index = 99 };
    const PdAnnotation nothing = { 0 };

    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autoptr(PdSession) session = get_first(rig);
    refuse(rig, "00000000-0000-0000-0000-000000000000", &note, PD_ERROR_NOT_FOUND);
    refuse(rig, "abc", &note, PD_ERROR_INVALID_ARGUMENT);
    refuse(rig, "", &note, PD_ERROR_INVALID_ARGUMENT);
    refuse(rig, "' or 1=1", &note, PD_ERROR_INVALID_ARGUMENT);
    refuse(rig, session->id, &too_long, PD_ERROR_INVALID_ARGUMENT);
    refuse(rig, session->id, &not_utf8, PD_ERROR_INVALID_ARGUMENT);
    refuse(rig, session->id, &pass_0, PD_ERROR_INVALID_ARGUMENT);
    refuse(rig, session->id, &pass_99, PD_ERROR_INVALID_ARGUMENT);
    refuse(rig, session->id, &nothing, PD_ERROR_INVALID_ARGUMENT);

    session->id[8] = '\0';
    g_autoptr(GError) error = NULL;
    g_autoptr(PdSession) by_prefix = rig_get(rig, session->id, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(by_prefix->number, ==, 1);
}

/* Two ids with the same first digits, found by trying many numbers. */
static void
test_ambiguous(void)
{
    const TreatmentPlan many = { .log_id = 7, .seed = 5, .n_sessions = 900, .n_blocks = 1 };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&many);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autoptr(GPtrArray) list = rig_list(rig, NULL, 0, 1000);
    g_assert_cmpuint(list->len, ==, 900);
    for (guint i = 0; i < list->len; i++) {
        const PdSession *session = g_ptr_array_index(list, i);
        char *prefix = g_strndup(session->id, 4);
        if (!g_hash_table_add(seen, prefix)) {
            g_autoptr(GError) error = NULL;
            g_autofree char *again = g_strndup(session->id, 4);
            g_assert_null(rig_get(rig, again, &error));
            g_assert_error(error, PD_ERROR, PD_ERROR_AMBIGUOUS);
            return;
        }
    }
    g_assert_not_reached(); /* of 900 ids two begin alike: 99.8 %, and always the same ones */
}

static void
test_closed_by(void)
{
    const TreatmentPlan open_plan = {
        .log_id = LOG_ID, .seed = 3, .n_sessions = 1, .n_blocks = 20, .leave_open = true
    };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&open_plan);

    rig_append_all(rig, treatment);
    rig_flush(rig);
    annotate(rig, &(PdAnnotation){ .close_reason = "pen lost" });
    g_autoptr(PdSession) closed = get_first(rig);
    g_assert_cmpstr(closed->state, ==, "closed-by");
    g_assert_cmpstr(closed->closed_reason, ==, "pen lost");
    annotate(rig, &(PdAnnotation){ .close_reason = "" });
    g_autoptr(PdSession) open = get_first(rig);
    g_assert_cmpstr(open->state, ==, "open");
}

static bool
try_save_pen(Rig *rig, const char *serial, uint64_t log_id, uint32_t tick_unit, GError **error)
{
    char *adapters[] = { (char *)(uintptr_t) "00:00:00:00:00:01",
                         (char *)(uintptr_t) "00:00:00:00:00:02",
                         NULL };
    const PdPenInfo pen = {
        .serial = (char *)(uintptr_t)serial,
        .address = (char *)(uintptr_t) "AA:BB:CC:DD:EE:FF",
        .adapters = adapters,
        .log_id = log_id,
        .tick_unit = tick_unit,
        .overwritten = 3,
    };

    return rig_save_pen(rig, &pen, error);
}

static void
save_pen(Rig *rig, const char *serial, uint64_t log_id, uint32_t tick_unit)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(try_save_pen(rig, serial, log_id, tick_unit, &error));
    g_assert_no_error(error);
}

static void
on_forgotten(GObject *source, GAsyncResult *result, gpointer user_data)
{
    *(GAsyncResult **)user_data = g_object_ref(result);
}

static bool
is_set(gpointer data)
{
    return *(gpointer *)data != NULL;
}

static bool
forget(Rig *rig, const char *serial, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    pd_store_forget_pen_async(rig->store, serial, 2, 1000, NULL, on_forgotten, &result);
    g_assert_true(rig_wait(is_set, &result, 10000));
    return pd_store_forget_pen_finish(rig->store, result, error);
}

static void
test_pens(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(GError) error = NULL;

    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autoptr(PdSession) nameless = get_first(rig);
    g_assert_cmpstr(nameless->serial, ==, "");
    save_pen(rig, "PEN-1", LOG_ID, 0);
    pd_store_set_marked(rig->store, LOG_ID, 20);
    rig_flush(rig);
    g_assert_cmpuint(rig_health(rig).head, >, 0);
    const uint64_t head = rig_health(rig).head;
    save_pen(rig, "PEN-1", LOG_ID, 0);
    g_assert_cmpuint(rig_health(rig).head, ==, head);
    rig_close(rig);
    rig_open(rig);
    g_autoptr(GPtrArray) pens = pd_store_load_pens(rig->store, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(pens->len, ==, 1);
    const PdPenInfo *pen = g_ptr_array_index(pens, 0);
    g_assert_cmpstr(pen->serial, ==, "PEN-1");
    g_assert_null(pen->name);
    g_assert_cmpstr(pen->adapters[1], ==, "00:00:00:00:00:02");
    g_assert_null(pen->adapters[2]);
    g_assert_cmpuint(pen->marked, ==, 20);
    g_assert_cmpuint(pen->overwritten, ==, 3);
    g_assert_true(pen->log_id == LOG_ID);
    g_autoptr(PdSession) named = get_first(rig);
    g_assert_cmpstr(named->serial, ==, "PEN-1");
    g_assert_cmpuint(named->marked, ==, 20);
    g_assert_cmpint(named->marked_wall_us, >, 0);

    const PdSessionFilter other = { .serial = "PEN-2" };
    g_autoptr(GPtrArray) none = rig_list(rig, &other, 0, 10);
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_true(forget(rig, "PEN-1", &error));
    g_assert_false(forget(rig, "PEN-1", &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_NOT_FOUND);
    g_autoptr(GPtrArray) gone = pd_store_load_pens(rig->store, NULL);
    g_assert_cmpuint(gone->len, ==, 0);
    g_autoptr(GPtrArray) kept = rig_list(rig, NULL, 0, 10);
    g_assert_cmpuint(kept->len, ==, 3);
}

static void
expect_owner(Rig *rig, const char *serial)
{
    g_autofree char *owner = pd_store_dup_log_serial(rig->store, LOG_ID);

    g_assert_cmpstr(owner, ==, serial);
}

/* A log stays its pen's, be that one forgotten: another that comes with it is refused. */
static void
test_claimed_log(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(GError) error = NULL;

    expect_owner(rig, NULL);
    save_pen(rig, "PEN-1", LOG_ID, 0);
    expect_owner(rig, "PEN-1");
    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_assert_true(forget(rig, "PEN-1", &error));
    for (int i = 0; i < 2; i++) {
        expect_owner(rig, "PEN-1");
        g_assert_false(try_save_pen(rig, "PEN-2", LOG_ID, 0, &error));
        g_assert_error(error, PD_ERROR, PD_ERROR_WRONG_PEN);
        g_clear_error(&error);
        g_autoptr(GPtrArray) none = pd_store_load_pens(rig->store, NULL);
        g_assert_cmpuint(none->len, ==, 0);
        g_autoptr(PdSession) session = get_first(rig);
        g_assert_cmpstr(session->serial, ==, "PEN-1");
        rig_close(rig);
        rig_open(rig);
    }
    save_pen(rig, "PEN-2", LOG_ID + 1, 0);
    save_pen(rig, "PEN-1", LOG_ID, 0);
}

/* A pen that formatted its memory goes on in another log: nothing more comes of the old. */
static void
test_left_log(void)
{
    const TreatmentPlan open_plan = {
        .log_id = LOG_ID, .seed = 3, .n_sessions = 1, .n_blocks = 20, .leave_open = true
    };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&open_plan);

    save_pen(rig, "PEN-1", LOG_ID, 0);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    g_autoptr(PdSession) open = get_first(rig);
    g_assert_cmpstr(open->state, ==, "open");
    g_assert_cmpuint(open->fold.start_us, ==, 1000);
    /* The unit of its ticks is learnt late: what was folded is folded again. */
    save_pen(rig, "PEN-1", LOG_ID, 1);
    rig_flush(rig);
    g_autoptr(PdSession) slower = get_first(rig);
    g_assert_cmpuint(slower->fold.start_us, ==, pen_ticks_to_us(1000, 1));
    save_pen(rig, "PEN-2", LOG_ID + 2, 0);
    rig_flush(rig);
    g_autoptr(PdSession) still = get_first(rig);
    g_assert_cmpstr(still->state, ==, "open");
    save_pen(rig, "PEN-1", LOG_ID + 1, 0);
    rig_flush(rig);
    g_autoptr(PdSession) left = get_first(rig);
    g_assert_cmpstr(left->state, ==, "partial");
}

static void
test_filters(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    const PenAnchor anchor = { .boot = 1, .tick_us = 1000, .wall_us = 50000000, .error_us = 0 };

    pd_store_add_anchor(rig->store, LOG_ID, &anchor);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    annotate(rig, &(PdAnnotation){ .note = "50% done_\\" });
    annotate(rig, &(PdAnnotation){ .reaction = "Swelling", .order = "ServiceRequest/81" });
    g_autoptr(PdSession) first = get_first(rig);
    g_assert_cmpint(first->start_wall_us, ==, 50000000);
    const struct {
        PdSessionFilter filter;
        guint n;
    } cases[] = {
        { { .since_us = 60000000 }, 2 },
        { { .until_us = 60000000 }, 1 },
        { { .until_us = 49000000 }, 0 },
        { { .since_us = 1, .until_us = INT64_MAX }, 3 },
        { { .state = "complete" }, 3 },
        { { .state = "lossy" }, 0 },
        { { .text = "DONE" }, 1 },
        { { .text = "50%" }, 1 },
        { { .text = "5%d" }, 0 },
        { { .text = "done_\\" }, 1 },
        { { .text = "doneX" }, 0 },
        { { .text = "swelling" }, 1 },
        { { .text = "ServiceRequest/" }, 1 },
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GPtrArray) list = rig_list(rig, &cases[i].filter, 0, 10);
        g_assert_cmpuint(list->len, ==, cases[i].n);
    }
}

/* Pages of two while sessions arrive: what was there at first is seen once, in order. */
static void
test_paging(void)
{
    const TreatmentPlan many = { .log_id = LOG_ID, .seed = 5, .n_sessions = 60, .n_blocks = 2 };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&many);
    const uint32_t half = g_array_index(treatment->session_end, uint32_t, 29);
    uint32_t number = 1;
    uint64_t before = 0;
    guint n_seen = 0;

    for (; number <= half; number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    for (int page = 0; page < 100; page++) {
        g_autoptr(GPtrArray) list = rig_list(rig, NULL, before, 2);
        if (list->len == 0) {
            break;
        }
        for (guint i = 0; i < list->len; i++) {
            const PdSession *session = g_ptr_array_index(list, i);
            g_assert_true(before == 0 || session->opened_seq < before);
            before = session->opened_seq;
            n_seen++;
        }
        for (int i = 0; i < 5 && number <= treatment->records->len; i++, number++) {
            rig_append(rig, treatment, number);
        }
        rig_flush(rig);
    }
    g_assert_cmpuint(n_seen, ==, 30);
    g_assert_cmpuint(rig_health(rig).n_sessions, >, 30);
}

/* Each entry is given with its place in the chain, which what is stored does not hold. */
static void
expect_hashes(Rig *rig, const GPtrArray *entries)
{
    rig_close(rig);
    for (guint i = 0; i < entries->len; i++) {
        const Pentel__V1__JournalEntry *entry = g_ptr_array_index(entries, i);
        g_autoptr(GString) sql = g_string_new("select count(*) from journal where hash = x'");
        g_assert_cmpuint(entry->hash.len, ==, 32);
        g_assert_false(entry->erased);
        for (size_t at = 0; at < entry->hash.len; at++) {
            g_string_append_printf(sql, "%02x", entry->hash.data[at]);
        }
        g_string_append_printf(sql, "' and seq = %u", i + 1);
        g_assert_cmpint(rig_sql_int(rig, sql->str), ==, 1);
    }
    rig_open(rig);
}

static void
test_journal_pages(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autofree char *text = g_strnfill(4000, 'n');

    pd_store_set_wall_synced(rig->store, true);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    for (int i = 0; i < 40; i++) {
        annotate(rig, &(PdAnnotation){ .note = text, .uid = 1001 });
    }
    pd_store_set_wall_synced(rig->store, false);
    annotate(rig, &(PdAnnotation){ .note = "last", .uid = 1002 });
    const uint64_t head = rig_health(rig).head;
    g_autoptr(GPtrArray) entries = rig_read_all_journal(rig, head);
    g_assert_cmpuint(entries->len, ==, head);
    for (guint i = 0; i < entries->len; i++) {
        const Pentel__V1__JournalEntry *entry = g_ptr_array_index(entries, i);
        g_assert_cmpuint(entry->seq, ==, i + 1);
        g_assert_cmpstr(entry->store_id, ==, pd_store_get_id(rig->store));
        g_assert_cmpint(entry->wall_synced, ==, i + 1 < entries->len);
    }
    const Pentel__V1__JournalEntry *last = g_ptr_array_index(entries, entries->len - 1);
    g_assert_cmpuint(last->uid, ==, 1002);
    g_assert_cmpstr(last->annotation->note, ==, "last");
    g_autoptr(GPtrArray) some = rig_read_all_journal(rig, 3);
    g_assert_cmpuint(some->len, ==, 3);
    expect_hashes(rig, entries);
}

static void
test_raw_pages(void)
{
    const TreatmentPlan long_plan = {
        .log_id = LOG_ID, .seed = 8, .n_sessions = 1, .n_blocks = 3000
    };
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(Treatment) treatment = treatment_new(&long_plan);
    g_autoptr(GByteArray) expected = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    uint32_t tick_unit = 9;

    save_pen(rig, "PEN-1", LOG_ID, 0);
    rig_append_all(rig, treatment);
    rig_flush(rig);
    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        size_t n_record = 0;
        const uint8_t *record = treatment_get(treatment, number, &n_record);
        g_byte_array_append(expected, record, (guint)n_record);
    }
    g_assert_cmpuint(expected->len, >, 3 * 65536);
    g_autoptr(PdSession) session = get_first(rig);
    g_autoptr(GByteArray) got = rig_read_all_raw(rig, session->id);
    g_assert_cmpuint(got->len, ==, expected->len);
    g_assert_true(memcmp(got->data, expected->data, got->len) == 0);

    g_autoptr(GAsyncResult) result = NULL;
    pd_store_get_anchors_async(rig->store, LOG_ID, NULL, on_forgotten, &result);
    g_assert_true(rig_wait(is_set, &result, 10000));
    g_autoptr(GArray) anchors = pd_store_get_anchors_finish(rig->store, result, &tick_unit, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(anchors->len, ==, 0);
    g_assert_cmpuint(tick_unit, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/read/annotations", test_annotations);
    g_test_add_func("/store/read/refusals", test_refusals);
    g_test_add_func("/store/read/ambiguous", test_ambiguous);
    g_test_add_func("/store/read/closed-by", test_closed_by);
    g_test_add_func("/store/read/pens", test_pens);
    g_test_add_func("/store/read/left-log", test_left_log);
    g_test_add_func("/store/read/claimed-log", test_claimed_log);
    g_test_add_func("/store/read/filters", test_filters);
    g_test_add_func("/store/read/paging", test_paging);
    g_test_add_func("/store/read/journal-pages", test_journal_pages);
    g_test_add_func("/store/read/raw-pages", test_raw_pages);
    return g_test_run();
}
