/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Killed between any two steps of what takes a store's place, and started again: the one
 * store is there, or the other, whole.
 */
#include "care.h"
#include "journal.pb-c.h"
#include "store/backup.h"
#include "store/restore.h"
#include "store/tar.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <stdio.h>
#include <string.h>

#define STEPS_MAX 2000u

static const TreatmentPlan plan = {
    .log_id = LOG_ID,
    .seed = 31,
    .n_sessions = 4,
    .n_blocks = 20,
};

typedef struct {
    Rig *rig;
    char *backup;
} Restoring;

static void
be_quiet(void)
{
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
}

static void
run_restore(gpointer data)
{
    const Restoring *self = data;
    g_autoptr(GError) error = NULL;

    be_quiet();
    pd_store_restore(self->rig->directory, self->backup, NULL, &error);
    g_assert_no_error(error);
}

static void
copy_tree(const char *from, const char *to)
{
    const char *argv[] = { "cp", "-a", from, to, NULL };
    g_autoptr(GError) error = NULL;
    int status = 0;

    g_spawn_sync(NULL,
                 (char **)(uintptr_t)argv,
                 NULL,
                 G_SPAWN_SEARCH_PATH,
                 NULL,
                 NULL,
                 NULL,
                 NULL,
                 &status,
                 &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
}

/* Of whom the second session is says which store it is. */
static char *
dup_patient(Rig *rig, const Treatment *treatment)
{
    g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, care_number_of(treatment, 1));

    return g_strdup(session->patient);
}

static void
expect_whole(Rig *rig, const Treatment *treatment)
{
    rig_expect_complete(rig, treatment);
    for (guint i = 0; i < treatment->sessions->len; i++) {
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, care_number_of(treatment, i));
        g_autoptr(GByteArray) raw = rig_read_all_raw(rig, session->id);
        g_assert_cmpuint(raw->len, >, 0);
    }
    care_expect_sound(rig);
}

/* Put the store that went aside into its place again. */
static void
bring_back(Rig *rig, const char *aside)
{
    g_autofree char *store = rig_path(rig, "store");

    rig_close(rig);
    rig_remove_tree(store);
    g_assert_cmpint(g_rename(aside, store), ==, 0);
    rig->head = 0;
    rig_open(rig);
}

/* What is there after a restore that was killed; whether it is the backup. */
static bool
look(Rig *rig, const Treatment *treatment)
{
    rig->head = 0;
    rig_open(rig);
    g_autofree char *patient = dup_patient(rig, treatment);
    g_autofree char *aside = care_find(rig, "replaced-");
    g_autofree char *unready = care_find(rig, PD_HOME_RESTORE);
    g_autofree char *mark = g_build_filename(rig->directory, "store", PD_HOME_RESTORE_MARK, NULL);

    g_assert_null(unready);
    g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
    expect_whole(rig, treatment);
    g_assert_cmpint(patient == NULL, ==, aside != NULL);
    if (aside != NULL) {
        bring_back(rig, aside);
        g_autofree char *before = dup_patient(rig, treatment);
        g_assert_cmpstr(before, ==, PATIENT);
        expect_whole(rig, treatment);
    }
    rig_close(rig);
    return aside != NULL;
}

static void
test_restore(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autofree char *backup = g_strconcat(rig->directory, ".tar", NULL);
    g_autofree char *kept = g_strconcat(rig->directory, ".kept", NULL);
    Restoring restoring = { .rig = rig, .backup = backup };
    uint32_t n_old = 0;
    uint32_t n_new = 0;
    bool is_done = false;

    care_back_up(rig, backup);
    g_free(care_annotate(rig, treatment, 1, PATIENT));
    rig_close(rig);
    copy_tree(rig->directory, kept);
    for (uint32_t n_steps = 0; !is_done; n_steps++) {
        g_assert_cmpuint(n_steps, <, STEPS_MAX);
        is_done = rig_run_steps(run_restore, &restoring, n_steps);
        *(look(rig, treatment) ? &n_new : &n_old) += 1;
        rig_remove_tree(rig->directory);
        copy_tree(kept, rig->directory);
    }
    g_test_message("%u times the old store, %u times the backup", n_old, n_new);
    g_assert_cmpuint(n_old, >, 10);
    g_assert_cmpuint(n_new, >, 2);
    rig_remove_tree(kept);
    g_assert_cmpint(g_remove(backup), ==, 0);
    rig->head = 0;
    rig_open(rig);
}

static guint
find_step(const GPtrArray *names, const char *step, Rig *rig, const char *path)
{
    g_autofree char *name = g_strdup_printf("%s %s/%s", step, rig->directory, path);

    for (guint i = 0; i < names->len; i++) {
        if (g_str_equal(g_ptr_array_index(names, i), name)) {
            return i;
        }
    }
    g_error("no %s", name);
}

