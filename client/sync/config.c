/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides how the configuration is read and what its mistakes are called: one line that
 * names the file, the key and the remedy.
 */
#include "sync/config.h"

#include "lib/text.h"
#include "sync/error.h"

#include <string.h>

#define SECRET_MAX_BYTES ((gsize)65536)

struct SyncConfig {
    GKeyFile *file;    /* owned */
    char *path;        /* owned */
    GHashTable *asked; /* owned; group to GHashTable, a set of keys */
};

SyncConfig *
sync_config_load(const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) failure = NULL;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &failure)) {
        const bool is_absent = g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT);
        g_autofree char *words = cli_text_escape(failure->message, true);
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_CONFIG,
                    "%s: %s; %s",
                    path,
                    is_absent ? "there is no such file" : words,
                    is_absent ? "write it as pentel-sync.conf(5) says"
                              : "correct it, see pentel-sync.conf(5)");
        return NULL;
    }
    SyncConfig *self = g_new0(SyncConfig, 1);
    self->file = g_steal_pointer(&file);
    self->path = g_strdup(path);
    self->asked =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
    return self;
}

void
sync_config_free(SyncConfig *self)
{
    if (self == NULL) {
        return;
    }
    g_key_file_unref(self->file);
    g_hash_table_unref(self->asked);
    g_free(self->path);
    g_free(self);
}

void
sync_config_fail(const SyncConfig *self,
                 GError **error,
                 const char *group,
                 const char *key,
                 const char *format,
                 ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *words = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *escaped = cli_text_escape(words, true);
    g_set_error(
        error, SYNC_ERROR, SYNC_ERROR_CONFIG, "%s: [%s] %s: %s", self->path, group, key, escaped);
}

/* Text of a key, blanks around it taken off; NULL when absent. */
static char *
look_up(SyncConfig *self, const char *group, const char *key)
{
    GHashTable *keys = g_hash_table_lookup(self->asked, group);

    if (keys == NULL) {
        keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_insert(self->asked, g_strdup(group), keys);
    }
    g_hash_table_add(keys, g_strdup(key));
    char *text = g_key_file_get_value(self->file, group, key, NULL);
    return text != NULL ? g_strstrip(text) : NULL;
}

char *
sync_config_dup_optional(SyncConfig *self, const char *group, const char *key)
{
    return look_up(self, group, key);
}

char *
sync_config_dup_text(
    SyncConfig *self, const char *group, const char *key, const char *fallback, GError **error)
{
    g_autofree char *text = look_up(self, group, key);

    if (text == NULL && fallback != NULL) {
        return g_strdup(fallback);
    }
    if (text == NULL) {
        sync_config_fail(self, error, group, key, "missing; add it, see pentel-sync.conf(5)");
        return NULL;
    }
    if (text[0] == '\0' || !g_utf8_validate(text, -1, NULL)) {
        sync_config_fail(self, error, group, key, "empty or not UTF-8; give it a value");
        return NULL;
    }
    return g_steal_pointer(&text);
}

bool
sync_config_get_choice(SyncConfig *self,
                       const char *group,
                       const char *key,
                       const char *const *words,
                       guint fallback,
                       guint *index_out,
                       GError **error)
{
    g_autofree char *text = look_up(self, group, key);

    if (text == NULL) {
        *index_out = fallback;
        return true;
    }
    for (guint i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *index_out = i;
            return true;
        }
    }
    g_autoptr(GString) all = g_string_new(words[0]);
    for (guint i = 1; words[0] != NULL && words[i] != NULL; i++) {
        g_string_append_printf(all, ", %s", words[i]);
    }
    sync_config_fail(self, error, group, key, "'%s' is none of: %s", text, all->str);
    return false;
}

bool
sync_config_get_number(SyncConfig *self,
                       const char *group,
                       const char *key,
                       const SyncRange *range,
                       uint64_t *value_out,
                       GError **error)
{
    g_autofree char *text = look_up(self, group, key);
    guint64 value = range->fallback;

    if (text != NULL &&
        !g_ascii_string_to_unsigned(text, 10, range->min, range->max, &value, NULL)) {
        sync_config_fail(self,
                         error,
                         group,
                         key,
                         "'%s' is not a whole number from %" G_GUINT64_FORMAT
                         " to %" G_GUINT64_FORMAT,
                         text,
                         range->min,
                         range->max);
        return false;
    }
    *value_out = value;
    return true;
}

