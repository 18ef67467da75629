/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The authority against a polkit of a few lines on a private bus (F9): who is asked, how
 * often, and that everything that is not a yes is a no.
 */
#include "loop.h"
#include "service/authority.h"
#include "service/verdicts.h"
#include "util/error.h"

#include <string.h>
#include <unistd.h>

#define POLKIT "org.freedesktop.PolicyKit1"
#define PATH   "/org/freedesktop/PolicyKit1/Authority"
#define IFACE  "org.freedesktop.PolicyKit1.Authority"

typedef enum { ANSWER_YES, ANSWER_NO, ANSWER_HANG } Answer;

typedef struct {
    GTestDBus *dbus;
    GDBusConnection *daemon; /* the authority's */
    GDBusConnection *polkit;
    GDBusConnection *client;
    PdServiceAuthority *authority;
    GPtrArray *hanging;
    Answer answer;
    unsigned n_asked;
    char *last_action;
    char *last_name;
} Fixture;

typedef struct {
    bool done;
    bool allowed;
    uint32_t uid;
    GError *error;
} Outcome;

static const char polkit_xml[] =
    "<node><interface name='" IFACE "'><method name='CheckAuthorization'>"
    "<arg type='(sa{sv})' direction='in'/><arg type='s' direction='in'/>"
    "<arg type='a{ss}' direction='in'/><arg type='u' direction='in'/>"
    "<arg type='s' direction='in'/><arg type='(bba{ss})' direction='out'/></method>"
    "<signal name='Changed'/></interface></node>";

static void
answer_one(GDBusMethodInvocation *invocation, bool allowed)
{
    g_dbus_method_invocation_return_value(invocation,
                                          g_variant_new("((bba{ss}))", allowed, FALSE, NULL));
}

static void
on_check(GDBusConnection *bus,
         const char *sender,
         const char *path,
         const char *interface,
         const char *method,
         GVariant *arguments,
         GDBusMethodInvocation *invocation,
         gpointer user_data)
{
    Fixture *self = user_data;
    const char *kind = NULL;
    g_autoptr(GVariant) subject = NULL;
    uint32_t flags = 0;

    self->n_asked++;
    g_free(self->last_action);
    g_free(self->last_name);
    g_variant_get(arguments,
                  "((&s@a{sv})s@a{ss}us)",
                  &kind,
                  &subject,
                  &self->last_action,
                  NULL,
                  &flags,
                  NULL);
    g_assert_cmpstr(kind, ==, "system-bus-name");
    g_assert_cmpuint(flags, ==, 0);
    g_assert_true(g_variant_lookup(subject, "name", "s", &self->last_name));
    if (self->answer == ANSWER_HANG) {
        g_ptr_array_add(self->hanging, invocation);
    } else {
        answer_one(invocation, self->answer == ANSWER_YES);
    }
}

static GDBusConnection *
connect_bus(Fixture *self)
{
    GError *error = NULL;
    GDBusConnection *bus =
        g_dbus_connection_new_for_address_sync(g_test_dbus_get_bus_address(self->dbus),
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL,
                                               NULL,
                                               &error);

    g_assert_no_error(error);
    return bus;
}

static void
start_polkit(Fixture *self)
{
    static const GDBusInterfaceVTable vtable = { .method_call = on_check };
    g_autoptr(GDBusNodeInfo) info = g_dbus_node_info_new_for_xml(polkit_xml, NULL);
    g_autoptr(GVariant) reply = NULL;

    self->polkit = connect_bus(self);
    g_assert_cmpuint(g_dbus_connection_register_object(
                         self->polkit, PATH, info->interfaces[0], &vtable, self, NULL, NULL),
                     !=,
                     0);
    reply = g_dbus_connection_call_sync(self->polkit,
                                        "org.freedesktop.DBus",
                                        "/org/freedesktop/DBus",
                                        "org.freedesktop.DBus",
                                        "RequestName",
                                        g_variant_new("(su)", POLKIT, 4),
                                        NULL,
                                        G_DBUS_CALL_FLAGS_NONE,
                                        -1,
                                        NULL,
                                        NULL);
    g_assert_nonnull(reply);
    /* The authority may still be hearing of the new owner. */
    loop_for(30);
}

