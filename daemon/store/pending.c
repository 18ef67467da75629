/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A list that outlives us, one name in a line. It may name what is not there: who was killed
 * before the rename finds the same damage again.
 */
#include "store/pending.h"

#include "util/error.h"
#include "util/files.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char *
list_path(const char *state)
{
    return g_build_filename(state, "salvage-pending", NULL);
}

static char *
read_list(const char *state)
{
    g_autofree char *path = list_path(state);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

/* Under a name that is always the same, so that a kill leaves no more than one. */
static char *
draft_path(const char *state)
{
    return g_build_filename(state, "salvage-pending.new", NULL);
}

static bool
write_draft(const char *path, const char *text)
{
    const int fd = g_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const bool ok = fd >= 0 && pd_write_all(fd, text, strlen(text));

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

bool
pd_pending_add(const char *state, const char *name, GError **error)
{
    g_autofree char *path = list_path(state);
    g_autofree char *draft = draft_path(state);
    g_autofree char *before = read_list(state);
    g_autofree char *text = g_strdup_printf("%s%s\n", before, name);

    if (!write_draft(draft, text)) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", draft, g_strerror(errno));
        return false;
    }
    if (!pd_sync_file(draft, error)) {
        return false;
    }
    if (g_rename(draft, path) != 0) {
        g_set_error(error, PD_ERROR, PD_ERROR_STORE, "%s: %s", path, g_strerror(errno));
        return false;
    }
    return pd_sync_directory(state, error);
}

char **
pd_pending_list(const char *state)
{
    g_autofree char *text = read_list(state);
    g_auto(GStrv) names = g_strsplit(text, "\n", -1);
    g_autoptr(GStrvBuilder) paths = g_strv_builder_new();

    for (char **name = names; *name != NULL; name++) {
        g_autofree char *path = g_build_filename(state, *name, NULL);
        if (g_str_has_prefix(*name, "damaged-") && strchr(*name, '/') == NULL &&
            g_file_test(path, G_FILE_TEST_IS_DIR)) {
            g_strv_builder_add(paths, path);
        }
    }
    return g_strv_builder_end(paths);
}

void
pd_pending_clear(const char *state)
{
    g_autofree char *path = list_path(state);
    g_autofree char *draft = draft_path(state);

    (void)g_unlink(path);
    (void)g_unlink(draft);
}
