/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A disk that is full, or fails to sync, when a test says so: SQLite's own file system with
 * another write and another sync.
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
    GMutex lock;                   /* guards the following */
    bool is_unsyncable;
    GByteArray *durable; /* owned; of the database; NULL: nobody asked */
    GPtrArray *waiting;  /* owned; of Write: no sync came since */
} Disk;

typedef struct {
    sqlite3_int64 offset;
    GBytes *bytes; /* owned */
} Write;

static void
free_write(gpointer data)
{
    Write *self = data;

    g_bytes_unref(self->bytes);
    g_free(self);
}

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
write_database(sqlite3_file *file, const void *bytes, int n_bytes, sqlite3_int64 offset)
{
    Disk *disk = get_disk();
    const int rc = write_or_refuse(file, bytes, n_bytes, offset);

    g_mutex_lock(&disk->lock);
    if (rc == SQLITE_OK && disk->durable != NULL) {
        Write *write = g_new0(Write, 1);
        *write = (Write){ .offset = offset, .bytes = g_bytes_new(bytes, (gsize)n_bytes) };
        g_ptr_array_add(disk->waiting, write);
    }
    g_mutex_unlock(&disk->lock);
    return rc;
}

static void
make_durable(Disk *disk)
{
    for (guint i = 0; disk->durable != NULL && i < disk->waiting->len; i++) {
        const Write *write = g_ptr_array_index(disk->waiting, i);
        const gsize at = (gsize)write->offset;
        const gsize n_bytes = g_bytes_get_size(write->bytes);
        if (disk->durable->len < at + n_bytes) {
            g_byte_array_set_size(disk->durable, (guint)(at + n_bytes));
        }
        memcpy(disk->durable->data + at, g_bytes_get_data(write->bytes, NULL), n_bytes);
    }
}

/* As Linux does it: what a failed sync was to write counts as written from then on. */
static int
sync_database(sqlite3_file *file, int flags)
{
    Disk *disk = get_disk();

    g_mutex_lock(&disk->lock);
    const bool fails = disk->is_unsyncable;
    if (!fails) {
        make_durable(disk);
    }
    if (disk->durable != NULL) {
        g_ptr_array_set_size(disk->waiting, 0);
    }
    g_mutex_unlock(&disk->lock);
    return fails ? SQLITE_IOERR_FSYNC : find_methods(file->pMethods)->below->xSync(file, flags);
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

void
rig_set_disk_unsyncable(bool unsyncable)
{
    Disk *disk = get_disk();

    g_mutex_lock(&disk->lock);
    disk->is_unsyncable = unsyncable;
    g_mutex_unlock(&disk->lock);
}

void
rig_watch_durable(const char *path)
{
    Disk *disk = get_disk();
    char *bytes = NULL;
    gsize n_bytes = 0;

    g_mutex_lock(&disk->lock);
    g_clear_pointer(&disk->durable, g_byte_array_unref);
    g_clear_pointer(&disk->waiting, g_ptr_array_unref);
    if (path != NULL) {
        g_assert_true(g_file_get_contents(path, &bytes, &n_bytes, NULL));
        disk->durable = g_byte_array_new_take((guint8 *)bytes, n_bytes);
        disk->waiting = g_ptr_array_new_with_free_func(free_write);
    }
    g_mutex_unlock(&disk->lock);
}

void
rig_write_durable(const char *path)
{
    Disk *disk = get_disk();

    g_mutex_lock(&disk->lock);
    g_assert_true(g_file_set_contents(
        path, (const char *)disk->durable->data, (gssize)disk->durable->len, NULL));
    g_mutex_unlock(&disk->lock);
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
    disk->vfs.zName = "bad-disk";
    disk->vfs.xOpen = open_file;
    learn_methods(disk, &disk->methods[0], path, SQLITE_OPEN_MAIN_DB);
    disk->methods[0].methods.xWrite = write_database;
    disk->methods[0].methods.xSync = sync_database;
    learn_methods(disk, &disk->methods[1], NULL, SQLITE_OPEN_DELETEONCLOSE | SQLITE_OPEN_TEMP_DB);
    g_assert_cmpint(sqlite3_vfs_register(&disk->vfs, 1), ==, SQLITE_OK);
    rig_remove_tree(directory);
}
