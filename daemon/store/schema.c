/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The tables of index.db. Raw records are append-only by rowid without another index, so
 * that a commit touches few pages (F15); what is derived can be thrown away and folded
 * again from them (F16).
 */
#include "store/schema.h"

#include "store/chain.h"
#include "store/witness.h"
#include "util/error.h"
#include "util/files.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const char *const schema_1 =
    /* store_id, machine, folded_rowid */
    "create table meta (key text primary key, value) without rowid;"
    "create table former_store (store_id text primary key, head integer not null,"
    " wall_us integer not null) without rowid;"
    /* Facts. */
    "create table raw (rowid integer primary key, log_id integer not null,"
    " number integer not null, session integer not null, bytes blob not null);"
    /* Records outside any session are few; those of one are compared in memory. */
    "create index raw_outside on raw (log_id, number) where session = 0;"
    "create table conflict (log_id integer not null, number integer not null,"
    " crc integer not null, wall_us integer not null, bytes blob not null,"
    " primary key (log_id, number, crc)) without rowid;"
    "create table damaged (log_id integer not null, number integer not null,"
    " bytes blob not null, primary key (log_id, number)) without rowid;"
    "create table settled (log_id integer not null, first integer not null,"
    " last integer not null, cause integer not null,"
    " primary key (log_id, first)) without rowid;"
    "create table anchor (rowid integer primary key, log_id integer not null,"
    " boot integer not null, tick_us integer not null, wall_us integer not null,"
    " synced integer not null, error_us integer not null);"
    "create index anchor_by_tick on anchor (log_id, boot, tick_us);"
    "create table pen (serial text primary key, address text not null, name text,"
    " firmware text, adapters text not null, log_id integer not null,"
    " last_seen_us integer not null, overwritten integer not null) without rowid;"
    "create table log (log_id integer primary key, serial text not null,"
    " tick_unit integer not null, marked integer not null, marked_wall_us integer not null,"
    " stored blob, outside blob);"
    "create table journal (seq integer primary key, wall_us integer not null,"
    " session text not null, kind integer not null, salt blob not null, entry blob,"
    " hash blob not null);"
    "create index journal_by_session on journal (session) where session != '';"
    /* Derived. */
    "create table session (opened_seq integer primary key, id text not null unique,"
    " log_id integer not null, number integer not null, serial text not null,"
    " boot integer not null, tick_unit integer not null,"
    " has_begin integer not null, has_end integer not null, end_cause integer not null,"
    " continues integer, start_us integer not null, end_us integer not null,"
    " contact_us integer not null, all_contact_us integer not null,"
    " n_passes integer not null, depth_min integer, depth_median integer, depth_p95 integer,"
    " depth_max integer, depth_mean integer, first integer not null, last integer not null,"
    " n_bad integer not null, start_wall_us integer, end_wall_us integer,"
    " time_error_us integer not null, state text not null, missing blob,"
    " definition text not null, receipt blob, receipt_last integer not null,"
    " raw_min integer not null, raw_max integer not null,"
    " segment integer, block_offset integer, block_size integer, block_sha256 blob,"
    " patient text, operator text, note text, zone text, closed_reason text,"
    " unique (log_id, number));"
    "create index session_unsealed on session (raw_min) where raw_min > 0;"
    "create index session_unfinished on session (log_id, number)"
    " where state in ('open', 'partial', 'closed-by');"
    "create table pass (opened_seq integer not null, idx integer not null,"
    " start_us integer not null, elapsed_us integer not null, contact_us integer not null,"
    " depth_min integer, depth_median integer, depth_p95 integer, depth_max integer,"
    " depth_mean integer, rate_mhz integer, punctures integer,"
    " incomplete integer not null, primary key (opened_seq, idx)) without rowid;"
    "create table pass_zone (opened_seq integer not null, idx integer not null,"
    " zone text not null, primary key (opened_seq, idx)) without rowid;"
    "create table note (opened_seq integer not null, idx integer not null,"
    " kind integer not null, tick_us integer not null, value integer not null,"
    " cartridge text, lot text, expiry text, needles integer, text text,"
    " primary key (opened_seq, idx)) without rowid;"
    "create table segment (id integer primary key, name text not null unique);";

/* What tamper evidence, erasure and holds need. */
static const char *const schema_2 =
    /* Hash of the content of an erased entry, whose salt is empty; else null. */
    "alter table journal add column content blob;"
    "alter table session add column hold text;"
    /* Numbers whose content must not come back from anywhere (F20). */
    "create table erased (log_id integer not null, session integer not null,"
    " first integer not null, last integer not null,"
    " primary key (log_id, session, first)) without rowid;"
    "create table witness (name text primary key, n integer not null, sum blob not null)"
    " without rowid;";

/* What the skin answered and what a treatment was part of; what lies in a segment is looked for
 * when one is rewritten. */
static const char *const schema_3 =
    "alter table session add column reaction text;"
    "alter table session add column order_ref text;"
    "create index session_by_segment on session (segment) where segment is not null;";

static bool
run_2(PdDb *db, GError **error)
{
    return pd_chain_renew(db, error) && pd_witness_begin(db, error);
}

/* A schema that was changed by somebody else stays one that verification names. */
static bool
run_3(PdDb *db, GError **error)
{
    bool fits = false;

    return pd_witness_check_schema(db, &fits, error) && pd_db_script(db, schema_3, error) &&
           (!fits || pd_witness_renew_schema(db, error));
}

