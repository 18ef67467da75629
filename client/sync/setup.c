/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what the group [sink] means: which kind, what of unbound sessions and raw records,
 * and what this gateway is called.
 */
#include "sync/setup.h"

#include <systemd/sd-id128.h>

/* What the machine's id is hashed with, so that it is not given away. */
static const sd_id128_t gateway_space =
    SD_ID128_MAKE(6c, 1d, 0e, 52, 77, 0b, 4e, 0f, 9d, 31, 5a, 88, 27, e4, c3, 19);

static char *
dup_gateway(SyncConfig *config, GError **error)
{
    g_autofree char *given = sync_config_dup_optional(config, "sink", "gateway");
    char text[SD_ID128_UUID_STRING_MAX];
    sd_id128_t id;

    if (given != NULL && given[0] != '\0' && g_utf8_validate(given, -1, NULL)) {
        return g_steal_pointer(&given);
    }
    if (given != NULL) {
        sync_config_fail(config, error, "sink", "gateway", "empty or not UTF-8; name this machine");
        return NULL;
    }
    if (sd_id128_get_machine_app_specific(gateway_space, &id) < 0) {
        sync_config_fail(
            config,
            error,
            "sink",
            "gateway",
            "missing, and this machine has no id; give it, for example gateway=room-1");
        return NULL;
    }
    return g_strdup(sd_id128_to_uuid_string(id, text));
}

static const SyncSinkFuncs *
read_kind(SyncConfig *config, GError **error)
{
    guint index = G_MAXUINT;

    if (!sync_config_has(config, "sink", "kind")) {
        sync_config_fail(config, error, "sink", "kind", "missing; add it, see pentel-sync.conf(5)");
        return NULL;
    }
    if (!sync_config_get_choice(config, "sink", "kind", sync_sink_kinds(), 0, &index, error)) {
        return NULL;
    }
    return sync_sink_find(sync_sink_kinds()[index]);
}

static bool
read_permissions(SyncInstance *self, GError **error)
{
    static const char *const unbound_words[] = { "wait", "send", NULL };
    static const char *const raw_words[] = { "no", "yes", NULL };
    guint unbound = 0;
    guint raw = 0;

    if (!sync_config_get_choice(
            self->config, "sink", "unbound", unbound_words, 0, &unbound, error) ||
        !sync_config_get_choice(self->config, "sink", "raw", raw_words, 0, &raw, error)) {
        return false;
    }
    if (unbound == 1 && !self->funcs->may_send_unbound) {
        sync_config_fail(self->config,
                         error,
                         "sink",
                         "unbound",
                         "'send' is not possible for %s, whose records need a patient; use wait",
                         self->funcs->kind);
        return false;
    }
    if (raw == 1 && !self->funcs->may_raw) {
        sync_config_fail(self->config,
                         error,
                         "sink",
                         "raw",
                         "'yes' is not possible for %s; use no",
                         self->funcs->kind);
        return false;
    }
    self->setup.sends_unbound = unbound == 1;
    self->wants_raw = raw == 1;
    return true;
}

bool
sync_instance_init(SyncInstance *self, const SyncOptions *options, GError **error)
{
    const SyncRange poll_range = { .min = 1, .max = 86400, .fallback = 60 };
    uint64_t poll_s = 0;

    self->config = sync_config_load(options->config, error);
    if (self->config == NULL) {
        return false;
    }
    self->funcs = read_kind(self->config, error);
    if (self->funcs == NULL || !read_permissions(self, error) ||
        !sync_config_get_number(self->config, "sink", "poll-s", &poll_range, &poll_s, error)) {
        return false;
    }
    self->gateway = dup_gateway(self->config, error);
    if (self->gateway == NULL) {
        return false;
    }
    self->poll_s = (uint32_t)poll_s;
    self->setup.name = options->name;
    self->setup.gateway = self->gateway;
    self->setup.state_dir = options->state_dir;
    self->setup.is_dry_run = options->is_dry_run;
    self->setup.config = self->config;
    self->sink = self->funcs->create(&self->setup, error);
    return self->sink != NULL && sync_config_check(self->config, error);
}

void
sync_instance_clear(SyncInstance *self)
{
    if (self->sink != NULL) {
        self->funcs->destroy(self->sink);
        self->sink = NULL;
    }
    g_clear_pointer(&self->config, sync_config_free);
    g_clear_pointer(&self->gateway, g_free);
}