static void
make_authority(Fixture *self, const PdServiceAuthorityConfig *config)
{
    g_clear_pointer(&self->authority, pd_service_authority_free);
    self->authority = pd_service_authority_new(self->daemon, config);
    loop_for(30);
}

static const PdServiceAuthorityConfig nobody = {
    .trusted_uids = { PD_SERVICE_NO_UID, PD_SERVICE_NO_UID },
    .sync_uid = PD_SERVICE_NO_UID,
    .polkit_ms = 500,
};

static void
set_up(Fixture *self, gconstpointer data)
{
    self->dbus = g_test_dbus_new(G_TEST_DBUS_NONE);
    g_test_dbus_up(self->dbus);
    self->hanging = g_ptr_array_new();
    self->daemon = connect_bus(self);
    self->client = connect_bus(self);
    make_authority(self, &nobody);
}

static void
drop_connection(GDBusConnection *bus)
{
    g_dbus_connection_close_sync(bus, NULL, NULL);
    g_object_unref(bus);
}

static void
tear_down(Fixture *self, gconstpointer data)
{
    g_clear_pointer(&self->authority, pd_service_authority_free);
    for (guint i = 0; i < self->hanging->len; i++) {
        answer_one(self->hanging->pdata[i], false);
    }
    g_ptr_array_unref(self->hanging);
    loop_for(20);
    g_clear_pointer(&self->polkit, drop_connection);
    g_clear_pointer(&self->client, drop_connection);
    g_clear_pointer(&self->daemon, drop_connection);
    g_test_dbus_down(self->dbus);
    g_object_unref(self->dbus);
    g_free(self->last_action);
    g_free(self->last_name);
}

static void
on_outcome(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Outcome *outcome = user_data;

    outcome->allowed = pd_service_authority_check_finish(result, &outcome->uid, &outcome->error);
    outcome->done = true;
}

static void
begin(Fixture *self, GDBusConnection *client, PdServiceAction action, Outcome *outcome)
{
    pd_service_authority_check_async(
        self->authority, g_dbus_connection_get_unique_name(client), action, on_outcome, outcome);
}

static void
expect_yes(Fixture *self, GDBusConnection *client, PdServiceAction action)
{
    Outcome outcome = { 0 };

    begin(self, client, action, &outcome);
    loop_until(&outcome.done);
    g_assert_no_error(outcome.error);
    g_assert_true(outcome.allowed);
    g_assert_cmpuint(outcome.uid, ==, getuid());
}

static void
expect_no(
    Fixture *self, GDBusConnection *client, PdServiceAction action, PdError code, const char *words)
{
    Outcome outcome = { 0 };

    begin(self, client, action, &outcome);
    loop_until(&outcome.done);
    g_assert_false(outcome.allowed);
    g_assert_error(outcome.error, PD_ERROR, (int)code);
    g_assert_nonnull(strstr(outcome.error->message, words));
    g_error_free(outcome.error);
}

static void
test_trusted(Fixture *self, gconstpointer data)
{
    const PdServiceAuthorityConfig config = { .trusted_uids = { PD_SERVICE_NO_UID, getuid() },
                                              .sync_uid = PD_SERVICE_NO_UID };

    start_polkit(self);
    self->answer = ANSWER_NO;
    make_authority(self, &config);
    for (guint i = 0; i < PD_SERVICE_ACTION_N; i++) {
        expect_yes(self, self->client, (PdServiceAction)i);
    }
    g_assert_cmpuint(self->n_asked, ==, 0);
}

