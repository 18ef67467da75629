/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What follows an erasure: nothing of it is left in pages that are free now, in the WAL, in
 * files that were replaced. And the daily look at what has become too old.
 */
#include "store/erase.h"
#include "store/schema.h"
#include "util/error.h"
#include "util/files.h"

#include <glib/gstdio.h>

#define DAY_US         INT64_C(86400000000)
#define RETIRE_LOOK_US INT64_C(3600000000)
#define RETIRE_MAX     16
#define BLOB_PAGES     4096
#define TRUNCATE_US    INT64_C(15000000)
#define BUSY_SHORT_MS  300

static void
delete_replaced(PdLedger *ledger)
{
    for (guint i = 0; i < ledger->replaced->len; i++) {
        (void)g_unlink(g_ptr_array_index(ledger->replaced, i));
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
    sqlite3 *handle = pd_db_handle(ledger->db);

    return sqlite3_wal_checkpoint_v2(handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) ==
               SQLITE_OK &&
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
    delete_replaced(ledger);
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

typedef struct {
    int64_t opened_seq;
    char id[37];
} Old;

static GArray *
list_old(PdLedger *ledger, uint32_t days, int64_t after, GError **error)
{
    g_autoptr(GArray) sessions = g_array_new(FALSE, TRUE, sizeof(Old));
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db,
                    error,
                    "select opened_seq, id from session where end_wall_us + time_error_us < ?"
                    " and state in ('complete', 'lossy', 'closed-by') and hold is null"
                    " and opened_seq > ? order by opened_seq limit ?",
                    "iii",
                    ledger->stamp.wall_us - (int64_t)days * DAY_US,
                    after,
                    (int64_t)RETIRE_MAX);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(ledger->db, stmt, error)) > 0) {
        Old old = { .opened_seq = sqlite3_column_int64(stmt, 0) };
        g_strlcpy(old.id, pd_stmt_get_text(stmt, 1), sizeof old.id);
        g_array_append_val(sessions, old);
    }
    return stmt != NULL && got == 0 ? g_steal_pointer(&sessions) : NULL;
}

static bool
erase_old(PdLedger *ledger, const char *id, uint32_t days, GError **error)
{
    g_autofree char *reason = g_strdup_printf("older than the retention period of %u days", days);
    const PdErasure erasure = { .session = id, .reason = reason, .uid = PD_JOURNAL_UID_SELF };
    PdJob job = pd_job_erase(&erasure, NULL);
    const bool ok = pd_db_script(ledger->db, "begin immediate", error) &&
                    job.run(job.data, ledger, error) && pd_db_script(ledger->db, "commit", error);

    pd_job_clear(&job);
    return ok;
}

/* Then the next session would fare no better. */
static bool
is_disk_at_fault(PdLedger *ledger)
{
    const int code = pd_db_last_code(ledger->db);

    return code != SQLITE_OK && code != SQLITE_CONSTRAINT && code != SQLITE_ERROR;
}

/* Each by itself: what is wrong with one is in no other's way. @n_out: how many went. */
static bool
erase_all(PdLedger *ledger, const GArray *sessions, uint32_t days, guint *n_out)
{
    *n_out = 0;
    for (guint i = 0; i < sessions->len; i++) {
        const char *id = g_array_index(sessions, Old, i).id;
        g_autoptr(GError) error = NULL;
        pd_db_clear_code(ledger->db);
        if (erase_old(ledger, id, days, &error)) {
            ++*n_out;
            continue;
        }
        g_warning("session %s is beyond the retention period and stays: %s", id, error->message);
        (void)sqlite3_exec(pd_db_handle(ledger->db), "rollback", NULL, NULL, NULL);
        if (is_disk_at_fault(ledger) || !pd_ledger_reload(ledger, NULL)) {
            return false;
        }
    }
    return true;
}

/* Without a clock that is known to be right nothing is too old. */
void
pd_erase_retire(PdLedger *ledger, uint32_t days, PdRetirement *at)
{
    const int64_t now_us = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;
    guint n_erased = 0;

    if (days == 0 || !ledger->stamp.wall_synced ||
        (at->looked_us != 0 && now_us - at->looked_us < RETIRE_LOOK_US)) {
        return;
    }
    g_autoptr(GArray) sessions = list_old(ledger, days, at->after, &error);
    if (sessions == NULL) {
        g_warning("the retention period: %s", error->message);
        at->looked_us = now_us;
        return;
    }
    const bool is_well = erase_all(ledger, sessions, days, &n_erased);
    const bool is_more = is_well && sessions->len == RETIRE_MAX;
    /* The next ones soon: there are more of them. */
    at->looked_us = is_more ? 0 : now_us;
    at->after = is_more ? g_array_index(sessions, Old, RETIRE_MAX - 1).opened_seq : 0;
    if (n_erased > 0) {
        g_message("%u sessions are older than %u days and were erased", n_erased, days);
    }
}
