/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Finds out who calls: the uid from the bus, which cannot be forged, and the login
 * session from logind, because polkit's answer may differ between two sessions of one
 * user. Judging is the authority's.
 */
#include "service/client.h"

#include "util/error.h"

#define BUS_TIMEOUT_MS    20000 /* below the 25 s that a caller waits */
#define LOGIND_TIMEOUT_MS 1000
#define NO_SESSION        "-"

typedef struct {
    PdServiceClient *client; /* ref */
    GDBusConnection *bus;    /* ref */
    GCancellable *cancellable;
    PdServiceClientIsKnown is_known;
    PdServiceClientReady ready;
} Inquiry;

static void
inquiry_free(Inquiry *self)
{
    pd_service_client_unref(self->client);
    g_object_unref(self->bus);
    g_object_unref(self->cancellable);
    g_free(self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Inquiry, inquiry_free)

PdServiceClient *
pd_service_client_new(PdServiceAuthority *authority, const char *name)
{
    PdServiceClient *self = g_new0(PdServiceClient, 1);

    self->n_refs = 1;
    self->authority = authority;
    self->name = g_strdup(name);
    self->uid = PD_SERVICE_NO_UID;
    for (size_t i = 0; i < G_N_ELEMENTS(self->checks); i++) {
        self->checks[i].waiting = g_ptr_array_new();
    }
    return self;
}

PdServiceClient *
pd_service_client_ref(PdServiceClient *self)
{
    self->n_refs++;
    return self;
}

void
pd_service_client_unref(PdServiceClient *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(self->checks); i++) {
        g_ptr_array_unref(self->checks[i].waiting);
    }
    g_free(self->session);
    g_free(self->name);
    g_free(self);
}

static void
answer_one(const PdServiceClient *self, GTask *task, const GError *error)
{
    if (error != NULL) {
        g_task_return_error(task, g_error_copy(error));
        return;
    }
    uint32_t *uid = g_new(uint32_t, 1);
    *uid = self->uid;
    g_task_return_pointer(task, uid, g_free);
}

void
pd_service_client_answer(PdServiceClient *self, PdServiceAction action, const GError *error)
{
    g_autoptr(GPtrArray) waiting = self->checks[action].waiting;

    /* An answer may bring the next question at once. */
    self->checks[action].waiting = g_ptr_array_new();
    for (guint i = 0; i < waiting->len; i++) {
        g_autoptr(GTask) task = waiting->pdata[i];

        answer_one(self, task, error);
    }
}

void
pd_service_client_answer_all(PdServiceClient *self, const GError *error)
{
    for (guint i = 0; i < PD_SERVICE_ACTION_N; i++) {
        pd_service_client_answer(self, (PdServiceAction)i, error);
    }
}

static void
finish_inquiry(Inquiry *self, const GError *error)
{
    PdServiceClient *client = self->client;

    client->is_identifying = false;
    client->is_identified = error == NULL;
    if (client->authority != NULL) {
        self->ready(client, error);
    }
}

/* Only a definite "none" is a session of its own; doubt is not cached under it. */
static bool
says_no_session(GError *error)
{
    g_autofree char *name = g_dbus_error_get_remote_error(error);

    return g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER) ||
           g_strcmp0(name, "org.freedesktop.login1.NoSessionForPID") == 0;
}

static void
on_session(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(Inquiry) self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    if (reply != NULL) {
        g_variant_get(reply, "(o)", &self->client->session);
    } else if (says_no_session(error)) {
        self->client->session = g_strdup(NO_SESSION);
    }
    finish_inquiry(self, NULL);
}

static void
ask_session(Inquiry *self)
{
    g_dbus_connection_call(self->bus,
                           "org.freedesktop.login1",
                           "/org/freedesktop/login1",
                           "org.freedesktop.login1.Manager",
                           "GetSessionByPID",
                           g_variant_new("(u)", self->client->pid),
                           G_VARIANT_TYPE("(o)"),
                           G_DBUS_CALL_FLAGS_NONE,
                           LOGIND_TIMEOUT_MS,
                           self->cancellable,
                           on_session,
                           self);
}

static GError *
explain(const GError *error)
{
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        return g_error_new(PD_ERROR,
                           PD_ERROR_AUTHORIZATION_TIMEOUT,
                           "the bus did not say in time who calls; try again");
    }
    return g_error_new(
        PD_ERROR, PD_ERROR_NOT_AUTHORIZED, "the bus does not say who calls: %s", error->message);
}

static void
on_credentials(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(Inquiry) self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    if (reply == NULL) {
        g_autoptr(GError) denied = explain(error);
        finish_inquiry(self, denied);
        return;
    }
    g_autoptr(GVariant) facts = g_variant_get_child_value(reply, 0);
    if (!g_variant_lookup(facts, "UnixUserID", "u", &self->client->uid)) {
        g_autoptr(GError) denied = g_error_new(
            PD_ERROR, PD_ERROR_NOT_AUTHORIZED, "the bus does not know the caller's user");
        finish_inquiry(self, denied);
        return;
    }
    g_variant_lookup(facts, "ProcessID", "u", &self->client->pid);
    if (self->is_known(self->client) || self->client->pid == 0) {
        finish_inquiry(self, NULL);
        return;
    }
    ask_session(g_steal_pointer(&self));
}

void
pd_service_client_identify(PdServiceClient *self,
                           GDBusConnection *bus,
                           GCancellable *cancellable,
                           PdServiceClientIsKnown is_known,
                           PdServiceClientReady ready)
{
    Inquiry *inquiry = g_new0(Inquiry, 1);

    *inquiry = (Inquiry){ .client = pd_service_client_ref(self),
                          .bus = g_object_ref(bus),
                          .cancellable = g_object_ref(cancellable),
                          .is_known = is_known,
                          .ready = ready };
    self->is_identifying = true;
    g_dbus_connection_call(bus,
                           "org.freedesktop.DBus",
                           "/org/freedesktop/DBus",
                           "org.freedesktop.DBus",
                           "GetConnectionCredentials",
                           g_variant_new("(s)", self->name),
                           G_VARIANT_TYPE("(a{sv})"),
                           G_DBUS_CALL_FLAGS_NONE,
                           BUS_TIMEOUT_MS,
                           cancellable,
                           on_credentials,
                           inquiry);
}
