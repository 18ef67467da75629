/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What follows an erasure: nothing of it is left in pages that are free now, in the WAL, in
 * files that were replaced.
 */
#include "store/erase.h"
#include "store/salvage.h"
#include "store/schema.h"
#include "util/error.h"
#include "util/files.h"

#include <glib/gstdio.h>

#define BLOB_PAGES    4096
#define TRUNCATE_US   INT64_C(15000000)
#define BUSY_SHORT_MS 300

/* What was to replace it may not have come about: then the index still names it. */
static void
delete_replaced(PdLedger *ledger)
{
    if (ledger->replaced->len == 0) {
        return;
    }
    for (guint i = 0; i < ledger->replaced->len; i++) {
        const char *path = g_ptr_array_index(ledger->replaced, i);
        g_autofree char *name = g_path_get_basename(path);
        if (!pd_has_segment_row(ledger->db, name)) {
            (void)g_unlink(path);
        }
    }
    g_ptr_array_set_size(ledger->replaced, 0);
    (void)pd_sync_directory(ledger->raw_directory, NULL);
}

/* Free pages may hold what was deleted before, when that was not overwritten: rows that went
 * into a sealed block. Filled with zeros and freed again they hold nothing. */
static bool
overwrite_free_pages(PdDb *db, GError **error)
{
    int64_t n_free = 0;
    int64_t page_size = 0;

    if (!pd_db_get_int(db, 0, &n_free, error, "pragma freelist_count") ||
        !pd_db_get_int(db, 4096, &page_size, error, "pragma page_size") ||
        !pd_db_script(db, "begin immediate; create table scrub (zeros blob)", error)) {
        return false;
    }
    for (; n_free > 0; n_free -= BLOB_PAGES) {
        g_autofree char *sql =
            g_strdup_printf("insert into scrub values (zeroblob(%" G_GINT64_FORMAT "))",
                            MIN(n_free, BLOB_PAGES) * (page_size - 4) + page_size);
        if (!pd_db_script(db, sql, error)) {
            return false;
        }
    }
    return pd_db_script(db, "drop table scrub; commit", error);
}

/* The mark stays until there is nothing left that it stands for. */
static bool
truncate_wal(PdLedger *ledger)
{
    return pd_checkpointer_truncate(ledger->checkpointer, ledger->db) &&
           pd_db_script(ledger->db, "delete from meta where key = 'scrub'", NULL);
}

/* A reader that stays is not gone any sooner for being waited for. */
static bool
try_truncate(PdLedger *ledger)
{
    sqlite3_busy_timeout(pd_db_handle(ledger->db), BUSY_SHORT_MS);
    const bool ok = truncate_wal(ledger);
    sqlite3_busy_timeout(pd_db_handle(ledger->db), PD_DB_BUSY_MS);
    return ok;
}

static bool
overwrite(PdLedger *ledger, const char *index)
{
    sqlite3 *handle = pd_db_handle(ledger->db);
    g_autoptr(GError) error = NULL;

    pd_schema_drop_old(index);
    if (!pd_db_script(ledger->db, "pragma secure_delete=on", &error) ||
        !overwrite_free_pages(ledger->db, &error)) {
        (void)sqlite3_exec(handle, "rollback", NULL, NULL, NULL);
        g_warning("after an erasure: %s; trying again later", error->message);
        return false;
    }
    (void)sqlite3_exec(handle, "pragma secure_delete=fast", NULL, NULL, NULL);
    ledger->must_scrub = false;
    ledger->must_truncate = true;
    return true;
}

void
pd_erase_finish(PdLedger *ledger, const char *index)
{
    const int64_t now_us = g_get_monotonic_time();
    const bool is_first = ledger->must_scrub;

    delete_replaced(ledger);
    if (ledger->must_scrub && !overwrite(ledger, index)) {
        return;
    }
    if (!ledger->must_truncate || (!is_first && now_us < ledger->truncate_us)) {
        return;
    }
    ledger->must_truncate = is_first ? !truncate_wal(ledger) : !try_truncate(ledger);
    ledger->truncate_us = g_get_monotonic_time() + TRUNCATE_US;
    if (ledger->must_truncate) {
        g_info("the WAL still holds what was erased: a reader is at it; trying again");
    }
}
