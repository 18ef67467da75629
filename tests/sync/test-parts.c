/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Parts of pentel-sync alone: back-off, messages in a pipe, entries, the state file.
 */
#include "lib/delimited.h"
#include "sync/backoff.h"
#include "sync/clean.h"
#include "sync/database.h"
#include "sync/error.h"
#include "sync/fetch.h"
#include "sync/journal_entry.h"
#include "sync/sink.h"
#include "sync/spool.h"
#include "sync/state.h"

#include <glib/gstdio.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOUR_US ((int64_t)3600 * G_USEC_PER_SEC)

static void
test_backoff(void)
{
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;

    for (uint32_t i = 0; i < 2048; i++) {
        const uint32_t ms = sync_backoff_ms(3, 1000, 300000, 0, i);
        least = MIN(least, ms);
        most = MAX(most, ms);
    }
    g_assert_cmpuint(least, ==, 3000);
    g_assert_cmpuint(most, >, 4900);
    g_assert_cmpuint(most, <=, 5000);
    g_assert_cmpuint(sync_backoff_ms(1000000, 1000, 300000, 0, 0), ==, 225000);
    g_assert_cmpuint(sync_backoff_ms(0, 1000, 300000, 0, 0), ==, 750);
    /* Asked for more: never less than that, and not without bound. */
    g_assert_cmpuint(sync_backoff_ms(1, 1000, 300000, 60000, 7), >=, 60000);
    g_assert_cmpuint(sync_backoff_ms(1, 1000, 300000, 60000, 1023), <, 61000);
    g_assert_cmpuint(sync_backoff_ms(1, 1000, 300000, UINT32_MAX, 1), <, 400000);
}

static void
test_delimited(void)
{
    static const size_t sizes[] = { 0, 1, 127, 128, 300, 16384, 70000 };
    g_autoptr(GByteArray) whole = g_byte_array_new();

    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree uint8_t *bytes = g_malloc(sizes[i] + 1);
        memset(bytes, (int)i, sizes[i] + 1);
        cli_delimited_append_length(whole, sizes[i]);
        g_byte_array_append(whole, bytes, (guint)sizes[i]);
    }
    for (guint step = 1; step < 9000; step = step * 3 + 1) {
        CliDelimited parts;
        const uint8_t *message = NULL;
        size_t n_message = 0;
        gsize n = 0;
        cli_delimited_init(&parts);
        for (guint at = 0; at < whole->len; at += step) {
            cli_delimited_push(&parts, whole->data + at, MIN(step, whole->len - at));
            while (cli_delimited_take(&parts, &message, &n_message) == CLI_DELIMITED_MESSAGE) {
                g_assert_cmpuint(n_message, ==, sizes[n]);
                g_assert_true(n_message == 0 || message[n_message - 1] == n);
                n++;
            }
        }
        g_assert_cmpuint(n, ==, G_N_ELEMENTS(sizes));
        g_assert_true(cli_delimited_is_whole(&parts));
        cli_delimited_clear(&parts);
    }
}

static void
test_delimited_bad(void)
{
    static const uint8_t bad[][6] = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 },
                                      { 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 },
                                      { 0x81, 0x80, 0x80, 0x08, 0, 0 } };

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        CliDelimited parts;
        const uint8_t *message = NULL;
        size_t n_message = 0;
        cli_delimited_init(&parts);
        cli_delimited_push(&parts, bad[i], sizeof bad[i]);
        g_assert_cmpint(cli_delimited_take(&parts, &message, &n_message), ==, CLI_DELIMITED_BAD);
        cli_delimited_clear(&parts);
    }
}

/* Bytes of a stranger: an entry or nothing, never a crash. */
static void
test_entries(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    guint n_good = 0;

    for (guint i = 0; i < 20000; i++) {
        uint8_t bytes[64];
        for (gsize k = 0; k < sizeof bytes; k++) {
            bytes[k] = (uint8_t)g_rand_int_range(rand, 0, 256);
        }
        bytes[0] = 0x08;
        g_autoptr(SyncEntry) entry =
            sync_entry_decode(bytes, (size_t)g_rand_int_range(rand, 0, sizeof bytes));
        n_good += entry != NULL;
    }
    g_assert_cmpuint(n_good, >, 0);
}

