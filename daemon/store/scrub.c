/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What follows an erasure: nothing of it is left in pages that are free now, in the WAL, in
 * files that were replaced. And the daily look at what has become too old.
 */
#include "store/erase.h"
#include "store/schema.h"
#include "util/error.h"

#include <glib/gstdio.h>

#include <fcntl.h>
#include <unistd.h>

#define DAY_US         INT64_C(86400000000)
#define RETIRE_LOOK_US INT64_C(3600000000)
#define RETIRE_MAX     16
#define BLOB_PAGES     4096

static void
delete_replaced(PdLedger *ledger)
{
    for (guint i = 0; i < ledger->replaced->len; i++) {
        (void)g_unlink(g_ptr_array_index(ledger->replaced, i));
    }
    g_ptr_array_set_size(ledger->replaced, 0);
    const int fd = g_open(ledger->raw_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
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
    return pd_db_script(
        db, "drop table scrub; delete from meta where key = 'scrub'; commit", error);
}

void
pd_erase_finish(PdLedger *ledger, const char *index)
{
    sqlite3 *handle = pd_db_handle(ledger->db);
    g_autoptr(GError) error = NULL;

    if (!ledger->must_scrub) {
        return;
    }
    pd_schema_drop_old(index);
    delete_replaced(ledger);
    if (!pd_db_script(ledger->db, "pragma secure_delete=on", &error) ||
        !overwrite_free_pages(ledger->db, &error)) {
        (void)sqlite3_exec(handle, "rollback", NULL, NULL, NULL);
        g_warning("after an erasure: %s; trying again later", error->message);
        return;
    }
    (void)sqlite3_exec(handle, "pragma secure_delete=fast", NULL, NULL, NULL);
    if (sqlite3_wal_checkpoint_v2(handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
        SQLITE_OK) {
        g_info("the WAL still holds what was erased: a reader is at it; trying again");
        return;
    }
    ledger->must_scrub = false;
}

static GPtrArray *
list_old(PdLedger *ledger, uint32_t days, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db,
                    error,
                    "select id from session where end_wall_us + time_error_us < ?"
                    " and state in ('complete', 'lossy', 'closed-by') and hold is null"
                    " order by opened_seq limit ?",
                    "ii",
                    ledger->stamp.wall_us - (int64_t)days * DAY_US,
                    (int64_t)RETIRE_MAX);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(ledger->db, stmt, error)) > 0) {
        g_ptr_array_add(ids, pd_stmt_dup_text(stmt, 0));
    }
    return stmt != NULL && got == 0 ? g_steal_pointer(&ids) : NULL;
}

static bool
erase_old(PdLedger *ledger, const GPtrArray *ids, uint32_t days, GError **error)
{
    g_autofree char *reason = g_strdup_printf("older than the retention period of %u days", days);

    for (guint i = 0; i < ids->len; i++) {
        const PdErasure erasure = { .session = g_ptr_array_index(ids, i),
                                    .reason = reason,
                                    .uid = PD_JOURNAL_UID_SELF };
        PdJob job = pd_job_erase(&erasure, NULL);
        const bool ok = job.run(job.data, ledger, error);
        pd_job_clear(&job);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* Without a clock that is known to be right nothing is too old. */
void
pd_erase_retire(PdLedger *ledger, uint32_t days, int64_t *looked_us)
{
    const int64_t now_us = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    if (days == 0 || !ledger->stamp.wall_synced ||
        (*looked_us != 0 && now_us - *looked_us < RETIRE_LOOK_US)) {
        return;
    }
    g_autoptr(GPtrArray) ids = list_old(ledger, days, &error);
    /* The next ones soon: there are more of them. */
    *looked_us = ids != NULL && ids->len == RETIRE_MAX ? 0 : now_us;
    if (ids != NULL && ids->len > 0 &&
        (!pd_db_script(ledger->db, "begin immediate", &error) ||
         !erase_old(ledger, ids, days, &error) || !pd_db_script(ledger->db, "commit", &error))) {
        (void)sqlite3_exec(pd_db_handle(ledger->db), "rollback", NULL, NULL, NULL);
        *looked_us = now_us;
        (void)pd_ledger_reload(ledger, NULL);
    } else if (ids != NULL && ids->len > 0) {
        g_message("%u sessions are older than %u days and were erased", ids->len, days);
    }
    if (error != NULL) {
        g_warning("the retention period: %s", error->message);
    }
}
