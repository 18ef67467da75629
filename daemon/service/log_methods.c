/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Log1 without its pipes: listing, reading and annotating sessions. Whoever reads one
 * leaves a line in the system's journal (F26).
 */
#include "service/arguments.h"
#include "service/audit.h"
#include "service/request.h"
#include "service/session_variant.h"
#include "util/log.h"

#define LIMIT_MAX 1000u

typedef struct {
    PdSessionFilter filter; /* borrows from the arguments */
    uint64_t before_seq;
    uint32_t limit;
} ListQuery;

static bool
parse_filter(GVariant *options, PdSessionFilter *filter_out, GError **error)
{
    static const PdServiceOption known[] = {
        { "pen", "s" }, { "since", "x" }, { "until", "x" }, { "state", "s" }, { "text", "s" },
    };

    if (!pd_service_arguments_check_options(options, known, G_N_ELEMENTS(known), error)) {
        return false;
    }
    g_variant_lookup(options, "pen", "&s", &filter_out->serial);
    g_variant_lookup(options, "since", "x", &filter_out->since_us);
    g_variant_lookup(options, "until", "x", &filter_out->until_us);
    g_variant_lookup(options, "state", "&s", &filter_out->state);
    g_variant_lookup(options, "text", "&s", &filter_out->text);
    if (filter_out->until_us != 0 && filter_out->since_us > filter_out->until_us) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "'since' is after 'until'; pass the earlier one as 'since'");
        return false;
    }
    return filter_out->state == NULL || pd_service_arguments_check_state(filter_out->state, error);
}

static bool
parse_list(GVariant *arguments, ListQuery *query_out, GError **error)
{
    g_autoptr(GVariant) options = NULL;
    const char *cursor = NULL;

    g_variant_get(arguments, "(@a{sv}&su)", &options, &cursor, &query_out->limit);
    if (query_out->limit < 1 || query_out->limit > LIMIT_MAX) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "'limit' is out of range; pass 1 to %u",
                    LIMIT_MAX);
        return false;
    }
    return pd_service_arguments_parse_cursor(cursor, &query_out->before_seq, error) &&
           parse_filter(options, &query_out->filter, error);
}

typedef struct {
    GPtrArray *sessions; /* owned; PdSession */
    uint32_t limit;
} Page;

static void
page_free(gpointer data)
{
    Page *self = data;

    g_ptr_array_unref(self->sessions);
    g_free(self);
}

static GVariant *
build_page(gconstpointer data)
{
    const Page *self = data;
    const GPtrArray *sessions = self->sessions;
    g_autofree char *next = NULL;
    GVariantBuilder list;

    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < sessions->len; i++) {
        g_variant_builder_add_value(&list,
                                    pd_service_session_to_variant(sessions->pdata[i], false));
    }
    if (sessions->len > 0 && sessions->len >= self->limit) {
        const PdSession *last = sessions->pdata[sessions->len - 1];
        next = pd_service_arguments_dup_cursor(last->opened_seq);
    }
    return g_variant_new("(aa{sv}s)", &list, next != NULL ? next : "");
}

static void
on_listed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;

    if (!pd_service_request_is_open(self)) {
        return;
    }
    GPtrArray *sessions = pd_store_list_sessions_finish(self->service->store, result, &error);
    if (sessions == NULL) {
        pd_service_request_fail(self, error);
        return;
    }
    Page *page = g_new0(Page, 1);
    page->sessions = sessions;
    g_variant_get_child(self->arguments, 2, "u", &page->limit);
    pd_service_request_return_built(self, build_page, page, page_free);
}

static void
do_list_sessions(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GError) error = NULL;
    ListQuery query = { 0 };

    if (!parse_list(self->arguments, &query, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_store_list_sessions_async(self->service->store,
                                 &query.filter,
                                 query.before_seq,
                                 query.limit,
                                 self->service->cancellable,
                                 on_listed,
                                 self);
    g_steal_pointer(&self);
}

static gboolean
on_list_sessions(PdDbusLog1 *skeleton,
                 GDBusMethodInvocation *invocation,
                 GVariant *filter,
                 const char *cursor,
                 guint limit,
                 PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_READ, do_list_sessions);
    return TRUE;
}

static GVariant *
build_session(gconstpointer data)
{
    return g_variant_new("(@a{sv})", pd_service_session_to_variant(data, true));
}

static void
free_session(gpointer data)
{
    pd_session_free(data);
}

static void
on_session(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;

    if (!pd_service_request_is_open(self)) {
        return;
    }
    PdSession *session = pd_store_get_session_finish(self->service->store, result, &error);
    if (session == NULL) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_service_audit_read(self->uid, session->id, "session");
    pd_service_request_return_built(self, build_session, session, free_session);
}