bool
sync_config_has(SyncConfig *self, const char *group, const char *key)
{
    g_autofree char *text = look_up(self, group, key);

    return text != NULL;
}

char *
sync_config_dup_credential_path(
    SyncConfig *self, const char *group, const char *key, const char *fallback, GError **error)
{
    g_autofree char *given = look_up(self, group, key);
    const char *name = given != NULL ? given : fallback;
    const char *directory = g_getenv("CREDENTIALS_DIRECTORY");

    if (name == NULL) {
        return NULL;
    }
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL) {
        sync_config_fail(self,
                         error,
                         group,
                         key,
                         "'%s' is no name of a credential; give that of a LoadCredential= line, "
                         "never the secret itself",
                         name);
        return NULL;
    }
    g_autofree char *path = directory != NULL ? g_build_filename(directory, name, NULL) : NULL;
    if (path == NULL || !g_file_test(path, G_FILE_TEST_EXISTS)) {
        sync_config_fail(self,
                         error,
                         group,
                         key,
                         "there is no credential '%s'; put the secret into "
                         "/etc/credstore/pentel-sync.NAME.%s, mode 0600",
                         name,
                         name);
        return NULL;
    }
    return g_steal_pointer(&path);
}

char *
sync_secret_read(const char *path, GError **error)
{
    char *text = NULL;
    gsize length = 0;
    g_autoptr(GError) failure = NULL;

    if (!g_file_get_contents(path, &text, &length, &failure)) {
        g_set_error(error, SYNC_ERROR, SYNC_ERROR_CONFIG, "%s", failure->message);
        return NULL;
    }
    if (length == 0 || length > SECRET_MAX_BYTES || memchr(text, '\0', length) != NULL) {
        sync_secret_free(text);
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_CONFIG,
                    "%s: empty or not text; put the secret into the file that LoadCredential= "
                    "names",
                    path);
        return NULL;
    }
    if (text[length - 1] == '\n') {
        text[length - 1] = '\0';
    }
    return text;
}

void
sync_secret_free(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        g_free(secret);
    }
}

static void
fail_unknown(const SyncConfig *self, const char *group, const char *key, GError **error)
{
    GHashTable *keys = g_hash_table_lookup(self->asked, group);
    GHashTable *from = key != NULL ? keys : self->asked;
    g_autofree gpointer *words = g_hash_table_get_keys_as_array(from, NULL);
    const char *nearest =
        cli_text_nearest(key != NULL ? key : group, (const char *const *)(gpointer)words);
    g_autofree char *what =
        key != NULL ? g_strdup_printf("[%s] %s", group, key) : g_strdup_printf("[%s]", group);
    g_autofree char *escaped = cli_text_escape(what, true);
    g_autofree char *remedy = nearest != NULL ? g_strdup_printf("did you mean %s", nearest)
                                              : g_strdup("take it out, see pentel-sync.conf(5)");

    g_set_error(error,
                SYNC_ERROR,
                SYNC_ERROR_CONFIG,
                "%s: %s: not known%s; %s",
                self->path,
                escaped,
                key != NULL ? " there" : "",
                remedy);
}

static bool
check_group(const SyncConfig *self, const char *group, GError **error)
{
    GHashTable *asked = g_hash_table_lookup(self->asked, group);
    g_auto(GStrv) keys = g_key_file_get_keys(self->file, group, NULL, NULL);

    if (asked == NULL) {
        fail_unknown(self, group, NULL, error);
        return false;
    }
    for (gsize i = 0; keys != NULL && keys[i] != NULL; i++) {
        if (!g_hash_table_contains(asked, keys[i])) {
            fail_unknown(self, group, keys[i], error);
            return false;
        }
    }
    return true;
}

bool
sync_config_check(const SyncConfig *self, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(self->file, NULL);

    for (gsize i = 0; groups[i] != NULL; i++) {
        if (!check_group(self, groups[i], error)) {
            return false;
        }
    }
    return true;
}
