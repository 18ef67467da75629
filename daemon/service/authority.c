/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides who may do what: by the uid that the bus vouches for where that is enough,
 * else by polkit, asked with a plain call because its own library's constructor waits.
 * A yes holds as long as the client's unique name, which the bus never gives twice,
 * and until polkit says that its rules changed.
 */
#include "service/authority.h"

#include "service/client.h"
#include "service/verdicts.h"
#include "util/error.h"

#define POLKIT            "org.freedesktop.PolicyKit1"
#define POLKIT_PATH       "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_IFACE      "org.freedesktop.PolicyKit1.Authority"
#define POLKIT_DEFAULT_MS 5000u
/* Each costs a match rule, of which the bus gives a connection 512. */
#define DEFAULT_CLIENTS 256u

struct PdServiceAuthority {
    GDBusConnection *bus;      /* ref */
    GCancellable *cancellable; /* owned; every call of ours */
    GHashTable *clients;       /* owned; unique name to PdServiceClient, ref */
    GHashTable *verdicts;      /* owned; verdicts.h */
    PdServiceAuthorityConfig config;
    uint64_t generation; /* of polkit's rules: an answer of an older one is not believed */
    guint changed_id;
    guint owner_id;
};

typedef struct {
    PdServiceClient *client; /* ref */
    PdServiceAction action;
    uint64_t generation;
} Question;

static const char *const action_names[] = {
    [PD_SERVICE_ACTION_READ] = "org.pentel.read",
    [PD_SERVICE_ACTION_READ_JOURNAL] = "org.pentel.read-journal",
    [PD_SERVICE_ACTION_ENROLL] = "org.pentel.enroll",
    [PD_SERVICE_ACTION_ANNOTATE] = "org.pentel.annotate",
    [PD_SERVICE_ACTION_ERASE] = "org.pentel.erase",
    [PD_SERVICE_ACTION_BACKUP] = "org.pentel.backup",
};

G_STATIC_ASSERT(G_N_ELEMENTS(action_names) == PD_SERVICE_ACTION_N);

const char *
pd_service_action_to_string(PdServiceAction action)
{
    return action_names[action];
}

static void
question_free(Question *self)
{
    pd_service_client_unref(self->client);
    g_free(self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Question, question_free)

static bool
is_trusted(const PdServiceAuthority *self, uint32_t uid)
{
    return uid != PD_SERVICE_NO_UID &&
           (uid == self->config.trusted_uids[0] || uid == self->config.trusted_uids[1]);
}

static bool
is_uploader(const PdServiceAuthority *self, uint32_t uid)
{
    return uid != PD_SERVICE_NO_UID && uid == self->config.sync_uid;
}

/* Whether polkit, and so the login session, has no say in this client. */
static bool
is_known(const PdServiceClient *client)
{
    return client->authority != NULL && (is_trusted(client->authority, client->uid) ||
                                         is_uploader(client->authority, client->uid));
}

static void
deny(PdServiceClient *client, PdServiceAction action)
{
    g_autoptr(GError) error = g_error_new(PD_ERROR,
                                          PD_ERROR_NOT_AUTHORIZED,
                                          "user %" G_GUINT32_FORMAT " is not authorised for %s",
                                          client->uid,
                                          action_names[action]);

    pd_service_client_answer(client, action, error);
}

static void
settle(PdServiceClient *client, PdServiceAction action, bool allowed)
{
    if (allowed) {
        pd_service_client_answer(client, action, NULL);
    } else {
        deny(client, action);
    }
}

/* What went wrong with polkit is a no, with the reason and what to do in words. */
static GError *
explain(const GError *error)
{
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        return g_error_new(PD_ERROR,
                           PD_ERROR_AUTHORIZATION_TIMEOUT,
                           "polkit did not answer in time; try again, or look at polkit.service");
    }
    if (g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
        g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER)) {
        return g_error_new(PD_ERROR,
                           PD_ERROR_NOT_AUTHORIZED,
                           "not authorised: polkit is not running, so only root is; "
                           "start polkit.service");
    }
    return g_error_new(PD_ERROR,
                       PD_ERROR_NOT_AUTHORIZED,
                       "not authorised: polkit gave no answer: %s",
                       error->message);
}

/* Takes the client out of the table; what waits is answered with @error. */
static void
drop_client(PdServiceAuthority *self, PdServiceClient *client, const GError *error)
{
    g_autoptr(PdServiceClient) kept = pd_service_client_ref(client);

    g_dbus_connection_signal_unsubscribe(self->bus, kept->signal_id);
    kept->authority = NULL;
    g_hash_table_remove(self->clients, kept->name);
    pd_service_client_answer_all(kept, error);
}