static void
test_sync(Fixture *self, gconstpointer data)
{
    const PdServiceAuthorityConfig config = {
        .trusted_uids = { PD_SERVICE_NO_UID, PD_SERVICE_NO_UID }, .sync_uid = getuid()
    };

    start_polkit(self);
    self->answer = ANSWER_YES;
    make_authority(self, &config);
    expect_yes(self, self->client, PD_SERVICE_ACTION_READ_JOURNAL);
    expect_no(
        self, self->client, PD_SERVICE_ACTION_READ, PD_ERROR_NOT_AUTHORIZED, "org.pentel.read");
    expect_no(
        self, self->client, PD_SERVICE_ACTION_ENROLL, PD_ERROR_NOT_AUTHORIZED, "org.pentel.enroll");
    expect_no(self,
              self->client,
              PD_SERVICE_ACTION_ANNOTATE,
              PD_ERROR_NOT_AUTHORIZED,
              "org.pentel.annotate");
    g_assert_cmpuint(self->n_asked, ==, 0);
}

static void
test_yes(Fixture *self, gconstpointer data)
{
    start_polkit(self);
    self->answer = ANSWER_YES;
    expect_yes(self, self->client, PD_SERVICE_ACTION_ANNOTATE);
    g_assert_cmpstr(self->last_action, ==, "org.pentel.annotate");
    g_assert_cmpstr(self->last_name, ==, g_dbus_connection_get_unique_name(self->client));
    expect_yes(self, self->client, PD_SERVICE_ACTION_ANNOTATE);
    g_assert_cmpuint(self->n_asked, ==, 1);
    /* Another action is another question. */
    expect_yes(self, self->client, PD_SERVICE_ACTION_READ);
    g_assert_cmpuint(self->n_asked, ==, 2);
}

static void
test_no(Fixture *self, gconstpointer data)
{
    start_polkit(self);
    self->answer = ANSWER_NO;
    expect_no(
        self, self->client, PD_SERVICE_ACTION_READ, PD_ERROR_NOT_AUTHORIZED, "not authorised");
    g_assert_cmpuint(self->n_asked, ==, 1);
}

static void
test_hang(Fixture *self, gconstpointer data)
{
    const int64_t began_us = g_get_monotonic_time();

    start_polkit(self);
    self->answer = ANSWER_HANG;
    expect_no(self,
              self->client,
              PD_SERVICE_ACTION_READ,
              PD_ERROR_AUTHORIZATION_TIMEOUT,
              "did not answer");
    g_assert_cmpint(g_get_monotonic_time() - began_us, >=, 500000);
    g_assert_cmpint(g_get_monotonic_time() - began_us, <, 4000000);
}

static void
test_absent(Fixture *self, gconstpointer data)
{
    expect_no(self,
              self->client,
              PD_SERVICE_ACTION_READ,
              PD_ERROR_NOT_AUTHORIZED,
              "polkit is not running");
}

static void
test_coalesced(Fixture *self, gconstpointer data)
{
    Outcome outcomes[10] = { 0 };

    start_polkit(self);
    self->answer = ANSWER_HANG;
    for (size_t i = 0; i < G_N_ELEMENTS(outcomes) / 2; i++) {
        begin(self, self->client, PD_SERVICE_ACTION_READ, &outcomes[i]);
    }
    loop_for(50);
    /* The second half comes while the first is being asked for. */
    for (size_t i = G_N_ELEMENTS(outcomes) / 2; i < G_N_ELEMENTS(outcomes); i++) {
        begin(self, self->client, PD_SERVICE_ACTION_READ, &outcomes[i]);
    }
    loop_for(50);
    g_assert_cmpuint(self->hanging->len, ==, 1);
    answer_one(g_ptr_array_steal_index(self->hanging, 0), true);
    for (size_t i = 0; i < G_N_ELEMENTS(outcomes); i++) {
        loop_until(&outcomes[i].done);
        g_assert_true(outcomes[i].allowed);
    }
    g_assert_cmpuint(self->n_asked, ==, 1);
}