/* A power cut after the exchange must find what the names stand for. */
static void
test_synced(void)
{
    static const char *const synced[] = { "restore.tmp/index.db",
                                          "restore.tmp/raw",
                                          "restore.tmp" };
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *path = rig_path(rig, "backup.tar");
    g_autoptr(GError) error = NULL;

    care_back_up(rig, path);
    rig_close(rig);
    rig_name_steps(names);
    g_test_expect_message("store", G_LOG_LEVEL_MESSAGE, "*replaced*");
    g_assert_true(pd_store_restore(rig->directory, path, NULL, &error));
    g_test_assert_expected_messages();
    rig_name_steps(NULL);
    const guint exchanged = find_step(names, "exchange", rig, "restore.tmp");
    for (size_t i = 0; i < G_N_ELEMENTS(synced); i++) {
        g_assert_cmpuint(find_step(names, "sync", rig, synced[i]), <, exchanged);
    }
    rig->head = 0;
    rig_open(rig);
    expect_whole(rig, treatment);
}

static void
expect_refused(Rig *rig, const char *path, const char *why)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(pd_store_restore(rig->directory, path, NULL, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT);
    if (strstr(error->message, why) == NULL) {
        g_error("%s and not %s", error->message, why);
    }
    g_autofree char *unready = care_find(rig, PD_HOME_RESTORE);
    g_autofree char *aside = care_find(rig, "replaced-");
    g_assert_null(unready);
    g_assert_null(aside);
}

static void
expect_content_refused(Rig *rig, const void *bytes, size_t n_bytes, const char *why)
{
    g_autofree char *path = rig_path(rig, "refused.tar");

    g_assert_true(g_file_set_contents(path, bytes, (gssize)n_bytes, NULL));
    expect_refused(rig, path, why);
}

static void
append_member(GByteArray *out, const char *name, const char *content, size_t n_content)
{
    static const uint8_t zeros[PD_TAR_BLOCK];
    uint8_t header[PD_TAR_BLOCK];

    pd_tar_header(name, n_content, 0, header);
    g_byte_array_append(out, header, sizeof header);
    g_byte_array_append(out, (const uint8_t *)content, (guint)n_content);
    g_byte_array_append(out, zeros, (guint)pd_tar_padding(n_content));
}

/* Whole as the manifest goes, and no store. @index: NULL for none. */
static void
expect_made_refused(Rig *rig, const char *index, const char *why)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GString) manifest = g_string_new(PD_BACKUP_MANIFEST_BEGIN);

    if (index != NULL) {
        g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, index, -1);
        append_member(out, "index.db", index, strlen(index));
        g_string_append_printf(manifest, "%s  index.db\n", sum);
    }
    append_member(out, PD_BACKUP_MANIFEST, manifest->str, manifest->len);
    expect_content_refused(rig, out->data, out->len, why);
}

static void
test_refused(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autofree char *path = rig_path(rig, "backup.tar");
    g_autofree char *absent = rig_path(rig, "absent.tar");
    g_autofree char *content = NULL;
    gsize n_content = 0;

    care_back_up(rig, path);
    rig_close(rig);
    g_assert_true(g_file_get_contents(path, &content, &n_content, NULL));
    expect_refused(rig, absent, "No such file");
    expect_content_refused(rig, "", 0, "cut short");
    expect_content_refused(rig, content + 1, n_content - 1, "no archive");
    expect_content_refused(rig, content, n_content / 2, "cut short");
    expect_made_refused(rig, NULL, "no index.db");
    expect_made_refused(rig, "", "no store");
    expect_made_refused(rig, "anything but a database, and long enough for its header", "no store");
    rig->head = 0;
    rig_open(rig);
    expect_whole(rig, treatment);
}

static void
run_open(gpointer data)
{
    Rig *rig = data;

    be_quiet();
    rig_open(rig);
    rig_close(rig);
}

/* Neither lost nor doubled: records, anchors, what was said, the tombstone. */
static void
expect_salvaged(Rig *rig, const Treatment *treatment)
{
    g_autofree char *patient = dup_patient(rig, treatment);
    guint n_said = 0;
    guint n_buried = 0;

    rig_flush(rig);
    g_assert_cmpstr(patient, ==, PATIENT);
    for (guint i = 1; i < treatment->sessions->len; i++) {
        g_autoptr(PdSession) session = rig_get_number(rig, LOG_ID, care_number_of(treatment, i));
        g_autoptr(GByteArray) raw = rig_read_all_raw(rig, session->id);
        g_assert_cmpstr(session->state, ==, "complete");
        g_assert_true(session->placed);
        g_assert_cmpuint(raw->len, >, 0);
    }
    g_autoptr(GPtrArray) entries = rig_read_all_journal(rig, rig_health(rig).head);
    for (guint i = 0; i < entries->len; i++) {
        const Pentel__V1__JournalEntry *entry = g_ptr_array_index(entries, i);
        n_said += entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_ANNOTATION ? 1 : 0;
        n_buried += entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_ERASURE ? 1 : 0;
    }
    g_assert_cmpuint(n_said, ==, 1);
    g_assert_cmpuint(n_buried, ==, 1);
    care_expect_sound(rig);
}