static void
test_settled(void)
{
    static const struct {
        const char *state;
        uint32_t n;
    } rows[] = {
        { "@a{sv} {}", 0 },
        { "{'records': <{'first': <uint32 1>, 'last': <uint32 10>}>}", 10 },
        { "{'records': <{'first': <uint32 5>, 'last': <uint32 4>}>}", 0 },
        { "{'records': <{'first': <uint32 0>, 'last': <uint32 4294967295>}>}", 0 },
        { "{'records': <{'first': <uint32 1>, 'last': <uint32 10>,"
          " 'missing': <[(uint32 2, uint32 4, 'missing'), (uint32 9, uint32 9, 'x')]>}>}",
          6 },
        { "{'records': <{'first': <uint32 1>, 'last': <uint32 2>,"
          " 'missing': <[(uint32 1, uint32 4294967295, 'x'), (uint32 9, uint32 1, 'x')]>}>}",
          0 },
        { "{'records': <'x'>}", 0 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GVariant) state = g_variant_ref_sink(g_variant_new_parsed(rows[i].state));
        g_assert_cmpuint(sync_count_settled(state), ==, rows[i].n);
    }
}

static void
free_entry(gpointer data)
{
    sync_entry_free(data);
}

static void
scan(SyncState *state, uint64_t seq, const char *session, const char *field, int64_t now_us)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(free_entry);
    SyncEntry *entry = g_new0(SyncEntry, 1);
    GError *error = NULL;

    entry->seq = seq;
    entry->store_id = g_strdup("s");
    entry->wall_us = (int64_t)seq * 1000;
    entry->session = g_strdup(session);
    entry->is_fold = field == NULL;
    entry->fields[0] = g_strdup(field);
    g_ptr_array_add(entries, entry);
    g_assert_true(sync_state_scan(state, entries, now_us, &error));
    g_assert_no_error(error);
}

static void
settle(SyncState *state, const SyncPending *pending, bool is_delivered, int64_t next_us)
{
    const SyncResult result = { .pending = pending,
                                .is_delivered = is_delivered,
                                .wait = SYNC_WAIT_BACKOFF,
                                .next_us = next_us,
                                .reason = "r",
                                .note = "n" };

    g_assert_true(sync_state_store(state, &result, 1, 5, NULL));
}

static GPtrArray *
list_due(SyncState *state, int64_t now_us, guint n)
{
    GPtrArray *due = sync_state_list_due(state, now_us, false, 10, NULL);

    g_assert_nonnull(due);
    g_assert_cmpuint(due->len, ==, n);
    return due;
}

static void
remove_state(const char *directory)
{
    static const char *const names[] = { "state.db", "state.db-wal", "state.db-shm", "lock" };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(directory, names[i], NULL);
        g_unlink(path);
    }
    g_rmdir(directory);
}