/* Beyond so many, a client is known for as long as it waits and asked about again. */
static void
forget_if_crowded(PdServiceClient *client)
{
    PdServiceAuthority *self = client->authority;

    if (self == NULL || g_hash_table_size(self->clients) <= self->config.max_clients) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(client->checks); i++) {
        if (client->checks[i].is_asking || client->checks[i].waiting->len > 0) {
            return;
        }
    }
    drop_client(self, client, NULL);
}

static void judge(PdServiceClient *client, PdServiceAction action);

static PdServiceVerdictKey
key_of(const PdServiceClient *client, PdServiceAction action)
{
    return (
        PdServiceVerdictKey){ .uid = client->uid, .action = action, .session = client->session };
}

static void
on_checked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(Question) question = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    PdServiceClient *client = question->client;
    PdServiceAuthority *self = client->authority;
    gboolean allowed = FALSE;

    if (self == NULL) {
        return;
    }
    client->checks[question->action].is_asking = false;
    if (reply == NULL) {
        g_autoptr(GError) denied = explain(error);
        g_info("%s for %s: %s", action_names[question->action], client->name, denied->message);
        pd_service_client_answer(client, question->action, denied);
        forget_if_crowded(client);
        return;
    }
    if (question->generation != self->generation) {
        judge(client, question->action);
        return;
    }
    g_variant_get(reply, "((bba{ss}))", &allowed, NULL, NULL);
    const PdServiceVerdictKey key = key_of(client, question->action);
    client->checks[question->action].is_allowed = allowed;
    pd_service_verdicts_put(self->verdicts, &key, allowed, g_get_monotonic_time());
    settle(client, question->action, allowed);
    forget_if_crowded(client);
}

static void
ask_polkit(PdServiceClient *client, PdServiceAction action)
{
    PdServiceAuthority *self = client->authority;
    Question *question = g_new0(Question, 1);
    GVariantBuilder subject;

    *question = (Question){ .client = pd_service_client_ref(client),
                            .action = action,
                            .generation = self->generation };
    client->checks[action].is_asking = true;
    g_variant_builder_init(&subject, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&subject, "{sv}", "name", g_variant_new_string(client->name));
    g_dbus_connection_call(
        self->bus,
        POLKIT,
        POLKIT_PATH,
        POLKIT_IFACE,
        "CheckAuthorization",
        g_variant_new(
            "((sa{sv})sa{ss}us)", "system-bus-name", &subject, action_names[action], NULL, 0u, ""),
        G_VARIANT_TYPE("((bba{ss}))"),
        G_DBUS_CALL_FLAGS_NONE,
        (int)self->config.polkit_ms,
        self->cancellable,
        on_checked,
        question);
}

static void
judge(PdServiceClient *client, PdServiceAction action)
{
    PdServiceAuthority *self = client->authority;
    const PdServiceVerdictKey key = key_of(client, action);

    if (is_trusted(self, client->uid)) {
        settle(client, action, true);
        return;
    }
    if (is_uploader(self, client->uid)) {
        settle(client, action, action == PD_SERVICE_ACTION_READ_JOURNAL);
        return;
    }
    if (client->checks[action].is_allowed) {
        settle(client, action, true);
        return;
    }
    switch (pd_service_verdicts_get(self->verdicts, &key, g_get_monotonic_time())) {
    case PD_SERVICE_VERDICT_YES:
        settle(client, action, true);
        return;
    case PD_SERVICE_VERDICT_NO:
        settle(client, action, false);
        return;
    case PD_SERVICE_VERDICT_NONE:
        break;
    }
    if (!client->checks[action].is_asking) {
        ask_polkit(client, action);
    }
}

static void
on_identified(PdServiceClient *client, const GError *error)
{
    if (error != NULL) {
        drop_client(client->authority, client, error);
        return;
    }
    for (guint i = 0; i < PD_SERVICE_ACTION_N && client->authority != NULL; i++) {
        if (client->checks[i].waiting->len > 0) {
            judge(client, (PdServiceAction)i);
        }
    }
    forget_if_crowded(client);
}

static void
on_client_owner(GDBusConnection *bus,
                const char *sender,
                const char *path,
                const char *interface,
                const char *signal,
                GVariant *parameters,
                gpointer user_data)
{
    PdServiceAuthority *self = user_data;
    const char *name = NULL;
    const char *new_owner = NULL;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sss)"))) {
        return;
    }
    g_variant_get(parameters, "(&s&s&s)", &name, NULL, &new_owner);
    PdServiceClient *client = g_hash_table_lookup(self->clients, name);
    if (client == NULL || new_owner[0] != '\0') {
        return;
    }
    g_autoptr(GError) left =
        g_error_new(PD_ERROR, PD_ERROR_NOT_AUTHORIZED, "the caller left the bus");
    drop_client(self, client, left);
}

