/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Sealing: the segment is durable under its name before the rows it replaces are deleted,
 * in the transaction that records where they went (F13).
 */
#include "store/seal.h"

#include "store/segment.h"
#include "util/error.h"

#define LOOK_US              INT64_C(60000000)
#define OLD_US               INT64_C(86400000000)
#define MANY_ROWS            40000 /* about 4 MiB of tail */
#define SESSIONS_AT_ONCE     32
#define SEGMENT_ENOUGH_BYTES (4u << 20)  /* so that no commit waits long behind sealing */
#define SESSION_MAX_BYTES    (64u << 20) /* a longer one stays in the tail */

typedef struct {
    uint64_t opened_seq;
    PdRecordPlace place;
} Sealed;

static void
sealed_clear(gpointer data)
{
    pd_record_place_clear(&((Sealed *)data)->place);
}

static bool
append_record(void *user_data, uint32_t number, const uint8_t *record, size_t n_record)
{
    GByteArray *records = user_data;

    g_byte_array_append(records, record, (guint)n_record);
    return records->len <= SESSION_MAX_BYTES;
}

/* What is in memory only is not sealed. */
static bool
is_dirty(PdLedger *ledger, uint64_t log_id, uint32_t number)
{
    const PdSessionFold key = { .log_id = log_id, .number = number };
    const PdSessionFold *session = g_hash_table_lookup(ledger->sessions, &key);

    return session != NULL && (session->dirty || session->is_unreadable);
}

/* Settled sessions with rows in the tail; late ones of a sealed session go along. */
static GArray *
choose(PdLedger *ledger, GError **error)
{
    g_autoptr(GArray) chosen = g_array_new(FALSE, TRUE, sizeof(Sealed));
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db,
                    error,
                    "select opened_seq, log_id, number from session where raw_min > 0"
                    " and state in ('complete', 'lossy') order by raw_min limit ?",
                    "i",
                    (int64_t)SESSIONS_AT_ONCE);
    int got = 0;

    g_array_set_clear_func(chosen, sealed_clear);
    while (stmt != NULL && (got = pd_db_step(ledger->db, stmt, error)) > 0) {
        const Sealed sealed = { .opened_seq = (uint64_t)sqlite3_column_int64(stmt, 0) };
        if (!is_dirty(ledger,
                      (uint64_t)sqlite3_column_int64(stmt, 1),
                      (uint32_t)sqlite3_column_int64(stmt, 2))) {
            g_array_append_val(chosen, sealed);
        }
    }
    return stmt != NULL && got == 0 ? g_steal_pointer(&chosen) : NULL;
}

/* Returns whether it went in; false without an error: it stays in the tail. */
static bool
add_session(
    PdLedger *ledger, PdSegmentWriter *segment, Sealed *sealed, size_t *n_bytes, GError **error)
{
    g_autoptr(GByteArray) records = g_byte_array_new();
    g_autoptr(GError) local = NULL;

    if (!pd_record_place_load(ledger->db, sealed->opened_seq, &sealed->place, error)) {
        return false;
    }
    if (!pd_records_walk(ledger->db,
                         ledger->raw_directory,
                         &sealed->place,
                         0,
                         0,
                         append_record,
                         records,
                         &local)) {
        if (!g_error_matches(local, PD_ERROR, PD_ERROR_MALFORMED)) {
            g_propagate_error(error, g_steal_pointer(&local));
        }
        return false;
    }
    *n_bytes += records->len;
    return records->len <= SESSION_MAX_BYTES &&
           pd_segment_add(segment, records->data, records->len, &sealed->place, error);
}

/* Leaves in @chosen what is in the segment. */
static bool
write_segment(PdLedger *ledger, PdSegmentWriter *segment, GArray *chosen, GError **error)
{
    size_t n_bytes = 0;
    guint i = 0;

    while (i < chosen->len) {
        GError *local = NULL;
        if (n_bytes > SEGMENT_ENOUGH_BYTES) {
            g_array_set_size(chosen, i);
        } else if (add_session(
                       ledger, segment, &g_array_index(chosen, Sealed, i), &n_bytes, &local)) {
            i++;
        } else if (local == NULL) {
            g_array_remove_index(chosen, i);
        } else {
            g_propagate_error(error, local);
            return false;
        }
    }
    return true;
}

