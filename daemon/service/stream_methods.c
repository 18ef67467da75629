/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Log1's pipes: a session's records, the journal, what happens now. The place for a
 * stream is taken before any work is done, and what can be refused is refused before
 * the caller gets its end of a pipe.
 */
#include "service/arguments.h"
#include "service/audit.h"
#include "service/follow.h"
#include "service/request.h"
#include "service/session_source.h"

static void
start_source(PdServiceRequest *self, PdServiceSource *source, GVariant *value)
{
    if (!pd_service_request_return_stream(self, value, pd_service_source_get_funcs(), source)) {
        pd_service_source_free(source);
    }
}

static void
on_anchors(GObject *object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;
    uint32_t tick_unit = 0;

    if (!pd_service_request_is_open(self)) {
        return;
    }
    GArray *anchors = pd_store_get_anchors_finish(self->service->store, result, &tick_unit, &error);
    if (anchors == NULL) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_service_audit_read(self->uid, self->key, "the samples of session");
    start_source(self,
                 pd_service_source_new_session(
                     self->service, PD_SERVICE_SOURCE_LINES, self->key, tick_unit, anchors),
                 g_variant_new("(h)", 0));
}

static void
on_found(GObject *object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;
    const char *format = NULL;

    if (!pd_service_request_is_open(self)) {
        return;
    }
    g_autoptr(PdSession) session =
        pd_store_get_session_finish(self->service->store, result, &error);
    if (session == NULL) {
        pd_service_request_fail(self, error);
        return;
    }
    g_free(self->key);
    self->key = g_strdup(session->id);
    g_variant_get_child(self->arguments, 1, "&s", &format);
    if (g_str_equal(format, "jsonl")) {
        pd_store_get_anchors_async(
            self->service->store, session->log_id, self->service->cancellable, on_anchors, self);
        g_steal_pointer(&self);
        return;
    }
    pd_service_audit_read(self->uid, self->key, "the records of session");
    start_source(
        self,
        pd_service_source_new_session(self->service, PD_SERVICE_SOURCE_RAW, self->key, 0, NULL),
        g_variant_new("(h)", 0));
}

static void
do_stream_session(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GError) error = NULL;
    const char *id = NULL;
    const char *format = NULL;

    g_variant_get(self->arguments, "(&s&s)", &id, &format);
    self->key = pd_service_arguments_dup_session_id(id, &error);
    if (self->key == NULL) {
        pd_service_request_fail(self, error);
        return;
    }
    if (!g_str_equal(format, "raw") && !g_str_equal(format, "jsonl")) {
        pd_service_request_fail_with(
            self, PD_ERROR_INVALID_ARGUMENT, "no such format; pass \"raw\" or \"jsonl\"");
        return;
    }
    if (!pd_service_request_take_stream(self)) {
        return;
    }
    pd_store_get_session_async(
        self->service->store, self->key, self->service->cancellable, on_found, self);
    g_steal_pointer(&self);
}

static gboolean
on_stream_session(PdDbusLog1 *skeleton,
                  GDBusMethodInvocation *invocation,
                  GUnixFDList *fds,
                  const char *id,
                  const char *format,
                  PdService *service)
{
    /* The uploader carries records as they are. */
    const PdServiceAction other =
        g_str_equal(format, "raw") ? PD_SERVICE_ACTION_READ_JOURNAL : PD_SERVICE_ACTION_N;
    pd_service_request_begin_either(
        service, invocation, PD_SERVICE_ACTION_READ, other, do_stream_session);
    return TRUE;
}

static void
do_read_journal(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    PdServiceSource *source = NULL;
    uint64_t after = 0;
    PdStoreHealth health = { 0 };

    if (!pd_service_request_take_stream(self)) {
        return;
    }
    g_variant_get(self->arguments, "(t)", &after);
    pd_store_get_health(self->service->store, &health);
    const uint64_t head = health.head;
    pd_store_health_clear(&health);
    pd_service_audit_read(self->uid, NULL, "the journal");
    source = pd_service_source_new_journal(self->service, after, head);
    start_source(
        self, source, g_variant_new("(sth)", pd_store_get_id(self->service->store), head, 0));
}

static gboolean
on_read_journal(PdDbusLog1 *skeleton,
                GDBusMethodInvocation *invocation,
                GUnixFDList *fds,
                guint64 after,
                PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_READ_JOURNAL, do_read_journal);
    return TRUE;
}

static void
do_follow_live(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GError) error = NULL;
    const char *pen = NULL;
    PdPenStatus status;

    g_variant_get(self->arguments, "(&s)", &pen);
    if (!pd_service_arguments_check_text("pen", pen, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    if (pen[0] != '\0' && !pd_pen_manager_get(self->service->pens, pen, &status)) {
        pd_service_request_fail_with(self, PD_ERROR_NOT_FOUND, "no pen %s is enrolled", pen);
        return;
    }
    if (!pd_service_request_take_stream(self)) {
        return;
    }
    const int fd = pd_service_follow_begin(self->service, self->stream, pen, &error);
    if (fd < 0) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_service_audit_read(self->uid, NULL, "live samples");
    pd_service_request_return_fd(self, g_variant_new("(h)", 0), fd);
}

static gboolean
on_follow_live(PdDbusLog1 *skeleton,
               GDBusMethodInvocation *invocation,
               GUnixFDList *fds,
               const char *pen,
               PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_READ, do_follow_live);
    return TRUE;
}

void
pd_service_stream_methods_connect(PdService *self)
{
    g_signal_connect(self->log, "handle-stream-session", G_CALLBACK(on_stream_session), self);
    g_signal_connect(self->log, "handle-read-journal", G_CALLBACK(on_read_journal), self);
    g_signal_connect(self->log, "handle-follow-live", G_CALLBACK(on_follow_live), self);
}