/* A command line tool is a new name every time, and one check serves the next ones. */
static void
test_same_user(Fixture *self, gconstpointer data)
{
    start_polkit(self);
    self->answer = ANSWER_YES;
    expect_yes(self, self->client, PD_SERVICE_ACTION_READ);
    GDBusConnection *other = connect_bus(self);
    expect_yes(self, other, PD_SERVICE_ACTION_READ);
    drop_connection(other);
    g_assert_cmpuint(self->n_asked, ==, 1);
}

static void
say_changed(Fixture *self)
{
    g_assert_true(
        g_dbus_connection_emit_signal(self->polkit, NULL, PATH, IFACE, "Changed", NULL, NULL));
    loop_for(50);
}

static void
test_changed(Fixture *self, gconstpointer data)
{
    start_polkit(self);
    self->answer = ANSWER_YES;
    expect_yes(self, self->client, PD_SERVICE_ACTION_READ);
    self->answer = ANSWER_NO;
    expect_yes(self, self->client, PD_SERVICE_ACTION_READ);
    say_changed(self);
    expect_no(
        self, self->client, PD_SERVICE_ACTION_READ, PD_ERROR_NOT_AUTHORIZED, "not authorised");
    self->answer = ANSWER_YES;
    say_changed(self);
    expect_yes(self, self->client, PD_SERVICE_ACTION_READ);
    g_assert_cmpuint(self->n_asked, ==, 3);
}

/* A yes by rules that have changed while it was under way is not believed. */
static void
test_changed_meanwhile(Fixture *self, gconstpointer data)
{
    Outcome outcome = { 0 };

    start_polkit(self);
    self->answer = ANSWER_HANG;
    begin(self, self->client, PD_SERVICE_ACTION_READ, &outcome);
    loop_for(50);
    g_assert_cmpuint(self->hanging->len, ==, 1);
    say_changed(self);
    self->answer = ANSWER_NO;
    answer_one(g_ptr_array_steal_index(self->hanging, 0), true);
    loop_until(&outcome.done);
    g_assert_error(outcome.error, PD_ERROR, PD_ERROR_NOT_AUTHORIZED);
    g_assert_cmpuint(self->n_asked, ==, 2);
    g_error_free(outcome.error);
}

static void
test_client_leaves(Fixture *self, gconstpointer data)
{
    Outcome outcome = { 0 };

    start_polkit(self);
    self->answer = ANSWER_HANG;
    GDBusConnection *other = connect_bus(self);
    begin(self, other, PD_SERVICE_ACTION_READ, &outcome);
    loop_for(50);
    drop_connection(other);
    loop_until(&outcome.done);
    g_assert_error(outcome.error, PD_ERROR, PD_ERROR_NOT_AUTHORIZED);
    g_assert_nonnull(strstr(outcome.error->message, "left"));
    g_error_free(outcome.error);
}

/* Match rules are few: all clients are answered, not all are remembered. */
static void
test_crowd(Fixture *self, gconstpointer data)
{
    g_autoptr(GPtrArray) clients = g_ptr_array_new_with_free_func((GDestroyNotify)drop_connection);

    PdServiceAuthorityConfig config = nobody;

    config.max_clients = 10;
    make_authority(self, &config);
    start_polkit(self);
    self->answer = ANSWER_YES;
    for (unsigned i = 0; i < 30; i++) {
        GDBusConnection *client = connect_bus(self);

        g_ptr_array_add(clients, client);
        expect_yes(self, client, PD_SERVICE_ACTION_READ);
    }
    g_assert_cmpuint(pd_service_authority_count_clients(self->authority), ==, 10);
    expect_yes(self, clients->pdata[29], PD_SERVICE_ACTION_READ);
    g_ptr_array_set_size(clients, 0);
    loop_for(200);
    g_assert_cmpuint(pd_service_authority_count_clients(self->authority), ==, 0);
}

