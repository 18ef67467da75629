/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Sums of row hashes. Triggers that live in the writer's connection only keep them up to
 * date, so that nobody who writes a row can forget it.
 */
#include "store/witness.h"

#include "core/wire.h"
#include "util/error.h"

#include <string.h>

#define SUM_SIZE    32u
#define MAX_COLUMNS 10u

typedef struct {
    const char *name;
    const char *where; /* rows that count, with "new." before a column; NULL all */
    const char *columns[MAX_COLUMNS];
} Table;

static const Table tables[] = {
    { "anchor", NULL, { "rowid", "log_id", "boot", "tick_us", "wall_us", "synced", "error_us" } },
    { "conflict", NULL, { "log_id", "number", "crc", "wall_us", "bytes" } },
    { "damaged", NULL, { "log_id", "number", "bytes" } },
    { "erased", NULL, { "log_id", "session", "first", "last" } },
    { "former_store", NULL, { "store_id", "head", "wall_us" } },
    { "log", NULL, { "log_id", "serial", "tick_unit", "marked", "marked_wall_us" } },
    { "meta", "key != 'folded_rowid'", { "key", "value" } },
    { "pen",
      NULL,
      { "serial",
        "address",
        "name",
        "firmware",
        "adapters",
        "log_id",
        "last_seen_us",
        "overwritten" } },
    { "raw", "session = 0", { "rowid", "log_id", "number", "session", "bytes" } },
    { "segment", NULL, { "id", "name" } },
    { "settled", NULL, { "log_id", "first", "last", "cause" } },
};

const char *const *
pd_witness_list(void)
{
    static const char *const names[] = {
        "anchor", "conflict", "damaged", "erased",  "former_store", "log",
        "meta",   "pen",      "raw",     "segment", "settled",      NULL,
    };

    G_STATIC_ASSERT(G_N_ELEMENTS(names) == G_N_ELEMENTS(tables) + 1);
    return names;
}

static const Table *
find_table(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        if (strcmp(tables[i].name, name) == 0) {
            return &tables[i];
        }
    }
    return NULL;
}

static void
hash_value(GChecksum *checksum, sqlite3_value *value)
{
    const int type = sqlite3_value_type(value);
    const uint8_t *bytes = type == SQLITE_NULL      ? NULL
                           : type == SQLITE_INTEGER ? NULL
                                                    : sqlite3_value_blob(value);
    const uint64_t number = type == SQLITE_INTEGER ? (uint64_t)sqlite3_value_int64(value)
                                                   : (uint64_t)sqlite3_value_bytes(value);
    uint8_t head[9] = { (uint8_t)type };

    pen_wire_put(head + 1, 8, type == SQLITE_NULL ? 0 : number);
    g_checksum_update(checksum, head, sizeof head);
    if (bytes != NULL && number > 0) {
        g_checksum_update(checksum, bytes, (gssize)number);
    }
}

static void
hash_row(int n_values, sqlite3_value **values, uint8_t hash_out[SUM_SIZE])
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize n_digest = SUM_SIZE;

    for (int i = 0; i < n_values; i++) {
        hash_value(checksum, values[i]);
    }
    g_checksum_get_digest(checksum, hash_out, &n_digest);
}