static void
expect_aside(Rig *rig)
{
    g_autofree char *aside = care_find(rig, "damaged-");
    g_autofree char *index = g_build_filename(aside, "index.db", NULL);
    g_autofree char *copy = care_find(rig, "salvage");

    g_assert_true(g_file_test(index, G_FILE_TEST_EXISTS));
    g_assert_null(copy);
}

/* Into a fresh store at the second start whatever became of the first, and not again. */
static void
test_salvage(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autofree char *kept = g_strconcat(rig->directory, ".kept", NULL);
    g_autofree char *erased = care_annotate(rig, treatment, 0, "another");
    g_autoptr(GError) error = NULL;
    bool is_done = false;
    uint32_t n_steps = 0;
    uint32_t n = 0;

    g_free(care_annotate(rig, treatment, 1, PATIENT));
    g_assert_true(care_erase(rig, &(PdErasure){ .session = erased, .reason = "r" }, &n, &error));
    rig_close(rig);
    const int64_t n_anchors = rig_sql_int(rig, "select count(*) from anchor");
    care_spoil(rig, "pass");
    copy_tree(rig->directory, kept);
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
    for (; !is_done; n_steps++) {
        g_assert_cmpuint(n_steps, <, STEPS_MAX);
        is_done = rig_run_steps(run_open, rig, n_steps);
        for (int i = 0; i < 2; i++) {
            rig->head = 0;
            rig_open(rig);
            expect_salvaged(rig, treatment);
            rig_close(rig);
            expect_aside(rig);
        }
        g_assert_cmpint(rig_sql_int(rig, "select count(*) from anchor"), ==, n_anchors);
        rig_remove_tree(rig->directory);
        copy_tree(kept, rig->directory);
    }
    g_test_message("%u steps", n_steps);
    g_assert_cmpuint(n_steps, >, 20);
    rig_remove_tree(kept);
    rig_open(rig);
}

/* An index that is none: what was sealed is taken, whatever became of the first start. */
static void
test_segments(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autofree char *kept = g_strconcat(rig->directory, ".kept", NULL);
    g_autofree char *garbage = g_strnfill(4096, 'x');
    bool is_done = false;
    uint32_t n_steps = 0;

    rig_close(rig);
    rig_sql(rig, "pragma wal_checkpoint(truncate)");
    care_overwrite(rig, 0, garbage, 4096);
    copy_tree(rig->directory, kept);
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
    for (; !is_done; n_steps++) {
        g_assert_cmpuint(n_steps, <, STEPS_MAX);
        is_done = rig_run_steps(run_open, rig, n_steps);
        rig->head = 0;
        rig_open(rig);
        for (guint i = 0; i < 3; i++) {
            g_autoptr(PdSession) session =
                rig_get_number(rig, LOG_ID, care_number_of(treatment, i));
            g_autoptr(GByteArray) raw = rig_read_all_raw(rig, session->id);
            g_assert_cmpuint(raw->len, >, 0);
        }
        rig_close(rig);
        expect_aside(rig);
        rig_remove_tree(rig->directory);
        copy_tree(kept, rig->directory);
    }
    g_test_message("%u steps", n_steps);
    g_assert_cmpuint(n_steps, >, 10);
    rig_remove_tree(kept);
    rig_open(rig);
}

/* A backup from before an erasure, restored while the salvage that knows of it was cut off. */
static void
test_restore_after(void)
{
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autoptr(Rig) rig = care_new_rig(treatment);
    g_autofree char *kept = g_strconcat(rig->directory, ".kept", NULL);
    g_autofree char *backup = g_strconcat(rig->directory, ".tar", NULL);
    g_autofree char *erased = care_annotate(rig, treatment, 0, PATIENT);
    g_autoptr(GError) error = NULL;
    bool is_done = false;
    uint32_t n = 0;

    care_back_up(rig, backup);
    g_assert_true(care_erase(rig, &(PdErasure){ .session = erased, .reason = "r" }, &n, &error));
    rig_close(rig);
    care_spoil(rig, "pass");
    copy_tree(rig->directory, kept);
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
    for (uint32_t n_steps = 0; !is_done; n_steps++) {
        g_assert_cmpuint(n_steps, <, STEPS_MAX);
        is_done = rig_run_steps(run_open, rig, n_steps);
        pd_store_restore(rig->directory, backup, NULL, &error);
        g_assert_no_error(error);
        rig->head = 0;
        rig_open(rig);
        care_expect_erased(rig, treatment, 0);
        rig_close(rig);
        rig_remove_tree(rig->directory);
        copy_tree(kept, rig->directory);
    }
    rig_remove_tree(kept);
    g_unlink(backup);
    rig_open(rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/killed/restore", test_restore);
    g_test_add_func("/store/killed/synced", test_synced);
    g_test_add_func("/store/killed/salvage", test_salvage);
    g_test_add_func("/store/killed/segments", test_segments);
    g_test_add_func("/store/killed/restore-after", test_restore_after);
    g_test_add_func("/store/killed/refused", test_refused);
    return g_test_run();
}
