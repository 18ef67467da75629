/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what a run of penteld is told to do, and refuses what it does not understand
 * rather than guess: a misspelt key would otherwise change how passes are counted, or
 * not, and nobody would know.
 */
#include "options.h"

#include "util/error.h"

#include <string.h>

#define DEFAULT_STATE_DIR "/var/lib/pentel"
#define DEFAULT_CONFIG    "/etc/pentel/penteld.conf"

typedef enum {
    KEY_COMMIT_MS = 0,
    KEY_COMMIT_RECORDS,
    KEY_CHECKPOINT_PAGES,
    KEY_RETENTION_DAYS,
    KEY_LIFT_MS,
    KEY_MIN_CONTACT_MS,
    KEY_RSSI_FLOOR_DBM,
    KEY_LINKS_PER_ADAPTER,
    KEY_NOTIFY,
} Key;

static const struct {
    const char *group;
    const char *key;
    Key which;
    int64_t min;
    int64_t max;
} keys[] = {
    { "store", "commit-ms", KEY_COMMIT_MS, 1, 60000 },
    { "store", "commit-records", KEY_COMMIT_RECORDS, 1, 100000 },
    { "store", "checkpoint-pages", KEY_CHECKPOINT_PAGES, 8, 16384 },
    { "store", "retention-days", KEY_RETENTION_DAYS, 0, 36500 },
    { "pass", "lift-ms", KEY_LIFT_MS, 1, 60000 },
    { "pass", "min-contact-ms", KEY_MIN_CONTACT_MS, 0, 60000 },
    { "link", "rssi-floor-dbm", KEY_RSSI_FLOOR_DBM, -127, 0 },
    { "link", "links-per-adapter", KEY_LINKS_PER_ADAPTER, 0, 64 },
    { "link", "notify", KEY_NOTIFY, 0, 0 },
};

static bool
refuse(GError **error, const char *group, const char *key, const char *value, const char *wanted)
{
    g_set_error(error,
                PD_ERROR,
                PD_ERROR_INVALID_ARGUMENT,
                "[%s] %s: '%s' will not do; write %s",
                group,
                key,
                value,
                wanted);
    return false;
}

static void
set_number(PdOptions *self, Key which, int64_t value)
{
    switch (which) {
    case KEY_COMMIT_MS:
        self->store.commit_ms = (uint32_t)value;
        break;
    case KEY_RETENTION_DAYS:
        self->store.retention_days = (uint32_t)value;
        break;
    case KEY_COMMIT_RECORDS:
        self->store.commit_records = (uint32_t)value;
        break;
    case KEY_CHECKPOINT_PAGES:
        self->store.checkpoint_pages = (uint32_t)value;
        break;
    case KEY_LIFT_MS:
        self->store.fold.lift_us = (uint32_t)value * 1000u;
        break;
    case KEY_MIN_CONTACT_MS:
        self->store.fold.min_contact_us = (uint32_t)value * 1000u;
        break;
    case KEY_RSSI_FLOOR_DBM:
        self->pen.rssi_floor_dbm = (int16_t)value;
        break;
    case KEY_LINKS_PER_ADAPTER:
        self->pen.links_per_adapter = (uint32_t)value;
        break;
    case KEY_NOTIFY:
        self->pen.notify_by_signal = value != 0;
        break;
    }
}

static bool
take_notify(PdOptions *self, const char *value, GError **error)
{
    const bool starts = g_str_equal(value, "start");

    if (!starts && !g_str_equal(value, "acquire")) {
        return refuse(error, "link", "notify", value, "acquire or start");
    }
    set_number(self, KEY_NOTIFY, starts ? 1 : 0);
    return true;
}

static bool
take_value(PdOptions *self, size_t row, const char *value, GError **error)
{
    gint64 number = 0;

    if (keys[row].which == KEY_NOTIFY) {
        return take_notify(self, value, error);
    }
    if (!g_ascii_string_to_signed(value, 10, keys[row].min, keys[row].max, &number, NULL)) {
        g_autofree char *wanted =
            g_strdup_printf("a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                            keys[row].min,
                            keys[row].max);
        return refuse(error, keys[row].group, keys[row].key, value, wanted);
    }
    set_number(self, keys[row].which, number);
    return true;
}

