/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Every wait here is bounded, as those of the rig are.
 */
#include "care.h"

#include "store/home.h"
#include "store/ledger.h"
#include "store/seal.h"

#include <stdio.h>
#include <string.h>

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

bool
care_erase(Rig *rig, const PdErasure *erasure, uint32_t *n_out, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;
    uint64_t seq = 0;

    pd_store_erase_async(rig->store, erasure, NULL, on_answer, &result);
    g_assert_true(rig_wait(has_answer, &result, 20000));
    return pd_store_erase_finish(rig->store, result, n_out, &seq, NULL, error);
}

void
care_hold(Rig *rig, const char *id, const char *reason, bool release)
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

void
care_expect_sound(Rig *rig)
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
bool
care_tree_holds(const char *path, const void *bytes, size_t n_bytes)
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
        if (care_tree_holds(below, bytes, n_bytes)) {
            return true;
        }
    }
    return false;
}

char *
care_find(const Rig *rig, const char *prefix)
{
    g_autoptr(GDir) directory = g_dir_open(rig->directory, 0, NULL);
    const char *name = NULL;
    char *found = NULL;

    while ((name = g_dir_read_name(directory)) != NULL) {
        if (g_str_has_prefix(name, prefix)) {
            g_assert_null(found);
            found = rig_path(rig, name);
        }
    }
    return found;
}

void
care_overwrite(const Rig *rig, int64_t offset, const void *bytes, size_t n_bytes)
{
    g_autofree char *index = rig_path(rig, "store/index.db");
    FILE *file = fopen(index, "r+");

    g_assert_nonnull(file);
    g_assert_cmpint(fseek(file, (long)offset, SEEK_SET), ==, 0);
    g_assert_cmpuint(fwrite(bytes, 1, n_bytes, file), ==, n_bytes);
    g_assert_cmpint(fclose(file), ==, 0);
}

int64_t
care_offset_of(const Rig *rig, const char *table)
{
    g_autofree char *sql =
        g_strdup_printf("select (rootpage - 1) * 4096 from sqlite_master where name = '%s'", table);

    return rig_sql_int(rig, sql);
}

void
care_spoil(const Rig *rig, const char *table)
{
    g_autofree char *suspect = rig_path(rig, "store/suspect");
    g_autofree char *garbage = g_strnfill(4096, 'x');

    rig_sql(rig, "pragma wal_checkpoint(truncate)");
    care_overwrite(rig, care_offset_of(rig, table), garbage, 4096);
    g_assert_true(g_file_set_contents(suspect, "", 0, NULL));
}

void
care_seal(Rig *rig)
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

uint32_t
care_number_of(const Treatment *treatment, guint session)
{
    return g_array_index(treatment->sessions, uint32_t, session);
}

void
care_anchor_now(Rig *rig)
{
    const PenAnchor anchor = {
        .boot = 1, .tick_us = 1000, .wall_us = g_get_real_time(), .wall_synced = true
    };

    pd_store_add_anchor(rig->store, LOG_ID, &anchor);
}

char *
care_annotate(Rig *rig, const Treatment *treatment, guint session, const char *patient)
{
    g_autoptr(PdSession) found = rig_get_number(rig, LOG_ID, care_number_of(treatment, session));
    g_autoptr(GError) error = NULL;
    const PdAnnotation said = {
        .patient = patient,
        .zone = "cheek",
        .reaction = "erythema-secret",
        .order = "order-secret",
        .uid = 1000,
    };

    rig_annotate(rig, found->id, &said, &error);
    g_assert_no_error(error);
    return g_strdup(found->id);
}

void
care_expect_erased(Rig *rig, const Treatment *treatment, guint session)
{
    g_autoptr(PdSession) found = rig_get_number(rig, LOG_ID, care_number_of(treatment, session));
    g_autoptr(GByteArray) raw = rig_read_all_raw(rig, found->id);

    g_assert_cmpstr(found->state, ==, "erased");
    g_assert_null(found->patient);
    g_assert_null(found->reaction);
    g_assert_null(found->order);
    g_assert_cmpuint(found->passes->len, ==, 0);
    g_assert_cmpuint(found->notes->len, ==, 0);
    g_assert_cmpuint(raw->len, ==, 0);
    g_assert_false(found->placed);
}

/* Of four sessions three are sealed in one segment and one lies in the tail. */
Rig *
care_new_rig(const Treatment *treatment)
{
    Rig *rig = rig_new();

    care_anchor_now(rig);
    for (uint32_t number = 1; number < care_number_of(treatment, 3); number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    care_seal(rig);
    for (uint32_t number = care_number_of(treatment, 3); number <= treatment->records->len;
         number++) {
        rig_append(rig, treatment, number);
    }
    rig_flush(rig);
    return rig;
}

PdBackup *
care_begin_backup(Rig *rig, GCancellable *cancellable, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    pd_store_backup_async(rig->store, cancellable, on_answer, &result);
    g_assert_true(rig_wait(has_answer, &result, 20000));
    return pd_store_backup_finish(rig->store, result, error);
}

void
care_back_up(Rig *rig, const char *path)
{
    g_autoptr(GError) error = NULL;
    gsize n_piece = 1;
    PdBackup *backup = care_begin_backup(rig, NULL, &error);

    g_assert_no_error(error);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 1000 && n_piece > 0; i++) {
        g_autoptr(GAsyncResult) result = NULL;
        pd_store_backup_read_async(rig->store, backup, NULL, on_answer, &result);
        g_assert_true(rig_wait(has_answer, &result, 20000));
        g_autoptr(GBytes) piece = pd_store_backup_read_finish(rig->store, result, &error);
        g_assert_no_error(error);
        const void *bytes = g_bytes_get_data(piece, &n_piece);
        g_assert_true(n_piece == 0 || fwrite(bytes, 1, n_piece, file) == n_piece);
    }
    fclose(file);
    pd_backup_free(backup);
}
