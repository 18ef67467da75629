/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The store's directory: one owner at a time, damage moved aside as one unit and never
 * deleted.
 */
#include "store/home.h"

#include "store/backup.h"
#include "store/pending.h"
#include "store/schema.h"
#include "store/witness.h"
#include "util/error.h"
#include "util/files.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BALLAST_BYTES (16 << 20)

static bool
fail(GError **error, const char *path)
{
    g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", path, g_strerror(errno));
    return false;
}

static bool
take_lock(PdHome *self, GError **error)
{
    g_autofree char *path = g_build_filename(self->state, "lock", NULL);

    self->lock_fd = g_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock_fd < 0) {
        return fail(error, path);
    }
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_STORE,
                    "%s is in use by another penteld: stop that one first",
                    self->state);
        return false;
    }
    return true;
}

/* A name that is free, for a store that goes aside. */
static char *
dup_aside(PdHome *self, const char *prefix)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *stamp = g_date_time_format(now, "%Y%m%dT%H%M%SZ");
    char *path = g_strdup_printf("%s/%s-%s", self->state, prefix, stamp);

    for (int i = 1; i < 100 && g_file_test(path, G_FILE_TEST_EXISTS); i++) {
        g_free(path);
        path = g_strdup_printf("%s/%s-%s-%d", self->state, prefix, stamp, i);
    }
    return path;
}

static bool
make_directories(PdHome *self, GError **error)
{
    return g_mkdir_with_parents(self->raw, 0700) == 0 || fail(error, self->raw);
}

/* Of a backup or a salvage that nobody ended. */
static void
drop_copy(PdHome *self)
{
    g_autofree char *backup = g_build_filename(self->state, "backup.tmp", NULL);
    g_autofree char *salvage = g_build_filename(self->state, "salvage.tmp", NULL);

    pd_backup_remove_tree(backup);
    pd_backup_remove_tree(salvage);
}

/* The mark goes last: without it this would be taken for a store. */
void
pd_home_drop_restore(PdHome *self)
{
    g_autofree char *path = g_build_filename(self->state, PD_HOME_RESTORE, NULL);
    g_autofree char *mark = g_build_filename(path, PD_HOME_RESTORE_MARK, NULL);
    g_autofree char *raw = g_build_filename(path, "raw", NULL);
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    pd_backup_remove_tree(raw);
    while (directory != NULL && (name = g_dir_read_name(directory)) != NULL) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        if (!g_str_equal(name, PD_HOME_RESTORE_MARK)) {
            (void)g_unlink(below);
        }
    }
    (void)g_unlink(mark);
    (void)g_rmdir(path);
}

/* What the exchange left in @path gets the name it is kept under. */
static char *
keep_replaced(PdHome *self, const char *path)
{
    g_autofree char *kept = dup_aside(self, "replaced");

    /* The backup stands for what was salvaged as well, and has the tombstones of it. */
    pd_pending_clear(self->state);
    const bool ok = g_rename(path, kept) == 0;
    (void)pd_sync_directory(self->state, NULL);
    return ok ? g_steal_pointer(&kept) : NULL;
}

char *
pd_home_settle_restore(PdHome *self)
{
    g_autofree char *path = g_build_filename(self->state, PD_HOME_RESTORE, NULL);
    g_autofree char *unready = g_build_filename(path, PD_HOME_RESTORE_MARK, NULL);
    g_autofree char *mark = g_build_filename(self->store, PD_HOME_RESTORE_MARK, NULL);
    char *kept = NULL;

    if (g_file_test(unready, G_FILE_TEST_EXISTS)) {
        pd_home_drop_restore(self);
    }
    /* An empty one was begun and no more. */
    if (g_file_test(path, G_FILE_TEST_EXISTS) && g_rmdir(path) != 0) {
        kept = keep_replaced(self, path);
    }
    (void)g_unlink(mark);
    return kept;
}

bool
pd_home_enter(PdHome *self, const char *state, GError **error)
{
    *self = (PdHome){
        .state = g_strdup(state),
        .store = g_build_filename(state, "store", NULL),
        .index = g_build_filename(state, "store", "index.db", NULL),
        .raw = g_build_filename(state, "store", "raw", NULL),
        .lock_fd = -1,
    };
    if (g_mkdir_with_parents(state, 0700) != 0) {
        return fail(error, state);
    }
    if (!take_lock(self, error) || !make_directories(self, error)) {
        return false;
    }
    drop_copy(self);
    g_autofree char *kept = pd_home_settle_restore(self);
    if (kept != NULL) {
        g_message("the store was replaced by a backup; what was there is now %s", kept);
    }
    return pd_sync_directory(self->store, error) && pd_sync_directory(self->state, error);
}

void
pd_home_leave(PdHome *self)
{
    if (self->lock_fd >= 0) {
        close(self->lock_fd);
    }
    g_free(self->state);
    g_free(self->store);
    g_free(self->index);
    g_free(self->raw);
    g_free(self->moved_to);
    memset(self, 0, sizeof *self);
    self->lock_fd = -1;
}

static bool
move_aside(PdHome *self, GError **error)
{
    g_autofree char *path = dup_aside(self, "damaged");
    g_autofree char *name = g_path_get_basename(path);
    g_autoptr(GError) local = NULL;

    if (!pd_pending_add(self->state, name, &local)) {
        g_warning("what is salvaged now is not salvaged again: %s", local->message);
    }
    if (g_rename(self->store, path) != 0) {
        return fail(error, path);
    }
    self->moved_to = g_steal_pointer(&path);
    return pd_sync_directory(self->state, error) && make_directories(self, error) &&
           pd_sync_directory(self->state, error) && pd_sync_directory(self->store, error);
}