static void
add(uint8_t sum[SUM_SIZE], const uint8_t hash[SUM_SIZE], bool negative)
{
    unsigned carry = negative ? 1 : 0;

    for (size_t i = 0; i < SUM_SIZE; i++) {
        const unsigned term = negative ? (uint8_t)~hash[i] : hash[i];
        carry += sum[i] + term;
        sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

/* pd_witness(sum, sign, columns...): the sum with the row added (1) or taken out (-1). */
static void
sql_witness(sqlite3_context *context, int n_values, sqlite3_value **values)
{
    uint8_t sum[SUM_SIZE] = { 0 };
    uint8_t hash[SUM_SIZE];

    if (n_values < 3) {
        sqlite3_result_error(context, "pd_witness: no row", -1);
        return;
    }
    if (sqlite3_value_bytes(values[0]) == (int)SUM_SIZE) {
        memcpy(sum, sqlite3_value_blob(values[0]), SUM_SIZE);
    }
    hash_row(n_values - 2, values + 2, hash);
    add(sum, hash, sqlite3_value_int(values[1]) < 0);
    sqlite3_result_blob(context, sum, sizeof sum, SQLITE_TRANSIENT);
}

/* pd_witness_sum(columns...): over all rows. */
static void
sql_sum_step(sqlite3_context *context, int n_values, sqlite3_value **values)
{
    uint8_t *sum = sqlite3_aggregate_context(context, SUM_SIZE);
    uint8_t hash[SUM_SIZE];

    if (sum == NULL) {
        sqlite3_result_error_nomem(context);
        return;
    }
    hash_row(n_values, values, hash);
    add(sum, hash, false);
}

static void
sql_sum_final(sqlite3_context *context)
{
    static const uint8_t none[SUM_SIZE];
    const uint8_t *sum = sqlite3_aggregate_context(context, 0);

    sqlite3_result_blob(context, sum != NULL ? sum : none, SUM_SIZE, SQLITE_TRANSIENT);
}

static bool
add_functions(PdDb *db, GError **error)
{
    sqlite3 *handle = pd_db_handle(db);
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;

    if (sqlite3_create_function(handle, "pd_witness", -1, flags, NULL, sql_witness, NULL, NULL) ==
            SQLITE_OK &&
        sqlite3_create_function(
            handle, "pd_witness_sum", -1, flags, NULL, NULL, sql_sum_step, sql_sum_final) ==
            SQLITE_OK) {
        return true;
    }
    g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s", sqlite3_errmsg(handle));
    return false;
}

static void
append_columns(GString *sql, const Table *table, const char *prefix)
{
    for (size_t i = 0; i < MAX_COLUMNS && table->columns[i] != NULL; i++) {
        g_string_append_printf(sql, "%s%s%s", i > 0 ? ", " : "", prefix, table->columns[i]);
    }
}

static void
append_update(GString *sql, const Table *table, const char *prefix, int sign)
{
    g_string_append_printf(sql, "update witness set n = n + %d, sum = ", sign);
    g_string_append_printf(sql, "pd_witness(sum, %d, ", sign);
    append_columns(sql, table, prefix);
    g_string_append_printf(sql, ") where name = '%s';", table->name);
}

/* @event: insert, delete or update. raw is told by hand: it must stay quick. */
static void
append_trigger(
    GString *sql, const Table *table, const char *event, const char *old, const char *new)
{
    g_string_append_printf(sql,
                           "create temp trigger witness_%s_%s after %s on main.%s",
                           table->name,
                           event,
                           event,
                           table->name);
    if (table->where != NULL) {
        g_string_append_printf(sql, " when %s%s", new[0] != '\0' ? new : old, table->where);
    }
    g_string_append(sql, " begin ");
    if (old[0] != '\0') {
        append_update(sql, table, old, -1);
    }
    if (new[0] != '\0') {
        append_update(sql, table, new, 1);
    }
    g_string_append(sql, " end;");
}

/* Of an update only columns that count matter; a log's numbers change all the time. */
static void
append_update_trigger(GString *sql, const Table *table)
{
    g_autoptr(GString) changed = g_string_new(NULL);

    for (size_t i = 0; i < MAX_COLUMNS && table->columns[i] != NULL; i++) {
        g_string_append_printf(changed,
                               "%sold.%s is not new.%s",
                               i > 0 ? " or " : "",
                               table->columns[i],
                               table->columns[i]);
    }
    g_string_append_printf(sql,
                           "create temp trigger witness_%s_update after update on main.%s"
                           " when (%s)",
                           table->name,
                           table->name,
                           changed->str);
    if (table->where != NULL) {
        g_string_append_printf(sql, " and new.%s", table->where);
    }
    g_string_append(sql, " begin ");
    append_update(sql, table, "old.", -1);
    append_update(sql, table, "new.", 1);
    g_string_append(sql, " end;");
}

bool
pd_witness_attach(PdDb *db, GError **error)
{
    g_autoptr(GString) sql =
        g_string_new("pragma temp_store=memory; pragma recursive_triggers=on;");

    if (!add_functions(db, error)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        if (strcmp(tables[i].name, "raw") != 0) {
            append_trigger(sql, &tables[i], "insert", "", "new.");
            append_trigger(sql, &tables[i], "delete", "old.", "");
            append_update_trigger(sql, &tables[i]);
        }
    }
    return pd_db_script(db, sql->str, error);
}

bool
pd_witness_add_outside(PdDb *db, int64_t rowid, GError **error)
{
    return pd_db_run(db,
                     error,
                     "update witness set n = n + 1, sum = (select pd_witness(sum, 1, r.rowid,"
                     " r.log_id, r.number, r.session, r.bytes) from raw r where r.rowid = ?)"
                     " where name = 'raw'",
                     "i",
                     rowid);
}

static char *
dup_sum_query(const Table *table)
{
    g_autoptr(GString) sql = g_string_new("select count(*), pd_witness_sum(");

    append_columns(sql, table, "");
    g_string_append_printf(sql, ") from main.%s", table->name);
    if (table->where != NULL) {
        g_string_append_printf(sql, " where %s", table->where);
    }
    return g_string_free(g_steal_pointer(&sql), FALSE);
}

/* The text of every table and index, but not of what this connection alone has. */
#define SCHEMA_QUERY                                                                               \
    "select count(*), pd_witness_sum(type, name, tbl_name, coalesce(sql, '')) from "               \
    "main.sqlite_master"

#define SCHEMA_RENEW                                                                               \
    "insert or replace into witness (name, n, sum) select 'schema', * from (" SCHEMA_QUERY ");"

bool
pd_witness_begin(PdDb *db, GError **error)
{
    g_autoptr(GString) script = g_string_new(NULL);

    if (!add_functions(db, error)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_autofree char *query = dup_sum_query(&tables[i]);
        g_string_append_printf(script,
                               "insert or replace into witness (name, n, sum)"
                               " select '%s', * from (%s);",
                               tables[i].name,
                               query);
    }
    g_string_append(script, SCHEMA_RENEW);
    return pd_db_script(db, script->str, error);
}

bool
pd_witness_renew_schema(PdDb *db, GError **error)
{
    return add_functions(db, error) && pd_db_script(db, SCHEMA_RENEW, error);
}

static bool
compare(PdDb *db, const char *name, PdStmt *counted, bool *fits_out, GError **error)
{
    g_autoptr(PdStmt) said =
        pd_db_query(db, error, "select n, sum from main.witness where name = ?", "t", name);
    const int got = said == NULL ? -1 : pd_db_step(db, said, error);

    if (got < 0) {
        return false;
    }
    *fits_out =
        got > 0 && sqlite3_column_int64(said, 0) == sqlite3_column_int64(counted, 0) &&
        sqlite3_column_bytes(said, 1) == (int)SUM_SIZE &&
        sqlite3_column_bytes(counted, 1) == (int)SUM_SIZE &&
        memcmp(sqlite3_column_blob(said, 1), sqlite3_column_blob(counted, 1), SUM_SIZE) == 0;
    return true;
}

static bool
check_query(PdDb *db, const char *name, const char *sql, bool *fits_out, GError **error)
{
    sqlite3_stmt *stmt = NULL;

    if (!add_functions(db, error)) {
        return false;
    }
    if (sqlite3_prepare_v2(pd_db_handle(db), sql, -1, &stmt, NULL) != SQLITE_OK) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s", sqlite3_errmsg(pd_db_handle(db)));
        return false;
    }
    const bool ok = pd_db_step(db, stmt, error) > 0 && compare(db, name, stmt, fits_out, error);
    sqlite3_finalize(stmt);
    return ok;
}

bool
pd_witness_check(PdDb *db, const char *name, bool *fits_out, GError **error)
{
    g_autofree char *sql = dup_sum_query(find_table(name));

    return check_query(db, name, sql, fits_out, error);
}

bool
pd_witness_check_schema(PdDb *db, bool *fits_out, GError **error)
{
    return check_query(db, "schema", SCHEMA_QUERY, fits_out, error);
}
