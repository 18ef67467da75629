/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Carries a method call through its asynchronous steps and makes sure that every call
 * is answered exactly once, also when the daemon stops in between.
 */
#include "service/request.h"

typedef struct {
    GDBusMethodInvocation *invocation; /* owned */
    PdServiceBuild build;
    gpointer data; /* owned */
    GDestroyNotify free_data;
} Building;

void
pd_service_request_free(PdServiceRequest *self)
{
    if (self->invocation != NULL) {
        g_dbus_method_invocation_return_error(g_steal_pointer(&self->invocation),
                                              PD_ERROR,
                                              PD_ERROR_BUSY,
                                              "penteld is stopping; try again when it is back");
    }
    if (self->watch_id != 0) {
        g_bus_unwatch_name(self->watch_id);
    }
    g_clear_object(&self->cancellable);
    g_clear_pointer(&self->stream, pd_service_stream_unref);
    g_variant_unref(self->arguments);
    g_clear_error(&self->denied);
    g_free(self->key);
    pd_service_unref(self->service);
    g_free(self);
}

static void on_authorised(GObject *source, GAsyncResult *result, gpointer user_data);

static void
authorise(PdServiceRequest *self, PdServiceAction action)
{
    pd_service_authority_check_async(self->service->authority,
                                     g_dbus_method_invocation_get_sender(self->invocation),
                                     action,
                                     on_authorised,
                                     self);
}

static void
refuse(PdServiceRequest *request, const GError *error)
{
    g_autoptr(PdServiceRequest) self = request;

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        return;
    }
    if (g_error_matches(error, PD_ERROR, PD_ERROR_NOT_AUTHORIZED) &&
        self->other != PD_SERVICE_ACTION_N && pd_service_request_is_open(self)) {
        const PdServiceAction other = self->other;
        self->other = PD_SERVICE_ACTION_N;
        self->denied = g_error_copy(error);
        authorise(g_steal_pointer(&self), other);
        return;
    }
    pd_service_request_fail(self, self->denied != NULL ? self->denied : error);
}

static void
on_authorised(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;

    if (!pd_service_authority_check_finish(result, &self->uid, &error)) {
        refuse(g_steal_pointer(&self), error);
        return;
    }
    if (!pd_service_request_is_open(self)) {
        return;
    }
    const PdServiceBody body = self->body;
    body(g_steal_pointer(&self));
}

void
pd_service_request_begin_either(PdService *service,
                                GDBusMethodInvocation *invocation,
                                PdServiceAction action,
                                PdServiceAction other,
                                PdServiceBody body)
{
    PdServiceRequest *self = g_new0(PdServiceRequest, 1);

    service->n_refs++;
    self->service = service;
    self->invocation = invocation;
    self->arguments = g_variant_ref(g_dbus_method_invocation_get_parameters(invocation));
    self->body = body;
    self->other = other;
    self->uid = PD_SERVICE_NO_UID;
    authorise(self, action);
}

void
pd_service_request_begin(PdService *service,
                         GDBusMethodInvocation *invocation,
                         PdServiceAction action,
                         PdServiceBody body)
{
    pd_service_request_begin_either(service, invocation, action, PD_SERVICE_ACTION_N, body);
}

bool
pd_service_request_is_open(const PdServiceRequest *self)
{
    return !self->service->is_closed;
}

void
pd_service_request_return(PdServiceRequest *self, GVariant *value, GUnixFDList *fds)
{
    if (self->invocation == NULL) {
        g_variant_unref(g_variant_ref_sink(value));
        return;
    }
    g_dbus_method_invocation_return_value_with_unix_fd_list(
        g_steal_pointer(&self->invocation), value, fds);
}

/* The message is made of the value in the thread that sends it, so that is done here too. */
static void
build_in_thread(GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
    Building *self = task_data;

    g_dbus_method_invocation_return_value(g_steal_pointer(&self->invocation),
                                          self->build(self->data));
    self->free_data(self->data);
    self->data = NULL;
    g_task_return_boolean(task, TRUE);
}

void
pd_service_request_return_built(PdServiceRequest *self,
                                PdServiceBuild build,
                                gpointer data,
                                GDestroyNotify free_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, NULL, NULL);
    Building *building = g_new0(Building, 1);

    *building = (Building){ .invocation = g_steal_pointer(&self->invocation),
                            .build = build,
                            .data = data,
                            .free_data = free_data };
    g_task_set_source_tag(task, pd_service_request_return_built);
    g_task_set_task_data(task, building, g_free);
    g_task_run_in_thread(task, build_in_thread);
}

void
pd_service_request_fail(PdServiceRequest *self, const GError *error)
{
    if (self->invocation == NULL) {
        return;
    }
    if (error->domain == PD_ERROR) {
        g_dbus_method_invocation_return_gerror(g_steal_pointer(&self->invocation), error);
        return;
    }
    g_dbus_method_invocation_return_error(
        g_steal_pointer(&self->invocation), PD_ERROR, PD_ERROR_FAILED, "%s", error->message);
}

void
pd_service_request_fail_with(PdServiceRequest *self, PdError code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autoptr(GError) error = g_error_new_valist(PD_ERROR, (gint)code, format, arguments);
    va_end(arguments);
    pd_service_request_fail(self, error);
}

bool
pd_service_request_take_stream(PdServiceRequest *self)
{
    g_autoptr(GError) error = NULL;

    self->stream = pd_service_stream_new(self->service->streams, self->uid, &error);
    if (self->stream == NULL) {
        pd_service_request_fail(self, error);
    }
    return self->stream != NULL;
}

void
pd_service_request_return_fd(PdServiceRequest *self, GVariant *value, int fd)
{
    g_autoptr(GUnixFDList) fds = g_unix_fd_list_new_from_array(&fd, 1);

    pd_service_request_return(self, value, fds);
}

bool
pd_service_request_return_stream(PdServiceRequest *self,
                                 GVariant *value,
                                 const PdServiceStreamSource *funcs,
                                 void *source)
{
    g_autoptr(GVariant) reply = g_variant_ref_sink(value);
    g_autoptr(GError) error = NULL;
    const int fd = pd_service_stream_open(self->stream, funcs, source, &error);

    if (fd < 0) {
        pd_service_request_fail(self, error);
        return false;
    }
    pd_service_request_return_fd(self, reply, fd);
    return true;
}