bool
pd_home_move_aside(PdHome *self, const char *why, GError **error)
{
    if (!move_aside(self, error)) {
        return false;
    }
    g_warning(
        "the store is damaged (%s) and was moved to %s; a fresh one is begun", why, self->moved_to);
    return true;
}

static char *
suspect_path(const char *index)
{
    g_autofree char *store = g_path_get_dirname(index);

    return g_build_filename(store, "suspect", NULL);
}

void
pd_home_suspect(PdHome *self)
{
    pd_home_suspect_index(self->index);
}

void
pd_home_suspect_index(const char *index)
{
    g_autofree char *path = suspect_path(index);
    const int fd = g_open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
    }
}

static char *
open_path(const PdHome *self)
{
    return g_build_filename(self->store, "open", NULL);
}

/* Durable once the directory is synced. */
static void
mark_open(PdHome *self, bool is_suspect)
{
    g_autofree char *path = open_path(self);

    self->must_check = is_suspect || g_file_test(path, G_FILE_TEST_EXISTS);
    const int fd = g_open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
    }
}

void
pd_home_mark_closed(const PdHome *self)
{
    g_autofree char *path = open_path(self);
    g_autofree char *wal = g_strconcat(self->index, "-wal", NULL);

    if (!self->must_check && !g_file_test(wal, G_FILE_TEST_EXISTS)) {
        g_unlink(path);
    }
}

static bool
is_damage(int code)
{
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR ||
           code == SQLITE_OK;
}

/* A WAL beside a file that is not there: SQLite would delete it (F12). */
static bool
has_orphaned_wal(PdHome *self)
{
    g_autofree char *wal_path = g_strconcat(self->index, "-wal", NULL);
    GStatBuf index;
    GStatBuf wal;

    return g_stat(wal_path, &wal) == 0 && wal.st_size > 0 &&
           (g_stat(self->index, &index) != 0 || index.st_size == 0);
}

/* @damaged_out: what failed is the content, not the disk or the permissions. */
static PdDb *
try_open(PdHome *self, bool *damaged_out, GError **error)
{
    g_autofree char *suspect = suspect_path(self->index);
    const bool is_suspect = g_file_test(suspect, G_FILE_TEST_EXISTS);
    g_autoptr(GError) local = NULL;
    int code = SQLITE_OK;

    *damaged_out = has_orphaned_wal(self);
    if (*damaged_out) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s is gone but its WAL", self->index);
        return NULL;
    }
    g_autoptr(PdDb) db = pd_db_open(self->index, PD_DB_WRITER, &code, &local);
    if (db != NULL && pd_schema_ensure(db, &local) &&
        pd_db_script(db, "select 1 from meta, journal, session, raw limit 1", &local) &&
        (!is_suspect || pd_db_check_pages(db, &local))) {
        g_unlink(suspect);
        mark_open(self, is_suspect);
        /* By now the WAL is there. SQLite syncs its name as well, but hears no error of it. */
        return pd_sync_directory(self->store, error) ? g_steal_pointer(&db) : NULL;
    }
    code = db != NULL ? pd_db_last_code(db) : code;
    *damaged_out = g_error_matches(local, PD_ERROR, PD_ERROR_STORE) && is_damage(code);
    g_propagate_error(error, g_steal_pointer(&local));
    return NULL;
}

static PdDb *
open_or_move(PdHome *self, GError **error)
{
    g_autoptr(GError) local = NULL;
    bool damaged = false;
    bool migrated = false;

    if (!has_orphaned_wal(self) && !pd_schema_upgrade(self->index, &migrated, error)) {
        return NULL;
    }
    PdDb *db = try_open(self, &damaged, &local);
    if (db != NULL && !migrated) {
        pd_schema_drop_old(self->index);
    }
    if (db != NULL) {
        return db;
    }
    if (!damaged) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    if (!pd_home_move_aside(self, local->message, error)) {
        return NULL;
    }
    return try_open(self, &damaged, error);
}

PdDb *
pd_home_open_index(PdHome *self, GError **error)
{
    g_autoptr(PdDb) db = open_or_move(self, error);

    return db != NULL && pd_witness_attach(db, error) ? g_steal_pointer(&db) : NULL;
}

uint64_t
pd_home_free_bytes(const PdHome *self)
{
    struct statvfs fs;

    if (statvfs(self->state, &fs) != 0) {
        return 0;
    }
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static char *
ballast_path(const PdHome *self)
{
    return g_build_filename(self->state, "ballast", NULL);
}

bool
pd_home_take_ballast(const PdHome *self)
{
    g_autofree char *path = ballast_path(self);
    GStatBuf st;

    if (g_stat(path, &st) == 0 && st.st_size == BALLAST_BYTES) {
        return true;
    }
    if (pd_home_free_bytes(self) < UINT64_C(2) * BALLAST_BYTES) {
        return false;
    }
    const int fd = g_open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const bool ok = fd >= 0 && posix_fallocate(fd, 0, BALLAST_BYTES) == 0;
    if (fd >= 0) {
        close(fd);
    }
    if (!ok) {
        (void)g_unlink(path);
    }
    return ok;
}

void
pd_home_drop_ballast(const PdHome *self)
{
    g_autofree char *path = ballast_path(self);

    (void)g_unlink(path);
}
