/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What clients see and what they may pass: sessions as dictionaries, samples as lines,
 * arguments that mean nothing. Unknown is absent or null, never zero.
 */
#include "service/arguments.h"
#include "service/sample_lines.h"
#include "service/session_variant.h"
#include "util/error.h"

#include <string.h>

static void
test_times(void)
{
    static const struct {
        int64_t wall_us;
        const char *text;
    } rows[] = {
        { 0, NULL },
        { INT64_MAX, NULL },
        { INT64_MIN, NULL },
        { 1, "1970-01-01T00:00:00.000Z" },
        { -1, "1970-01-01T00:00:00.000Z" },
        { -1000, "1969-12-31T23:59:59.999Z" },
        { 1764009664123456, "2025-11-24T18:41:04.123Z" },
        { 1764009664123499, "2025-11-24T18:41:04.123Z" },
        { 1764009664123500, "2025-11-24T18:41:04.124Z" },
        { 1764009664999500, "2025-11-24T18:41:05.000Z" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = pd_service_time_to_string(rows[i].wall_us);
        g_assert_cmpstr(text, ==, rows[i].text);
    }
}

static GVariant *
look(GVariant *dict, const char *key)
{
    return g_variant_lookup_value(dict, key, NULL);
}

static void
assert_value(GVariant *dict, const char *key, const char *expected)
{
    g_autoptr(GVariant) value = look(dict, key);

    g_test_message("%s", key);
    g_assert_nonnull(value);
    g_autofree char *text = g_variant_print(value, TRUE);
    g_assert_cmpstr(text, ==, expected);
}

static void
assert_absent(GVariant *dict, const char *key)
{
    g_autoptr(GVariant) value = look(dict, key);

    g_test_message("%s", key);
    g_assert_null(value);
}

/* The least that a session can be: one record, never placed, nobody said anything. */
static void
test_bare_session(void)
{
    static const char *const absent[] = {
        "started_at", "ended_at", "time_error_ms", "depth_um",  "receipt",   "definition",
        "patient",    "operator", "note",          "end_cause", "continues", "closed_reason",
    };
    g_autofree char *state = g_strdup("partial");
    const PdSession session = { .id = "x", .state = state, .fold = { .start_us = 9, .end_us = 9 } };
    g_autoptr(GVariant) dict = g_variant_ref_sink(pd_service_session_to_variant(&session, true));

    for (size_t i = 0; i < G_N_ELEMENTS(absent); i++) {
        assert_absent(dict, absent[i]);
    }
    assert_value(dict, "elapsed_ms", "uint64 0");
    assert_value(dict, "zones", "@as []");
    assert_value(dict, "passes", "@aa{sv} []");
}

static PdSession *
make_session(void)
{
    const PdMissing missing = { 3, 4, PD_CAUSE_HOLE_FLASH_ERROR };
    PdSession *session = g_new0(PdSession, 1);

    g_strlcpy(session->id, "bd7cb20b-3173-51ce-ad1f-12e1f1f26bb8", sizeof session->id);
    session->serial = g_strdup("PT-0001");
    session->state = g_strdup("lossy");
    session->log_id = 0xabc;
    session->opened_seq = 12;
    session->placed = true;
    session->start_wall_us = 1764009664123456;
    session->end_wall_us = 1764009665123456;
    session->time_error_us = 1001;
    session->fold = (PenSessionFold){ .has_begin = true,
                                      .has_end = true,
                                      .end_cause = 2,
                                      .has_continues = true,
                                      .continues = 7,
                                      .start_us = 1000,
                                      .end_us = 1001499,
                                      .contact_us = 499500,
                                      .n_passes = 1,
                                      .first = 1,
                                      .last = 9,
                                      .depth = { true, 1, 2, 3, 4, 5 } };
    session->missing = g_array_new(FALSE, FALSE, sizeof(PdMissing));
    g_array_append_val(session->missing, missing);
    session->zones = g_strsplit("chin,forehead", ",", -1);
    session->patient = g_strdup("ref");
    session->passes = g_ptr_array_new_with_free_func(g_free);
    session->notes = g_ptr_array_new_with_free_func(g_free);
    return session;
}

static void
free_session(PdSession *session)
{
    for (guint i = 0; i < session->passes->len; i++) {
        g_free(((PdPass *)session->passes->pdata[i])->zone);
    }
    g_ptr_array_unref(session->passes);
    g_ptr_array_unref(session->notes);
    g_array_unref(session->missing);
    g_strfreev(session->zones);
    g_free(session->patient);
    g_free(session->serial);
    g_free(session->state);
    g_free(session);
}

static void
test_summary(void)
{
    PdSession *session = make_session();
    g_autoptr(GVariant) dict = g_variant_ref_sink(pd_service_session_to_variant(session, false));

    assert_value(dict, "id", "'bd7cb20b-3173-51ce-ad1f-12e1f1f26bb8'");
    assert_value(dict, "pen", "'PT-0001'");
    assert_value(dict, "started_at", "'2025-11-24T18:41:04.123Z'");
    assert_value(dict, "ended_at", "'2025-11-24T18:41:05.123Z'");
    assert_value(dict, "time_error_ms", "uint32 2");
    assert_value(dict, "elapsed_ms", "uint64 1000");
    assert_value(dict, "contact_ms", "uint64 500");
    assert_value(dict, "pass_count", "uint32 1");
    assert_value(dict,
                 "depth_um",
                 "{'min': <uint32 1>, 'median': <uint32 2>, 'p95': <uint32 3>, 'max': <uint32 4>, "
                 "'mean': <uint32 5>}");
    assert_value(dict, "state", "'lossy'");
    assert_value(dict,
                 "records",
                 "{'log': <'0000000000000abc'>, 'first': <uint32 1>, 'last': <uint32 9>, "
                 "'missing': <[(uint32 3, uint32 4, 'hole:flash-error')]>}");
    assert_value(dict, "zones", "['chin', 'forehead']");
    assert_value(dict, "seq", "uint64 12");
    /* What people said is for who asks for one session. */
    assert_absent(dict, "patient");
    assert_absent(dict, "passes");
    session->fold.has_end = false;
    g_autoptr(GVariant) endless = g_variant_ref_sink(pd_service_session_to_variant(session, false));
    assert_absent(endless, "ended_at");
    free_session(session);
}

static void
add_pass(PdSession *session)
{
    PdPass *pass = g_new0(PdPass, 1);

    pass->zone = g_strdup("chin");
    pass->start_wall_us = 1764009664123456;
    pass->fold = (PenPass){ .elapsed_us = 1500,
                            .contact_us = 1499,
                            .has_rate = true,
                            .rate_mhz = 100500,
                            .has_punctures = true,
                            .punctures = 77,
                            .incomplete = true,
                            .depth = { true, 1, 1, 1, 1, 1 } };
    g_ptr_array_add(session->passes, pass);
    g_ptr_array_add(session->passes, g_new0(PdPass, 1));
}

static void
add_notes(PdSession *session)
{
    PdNote *setting = g_new0(PdNote, 1);
    PdNote *cartridge = g_new0(PdNote, 1);
    PdNote *fault = g_new0(PdNote, 1);

    *setting = (PdNote){ .kind = PD_NOTE_SETTING, .value = 1500 };
    *cartridge = (PdNote){ .kind = PD_NOTE_CARTRIDGE, .wall_us = 1000 };
    g_strlcpy(cartridge->cartridge.id, "C1", sizeof cartridge->cartridge.id);
    *fault = (PdNote){ .kind = PD_NOTE_FAULT, .value = 3 };
    g_ptr_array_add(session->notes, setting);
    g_ptr_array_add(session->notes, cartridge);
    g_ptr_array_add(session->notes, fault);
}

static void
test_details(void)
{
    PdSession *session = make_session();

    add_pass(session);
    add_notes(session);
    g_strlcpy(session->receipt_sha256, "00ff", sizeof session->receipt_sha256);
    session->marked = 9;
    session->marked_wall_us = 1000;
    g_autoptr(GVariant) dict = g_variant_ref_sink(pd_service_session_to_variant(session, true));
    assert_value(dict,
                 "passes",
                 "[{'index': <uint32 1>, 'started_at': <'2025-11-24T18:41:04.123Z'>, "
                 "'elapsed_ms': <uint64 2>, 'contact_ms': <uint64 1>, 'depth_um': <{'min': "
                 "<uint32 1>, 'median': <uint32 1>, 'p95': <uint32 1>, 'max': <uint32 1>, 'mean': "
                 "<uint32 1>}>, 'rate_hz': <100.5>, 'punctures_estimate': <uint64 77>, 'zone': "
                 "<'chin'>, 'incomplete': <true>}, {'index': <uint32 2>, 'elapsed_ms': <uint64 "
                 "0>, 'contact_ms': <uint64 0>, 'incomplete': <false>}]");
    assert_value(dict, "settings", "[{'depth_um': <uint32 1500>}]");
    assert_value(dict, "cartridges", "[{'at': <'1970-01-01T00:00:00.001Z'>, 'id': <'C1'>}]");
    assert_value(dict, "faults", "[{'code': <uint32 3>}]");
    assert_value(dict,
                 "receipt",
                 "{'sha256': <'00ff'>, 'first': <uint32 1>, 'last': <uint32 9>, 'marked': <uint32 "
                 "9>, 'marked_at': <'1970-01-01T00:00:00.001Z'>}");
    assert_value(dict, "patient", "'ref'");
    assert_value(dict, "end_cause", "'idle'");
    assert_value(dict, "continues", "uint32 7");
    free_session(session);
}

static void
test_lines(void)
{
    const PenRecordHeader header = { .number = 5, .session = 1, .boot = 2, .tick = 1000000 };
    const PenSamples samples = { .interval_ticks = 20000,
                                 .n = 4,
                                 .depth_um = { 0, 1500, 1501, 0 },
                                 .rate_dhz = { 0, 1200, 1201, 0 },
                                 .load_permille = { 1, 2, 3, 4 },
                                 .n_runs = 3,
                                 .run_ticks = { 20000, 21000, 39000 } };
    const PenAnchor anchor = { .boot = 2, .tick_us = 1000000, .wall_us = 5000000 };
    g_autoptr(GArray) anchors = g_array_new(FALSE, FALSE, sizeof(PenAnchor));
    g_autoptr(GString) out = g_string_new(NULL);

    pd_service_sample_lines_append_stored(out, &header, &samples, 0, anchors);
    g_assert_true(g_str_has_prefix(
        out->str,
        "{\"tick_us\":1000000,\"wall_us\":null,\"depth_um\":0,\"rate_dhz\":0,"
        "\"load_permille\":1,\"contact\":false}\n"
        "{\"tick_us\":1020000,\"wall_us\":null,\"depth_um\":1500,\"rate_dhz\":1200,"
        "\"load_permille\":2,\"contact\":true}\n"));
    g_array_append_val(anchors, anchor);
    g_string_truncate(out, 0);
    pd_service_sample_lines_append_stored(out, &header, &samples, 0, anchors);
    g_assert_true(g_str_has_suffix(
        out->str,
        "{\"tick_us\":1040000,\"wall_us\":5040000,\"depth_um\":1501,\"rate_dhz\":1201,"
        "\"load_permille\":3,\"contact\":true}\n"
        "{\"tick_us\":1060000,\"wall_us\":5060000,\"depth_um\":0,\"rate_dhz\":0,"
        "\"load_permille\":4,\"contact\":false}\n"));
    g_string_truncate(out, 0);
    pd_service_sample_lines_append_live(out, "P\"1\\\n", NULL, &header, &samples, 1);
    g_assert_true(g_str_has_prefix(
        out->str,
        "{\"pen\":\"P\\\"1\\\\\\u000a\",\"session\":null,\"number\":5,\"tick_us\":30517578,"
        "\"depth_um\":0,\"rate_dhz\":0,\"load_permille\":1,\"contact\":false}\n"));
    g_string_truncate(out, 0);
    pd_service_sample_lines_append_event(out, "P", "link-up");
    g_assert_cmpstr(out->str, ==, "{\"pen\":\"P\",\"event\":\"link-up\"}\n");
}

/* A block without runs, or with runs that do not add up, has no sample in contact. */
static void
test_lines_hostile(void)
{
    const PenRecordHeader header = { .boot = 2 };
    const PenSamples none = { .interval_ticks = 10, .n = 2 };
    const PenSamples runs_short = {
        .interval_ticks = 10, .n = 3, .n_runs = 2, .run_ticks = { 0, 10 }
    };
    g_autoptr(GArray) anchors = g_array_new(FALSE, FALSE, sizeof(PenAnchor));
    g_autoptr(GString) out = g_string_new(NULL);

    pd_service_sample_lines_append_stored(out, &header, &none, 0, anchors);
    g_assert_null(strstr(out->str, "true"));
    g_string_truncate(out, 0);
    pd_service_sample_lines_append_stored(out, &header, &runs_short, 0, anchors);
    const char *contact = strstr(out->str, "true");
    g_assert_nonnull(contact);
    g_assert_null(strstr(contact + 1, "true"));
}

static void
test_session_ids(void)
{
    static const char *const refused[] = {
        "",
        "abc",
        "abcg",
        "12345678a",
        "1234-678",
        "zzzz",
        "bd7cb20b-3173-51ce-ad1f-12e1f1f26bb8a",
        "bd7cb20b3173-51ce-ad1f-12e1f1f26bb8",
        "' or",
    };
    static const char *const taken[] = {
        "abcd", "ABCDEF", "12345678-", "12345678-9", "bd7cb20b-3173-51ce-ad1f-12e1f1f26bb8"
    };

    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", refused[i]);
        g_assert_null(pd_service_arguments_dup_session_id(refused[i], &error));
        g_assert_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error->message, "pass "));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(taken); i++) {
        g_autofree char *id = pd_service_arguments_dup_session_id(taken[i], NULL);
        g_autofree char *lower = g_ascii_strdown(taken[i], -1);
        g_assert_cmpstr(id, ==, lower);
    }
}

