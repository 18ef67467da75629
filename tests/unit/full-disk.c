/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A disk that is full when a test says so: SQLite's own file system with another write.
 */
#include "rig.h"

#include <sqlite3.h>

#include <stdatomic.h>
#include <unistd.h>

/* SQLite has one set for databases, which it locks, and one for all else. */
typedef struct {
    const sqlite3_io_methods *below;
    sqlite3_io_methods methods;
} Methods;

typedef struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *below;
    Methods methods[2];
    atomic_bool is_full;
    _Atomic(const char *) ballast; /* full while this file is there; NULL never */
} Disk;

static Disk *
get_disk(void)
{
    static Disk disk;

    return &disk;
}

static Methods *
find_methods(const sqlite3_io_methods *methods)
{
    Disk *disk = get_disk();

    for (guint i = 0; i < G_N_ELEMENTS(disk->methods); i++) {
        if (disk->methods[i].below == methods || &disk->methods[i].methods == methods) {
            return &disk->methods[i];
        }
    }
    g_assert_not_reached();
}

static int
write_or_refuse(sqlite3_file *file, const void *bytes, int n_bytes, sqlite3_int64 offset)
{
    const char *ballast = atomic_load(&get_disk()->ballast);

    if (atomic_load(&get_disk()->is_full) || (ballast != NULL && access(ballast, F_OK) == 0)) {
        return SQLITE_FULL;
    }
    return find_methods(file->pMethods)->below->xWrite(file, bytes, n_bytes, offset);
}

static int
open_file(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *flags_out)
{
    Disk *disk = get_disk();
    const int rc = disk->below->xOpen(disk->below, name, file, flags, flags_out);

    if (rc == SQLITE_OK && file->pMethods != NULL) {
        file->pMethods = &find_methods(file->pMethods)->methods;
    }
    return rc;
}

void
rig_set_disk_full(bool full)
{
    atomic_store(&get_disk()->is_full, full);
}

void
rig_set_disk_full_while(const char *path)
{
    atomic_store(&get_disk()->ballast, path);
}

static void
learn_methods(Disk *disk, Methods *learnt, const char *path, int kind)
{
    g_autofree sqlite3_file *file = g_malloc0((gsize)disk->below->szOsFile);
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | kind;
    int flags_out = 0;

    g_assert_cmpint(disk->below->xOpen(disk->below, path, file, flags, &flags_out), ==, SQLITE_OK);
    learnt->below = file->pMethods;
    learnt->methods = *file->pMethods;
    learnt->methods.xWrite = write_or_refuse;
    g_assert_cmpint(file->pMethods->xClose(file), ==, SQLITE_OK);
}

void
rig_watch_disk(void)
{
    Disk *disk = get_disk();
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = g_dir_make_tmp("pentel-unit-XXXXXX", &error);
    g_autofree char *path = g_build_filename(directory, "probe", NULL);

    g_assert_no_error(error);
    g_assert_cmpint(sqlite3_initialize(), ==, SQLITE_OK);
    disk->below = sqlite3_vfs_find(NULL);
    disk->vfs = *disk->below;
    disk->vfs.zName = "full-disk";
    disk->vfs.xOpen = open_file;
    learn_methods(disk, &disk->methods[0], path, SQLITE_OPEN_MAIN_DB);
    learn_methods(disk, &disk->methods[1], NULL, SQLITE_OPEN_DELETEONCLOSE | SQLITE_OPEN_TEMP_DB);
    g_assert_cmpint(sqlite3_vfs_register(&disk->vfs, 1), ==, SQLITE_OK);
    rig_remove_tree(directory);
}
