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
keep_former(PdDb *db, const char *id, uint64_t head, GError **error)
{
    return id == NULL || pd_db_run(db,
                                   error,
                                   "insert into former_store (store_id, head, wall_us)"
                                   " values (?, ?, ?) on conflict (store_id) do update set"
                                   " head = max(head, excluded.head)",
                                   "tii",
                                   id,
                                   (int64_t)head,
                                   g_get_real_time());
}

/* "UUID HEAD"; NULL when there is none. */
static char *
read_witness(const char *state, uint64_t *head_out)
{
    g_autofree char *path = g_build_filename(state, "head", NULL);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return NULL;
    }
    g_auto(GStrv) words = g_strsplit(g_strstrip(text), " ", 2);
    if (words[0] == NULL || words[1] == NULL || !g_uuid_string_is_valid(words[0])) {
        return NULL;
    }
    *head_out = g_ascii_strtoull(words[1], NULL, 10);
    return g_strdup(words[0]);
}

void
pd_identity_write_witness(const char *state, const char *id, uint64_t head)
{
    g_autofree char *path = g_build_filename(state, "head", NULL);
    g_autofree char *text = g_strdup_printf("%s %" G_GUINT64_FORMAT "\n", id, head);
    g_autoptr(GError) error = NULL;

    if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error)) {
        g_info("%s", error->message);
    }
}

static bool
renew(PdDb *db, const char *machine, char **id_out, GError **error)
{
    g_autofree char *new_id = g_uuid_string_random();

    if (!set_meta(db, "store_id", new_id, error) || !set_meta(db, "machine", machine, error) ||
        !pd_db_script(db, "commit", error)) {
        return false;
    }
    *id_out = g_steal_pointer(&new_id);
    return true;
}

bool
pd_identity_ensure(PdDb *db, const char *state, const char *machine, char **id_out, GError **error)
{
    uint64_t seen_head = 0;
    uint64_t head = 0;
    g_autofree char *seen_id = read_witness(state, &seen_head);
    g_autofree char *id = NULL;
    g_autofree char *old_machine = NULL;

    if (!get_meta(db, "store_id", &id, error) || !get_meta(db, "machine", &old_machine, error) ||
        !pd_journal_head(db, &head, error)) {
        return false;
    }
    const bool moved = machine[0] != '\0' && old_machine != NULL && old_machine[0] != '\0' &&
                       !g_str_equal(machine, old_machine);
    const bool restored = g_strcmp0(id, seen_id) == 0 && seen_head > head;
    if (id != NULL && !moved && !restored) {
        *id_out = g_steal_pointer(&id);
        return true;
    }
    return pd_db_script(db, "begin immediate", error) && keep_former(db, id, head, error) &&
           keep_former(db, seen_id, seen_head, error) && renew(db, machine, id_out, error);
}

bool
pd_identity_renew(PdDb *db, PdDb *old, const char *machine, char **id_out, GError **error)
{
    g_autofree char *id = NULL;
    g_autofree char *old_id = NULL;
    uint64_t head = 0;
    uint64_t old_head = 0;

    if (!get_meta(db, "store_id", &id, error) || !pd_journal_head(db, &head, error)) {
        return false;
    }
    if (old != NULL &&
        (!get_meta(old, "store_id", &old_id, NULL) || !pd_journal_head(old, &old_head, NULL))) {
        g_clear_pointer(&old_id, g_free);
    }
    return pd_db_script(db, "begin immediate", error) && keep_former(db, id, head, error) &&
           keep_former(db, old_id, old_head, error) && renew(db, machine, id_out, error);
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
