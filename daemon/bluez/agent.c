/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Answers bluetoothd's pairing questions while a window is open: yes for the device
 * the window is about, and only to "may this be paired"; no to all else.
 */
#include "bluez/agent.h"

#include "bluez/table.h"
#include "org-bluez-info.h"

#include <string.h>

#define AGENT_PATH    "/org/pentel/agent"
#define AGENT_MANAGER "org.bluez.AgentManager1"

struct PdBluezAgent {
    /* borrowed; NULL once the client is freed */
    PdBluezClient *client;
    GDBusConnection *bus; /* owned reference */
    /* borrowed until close */
    PdBluezAgentAllow allow;
    void *allow_data;
    /* plain */
    guint export_id;
};

/* What a question of Agent1 is answered; methods that are not here are refused. */
typedef enum {
    ANSWER_REJECT = 0,
    ANSWER_ACKNOWLEDGE, /* a notice, nothing to decide */
    ANSWER_ASK,         /* allow() decides by the device */
} AgentAnswer;

typedef struct {
    const char *method;
    AgentAnswer answer;
} AgentRow;

static const AgentRow agent_rows[] = {
    { "Release", ANSWER_ACKNOWLEDGE },
    { "Cancel", ANSWER_ACKNOWLEDGE },
    { "RequestConfirmation", ANSWER_ASK },
    { "RequestAuthorization", ANSWER_ASK },
};

static AgentAnswer
get_answer(const char *method)
{
    for (size_t i = 0; i < G_N_ELEMENTS(agent_rows); i++) {
        if (strcmp(agent_rows[i].method, method) == 0) {
            return agent_rows[i].answer;
        }
    }
    return ANSWER_REJECT;
}

static bool
is_allowed(PdBluezAgent *self, GVariant *parameters)
{
    const char *path = NULL;

    g_variant_get_child(parameters, 0, "&o", &path);
    PdBluezDevice *device = g_hash_table_lookup(self->client->devices, path);
    return device != NULL && self->allow != NULL && self->allow(self->allow_data, device);
}

static void
on_question(GDBusConnection *bus,
            const char *sender,
            const char *path,
            const char *interface,
            const char *method,
            GVariant *parameters,
            GDBusMethodInvocation *invocation,
            gpointer user_data)
{
    PdBluezAgent *self = user_data;
    const AgentAnswer answer = get_answer(method);

    /* Only bluetoothd may ask; the bus lets others try. */
    const bool is_asked = self->client != NULL && g_strcmp0(sender, self->client->owner) == 0;
    if (is_asked &&
        (answer == ANSWER_ACKNOWLEDGE || (answer == ANSWER_ASK && is_allowed(self, parameters)))) {
        g_dbus_method_invocation_return_value(invocation, NULL);
        return;
    }
    g_message("agent refused %s", method);
    g_dbus_method_invocation_return_dbus_error(
        invocation, "org.bluez.Error.Rejected", "not in an enrolment window for this device");
}

static const GDBusInterfaceVTable agent_vtable = { .method_call = on_question };

static void
agent_free(PdBluezAgent *self)
{
    pd_bluez_agent_detach(self);
    g_object_unref(self->bus);
    g_free(self);
}

void
pd_bluez_agent_detach(PdBluezAgent *self)
{
    if (self->export_id != 0) {
        g_dbus_connection_unregister_object(self->bus, self->export_id);
        self->export_id = 0;
    }
    if (self->client == NULL) {
        return;
    }
    if (self->client->owner != NULL) {
        pd_bluez_call_and_forget(&(PdBluezCall){ .bus = self->bus,
                                                 .owner = self->client->owner,
                                                 .path = "/org/bluez",
                                                 .interface = AGENT_MANAGER,
                                                 .method = "UnregisterAgent",
                                                 .parameters = g_variant_new("(o)", AGENT_PATH),
                                                 .timeout_ms = PD_BLUEZ_CALL_TIMEOUT_MS });
    }
    self->client->agent = NULL;
    self->client = NULL;
}

static PdBluezCall
registration_init(const PdBluezAgent *self)
{
    return (PdBluezCall){
        .bus = self->bus,
        .owner = self->client->owner,
        .path = "/org/bluez",
        .interface = AGENT_MANAGER,
        .method = "RegisterAgent",
        .parameters = g_variant_new("(os)", AGENT_PATH, "NoInputNoOutput"),
        .timeout_ms = PD_BLUEZ_CALL_TIMEOUT_MS,
        .what = "register the agent",
    };
}

void
pd_bluez_agent_reregister(PdBluezAgent *self)
{
    const PdBluezCall call = registration_init(self);

    pd_bluez_call_and_forget(&call);
}

/* An agent that nobody took, for a cancelled task. */
static void
agent_destroy(gpointer data)
{
    agent_free(data);
}

static void
on_registered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    PdBluezAgent *self = g_task_get_task_data(task);
    GError *error = NULL;
    g_autoptr(GVariant) reply = pd_bluez_call_finish(result, NULL, &error);

    /* AlreadyExists: an earlier registration of this connection, at the same path. */
    if (reply == NULL && pd_bluez_error_get_hint(error) != PD_BLUEZ_HINT_ALREADY_BONDED) {
        agent_free(self);
        g_task_return_error(task, error);
        return;
    }
    g_clear_error(&error);
    g_task_return_pointer(task, self, agent_destroy);
}

static PdBluezAgent *
agent_export(PdBluezClient *client, PdBluezAgentAllow allow, void *allow_data, GError **error)
{
    PdBluezAgent *self = g_new0(PdBluezAgent, 1);

    self->client = client;
    self->bus = g_object_ref(client->bus);
    self->allow = allow;
    self->allow_data = allow_data;
    client->agent = self;
    /* GDBus takes static descriptions as non-const and leaves them alone. */
    self->export_id = g_dbus_connection_register_object(
        self->bus,
        AGENT_PATH,
        (GDBusInterfaceInfo *)(uintptr_t)&org_bluez_agent1_interface,
        &agent_vtable,
        self,
        NULL,
        error);
    if (self->export_id == 0) {
        agent_free(self);
        return NULL;
    }
    return self;
}

void
pd_bluez_agent_open_async(PdBluezClient *client,
                          PdBluezAgentAllow allow,
                          void *allow_data,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);
    GError *error = NULL;

    g_task_set_source_tag(task, pd_bluez_agent_open_async);
    if (client->agent != NULL) {
        g_task_return_new_error(task, PD_ERROR, PD_ERROR_BUSY, "an enrolment window is open");
        return;
    }
    if (!client->is_up) {
        g_task_return_new_error(
            task, PD_ERROR, PD_ERROR_DISCONNECTED, "register the agent: bluetoothd is away");
        return;
    }
    PdBluezAgent *self = agent_export(client, allow, allow_data, &error);
    if (self == NULL) {
        g_task_return_new_error(
            task, PD_ERROR, PD_ERROR_FAILED, "export the agent: %s", error->message);
        g_error_free(error);
        return;
    }
    g_task_set_task_data(task, self, NULL);
    const PdBluezCall call = registration_init(self);
    pd_bluez_call_async(&call, cancellable, on_registered, g_steal_pointer(&task));
}

PdBluezAgent *
pd_bluez_agent_open_finish(PdBluezClient *client, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

void
pd_bluez_agent_close(PdBluezAgent *self)
{
    if (self != NULL) {
        agent_free(self);
    }
}
