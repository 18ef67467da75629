/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A backup takes the place of the store. Everything is made ready beside it; one exchange
 * of two names makes it the store, and nothing that was there is deleted. Whoever is killed
 * in between leaves it to the next start, see pd_home_settle_restore().
 */
#include "store/restore.h"

#include "store/backup.h"
#include "store/erase.h"
#include "store/identity.h"
#include "store/pending.h"
#include "store/salvage.h"
#include "store/schema.h"
#include "store/witness.h"
#include "util/error.h"
#include "util/files.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

typedef struct {
    PdHome home;     /* of the store that is replaced */
    char *directory; /* owned; the backup's until the exchange, then that of what was there */
} Restore;

static bool
fail(GError **error, const char *what)
{
    g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", what, g_strerror(errno));
    return false;
}

static bool
begin(Restore *self, GError **error)
{
    self->directory = g_build_filename(self->home.state, PD_HOME_RESTORE, NULL);
    g_autofree char *raw = g_build_filename(self->directory, "raw", NULL);
    g_autofree char *mark = g_build_filename(self->directory, PD_HOME_RESTORE_MARK, NULL);

    if (g_mkdir(self->directory, 0700) != 0) {
        return fail(error, self->directory);
    }
    const int fd = g_open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail(error, mark);
    }
    close(fd);
    return g_mkdir(raw, 0700) == 0 || fail(error, raw);
}

static bool
check_pages(PdDb *db, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (pd_db_check_pages(db, &local)) {
        return true;
    }
    g_set_error(
        error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT, "the backup is damaged: %s", local->message);
    return false;
}

/* What holds no tables would be taken for a store that is to be begun. */
static bool
check_kind(const char *index, GError **error)
{
    g_autoptr(GError) local = NULL;
    int64_t version = 0;

    if (pd_schema_read_version(index, &version, &local) && version > 0) {
        return true;
    }
    g_set_error(error,
                PD_ERROR,
                PD_ERROR_INVALID_ARGUMENT,
                "no whole backup: its index.db is no store%s%s",
                local != NULL ? ": " : "",
                local != NULL ? local->message : "");
    return false;
}

/* Another store from here on; the ids and heads of both that were are kept for sinks. */
static bool
renew_identity(Restore *self, PdDb *db, char **id_out, GError **error)
{
    g_autoptr(PdDb) old = g_file_test(self->home.index, G_FILE_TEST_EXISTS)
                              ? pd_db_open(self->home.index, PD_DB_READER, NULL, NULL)
                              : NULL;
    g_autofree char *machine = pd_identity_dup_machine();

    return pd_identity_renew(db, old, machine, id_out, error);
}

/* What cannot be read of it is told, and stands in the way of nothing. */
static bool
apply_index(PdLedger *ledger, const char *index, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(GBytes) bytes = pd_read_tombstones(index, &local);

    if (local != NULL) {
        g_warning("what was erased in the store before cannot all be read: %s", local->message);
    }
    return pd_apply_tombstones(ledger, bytes, error);
}

/* Of stores that went aside and were not salvaged to their end. */
static bool
apply_pending(Restore *self, PdLedger *ledger, GError **error)
{
    g_autofree char *copy = g_build_filename(self->home.state, "salvage.tmp", NULL);
    g_autofree char *index = g_build_filename(copy, "index.db", NULL);
    g_auto(GStrv) paths = pd_pending_list(self->home.state);
    bool ok = true;

    for (char **path = paths; ok && *path != NULL; path++) {
        ok = pd_salvage_copy_index(*path, copy, error) && apply_index(ledger, index, error);
    }
    pd_backup_remove_tree(copy);
    return ok;
}

static bool
apply_all(Restore *self, PdLedger *ledger, const char *tombstones, GError **error)
{
    g_autoptr(GMappedFile) file = NULL;

    if (!apply_index(ledger, self->home.index, error) || !apply_pending(self, ledger, error)) {
        return false;
    }
    if (tombstones == NULL) {
        return true;
    }
    file = g_mapped_file_new(tombstones, FALSE, error);
    if (file == NULL) {
        return false;
    }
    g_autoptr(GBytes) bytes = g_mapped_file_get_bytes(file);
    return pd_apply_tombstones(ledger, bytes, error);
}

static bool
bury(Restore *self, PdDb *db, const char *id, const char *tombstones, GError **error)
{
    const PenFoldConfig config = PEN_FOLD_DEFAULT;
    g_autofree char *raw = g_build_filename(self->directory, "raw", NULL);
    g_autofree char *index = g_build_filename(self->directory, "index.db", NULL);
    PdLedger ledger;

    pd_ledger_init(&ledger, db, raw, &config);
    ledger.stamp = (PdJournalStamp){ .store_id = id, .wall_us = g_get_real_time() };
    const bool ok =
        pd_ledger_reload(&ledger, error) && pd_db_script(db, "begin immediate", error) &&
        apply_all(self, &ledger, tombstones, error) && pd_db_script(db, "commit", error);
    if (ok) {
        pd_erase_finish(&ledger, index);
    }
    pd_ledger_clear(&ledger);
    return ok;
}

static bool
prepare(Restore *self, const char *path, const char *tombstones, GError **error)
{
    g_autofree char *index = g_build_filename(self->directory, "index.db", NULL);
    g_autofree char *id = NULL;
    bool migrated = false;

    if (!pd_unpack_backup(path, self->directory, error) || !check_kind(index, error) ||
        !pd_schema_upgrade(index, &migrated, error)) {
        return false;
    }
    PdDb *db = pd_db_open(index, PD_DB_WRITER, NULL, error);
    const bool ok = db != NULL && pd_schema_ensure(db, error) && check_pages(db, error) &&
                    pd_witness_attach(db, error) && renew_identity(self, db, &id, error) &&
                    bury(self, db, id, tombstones, error);
    if (db != NULL) {
        pd_db_keep_wal(db, false);
        pd_db_close(db);
    }
    return ok;
}

/* Before it takes the store's place: a power cut must not leave names without bytes. */
static bool
sync_all(Restore *self, GError **error)
{
    g_autofree char *index = g_build_filename(self->directory, "index.db", NULL);
    g_autofree char *raw = g_build_filename(self->directory, "raw", NULL);

    return pd_sync_file(index, error) && pd_sync_directory(raw, error) &&
           pd_sync_directory(self->directory, error) && pd_sync_directory(self->home.state, error);
}

static bool
exchange(Restore *self, GError **error)
{
    if (renameat2(AT_FDCWD, self->home.store, AT_FDCWD, self->directory, RENAME_EXCHANGE) != 0) {
        return fail(error, "put the backup into the store's place");
    }
    return true;
}

bool
pd_store_restore(const char *directory, const char *path, const char *tombstones, GError **error)
{
    Restore self = { .home = { .lock_fd = -1 } };
    g_autofree char *kept = NULL;

    bool ok = pd_home_enter(&self.home, directory, error) && begin(&self, error);
    if (ok && (!prepare(&self, path, tombstones, error) || !sync_all(&self, error) ||
               !exchange(&self, error))) {
        pd_home_drop_restore(&self.home);
        ok = false;
    }
    if (ok) {
        kept = pd_home_settle_restore(&self.home);
        g_message("the store was replaced by the backup; what was there is now %s",
                  kept != NULL ? kept : self.directory);
    }
    g_free(self.directory);
    pd_home_leave(&self.home);
    return ok;
}