static void
test_state(void)
{
    g_autofree char *directory = g_dir_make_tmp("pentel-state-XXXXXX", NULL);
    SyncState *state = sync_state_open(directory, false, NULL);
    const int64_t now_us = 100 * HOUR_US;

    g_assert_nonnull(state);
    scan(state, 1, "a", NULL, now_us);
    scan(state, 2, "b", NULL, now_us + 1);
    scan(state, 3, "a", "patient", now_us + 2);
    g_autoptr(GPtrArray) first = list_due(state, now_us + 9, 2);
    const SyncPending *a = first->pdata[0];
    g_assert_cmpstr(a->session, ==, "a");
    g_assert_cmpuint(a->seq, ==, 3);
    g_assert_cmpint(a->wall_us, ==, 3000);
    g_assert_cmpint(a->fold_wall_us, ==, 1000);
    /* An entry that comes while it is delivered keeps it waiting, but the note stays. */
    scan(state, 4, "a", "note", now_us + 3);
    settle(state, a, true, 0);
    g_autoptr(GPtrArray) second = list_due(state, now_us + 9, 2);
    g_assert_cmpstr(((const SyncPending *)second->pdata[0])->note, ==, "n");
    settle(state, second->pdata[0], true, 0);
    /* One that failed is due later, and not for ever when the clock was wrong. */
    settle(state, second->pdata[1], false, now_us + HOUR_US);
    g_ptr_array_unref(list_due(state, now_us + 9, 0));
    g_ptr_array_unref(list_due(state, now_us + HOUR_US, 1));
    g_assert_true(sync_state_mend_clock(state, now_us, NULL));
    g_ptr_array_unref(list_due(state, now_us, 0));
    g_assert_true(sync_state_mend_clock(state, now_us - 50 * HOUR_US, NULL));
    g_ptr_array_unref(list_due(state, now_us - 50 * HOUR_US, 1));
    g_autoptr(GArray) said = sync_state_list_said(state, second->pdata[0], NULL);
    g_assert_cmpuint(said->len, ==, 2);
    sync_state_close(state);
    /* Another process is refused, a second run finds what the first left. */
    state = sync_state_open(directory, false, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(sync_state_open(directory, false, &error));
    g_assert_error(error, SYNC_ERROR, SYNC_ERROR_STATE);
    g_assert_true(sync_state_restart(state, "other", NULL));
    g_ptr_array_unref(list_due(state, INT64_MAX, 0));
    scan(state, 1, "a", NULL, now_us);
    g_autoptr(GPtrArray) third = list_due(state, now_us, 1);
    g_assert_cmpstr(((const SyncPending *)third->pdata[0])->note, ==, "n");
    sync_state_close(state);
    remove_state(directory);
}

/* A second look is nobody's concern, comes once, and gives way to a new entry. */
static void
test_second_look(void)
{
    g_autofree char *directory = g_dir_make_tmp("pentel-state-XXXXXX", NULL);
    SyncState *state = sync_state_open(directory, false, NULL);
    const int64_t now_us = 100 * HOUR_US;
    SyncCounts counts = { 0 };
    uint64_t n_retried = 0;

    scan(state, 1, "a", NULL, now_us);
    g_autoptr(GPtrArray) first = list_due(state, now_us, 1);
    settle(state, first->pdata[0], true, now_us + HOUR_US);
    g_autoptr(GPtrArray) waiting = sync_state_list_waiting(state, 10, NULL);
    g_assert_cmpuint(waiting->len, ==, 0);
    g_assert_true(sync_state_count(state, &counts, NULL));
    g_assert_cmpuint(counts.n_delivered, ==, 1);
    g_assert_cmpint(counts.oldest_us, ==, 0);
    sync_counts_clear(&counts);
    g_assert_true(sync_state_retry(state, NULL, &n_retried, NULL));
    g_assert_cmpuint(n_retried, ==, 0);
    g_ptr_array_unref(list_due(state, now_us, 0));
    g_autoptr(GPtrArray) second = list_due(state, now_us + HOUR_US, 1);
    g_assert_cmpint(((const SyncPending *)second->pdata[0])->wait, ==, SYNC_WAIT_SECOND);
    scan(state, 2, "a", "note", now_us + 1);
    settle(state, second->pdata[0], true, 0);
    g_autoptr(GPtrArray) third = list_due(state, now_us + 1, 1);
    g_assert_cmpint(((const SyncPending *)third->pdata[0])->wait, ==, SYNC_WAIT_QUEUED);
    settle(state, third->pdata[0], true, 0);
    g_ptr_array_unref(list_due(state, INT64_MAX, 0));
    sync_state_close(state);
    remove_state(directory);
}

static void
test_newer_state(void)
{
    g_autofree char *directory = g_dir_make_tmp("pentel-state-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "state.db", NULL);
    g_autoptr(GError) error = NULL;
    bool is_damaged = false;

    sync_state_close(sync_state_open(directory, false, NULL));
    SyncDb *db = sync_db_open(path, false, &is_damaged, NULL);
    g_assert_true(sync_db_script(db, "pragma user_version = 99", NULL));
    sync_db_close(db);
    g_assert_null(sync_state_open(directory, false, &error));
    g_assert_error(error, SYNC_ERROR, SYNC_ERROR_STATE);
    g_assert_nonnull(strstr(error->message, "later pentel-sync"));
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    remove_state(directory);
}

static void
make_set(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
}

static char *
today(const char *suffix)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *day = g_date_time_format(now, "%Y-%m-%d");

    return g_strconcat(day, suffix, NULL);
}

/* Of any depth there is here. */
static void
remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *inner = g_build_filename(path, name, NULL);
        if (g_file_test(inner, G_FILE_TEST_IS_DIR)) {
            remove_tree(inner);
        } else {
            g_unlink(inner);
        }
    }
    g_rmdir(path);
}

static void
check_seal(SyncSpool *spool, const char *directory, const char *name, const char *previous)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(directory, name, "anchor.json", NULL);
    g_autofree char *wanted = g_strdup_printf("\"previous\":\"%s\"", previous);
    g_autofree char *anchor = NULL;

    g_assert_true(sync_spool_append(spool, "sessions.ndjson", "line\n", 5, &error));
    g_assert_true(sync_spool_seal(spool, "\"a\":1", &error));
    g_assert_no_error(error);
    g_assert_true(g_file_get_contents(path, &anchor, NULL, &error));
    g_assert_nonnull(strstr(anchor, wanted));
}

