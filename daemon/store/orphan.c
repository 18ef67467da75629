/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Segments that a crash left without a row: a new one whose transaction did not come about,
 * or an old one that an erasure replaced. Only what is known to be elsewhere, or erased, is
 * deleted.
 */
#include "store/salvage.h"
#include "store/segment.h"

#include <glib/gstdio.h>

bool
pd_has_segment_row(PdDb *db, const char *name)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(db, NULL, "select 1 from segment where name = ?", "t", name);

    return stmt == NULL || pd_db_step(db, stmt, NULL) != 0;
}

/* In the tail, in another segment with the same bytes, or erased. */
static bool
is_elsewhere(PdDb *db, const PdRecordPlace *place)
{
    g_autoptr(PdStmt) stmt = pd_db_query(
        db,
        NULL,
        "select state = 'erased' or (segment is null and raw_min > 0)"
        " or coalesce(block_sha256 = ?3, 0) from session where log_id = ?1 and number = ?2",
        "iib",
        (int64_t)place->log_id,
        (int64_t)place->session,
        place->block_sha256,
        sizeof place->block_sha256);

    return stmt != NULL && pd_db_step(db, stmt, NULL) > 0 && sqlite3_column_int(stmt, 0) != 0;
}

static bool
is_needless(PdDb *db, const char *raw_directory, const char *name)
{
    g_autoptr(GArray) places = pd_segment_list(raw_directory, name);

    for (guint i = 0; places != NULL && i < places->len; i++) {
        if (!is_elsewhere(db, &g_array_index(places, PdRecordPlace, i))) {
            return false;
        }
    }
    return places != NULL;
}

static void
judge_segment(PdDb *db, const char *raw_directory, const char *name, const char *path)
{
    if (is_needless(db, raw_directory, name)) {
        (void)g_unlink(path);
        return;
    }
    g_warning("no session is in %s, and it is kept", path);
}

void
pd_drop_orphans(PdDb *db, const char *raw_directory)
{
    g_autoptr(GDir) directory = g_dir_open(raw_directory, 0, NULL);
    const char *name = NULL;

    while (directory != NULL && (name = g_dir_read_name(directory)) != NULL) {
        g_autofree char *path = g_build_filename(raw_directory, name, NULL);
        if (g_str_equal(name, "sealing.tmp")) {
            (void)g_unlink(path);
        } else if (g_str_has_suffix(name, ".seg") && !pd_has_segment_row(db, name)) {
            judge_segment(db, raw_directory, name, path);
        }
    }
}
