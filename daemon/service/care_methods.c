/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Log1's care for what is stored: verify, erase, hold, copy. Who does it leaves a line in
 * the system's journal; a reason is for the store's journal alone.
 */
#include "service/arguments.h"
#include "service/audit.h"
#include "service/backup_source.h"
#include "service/request.h"
#include "service/verify_source.h"
#include "util/log.h"

#define HASH_DIGITS 64u

static bool
parse_hash(const char *text, uint8_t hash_out[32])
{
    for (guint i = 0; i < HASH_DIGITS; i++) {
        const gint digit = g_ascii_xdigit_value(text[i]);
        if (digit < 0) {
            return false;
        }
        hash_out[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : hash_out[i / 2] | digit);
    }
    return text[HASH_DIGITS] == '\0';
}

/* @has_out: whether there is one. */
static bool
parse_anchor(GVariant *options, PdVerifyAnchor *anchor_out, bool *has_out, GError **error)
{
    static const PdServiceOption known[] = { { "anchor_store", "s" },
                                             { "anchor_seq", "t" },
                                             { "anchor_hash", "s" } };
    const char *hash = NULL;

    if (!pd_service_arguments_check_options(options, known, G_N_ELEMENTS(known), error)) {
        return false;
    }
    *has_out = g_variant_lookup(options, "anchor_store", "&s", &anchor_out->store_id) != FALSE;
    const bool has_seq = g_variant_lookup(options, "anchor_seq", "t", &anchor_out->seq) != FALSE;
    const bool has_hash = g_variant_lookup(options, "anchor_hash", "&s", &hash) != FALSE;
    if (!*has_out && !has_seq && !has_hash) {
        return true;
    }
    if (*has_out && has_seq && has_hash && g_uuid_string_is_valid(anchor_out->store_id) &&
        parse_hash(hash, anchor_out->hash)) {
        return true;
    }
    g_set_error(error,
                PD_ERROR,
                PD_ERROR_INVALID_ARGUMENT,
                "an anchor is the store's UUID, a seq and a hash of 64 hex digits");
    return false;
}

static void
do_verify(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GVariant) options = g_variant_get_child_value(self->arguments, 0);
    g_autoptr(GError) error = NULL;
    PdVerifyAnchor anchor = { 0 };
    bool has_anchor = false;

    if (!parse_anchor(options, &anchor, &has_anchor, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    if (!pd_service_request_take_stream(self)) {
        return;
    }
    PdServiceVerify *source = pd_service_verify_new(
        self->service, pd_store_verify_new(self->service->store, has_anchor ? &anchor : NULL));
    if (!pd_service_request_return_stream(
            self, g_variant_new("(h)", 0), pd_service_verify_get_funcs(), source)) {
        pd_service_verify_free(source);
    }
}

static gboolean
on_verify(PdDbusLog1 *skeleton,
          GDBusMethodInvocation *invocation,
          GUnixFDList *fds,
          GVariant *options,
          PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_READ, do_verify);
    return TRUE;
}