/* A set is full at its limit, and the thousandth of a day has a name too. */
static void
test_spool(void)
{
    g_autofree char *directory = g_dir_make_tmp("pentel-spool-XXXXXX", NULL);
    g_autofree char *last = today("-999");
    g_autofree char *next = today("-1000");
    g_autofree char *after = today("-1001");
    g_autoptr(SyncSpool) spool = sync_spool_open(directory, 10, NULL);

    g_assert_nonnull(spool);
    make_set(directory, "2020-01-01-001");
    make_set(directory, "2020-01-01-12345");
    make_set(directory, last);
    g_assert_false(sync_spool_is_full(spool));
    g_assert_true(sync_spool_append(spool, "sessions.ndjson", "line\n", 5, NULL));
    g_assert_false(sync_spool_is_full(spool));
    g_assert_true(sync_spool_append(spool, "deliveries.pb", "\4four", 5, NULL));
    g_assert_true(sync_spool_is_full(spool));
    check_seal(spool, directory, next, last);
    g_assert_false(sync_spool_is_full(spool));
    check_seal(spool, directory, after, next);
    remove_tree(directory);
}

/* What the medium refuses is an error with words, whatever it is. */
static void
test_spool_fails(void)
{
    g_autofree char *directory = g_dir_make_tmp("pentel-spool-XXXXXX", NULL);
    g_autofree char *day = g_build_filename(directory, ".open", "day", NULL);
    g_autoptr(SyncSpool) spool = sync_spool_open(directory, 10, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(sync_spool_append(spool, "sessions.ndjson", "line\n", 5, NULL));
    g_assert_cmpint(g_unlink(day), ==, 0);
    g_assert_cmpint(g_mkdir(day, 0700), ==, 0);
    g_assert_false(sync_spool_seal(spool, "\"a\":1", &error));
    g_assert_error(error, SYNC_ERROR, SYNC_ERROR_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "/day: "));
    remove_tree(directory);
}

static int
open_part(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, ".open", name, NULL);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* Torn ends of files larger than what 32 bits count, and than any memory: they have holes. */
static void
test_spool_large(void)
{
    static const uint8_t header[] = { 0x80, 0x80, 0x80, 0x08 }; /* 16 MiB */
    static const int n_messages = 260;
    const off_t n_bytes = sizeof header + ((off_t)16 << 20);
    const off_t n_lines = ((off_t)4 << 30) + 100;
    g_autofree char *directory = g_dir_make_tmp("pentel-spool-XXXXXX", NULL);
    g_autofree char *open_path = g_build_filename(directory, ".open", NULL);
    struct stat found;

    g_assert_cmpint(g_mkdir(open_path, 0700), ==, 0);
    const int messages = open_part(directory, "deliveries.pb");
    const int lines = open_part(directory, "sessions.ndjson");
    for (int i = 0; i <= n_messages; i++) {
        g_assert_cmpint(pwrite(messages, header, sizeof header, n_bytes * i), ==, sizeof header);
    }
    g_assert_cmpint(ftruncate(messages, n_bytes * n_messages + 70000), ==, 0);
    g_assert_cmpint(pwrite(lines, "\n", 1, n_lines - 1), ==, 1);
    g_assert_cmpint(ftruncate(lines, n_lines + 200000), ==, 0);
    g_autoptr(SyncSpool) spool = sync_spool_open(directory, 10, NULL);
    g_assert_nonnull(spool);
    g_assert_cmpint(fstat(messages, &found), ==, 0);
    g_assert_cmpint(found.st_size, ==, n_bytes * n_messages);
    g_assert_cmpint(fstat(lines, &found), ==, 0);
    g_assert_cmpint(found.st_size, ==, n_lines);
    close(messages);
    close(lines);
    remove_tree(directory);
}

/* Whole parts of all sizes, and every way to tear the last one. */
static void
test_spool_torn(void)
{
    g_autofree char *directory = g_dir_make_tmp("pentel-spool-XXXXXX", NULL);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autofree uint8_t *zeros = g_malloc0(200000);
    struct stat found;

    sync_spool_free(sync_spool_open(directory, 10, NULL));
    const int fd = open_part(directory, "records.pb");
    for (guint i = 0; i < 3000; i++) {
        const guint n = i % 100 == 7 ? 65530 + i / 100 : i % 300;
        cli_delimited_append_length(bytes, n);
        g_byte_array_append(bytes, zeros, n);
    }
    const guint n_whole = bytes->len;
    cli_delimited_append_length(bytes, 200000);
    g_byte_array_append(bytes, zeros, 199999);
    for (guint torn = 0; torn < 200000; torn = torn < 5 ? torn + 1 : torn * 7) {
        g_assert_cmpint(pwrite(fd, bytes->data, n_whole + torn, 0), ==, n_whole + torn);
        sync_spool_free(sync_spool_open(directory, 10, NULL));
        g_assert_cmpint(fstat(fd, &found), ==, 0);
        g_assert_cmpint(found.st_size, ==, n_whole);
    }
    close(fd);
    remove_tree(directory);
}

