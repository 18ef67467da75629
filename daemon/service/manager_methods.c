/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Manager1: what is enrolled, how the daemon is, enrolling and forgetting. An enrolment
 * ends with its caller, so that a Ctrl-C closes the window.
 */
#include "service/arguments.h"
#include "service/health.h"
#include "service/request.h"
#include "util/log.h"

#define ENROLL_DEFAULT_S 60u
#define ENROLL_MAX_S     300u

static void
do_list_pens(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GPtrArray) serials = pd_pen_manager_list(self->service->pens);
    GVariantBuilder pens;

    g_variant_builder_init(&pens, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < serials->len; i++) {
        PdPenStatus status;
        if (pd_pen_manager_get(self->service->pens, serials->pdata[i], &status)) {
            g_variant_builder_add_value(&pens, pd_service_pen_to_variant(&status));
        }
    }
    pd_service_request_return(self, g_variant_new("(aa{sv})", &pens), NULL);
}

static gboolean
on_list_pens(PdDbusManager1 *skeleton, GDBusMethodInvocation *invocation, PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_READ, do_list_pens);
    return TRUE;
}

static void
do_health(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;

    pd_time_sync_refresh(self->service->time_sync);
    pd_service_request_return(
        self, g_variant_new("(@a{sv})", pd_service_health_to_variant(self->service)), NULL);
}

static gboolean
on_health(PdDbusManager1 *skeleton, GDBusMethodInvocation *invocation, PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_READ, do_health);
    return TRUE;
}

static void
on_caller_vanished(GDBusConnection *bus, const char *name, gpointer user_data)
{
    PdServiceRequest *self = user_data;

    g_cancellable_cancel(self->cancellable);
}

static void
on_enrolled(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;
    PdPenStatus status;

    if (!pd_service_request_is_open(self)) {
        return;
    }
    g_autofree char *serial = pd_pen_manager_enroll_finish(self->service->pens, result, &error);
    if (serial == NULL) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_log_event(G_LOG_DOMAIN,
                 &(PdLogEvent){ .message_id = PD_LOG_PEN_ENROLLED,
                                .pen_id = serial,
                                .has_uid = true,
                                .uid = self->uid },
                 "pen %s is enrolled by user %u",
                 serial,
                 self->uid);
    /* The path must be on the bus before the caller hears of it. */
    if (pd_pen_manager_get(self->service->pens, serial, &status)) {
        pd_service_pen_objects_update(self->service->pen_objects, &status);
    }
    g_autofree char *path = pd_service_pen_path(serial);
    pd_service_request_return(self, g_variant_new("(o)", path), NULL);
}

static bool
parse_enroll(GVariant *arguments,
             const char **pen_out,
             const char **adapter_out,
             uint32_t *timeout_s_out,
             GError **error)
{
    static const PdServiceOption known[] = { { "adapter", "s" }, { "timeout_s", "u" } };
    g_autoptr(GVariant) options = NULL;

    g_variant_get(arguments, "(&s@a{sv})", pen_out, &options);
    *timeout_s_out = ENROLL_DEFAULT_S;
    if (!pd_service_arguments_check_text("pen", *pen_out, error) ||
        !pd_service_arguments_check_options(options, known, G_N_ELEMENTS(known), error)) {
        return false;
    }
    g_variant_lookup(options, "adapter", "&s", adapter_out);
    g_variant_lookup(options, "timeout_s", "u", timeout_s_out);
    if (*timeout_s_out < 1 || *timeout_s_out > ENROLL_MAX_S) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "'timeout_s' is out of range; pass 1 to %u",
                    ENROLL_MAX_S);
        return false;
    }
    return true;
}

static void
do_enroll(PdServiceRequest *request)
{
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GError) error = NULL;
    const char *pen = NULL;
    const char *adapter = NULL;
    uint32_t timeout_s = 0;

    if (!parse_enroll(self->arguments, &pen, &adapter, &timeout_s, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    self->cancellable = g_cancellable_new();
    self->watch_id =
        g_bus_watch_name_on_connection(self->service->bus,
                                       g_dbus_method_invocation_get_sender(self->invocation),
                                       G_BUS_NAME_WATCHER_FLAGS_NONE,
                                       NULL,
                                       on_caller_vanished,
                                       self,
                                       NULL);
    pd_pen_manager_enroll_async(
        self->service->pens, pen, adapter, timeout_s, self->cancellable, on_enrolled, self);
    g_steal_pointer(&self);
}

static gboolean
on_enroll(PdDbusManager1 *skeleton,
          GDBusMethodInvocation *invocation,
          const char *pen,
          GVariant *options,
          PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_ENROLL, do_enroll);
    return TRUE;
}

static void
on_forgotten(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceRequest) self = user_data;
    g_autoptr(GError) error = NULL;

    if (!pd_service_request_is_open(self)) {
        return;
    }
    if (!pd_pen_manager_forget_finish(self->service->pens, result, &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    pd_log_event(G_LOG_DOMAIN,
                 &(PdLogEvent){ .message_id = PD_LOG_PEN_FORGOTTEN,
                                .pen_id = self->key,
                                .has_uid = true,
                                .uid = self->uid },
                 "pen %s is forgotten by user %u",
                 self->key,
                 self->uid);
    pd_service_request_return(self, g_variant_new("()"), NULL);
}

static void
do_forget(PdServiceRequest *request)
{
    static const PdServiceOption known[] = { { "force", "b" } };
    g_autoptr(PdServiceRequest) self = request;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) options = NULL;
    gboolean force = FALSE;

    g_variant_get(self->arguments, "(s@a{sv})", &self->key, &options);
    if (!pd_service_arguments_check_text("serial", self->key, &error) ||
        !pd_service_arguments_check_options(options, known, G_N_ELEMENTS(known), &error)) {
        pd_service_request_fail(self, error);
        return;
    }
    g_variant_lookup(options, "force", "b", &force);
    pd_pen_manager_forget_async(self->service->pens,
                                self->key,
                                force != FALSE,
                                self->uid,
                                self->service->cancellable,
                                on_forgotten,
                                self);
    g_steal_pointer(&self);
}

static gboolean
on_forget(PdDbusManager1 *skeleton,
          GDBusMethodInvocation *invocation,
          const char *serial,
          GVariant *options,
          PdService *service)
{
    pd_service_request_begin(service, invocation, PD_SERVICE_ACTION_ENROLL, do_forget);
    return TRUE;
}

void
pd_service_manager_connect(PdService *self)
{
    pd_dbus_manager1_set_version(self->manager, PENTEL_VERSION);
    g_signal_connect(self->manager, "handle-list-pens", G_CALLBACK(on_list_pens), self);
    g_signal_connect(self->manager, "handle-enroll", G_CALLBACK(on_enroll), self);
    g_signal_connect(self->manager, "handle-forget", G_CALLBACK(on_forget), self);
    g_signal_connect(self->manager, "handle-health", G_CALLBACK(on_health), self);
}