static void
on_erased(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) left = NULL;
    uint32_t n_sessions = 0;
    uint64_t seq = 0;

    if (!pd_service_request_is_open(self)) {
        return;
    }
    if (!pd_store_erase_finish(self->service->store, result, &n_sessions, &seq, &left, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_log_event(G_LOG_DOMAIN,
                 &(PdLogEvent){ .has_uid = true, .uid = self->uid },
                 "%u sessions are erased by user %u",
                 n_sessions,
                 self->uid);
    pd_service_request_return(self, g_variant_new("(ut^as)", n_sessions, seq, left), NULL);
}

static bool
parse_erasure(PdServiceRequest *self, GVariant *what, PdErasure *erasure, GError **error)
{
    static const PdServiceOption known[] = { { "session", "s" }, { "patient", "s" } };
    const char *session = NULL;

    g_variant_get_child(self->arguments, 1, "&s", &erasure->reason);
    if (!pd_service_arguments_check_options(what, known, G_N_ELEMENTS(known), error) ||
        !pd_service_arguments_check_text("reason", erasure->reason, error)) {
        return false;
    }
    g_variant_lookup(what, "patient", "&s", &erasure->patient);
    if (g_variant_lookup(what, "session", "&s", &session)) {
        self->key = pd_service_arguments_dup_session_id(session, error);
        erasure->session = self->key;
        return self->key != NULL;
    }
    return true;
}

static void
do_erase(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GVariant) what = g_variant_get_child_value(self->arguments, 0);
    g_autoptr(GError) error = NULL;
    PdErasure erasure = { .uid = self->uid };

    if (!parse_erasure(self, what, &erasure, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_store_set_wall_synced(self->service->store,
                             pd_time_sync_is_synced(self->service->time_sync));
    pd_store_erase_async(
        self->service->store, &erasure, self->service->cancellable, on_erased, self);
    g_steal_pointer(&self);
}

static gboolean
on_erase(PdDbusLog1 *skeleton,
         GDBusMethodInvocation *invocation,
         GVariant *what,
         const char *reason,
         PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_ERASE, do_erase);
    return TRUE;
}

static void
audit_hold(const PdServiceRequest *self)
{
    gboolean release = FALSE;

    g_variant_get_child(self->arguments, 2, "b", &release);
    pd_log_event(
        G_LOG_DOMAIN,
        &(PdLogEvent){
            .message_id = PD_LOG_HELD, .session_id = self->key, .has_uid = true, .uid = self->uid },
        "session %s is %s by user %u",
        self->key,
        release ? "released" : "held",
        self->uid);
}

static void
on_held(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;
    uint64_t seq = 0;

    if (!pd_service_request_is_open(self)) {
        return;
    }
    if (!pd_store_hold_finish(self->service->store, result, &seq, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    audit_hold(self);
    pd_service_request_return(self, g_variant_new("(t)", seq), NULL);
}

static void
do_hold(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GError) error = NULL;
    const char *id = NULL;
    const char *reason = NULL;
    gboolean release = FALSE;

    g_variant_get(self->arguments, "(&s&sb)", &id, &reason, &release);
    self->key = pd_service_arguments_dup_session_id(id, &error);
    if (self->key == NULL || !pd_service_arguments_check_text("reason", reason, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_store_hold_async(self->service->store,
                        self->key,
                        reason,
                        release != FALSE,
                        self->uid,
                        self->service->cancellable,
                        on_held,
                        self);
    g_steal_pointer(&self);
}

static gboolean
on_hold(PdDbusLog1 *skeleton,
        GDBusMethodInvocation *invocation,
        const char *id,
        const char *reason,
        gboolean release,
        PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_ERASE, do_hold);
    return TRUE;
}

static void
on_backup_ready(GObject *object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;

    if (!pd_service_request_is_open(self)) {
        return;
    }
    PdBackup *backup = pd_store_backup_finish(self->service->store, result, &error);
    if (backup == NULL) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_service_audit_read(self->uid, NULL, "a copy of everything");
    PdServiceBackup *source = pd_service_backup_new(self->service, backup);
    if (!pd_service_request_return_stream(
            self, g_variant_new("(h)", 0), pd_service_backup_get_funcs(), source)) {
        pd_service_backup_free(source);
    }
}

static void
do_backup(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;

    if (pd_service_request_take_stream(self)) {
        pd_store_backup_async(
            self->service->store, self->service->cancellable, on_backup_ready, self);
        g_steal_pointer(&self);
    }
}

static gboolean
on_backup(PdDbusLog1 *skeleton,
          GDBusMethodInvocation *invocation,
          GUnixFDList *fds,
          PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_BACKUP, do_backup);
    return TRUE;
}

void
pd_service_care_connect(PdService *self)
{
    g_signal_connect(self->log, "handle-verify", G_CALLBACK(on_verify), self);
    g_signal_connect(self->log, "handle-erase", G_CALLBACK(on_erase), self);
    g_signal_connect(self->log, "handle-hold", G_CALLBACK(on_hold), self);
    g_signal_connect(self->log, "handle-backup", G_CALLBACK(on_backup), self);
}