static bool
replace_rows(PdLedger *ledger, const Sealed *sealed, int64_t segment_id, GError **error)
{
    const PdRecordPlace *place = &sealed->place;

    return pd_db_run(ledger->db,
                     error,
                     "delete from raw where rowid between ? and ? and log_id = ? and session = ?",
                     "iiii",
                     place->raw_min,
                     place->raw_max,
                     (int64_t)place->log_id,
                     (int64_t)place->session) &&
           pd_db_run(ledger->db,
                     error,
                     "update session set raw_min = 0, raw_max = 0, segment = ?,"
                     " block_offset = ?, block_size = ?, block_sha256 = ? where opened_seq = ?",
                     "iiibi",
                     segment_id,
                     (int64_t)place->block_offset,
                     (int64_t)place->block_size,
                     place->block_sha256,
                     sizeof place->block_sha256,
                     (int64_t)sealed->opened_seq);
}

static bool
record_places(PdLedger *ledger, const GArray *chosen, GError **error)
{
    const char *name = g_array_index(chosen, Sealed, 0).place.segment;

    if (!pd_db_script(ledger->db, "begin immediate", error) ||
        !pd_db_run(ledger->db, error, "insert into segment (name) values (?)", "t", name)) {
        return false;
    }
    const int64_t segment_id = sqlite3_last_insert_rowid(pd_db_handle(ledger->db));
    for (guint i = 0; i < chosen->len; i++) {
        if (!replace_rows(ledger, &g_array_index(chosen, Sealed, i), segment_id, error)) {
            return false;
        }
    }
    return pd_db_script(ledger->db, "commit", error);
}

/* Memory still thinks the rows are in the tail. */
static void
forget_sealed(PdLedger *ledger, const GArray *chosen)
{
    for (guint i = 0; i < chosen->len; i++) {
        const PdRecordPlace *place = &g_array_index(chosen, Sealed, i).place;
        const PdSessionFold key = { .log_id = place->log_id, .number = place->session };
        PdSessionFold *session = g_hash_table_lookup(ledger->sessions, &key);
        if (session != NULL) {
            pd_ledger_drop_session(ledger, session);
        }
    }
}

static bool
seal_chosen(PdLedger *ledger, GArray *chosen, GError **error)
{
    PdSegmentWriter *segment =
        pd_segment_begin(ledger->raw_directory, ledger->stamp.wall_us, error);

    if (segment == NULL) {
        return false;
    }
    if (!write_segment(ledger, segment, chosen, error) || chosen->len == 0) {
        pd_segment_abandon(segment);
        return chosen->len == 0;
    }
    if (!pd_segment_commit(segment, error)) {
        return false;
    }
    if (!record_places(ledger, chosen, error)) {
        (void)sqlite3_exec(pd_db_handle(ledger->db), "rollback", NULL, NULL, NULL);
        return false;
    }
    forget_sealed(ledger, chosen);
    return true;
}

bool
pd_seal_now(PdLedger *ledger, GError **error)
{
    g_autoptr(GArray) chosen = choose(ledger, error);

    return chosen != NULL && (chosen->len == 0 || seal_chosen(ledger, chosen, error));
}

static bool
is_worth_it(PdLedger *ledger, GError **error)
{
    int64_t n_rows = 0;
    int64_t oldest_us = 0;

    if (!pd_db_get_int(ledger->db,
                       0,
                       &n_rows,
                       error,
                       "select sum(raw_max - raw_min + 1) from session where raw_min > 0"
                       " and state in ('complete', 'lossy')") ||
        !pd_db_get_int(ledger->db,
                       INT64_MAX,
                       &oldest_us,
                       error,
                       "select min(end_wall_us) from session where raw_min > 0"
                       " and state in ('complete', 'lossy')")) {
        return false;
    }
    return n_rows >= MANY_ROWS ||
           (oldest_us != INT64_MAX && ledger->stamp.wall_us - oldest_us > OLD_US);
}

void
pd_seal_if_due(PdLedger *ledger, int64_t *sealed_us)
{
    const int64_t now_us = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    if (*sealed_us != 0 && now_us - *sealed_us < LOOK_US) {
        return;
    }
    *sealed_us = now_us;
    if (is_worth_it(ledger, &error)) {
        (void)pd_seal_now(ledger, &error);
    }
    if (error != NULL) {
        g_warning("sealing: %s; trying again later", error->message);
    }
}
