/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What the store lies on, from the mount table and the block devices below it: free space
 * where penteld does not tell it, memory instead of a disk, and no encryption (F26). What
 * cannot be seen, as on a network file system, is said to be so.
 */
#include "ctl/doctor.h"

#include <string.h>
#include <sys/statvfs.h>

#define STATE      "/var/lib/pentel"
#define DEPTH_MAX  8 /* of block devices on block devices */
#define FIELDS_MIN 10

typedef enum {
    CRYPT_UNKNOWN = 0,
    CRYPT_NO,
    CRYPT_YES,
} Crypt;

typedef struct {
    char *device; /* "major:minor" */
    char *type;
    char *source;
} Mount;

static void
mount_clear(Mount *self)
{
    g_free(self->device);
    g_free(self->type);
    g_free(self->source);
}

static bool
is_below(const char *path, const char *mount_point)
{
    const gsize n = strlen(mount_point);

    return strcmp(mount_point, "/") == 0 ||
           (strncmp(path, mount_point, n) == 0 && (path[n] == '\0' || path[n] == '/'));
}

/* proc(5): fields 3 and 5, then type and source after the "-". The last of the longest wins. */
static bool
find_mount(const CtlDoctor *self, Mount *mount_out)
{
    g_autofree char *path = ctl_doctor_dup_path(self, "/proc/self/mountinfo");
    g_autofree char *text = NULL;
    gsize n_best = 0;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, " ", -1);
        guint dash = 6;

        if (g_strv_length(fields) < FIELDS_MIN || !is_below(STATE, fields[4]) ||
            strlen(fields[4]) < n_best) {
            continue;
        }
        while (fields[dash] != NULL && strcmp(fields[dash], "-") != 0) {
            dash++;
        }
        if (fields[dash] == NULL || fields[dash + 1] == NULL || fields[dash + 2] == NULL) {
            continue;
        }
        n_best = strlen(fields[4]);
        mount_clear(mount_out);
        *mount_out = (Mount){ .device = g_strdup(fields[2]),
                              .type = g_strdup(fields[dash + 1]),
                              .source = g_strdup(fields[dash + 2]) };
    }
    return n_best > 0;
}

/* /sys of a block device: dm-crypt tells itself by its uuid, else all below must be. */
static Crypt
look_below(const char *block, int depth)
{
    g_autofree char *uuid_path = g_build_filename(block, "dm", "uuid", NULL);
    g_autofree char *slaves_path = g_build_filename(block, "slaves", NULL);
    g_autofree char *uuid = NULL;
    Crypt found = CRYPT_UNKNOWN;

    if (g_file_get_contents(uuid_path, &uuid, NULL, NULL) && g_str_has_prefix(uuid, "CRYPT-")) {
        return CRYPT_YES;
    }
    g_autoptr(GDir) slaves = depth < DEPTH_MAX ? g_dir_open(slaves_path, 0, NULL) : NULL;
    for (const char *name = slaves != NULL ? g_dir_read_name(slaves) : NULL; name != NULL;
         name = g_dir_read_name(slaves)) {
        g_autofree char *slave = g_build_filename(slaves_path, name, NULL);
        if (look_below(slave, depth + 1) != CRYPT_YES) {
            return CRYPT_NO;
        }
        found = CRYPT_YES;
    }
    return found == CRYPT_YES ? CRYPT_YES : CRYPT_NO;
}

/* Some file systems have a device number of their own, and their source tells the disk. */
static char *
dup_block(const CtlDoctor *self, const Mount *mount)
{
    g_autofree char *path = NULL;

    if (!g_str_has_prefix(mount->device, "0:")) {
        path = g_strdup_printf("/sys/dev/block/%s", mount->device);
    } else if (g_str_has_prefix(mount->source, "/dev/")) {
        g_autofree char *link = ctl_doctor_dup_path(self, mount->source);
        g_autofree char *target = g_file_read_link(link, NULL);
        g_autofree char *name = g_path_get_basename(target != NULL ? target : mount->source);
        path = g_strdup_printf("/sys/class/block/%s", name);
    }
    return path != NULL && ctl_doctor_has_file(self, path) ? ctl_doctor_dup_path(self, path) : NULL;
}

static void
check_encryption(CtlDoctor *self, const Mount *mount)
{
    g_autofree char *block = dup_block(self, mount);
    const Crypt crypt = block != NULL ? look_below(block, 0) : CRYPT_UNKNOWN;

    switch (crypt) {
    case CRYPT_YES:
        ctl_findings_add(self->findings,
                         "encryption",
                         CTL_SEVERITY_OK,
                         NULL,
                         STATE " lies on an encrypted disk");
        return;
    case CRYPT_NO:
        ctl_findings_add(self->findings,
                         "encryption",
                         CTL_SEVERITY_WARNING,
                         "put " STATE " on a LUKS volume: who takes the disk takes the treatments",
                         STATE " is not encrypted (%s)",
                         mount->source);
        return;
    case CRYPT_UNKNOWN:
        ctl_findings_add(self->findings,
                         "encryption",
                         CTL_SEVERITY_INFO,
                         "make sure that it is; see: findmnt -T " STATE,
                         "cannot see whether " STATE " is encrypted (%s)",
                         mount->type);
        return;
    }
}

static void
check_free(CtlDoctor *self)
{
    g_autofree char *path = ctl_doctor_dup_path(self, STATE);
    struct statvfs vfs;

    if (self->health != NULL || statvfs(path, &vfs) != 0) {
        return;
    }
    ctl_doctor_add_free_space(self, (uint64_t)vfs.f_bavail * vfs.f_frsize);
}

void
ctl_doctor_check_disk(CtlDoctor *self)
{
    Mount mount = { 0 };

    check_free(self);
    if (!find_mount(self, &mount)) {
        return;
    }
    if (strcmp(mount.type, "tmpfs") == 0) {
        ctl_findings_add(self->findings,
                         "disk",
                         CTL_SEVERITY_ERROR,
                         "mount a disk on " STATE,
                         STATE " is in memory: sessions are lost when the machine stops");
    } else {
        check_encryption(self, &mount);
    }
    mount_clear(&mount);
}