static guint
watch_owner(PdServiceAuthority *self, const char *name, GDBusSignalCallback callback)
{
    return g_dbus_connection_signal_subscribe(self->bus,
                                              "org.freedesktop.DBus",
                                              "org.freedesktop.DBus",
                                              "NameOwnerChanged",
                                              "/org/freedesktop/DBus",
                                              name,
                                              G_DBUS_SIGNAL_FLAGS_NONE,
                                              callback,
                                              self,
                                              NULL);
}

static PdServiceClient *
get_client(PdServiceAuthority *self, const char *name)
{
    PdServiceClient *client = g_hash_table_lookup(self->clients, name);

    if (client != NULL) {
        return client;
    }
    client = pd_service_client_new(self, name);
    /* Before the credentials are asked for: if those come, a later leaving is told. */
    client->signal_id = watch_owner(self, name, on_client_owner);
    g_hash_table_insert(self->clients, client->name, client);
    return client;
}

/* polkit's rules changed, or another polkit came: what was said before is void. */
static void
on_polkit_changed(GDBusConnection *bus,
                  const char *sender,
                  const char *path,
                  const char *interface,
                  const char *signal,
                  GVariant *parameters,
                  gpointer user_data)
{
    PdServiceAuthority *self = user_data;
    GHashTableIter iter;
    gpointer value = NULL;

    self->generation++;
    g_hash_table_remove_all(self->verdicts);
    g_hash_table_iter_init(&iter, self->clients);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdServiceClient *client = value;

        for (size_t i = 0; i < G_N_ELEMENTS(client->checks); i++) {
            client->checks[i].is_allowed = false;
        }
    }
}

PdServiceAuthority *
pd_service_authority_new(GDBusConnection *bus, const PdServiceAuthorityConfig *config)
{
    PdServiceAuthority *self = g_new0(PdServiceAuthority, 1);

    self->bus = g_object_ref(bus);
    self->cancellable = g_cancellable_new();
    self->config = *config;
    if (self->config.polkit_ms == 0) {
        self->config.polkit_ms = POLKIT_DEFAULT_MS;
    }
    if (self->config.max_clients == 0) {
        self->config.max_clients = DEFAULT_CLIENTS;
    }
    self->clients = g_hash_table_new_full(
        g_str_hash, g_str_equal, NULL, (GDestroyNotify)pd_service_client_unref);
    self->verdicts = pd_service_verdicts_new();
    self->owner_id = watch_owner(self, POLKIT, on_polkit_changed);
    self->changed_id = g_dbus_connection_signal_subscribe(bus,
                                                          POLKIT,
                                                          POLKIT_IFACE,
                                                          "Changed",
                                                          POLKIT_PATH,
                                                          NULL,
                                                          G_DBUS_SIGNAL_FLAGS_NONE,
                                                          on_polkit_changed,
                                                          self,
                                                          NULL);
    return self;
}

void
pd_service_authority_free(PdServiceAuthority *self)
{
    if (self == NULL) {
        return;
    }
    g_autoptr(GError) stopping =
        g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "penteld is stopping");
    GHashTableIter iter;
    gpointer value = NULL;

    g_cancellable_cancel(self->cancellable);
    /* An answer may bring the next client, so each round begins anew. */
    for (g_hash_table_iter_init(&iter, self->clients); g_hash_table_iter_next(&iter, NULL, &value);
         g_hash_table_iter_init(&iter, self->clients)) {
        drop_client(self, value, stopping);
    }
    g_dbus_connection_signal_unsubscribe(self->bus, self->changed_id);
    g_dbus_connection_signal_unsubscribe(self->bus, self->owner_id);
    g_hash_table_unref(self->clients);
    g_hash_table_unref(self->verdicts);
    g_object_unref(self->cancellable);
    g_object_unref(self->bus);
    g_free(self);
}

void
pd_service_authority_check_async(PdServiceAuthority *self,
                                 const char *sender,
                                 PdServiceAction action,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data)
{
    GTask *task = g_task_new(NULL, NULL, callback, user_data);
    PdServiceClient *client = get_client(self, sender);

    g_task_set_source_tag(task, pd_service_authority_check_async);
    g_ptr_array_add(client->checks[action].waiting, task);
    if (client->is_identified) {
        judge(client, action);
    } else if (!client->is_identifying) {
        pd_service_client_identify(client, self->bus, self->cancellable, is_known, on_identified);
    }
}

uint32_t
pd_service_authority_count_clients(const PdServiceAuthority *self)
{
    return g_hash_table_size(self->clients);
}

bool
pd_service_authority_check_finish(GAsyncResult *result, uint32_t *uid_out, GError **error)
{
    g_autofree uint32_t *uid = g_task_propagate_pointer(G_TASK(result), error);

    if (uid == NULL) {
        return false;
    }
    *uid_out = *uid;
    return true;
}