static bool
take_key(PdOptions *self, GKeyFile *file, const char *group, const char *key, GError **error)
{
    g_autofree char *value = g_key_file_get_value(file, group, key, error);

    if (value == NULL) {
        return false;
    }
    g_strstrip(value);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (g_str_equal(keys[i].group, group) && g_str_equal(keys[i].key, key)) {
            return take_value(self, i, value, error);
        }
    }
    g_set_error(error,
                PD_ERROR,
                PD_ERROR_INVALID_ARGUMENT,
                "[%s] %s: there is no such setting; see penteld.conf(5)",
                group,
                key);
    return false;
}

static bool
take_group(PdOptions *self, GKeyFile *file, const char *group, GError **error)
{
    g_auto(GStrv) names = g_key_file_get_keys(file, group, NULL, error);

    if (names == NULL) {
        return false;
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        if (!take_key(self, file, group, names[i], error)) {
            return false;
        }
    }
    return true;
}

static bool
take_file(PdOptions *self, GKeyFile *file, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

    for (size_t i = 0; groups[i] != NULL; i++) {
        if (!take_group(self, file, groups[i], error)) {
            return false;
        }
    }
    return true;
}

bool
pd_options_load(PdOptions *self, const char *file, bool must_exist, GError **error)
{
    g_autoptr(GKeyFile) settings = g_key_file_new();
    g_autoptr(GError) inner = NULL;

    if (!g_key_file_load_from_file(settings, file, G_KEY_FILE_NONE, &inner)) {
        if (!must_exist && g_error_matches(inner, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
            return true;
        }
        g_set_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT, "%s: %s", file, inner->message);
        return false;
    }
    if (!take_file(self, settings, &inner)) {
        g_set_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT, "%s: %s", file, inner->message);
        return false;
    }
    return true;
}

/* systemd's StateDirectory= may name several, the first is ours. */
static char *
dup_default_directory(void)
{
    const char *given = g_getenv("STATE_DIRECTORY");

    if (given == NULL || given[0] == '\0') {
        return g_strdup(DEFAULT_STATE_DIR);
    }
    return g_strndup(given, strcspn(given, ":"));
}

static void
set_defaults(PdOptions *self)
{
    *self = (PdOptions){ .pen = PD_PEN_CONFIG_DEFAULT };
    self->store.commit_ms = 2000;
    self->store.commit_records = 256;
    self->store.checkpoint_pages = PD_STORE_CHECKPOINT_PAGES;
    self->store.fold = PEN_FOLD_DEFAULT;
}

/* What was said must make sense together, and nothing may be left over. */
static bool
check_words(const PdOptions *self, int argc, char **argv, GError **error)
{
    if (argc > 1) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "'%s' is one word too many; see penteld --help",
                    argv[1]);
        return false;
    }
    if (self->tombstones != NULL && self->restore == NULL) {
        g_set_error(error, PD_ERROR, PD_ERROR_INVALID_ARGUMENT, "--tombstones needs --restore");
        return false;
    }
    return true;
}

bool
pd_options_init(PdOptions *self, int argc, char **argv, GError **error)
{
    g_autofree char *directory = NULL;
    g_autofree char *config = NULL;
    gboolean version = FALSE;
    const GOptionEntry entries[] = {
        { "state-dir",
          0,
          0,
          G_OPTION_ARG_FILENAME,
          &directory,
          "Keep the store below DIR ($STATE_DIRECTORY, else " DEFAULT_STATE_DIR ")",
          "DIR" },
        { "config",
          0,
          0,
          G_OPTION_ARG_FILENAME,
          &config,
          "Read settings from FILE (" DEFAULT_CONFIG ")",
          "FILE" },
        { "restore",
          0,
          0,
          G_OPTION_ARG_FILENAME,
          &self->restore,
          "Put the backup FILE into the store's place, and exit",
          "FILE" },
        { "tombstones",
          0,
          0,
          G_OPTION_ARG_FILENAME,
          &self->tombstones,
          "With --restore: erase again what the journal entries in FILE say",
          "FILE" },
        { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version and exit", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    set_defaults(self);
    g_option_context_set_summary(
        context, "Records treatments from microneedling pens and serves them as org.pentel.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error) ||
        !check_words(self, argc, argv, error)) {
        return false;
    }
    self->show_version = version != FALSE;
    self->state_directory =
        directory != NULL ? g_steal_pointer(&directory) : dup_default_directory();
    self->store.directory = self->state_directory;
    return self->show_version ||
           pd_options_load(self, config != NULL ? config : DEFAULT_CONFIG, config != NULL, error);
}

void
pd_options_clear(PdOptions *self)
{
    g_clear_pointer(&self->state_directory, g_free);
    g_clear_pointer(&self->restore, g_free);
    g_clear_pointer(&self->tombstones, g_free);
}