/* From version 1 on, in order. */
static const PdMigration migrations[] = { { schema_2, run_2 }, { "", run_3 } };

static bool
get_version(PdDb *db, int64_t *version_out, GError **error)
{
    return pd_db_get_int(db, 0, version_out, error, "pragma user_version");
}

bool
pd_schema_read_version(const char *path, int64_t *version_out, GError **error)
{
    *version_out = 0;
    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        return true;
    }
    g_autoptr(PdDb) db = pd_db_open(path, PD_DB_WRITER, NULL, error);
    return db != NULL && get_version(db, version_out, error);
}

static bool
copy_into(const char *path, const char *copy_path, GError **error)
{
    g_autofree char *wal_path = g_strconcat(path, "-wal", NULL);
    g_autoptr(PdDb) db = pd_db_open(path, PD_DB_WRITER, NULL, error);

    if (db == NULL) {
        return false;
    }
    pd_db_keep_wal(db, false);
    const int fd = g_open(copy_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
    }
    if (!pd_db_run(db, error, "vacuum into ?", "t", copy_path)) {
        return false;
    }
    pd_db_close(g_steal_pointer(&db));
    /* A WAL left behind would be applied to the copy that takes the file's name. */
    if (g_file_test(wal_path, G_FILE_TEST_EXISTS)) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s is still in use", path);
        return false;
    }
    return true;
}

static bool
run_steps(const char *path, const PdMigration *steps, int64_t target, GError **error)
{
    g_autoptr(PdDb) db = pd_db_open(path, PD_DB_WRITER, NULL, error);
    int64_t version = 0;

    if (db == NULL || !get_version(db, &version, error) ||
        !pd_db_script(db, "pragma journal_mode=delete; begin immediate", error)) {
        return false;
    }
    for (int64_t at = version; at < target; at++) {
        const PdMigration *step = &steps[at - 1];
        if (!pd_db_script(db, step->sql, error) || (step->run != NULL && !step->run(db, error))) {
            return false;
        }
    }
    g_autofree char *end =
        g_strdup_printf("pragma user_version = %" G_GINT64_FORMAT "; commit", target);
    return pd_db_script(db, end, error);
}

static bool
rename_to(const char *from, const char *to, GError **error)
{
    if (g_rename(from, to) == 0) {
        return true;
    }
    g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", from, g_strerror(errno));
    return false;
}

bool
pd_schema_migrate(const char *path, const PdMigration *steps, int64_t target, GError **error)
{
    g_autofree char *copy_path = g_strconcat(path, ".new", NULL);
    g_autofree char *directory = g_path_get_dirname(path);
    int64_t version = 0;

    if (!pd_schema_read_version(path, &version, error)) {
        return false;
    }
    if (version == 0 || version >= target) {
        return true;
    }
    g_unlink(copy_path);
    g_autofree char *old_path = g_strdup_printf("%s.v%" G_GINT64_FORMAT, path, version);
    if (!copy_into(path, copy_path, error) || !run_steps(copy_path, steps, target, error) ||
        !pd_sync_file(copy_path, error)) {
        return false;
    }
    g_unlink(old_path);
    if (link(path, old_path) != 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", old_path, g_strerror(errno));
        return false;
    }
    return rename_to(copy_path, path, error) && pd_sync_directory(directory, error);
}

bool
pd_schema_upgrade(const char *path, bool *done_out, GError **error)
{
    g_autoptr(GError) unreadable = NULL;
    int64_t version = 0;

    *done_out = false;
    /* What cannot be read is for the opening to judge. */
    if (!pd_schema_read_version(path, &version, &unreadable) || version <= 0 ||
        version >= PD_SCHEMA_VERSION) {
        return true;
    }
    *done_out = true;
    return pd_schema_migrate(path, migrations, PD_SCHEMA_VERSION, error);
}

void
pd_schema_drop_old(const char *path)
{
    for (int version = 1; version < PD_SCHEMA_VERSION; version++) {
        g_autofree char *old_path = g_strdup_printf("%s.v%d", path, version);
        (void)g_unlink(old_path);
    }
}

static bool
create(PdDb *db, GError **error)
{
    g_autofree char *end = g_strdup_printf("pragma user_version = %d; commit", PD_SCHEMA_VERSION);

    if (pd_db_script(db, "begin immediate", error) && pd_db_script(db, schema_1, error) &&
        pd_db_script(db, schema_2, error) && pd_db_script(db, schema_3, error) &&
        pd_witness_begin(db, error) && pd_db_script(db, end, error)) {
        return true;
    }
    (void)sqlite3_exec(pd_db_handle(db), "rollback", NULL, NULL, NULL);
    return false;
}

bool
pd_schema_ensure(PdDb *db, GError **error)
{
    int64_t version = 0;

    if (!get_version(db, &version, error)) {
        return false;
    }
    if (version > PD_SCHEMA_VERSION) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_STORE_NEWER,
                    "the store was written by a later version (schema %d, this one knows %d): "
                    "install that version again, or move the store away",
                    (int)version,
                    PD_SCHEMA_VERSION);
        return false;
    }
    return version == PD_SCHEMA_VERSION || create(db, error);
}
