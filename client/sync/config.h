/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * /etc/pentel/sync/NAME.conf, a key file. Whoever needs a key asks for it once at the start;
 * sync_config_check() then finds what nobody asked for, so that a misspelt key is an error
 * and never a silent default. Every error is SYNC_ERROR_CONFIG and reads "FILE: [GROUP] KEY:
 * what is wrong; remedy".
 */
typedef struct SyncConfig SyncConfig;

/** Read the file. Owns: free with sync_config_free(). Errors: SYNC_ERROR_CONFIG. */
SyncConfig *sync_config_load(const char *path, GError **error);
void sync_config_free(SyncConfig *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncConfig, sync_config_free)

/**
 * Text of a key, or @fallback; NULL for one that must be there.
 *
 * Owns: the caller's. Errors: SYNC_ERROR_CONFIG: absent and without @fallback, or empty.
 */
char *sync_config_dup_text(
    SyncConfig *self, const char *group, const char *key, const char *fallback, GError **error);

/** As sync_config_dup_text(), but a key that is absent gives NULL without an error. */
char *sync_config_dup_optional(SyncConfig *self, const char *group, const char *key);

/**
 * A word out of the NULL-terminated @words; its index goes to @index_out.
 *
 * @fallback: index when absent. Errors: SYNC_ERROR_CONFIG, names the words.
 */
bool sync_config_get_choice(SyncConfig *self,
                            const char *group,
                            const char *key,
                            const char *const *words,
                            guint fallback,
                            guint *index_out,
                            GError **error);

typedef struct {
    uint64_t min;
    uint64_t max;
    uint64_t fallback;
} SyncRange;

/** A whole number within @range. Errors: SYNC_ERROR_CONFIG. */
bool sync_config_get_number(SyncConfig *self,
                            const char *group,
                            const char *key,
                            const SyncRange *range,
                            uint64_t *value_out,
                            GError **error);

/** True when the file has the group or the key; counts as asking for it. */
bool sync_config_has(SyncConfig *self, const char *group, const char *key);

/**
 * Path of a secret, which systemd puts into $CREDENTIALS_DIRECTORY (LoadCredential=).
 *
 * The key's value is the name of the credential, @fallback when the key is absent; NULL for
 * one that may be absent: the result is NULL then, without an error. Read the file when the
 * secret is needed, so that a renewed one is seen.
 * Owns: the caller's. Errors: SYNC_ERROR_CONFIG: a name that is not one, or no such file.
 */
char *sync_config_dup_credential_path(
    SyncConfig *self, const char *group, const char *key, const char *fallback, GError **error);

/** Whole text of a secret, its last newline taken off. Owns: the caller's, wiped by
 * sync_secret_free(). Errors: SYNC_ERROR_CONFIG. */
char *sync_secret_read(const char *path, GError **error);
void sync_secret_free(char *secret);

/** Make the error of a key: "FILE: [GROUP] KEY: ...". Errors: sets SYNC_ERROR_CONFIG. */
void sync_config_fail(const SyncConfig *self,
                      GError **error,
                      const char *group,
                      const char *key,
                      const char *format,
                      ...) G_GNUC_PRINTF(5, 6);

/** Find a group or key that nobody asked for. Errors: SYNC_ERROR_CONFIG, names the nearest. */
bool sync_config_check(const SyncConfig *self, GError **error);
