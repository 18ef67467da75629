/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what a caller of Import may hand over: names that are a set's, and no more files
 * than one has. What is in them is looked at elsewhere.
 */
#include "sync/service_import.h"

#include "sync/error.h"

#include <string.h>
#include <unistd.h>

#define BEFORE     "/before"
#define AFTER      "/after"
#define AFTER_SUMS "/after-sums"

#define N_BESIDE 3u

static bool
refuse(GError **error, const char *words)
{
    g_set_error_literal(error, SYNC_ERROR, SYNC_ERROR_USAGE, words);
    return false;
}

/* Where a descriptor goes that is not of the set itself; NULL for a file of it. */
static int *
find_place(CliSet *set, const char *name)
{
    if (strcmp(name, BEFORE) == 0) {
        return &set->before_fd;
    }
    if (strcmp(name, AFTER) == 0) {
        return &set->after_fd;
    }
    return strcmp(name, AFTER_SUMS) == 0 ? &set->after_sums_fd : NULL;
}

static bool
take_file(CliSet *set, const char *name, int fd, GError **error)
{
    int *place = find_place(set, name);
    const bool is_twice = place != NULL ? *place >= 0 : cli_set_find(set, name) >= 0;

    if (is_twice || (place == NULL && (name[0] == '\0' || strchr(name, '/') != NULL))) {
        close(fd);
        return refuse(error, "'files' has a name that no file of a set has, or one twice");
    }
    if (place != NULL) {
        *place = fd;
    } else {
        cli_set_add(set, name, fd);
    }
    return true;
}

static bool
take_files(CliSet *set, GVariant *files, GUnixFDList *fds, GError **error)
{
    for (gsize i = 0; i < g_variant_n_children(files); i++) {
        const char *name = NULL;
        gint32 index = 0;
        g_variant_get_child(files, i, "{&sh}", &name, &index);
        const int fd = fds != NULL && index >= 0 && index < g_unix_fd_list_get_length(fds)
                           ? g_unix_fd_list_get(fds, index, NULL)
                           : -1;
        if (fd < 0) {
            return refuse(error, "'files' lacks a descriptor; pass one for each name");
        }
        if (!take_file(set, name, fd, error)) {
            return false;
        }
    }
    return true;
}

CliSet *
sync_import_set_new(const char *name,
                    const char *before,
                    const char *after,
                    GVariant *files,
                    GUnixFDList *fds,
                    GError **error)
{
    g_autoptr(CliSet) set =
        cli_set_new(name, before[0] != '\0' ? before : NULL, after[0] != '\0' ? after : NULL);

    if (cli_set_number(name) == 0 || (set->before != NULL && cli_set_number(before) == 0) ||
        (set->after != NULL && cli_set_number(after) == 0)) {
        refuse(error, "that is no name of a set; pass one such as 2026-11-24-001");
        return NULL;
    }
    if (g_variant_n_children(files) > CLI_SET_FILES_MAX + N_BESIDE) {
        refuse(error, "'files' has more files than a set");
        return NULL;
    }
    return take_files(set, files, fds, error) ? g_steal_pointer(&set) : NULL;
}

static void
add_text(GVariantBuilder *builder, const char *key, const char *text)
{
    g_autofree char *valid = text != NULL ? g_utf8_make_valid(text, -1) : NULL;

    if (valid != NULL) {
        g_variant_builder_add(builder, "{sv}", key, g_variant_new_string(valid));
    }
}

static void
add_count(GVariantBuilder *builder, const char *key, uint64_t value)
{
    g_variant_builder_add(builder, "{sv}", key, g_variant_new_uint64(value));
}

GVariant *
sync_import_describe(const SyncIntake *intake)
{
    GVariantBuilder builder;
    GVariantBuilder refusals;

    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_init(&refusals, G_VARIANT_TYPE_STRING_ARRAY);
    add_text(&builder, "set", intake->set);
    add_text(&builder, "refusal", intake->refusal);
    add_text(&builder, "missing", intake->missing);
    add_count(&builder, "deliveries", intake->n_deliveries);
    add_count(&builder, "new", intake->n_new);
    add_count(&builder, "refused", intake->n_refused);
    g_variant_builder_add(
        &builder, "{sv}", "known", g_variant_new_boolean(intake->is_known ? TRUE : FALSE));
    for (guint i = 0; i < intake->refused->len; i++) {
        g_autofree char *valid = g_utf8_make_valid(intake->refused->pdata[i], -1);
        g_variant_builder_add(&refusals, "s", valid);
    }
    g_variant_builder_add(&builder, "{sv}", "refusals", g_variant_builder_end(&refusals));
    return g_variant_builder_end(&builder);
}