static void
test_cursors(void)
{
    static const char *const refused[] = { "s",   "0",  "s0",  "s-1",
                                           "s1x", "x1", "s 1", "s99999999999999999999" };
    g_autofree char *cursor = pd_service_arguments_dup_cursor(41);
    uint64_t seq = 1;

    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", refused[i]);
        g_assert_false(pd_service_arguments_parse_cursor(refused[i], &seq, &error));
        g_assert_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT);
    }
    g_assert_true(pd_service_arguments_parse_cursor("", &seq, NULL));
    g_assert_cmpuint(seq, ==, 0);
    g_assert_true(pd_service_arguments_parse_cursor(cursor, &seq, NULL));
    g_assert_cmpuint(seq, ==, 41);
}

static void
test_options(void)
{
    static const PdServiceOption known[] = { { "pen", "s" }, { "since", "x" } };
    g_autofree char *longest = g_strnfill(PD_SERVICE_TEXT_MAX, 'a');
    g_autofree char *too_long = g_strnfill(PD_SERVICE_TEXT_MAX + 1, 'a');
    const struct {
        const char *text;
        const char *with;
        const char *says; /* NULL: taken */
    } rows[] = {
        { "{'pne': <'x'>}", NULL, "unknown key 'pne'; pass any of: pen, since" },
        { "{'pen': <1>}", NULL, "'pen' is of type 'i'; pass a string ('s')" },
        { "{'since': <'x'>}", NULL, "pass a signed 64-bit integer" },
        { "{'pen': <%s>}", too_long, "'pen' is too long; pass at most 1024 bytes" },
        { "{'pen': <'x'>, 'since': <int64 5>, '': <1>}", NULL, "unknown key ''" },
        { "{'pen': <%s>}", longest, NULL },
        { "@a{sv} {}", NULL, NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) value = rows[i].with != NULL
                                        ? g_variant_new_parsed(rows[i].text, rows[i].with)
                                        : g_variant_new_parsed(rows[i].text);
        g_variant_ref_sink(value);
        const bool taken =
            pd_service_arguments_check_options(value, known, G_N_ELEMENTS(known), &error);
        g_assert_true(taken == (rows[i].says == NULL));
        if (!taken) {
            g_assert_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT);
            g_test_message("%s", error->message);
            g_assert_nonnull(strstr(error->message, rows[i].says));
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/service/arguments/session-ids", test_session_ids);
    g_test_add_func("/service/arguments/cursors", test_cursors);
    g_test_add_func("/service/arguments/options", test_options);
    g_test_add_func("/service/session/times", test_times);
    g_test_add_func("/service/session/bare", test_bare_session);
    g_test_add_func("/service/session/summary", test_summary);
    g_test_add_func("/service/session/details", test_details);
    g_test_add_func("/service/lines/hostile", test_lines_hostile);
    g_test_add_func("/service/lines/shape", test_lines);
    return g_test_run();
}