#define SAID                                                                                       \
    "{'patient': <'4711'>, 'operator': <'Dr. Zoë'>, 'note': <'line\\none 4711'>,"                 \
    " 'closed_reason': <'battery out'>, 'zones': <['left cheek', 'A', '額']>,"                    \
    " 'passes': <[{'zone': <'chin-2'>}]>}"

static char *
clean(const char *text, gsize n_bytes_max)
{
    g_autoptr(GVariant) state = g_variant_ref_sink(g_variant_new_parsed(SAID));
    const SyncDelivery delivery = { .session = "s", .state = state };
    const SyncDelivery erased = { .session = "t", .is_erased = true };
    const SyncDelivery *const deliveries[] = { &erased, &delivery };

    return sync_clean_words(deliveries, G_N_ELEMENTS(deliveries), text, n_bytes_max);
}

/* What people said is not in an error, wherever it stands; nor half of it, nor of a character. */
static void
test_clean(void)
{
    static const struct {
        const char *text;
        const char *shown;
    } rows[] = {
        { "Patient 4711 (4711) unknown", "Patient ... (...) unknown" },
        { "id47110", "id...0" },
        { "by Dr. Zoë: no", "by ...: no" },
        { "note 'line\none 4711' is long", "note '...' is long" },
        { "battery out, left cheek, chin-2", "..., ..., ..." },
        { "A is no zone, 'A' neither, All are", "... is no zone, '...' neither, All are" },
        { "患者額4711", "患者......" },
        { "a\nb\x1b[31m\xff", "a\\nb\\x1b[31m\\xff" },
        { "", "" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *shown = clean(rows[i].text, SYNC_WORDS_MAX);
        g_assert_cmpstr(shown, ==, rows[i].shown);
    }
}

static void
test_clean_cut(void)
{
    for (gsize n = 0; n < 80; n++) {
        g_autofree char *fill = g_strnfill(n, 'x');
        g_autofree char *text =
            g_strconcat(fill, " 4711 額 Dr. Zoë äöü針針針針針針針針針針", fill, NULL);
        g_autofree char *shown = clean(text, 60);
        g_autofree char *wide = g_strconcat(fill, "ääääääääääääääääääääääääääääääääääää", NULL);
        g_autofree char *bare = sync_clean_words(NULL, 0, wide, 60);
        g_assert_cmpuint(strlen(shown), <=, 60);
        g_assert_true(g_utf8_validate(shown, -1, NULL));
        g_assert_null(strpbrk(shown, "471D"));
        g_assert_null(strstr(shown, "\\x"));
        g_assert_cmpuint(strlen(bare), <=, 60);
        g_assert_true(g_utf8_validate(bare, -1, NULL));
    }
    GError *error = g_error_new(SYNC_ERROR, SYNC_ERROR_DATA, "a\x1b%0700d", 1);
    g_assert_false(sync_clean_error(false, &error));
    g_assert_cmpuint(strlen(error->message), ==, SYNC_WORDS_MAX);
    g_assert_true(g_str_has_prefix(error->message, "a\\x1b0"));
    g_error_free(error);
    g_assert_true(sync_clean_error(true, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sync/backoff", test_backoff);
    g_test_add_func("/sync/delimited", test_delimited);
    g_test_add_func("/sync/delimited-bad", test_delimited_bad);
    g_test_add_func("/sync/entries", test_entries);
    g_test_add_func("/sync/settled", test_settled);
    g_test_add_func("/sync/state", test_state);
    g_test_add_func("/sync/second-look", test_second_look);
    g_test_add_func("/sync/newer-state", test_newer_state);
    g_test_add_func("/sync/clean", test_clean);
    g_test_add_func("/sync/clean-cut", test_clean_cut);
    g_test_add_func("/sync/spool", test_spool);
    g_test_add_func("/sync/spool-fails", test_spool_fails);
    g_test_add_func("/sync/spool-large", test_spool_large);
    g_test_add_func("/sync/spool-torn", test_spool_torn);
    return g_test_run();
}