static void
test_unknown_client(Fixture *self, gconstpointer data)
{
    Outcome outcome = { 0 };

    pd_service_authority_check_async(
        self->authority, ":1.999", PD_SERVICE_ACTION_READ, on_outcome, &outcome);
    loop_until(&outcome.done);
    g_assert_error(outcome.error, PD_ERROR, PD_ERROR_NOT_AUTHORIZED);
    g_error_free(outcome.error);
}

static void
test_freed(Fixture *self, gconstpointer data)
{
    Outcome outcome = { 0 };

    start_polkit(self);
    self->answer = ANSWER_HANG;
    begin(self, self->client, PD_SERVICE_ACTION_READ, &outcome);
    loop_for(50);
    g_clear_pointer(&self->authority, pd_service_authority_free);
    loop_until(&outcome.done);
    g_assert_error(outcome.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_error_free(outcome.error);
}

/* Five seconds, to the microsecond, without waiting for them. */
static void
test_verdicts(void)
{
    g_autoptr(GHashTable) verdicts = pd_service_verdicts_new();
    const PdServiceVerdictKey key = { 1000, PD_SERVICE_ACTION_READ, "c1" };
    const PdServiceVerdictKey rows[] = {
        { 1001, PD_SERVICE_ACTION_READ, "c1" },
        { 1000, PD_SERVICE_ACTION_ENROLL, "c1" },
        { 1000, PD_SERVICE_ACTION_READ, "c2" },
        { 1000, PD_SERVICE_ACTION_READ, NULL },
    };
    const int64_t began_us = 77;

    pd_service_verdicts_put(verdicts, &key, true, began_us);
    pd_service_verdicts_put(verdicts, &rows[3], true, began_us);
    g_assert_cmpint(pd_service_verdicts_get(verdicts, &key, began_us), ==, PD_SERVICE_VERDICT_YES);
    g_assert_cmpint(pd_service_verdicts_get(verdicts, &key, began_us + PD_SERVICE_VERDICT_US - 1),
                    ==,
                    PD_SERVICE_VERDICT_YES);
    g_assert_cmpint(pd_service_verdicts_get(verdicts, &key, began_us + PD_SERVICE_VERDICT_US),
                    ==,
                    PD_SERVICE_VERDICT_NONE);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpint(
            pd_service_verdicts_get(verdicts, &rows[i], began_us), ==, PD_SERVICE_VERDICT_NONE);
    }
    pd_service_verdicts_put(verdicts, &key, false, began_us);
    g_assert_cmpint(pd_service_verdicts_get(verdicts, &key, began_us), ==, PD_SERVICE_VERDICT_NO);
    pd_service_verdicts_put(verdicts, &rows[0], true, began_us + PD_SERVICE_VERDICT_US);
    g_assert_cmpuint(g_hash_table_size(verdicts), ==, 1);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(Fixture *self, gconstpointer data);
    } tests[] = {
        { "/service/authority/hang", test_hang },
        { "/service/authority/absent", test_absent },
        { "/service/authority/no", test_no },
        { "/service/authority/unknown-client", test_unknown_client },
        { "/service/authority/yes", test_yes },
        { "/service/authority/trusted", test_trusted },
        { "/service/authority/sync", test_sync },
        { "/service/authority/coalesced", test_coalesced },
        { "/service/authority/same-user", test_same_user },
        { "/service/authority/changed", test_changed },
        { "/service/authority/changed-meanwhile", test_changed_meanwhile },
        { "/service/authority/client-leaves", test_client_leaves },
        { "/service/authority/crowd", test_crowd },
        { "/service/authority/freed", test_freed },
    };

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/service/authority/verdicts", test_verdicts);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].run, tear_down);
    }
    return g_test_run();
}
