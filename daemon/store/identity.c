/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides when a store is no longer the one that sinks know.
 */
#include "store/identity.h"

#include "store/journal.h"

static bool
get_meta(PdDb *db, const char *key, char **value_out, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(db, error, "select value from meta where key = ?", "t", key);
    const int got = stmt == NULL ? -1 : pd_db_step(db, stmt, error);

    *value_out = got > 0 ? pd_stmt_dup_text(stmt, 0) : NULL;
    return got >= 0;
}

static bool
set_meta(PdDb *db, const char *key, const char *value, GError **error)
{
    return pd_db_run(
        db, error, "insert or replace into meta (key, value) values (?, ?)", "tt", key, value);
}

static bool
keep_former(PdDb *db, const char *id, GError **error)
{
    uint64_t head = 0;

    return id == NULL || (pd_journal_head(db, &head, error) &&
                          pd_db_run(db,
                                    error,
                                    "insert or replace into former_store (store_id, head, wall_us)"
                                    " values (?, ?, ?)",
                                    "tii",
                                    id,
                                    (int64_t)head,
                                    g_get_real_time()));
}

bool
pd_identity_ensure(PdDb *db, const char *machine, char **id_out, GError **error)
{
    g_autofree char *id = NULL;
    g_autofree char *old_machine = NULL;

    if (!get_meta(db, "store_id", &id, error) || !get_meta(db, "machine", &old_machine, error)) {
        return false;
    }
    const bool moved = machine[0] != '\0' && g_strcmp0(machine, old_machine) != 0;
    if (id != NULL && !moved) {
        *id_out = g_steal_pointer(&id);
        return true;
    }
    g_autofree char *new_id = g_uuid_string_random();
    if (!pd_db_script(db, "begin immediate", error) || !keep_former(db, id, error) ||
        !set_meta(db, "store_id", new_id, error) || !set_meta(db, "machine", machine, error) ||
        !pd_db_script(db, "commit", error)) {
        return false;
    }
    *id_out = g_steal_pointer(&new_id);
    return true;
}

char *
pd_identity_dup_machine(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/etc/machine-id", &text, NULL, NULL)) {
        return g_strdup("");
    }
    g_strstrip(text);
    /* The machine id itself is not for handing on (machine-id(5)). */
    g_autofree char *salted = g_strconcat("pentel store ", text, NULL);
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, salted, -1);
}