static void
do_get_session(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GError) error = NULL;
    const char *id = NULL;

    g_variant_get(self->arguments, "(&s)", &id);
    self->key = pd_service_arguments_dup_session_id(id, &error);
    if (self->key == NULL) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_store_get_session_async(
        self->service->store, self->key, self->service->cancellable, on_session, self);
    g_steal_pointer(&self);
}

static gboolean
on_get_session(PdDbusLog1 *skeleton,
               GDBusMethodInvocation *invocation,
               const char *id,
               PdService *service)
{
    /* The uploader reads in the journal that a session changed, and here how it stands. */
    pd_service_request_begin_either(service,
                                    invocation,
                                    PD_SERVICE_ACTION_READ,
                                    PD_SERVICE_ACTION_READ_JOURNAL,
                                    do_get_session);
    return TRUE;
}

static void
on_annotated(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;
    uint64_t seq = 0;

    if (!pd_service_request_is_open(self)) {
        return;
    }
    if (!pd_store_annotate_finish(self->service->store, result, &seq, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_log_event(G_LOG_DOMAIN,
                 &(PdLogEvent){ .message_id = PD_LOG_ANNOTATED,
                                .session_id = self->key,
                                .has_uid = true,
                                .uid = self->uid },
                 "session %s is annotated by user %u",
                 self->key,
                 self->uid);
    pd_service_request_return(self, g_variant_new("(t)", seq), NULL);
}

static bool
check_annotation(GVariant *fields, const PdAnnotation *annotation, GError **error)
{
    if (g_variant_n_children(fields) == 0) {
        g_set_error(
            error,
            PD_ERROR,
            PD_ERROR_INVALID_ARGUMENT,
            "nothing to say; pass any of: patient, operator, zone, note, reaction, order, close");
        return false;
    }
    if (annotation->has_pass && annotation->zone == NULL) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "'pass' alone says nothing; pass the pass's 'zone' with it");
        return false;
    }
    if (annotation->close_reason != NULL && annotation->close_reason[0] == '\0') {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "'close' is empty; pass the reason, such as: pen lost");
        return false;
    }
    return true;
}

static bool
parse_annotation(GVariant *fields, PdAnnotation *annotation_out, GError **error)
{
    static const PdServiceOption known[] = {
        { "patient", "s" },  { "operator", "s" }, { "zone", "s" }, { "note", "s" },
        { "reaction", "s" }, { "order", "s" },    { "pass", "u" }, { "close", "s" },
    };

    if (!pd_service_arguments_check_options(fields, known, G_N_ELEMENTS(known), error)) {
        return false;
    }
    g_variant_lookup(fields, "patient", "&s", &annotation_out->patient);
    g_variant_lookup(fields, "operator", "&s", &annotation_out->operator_name);
    g_variant_lookup(fields, "zone", "&s", &annotation_out->zone);
    g_variant_lookup(fields, "note", "&s", &annotation_out->note);
    g_variant_lookup(fields, "reaction", "&s", &annotation_out->reaction);
    g_variant_lookup(fields, "order", "&s", &annotation_out->order);
    g_variant_lookup(fields, "close", "&s", &annotation_out->close_reason);
    annotation_out->has_pass =
        g_variant_lookup(fields, "pass", "u", &annotation_out->pass_index) != FALSE;
    return check_annotation(fields, annotation_out, error);
}

static void
do_annotate(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) fields = NULL;
    const char *id = NULL;
    PdAnnotation annotation = { .uid = self->uid };

    g_variant_get(self->arguments, "(&s@a{sv})", &id, &fields);
    self->key = pd_service_arguments_dup_session_id(id, &error);
    if (self->key == NULL || !parse_annotation(fields, &annotation, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_store_set_wall_synced(self->service->store,
                             pd_time_sync_is_synced(self->service->time_sync));
    pd_store_annotate_async(self->service->store,
                            self->key,
                            &annotation,
                            self->service->cancellable,
                            on_annotated,
                            self);
    g_steal_pointer(&self);
}

static gboolean
on_annotate(PdDbusLog1 *skeleton,
            GDBusMethodInvocation *invocation,
            const char *id,
            GVariant *fields,
            PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_ANNOTATE, do_annotate);
    return TRUE;
}

void
pd_service_log_connect(PdService *self)
{
    g_signal_connect(self->log, "handle-list-sessions", G_CALLBACK(on_list_sessions), self);
    g_signal_connect(self->log, "handle-get-session", G_CALLBACK(on_get_session), self);
    g_signal_connect(self->log, "handle-annotate", G_CALLBACK(on_annotate), self);
}
