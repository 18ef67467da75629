/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The whole service on a private bus, over a real store and pens that are what the test
 * says: names of errors, pipes, live lines, and an orderly end.
 */
#include "fake-pens.h"
#include "loop.h"
#include "rig.h"
#include "service/loop_watch.h"
#include "service/service.h"
#include "util/error.h"

#include <gio/gunixfdlist.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define N_BLOCKS 400u

typedef struct {
    GTestDBus *dbus;
    GDBusConnection *daemon;
    GDBusConnection *client;
    Rig *rig;
    PdTimeSync *time_sync;
    PdPenManager *pens;
    PdService *service;
} Fixture;

typedef struct {
    bool done;
    GVariant *reply;  /* owned */
    GUnixFDList *fds; /* owned */
    GError *error;    /* owned */
} Call;

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
drop_connection(GDBusConnection *bus)
{
    g_dbus_connection_close_sync(bus, NULL, NULL);
    g_object_unref(bus);
}

/* What the fixture's data says: the client is the uploader, who is nobody else. */
static const char as_uploader[] = "uploader";

static void
set_up(Fixture *self, gconstpointer data)
{
    const bool is_uploader = data == as_uploader;
    const PdServiceConfig config = {
        .authority = { .trusted_uids = { is_uploader ? PD_SERVICE_NO_UID : getuid(),
                                         PD_SERVICE_NO_UID },
                       .sync_uid = is_uploader ? getuid() : PD_SERVICE_NO_UID },
    };

    self->dbus = g_test_dbus_new(G_TEST_DBUS_NONE);
    g_test_dbus_up(self->dbus);
    self->daemon = connect_bus(self);
    self->client = connect_bus(self);
    self->rig = rig_new();
    self->time_sync = pd_time_sync_new(self->daemon);
    self->service = pd_service_new(self->daemon, self->rig->store, &config);
    self->pens = fake_pens_new(pd_service_get_pen_listener(), self->service);
    fake_pens_set(self->pens, "PT-1", "live");
    pd_service_start(self->service, self->pens, self->time_sync);
}

static void
tear_down(Fixture *self, gconstpointer data)
{
    g_clear_pointer(&self->service, pd_service_free);
    g_clear_pointer(&self->pens, pd_pen_manager_free);
    pd_time_sync_free(self->time_sync);
    loop_for(20);
    rig_free(self->rig);
    drop_connection(self->client);
    drop_connection(self->daemon);
    g_test_dbus_down(self->dbus);
    g_object_unref(self->dbus);
}

static void
on_reply(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Call *call = user_data;

    call->reply = g_dbus_connection_call_with_unix_fd_list_finish(
        G_DBUS_CONNECTION(source), &call->fds, result, &call->error);
    call->done = true;
}

static void
call_clear(Call *self)
{
    g_clear_pointer(&self->reply, g_variant_unref);
    g_clear_object(&self->fds);
    g_clear_error(&self->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Call, call_clear)

static void
begin(Fixture *self, GDBusConnection *client, const char *method, const char *arguments, Call *call)
{
    g_auto(GStrv) parts = g_strsplit(method, ".", 2);
    g_autofree char *interface = g_strdup_printf("org.pentel.%s", parts[0]);

    g_dbus_connection_call_with_unix_fd_list(client,
                                             g_dbus_connection_get_unique_name(self->daemon),
                                             "/org/pentel/manager",
                                             interface,
                                             parts[1],
                                             g_variant_new_parsed(arguments),
                                             NULL,
                                             G_DBUS_CALL_FLAGS_NONE,
                                             -1,
                                             NULL,
                                             NULL,
                                             on_reply,
                                             call);
}

static GVariant *
ask(Fixture *self, const char *method, const char *arguments)
{
    g_auto(Call) call = { 0 };

    begin(self, self->client, method, arguments, &call);
    loop_until(&call.done);
    g_assert_no_error(call.error);
    return g_steal_pointer(&call.reply);
}

/* The client's end of the pipe, non-blocking. */
static int
ask_fd(Fixture *self, const char *method, const char *arguments)
{
    g_auto(Call) call = { 0 };

    begin(self, self->client, method, arguments, &call);
    loop_until(&call.done);
    g_assert_no_error(call.error);
    g_assert_nonnull(call.fds);
    const int fd = g_unix_fd_list_get(call.fds, 0, NULL);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
    return fd;
}

static void
expect_error(
    Fixture *self, const char *method, const char *arguments, const char *name, const char *words)
{
    g_auto(Call) call = { 0 };

    begin(self, self->client, method, arguments, &call);
    loop_until(&call.done);
    g_test_message("%s %s", method, arguments);
    g_assert_nonnull(call.error);
    g_autofree char *remote = g_dbus_error_get_remote_error(call.error);
    g_autofree char *full = g_strdup_printf("org.pentel.Error.%s", name);
    g_test_message("%s", call.error->message);
    g_assert_cmpstr(remote, ==, full);
    g_assert_nonnull(strstr(call.error->message, words));
}

/* True at end of file. */
static bool
drain(int fd, GString *bytes)
{
    char buffer[4096];

    for (;;) {
        const ssize_t n = read(fd, buffer, sizeof buffer);
        if (n <= 0) {
            return n == 0;
        }
        g_string_append_len(bytes, buffer, n);
    }
}

static GString *
read_to_end(int fd)
{
    const int64_t limit_us = g_get_monotonic_time() + LOOP_LIMIT_MS * 1000ll;
    GString *bytes = g_string_new(NULL);

    while (!drain(fd, bytes)) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit_us);
        loop_for(1);
    }
    close(fd);
    return bytes;
}

static unsigned
count_of(const GString *text, const char *part)
{
    unsigned n = 0;

    for (const char *at = strstr(text->str, part); at != NULL; at = strstr(at + 1, part)) {
        n++;
    }
    return n;
}

static void
test_refusals(Fixture *self, gconstpointer data)
{
    static const char bad[] = "InvalidArgument";
    static const char id[] = "bd7cb20b-3173-51ce-ad1f-12e1f1f26bb8";
    const struct {
        const char *method;
        const char *arguments;
        const char *name;
        const char *words;
    } rows[] = {
        { "Log1.ListSessions", "(@a{sv} {}, '', uint32 0)", bad, "pass 1 to 1000" },
        { "Log1.ListSessions", "(@a{sv} {}, '', uint32 1001)", bad, "pass 1 to 1000" },
        { "Log1.ListSessions", "(@a{sv} {}, 'x', uint32 1)", bad, "not a cursor" },
        { "Log1.ListSessions", "({'pne': <'x'>}, '', uint32 1)", bad, "unknown key 'pne'" },
        { "Log1.ListSessions", "({'since': <'x'>}, '', uint32 1)", bad, "'since' is of type 's'" },
        { "Log1.ListSessions", "({'state': <'x'>}, '', uint32 1)", bad, "no such state" },
        { "Log1.ListSessions",
          "({'since': <int64 2>, 'until': <int64 1>}, '', uint32 1)",
          bad,
          "'since' is after 'until'" },
        { "Log1.GetSession", "('x',)", bad, "not a session id" },
        { "Log1.GetSession", "('%s',)", "NotFound", "" },
        { "Log1.StreamSession", "('x', 'raw')", bad, "not a session id" },
        { "Log1.StreamSession", "('%s', 'xml')", bad, "pass \"raw\" or \"jsonl\"" },
        { "Log1.StreamSession", "('%s', 'raw')", "NotFound", "" },
        { "Log1.FollowLive", "('PT-9',)", "NotFound", "pen PT-9" },
        { "Log1.Annotate", "('%s', @a{sv} {})", bad, "nothing to say" },
        { "Log1.Annotate", "('%s', {'pass': <uint32 1>})", bad, "'zone'" },
        { "Log1.Annotate", "('%s', {'close': <''>})", bad, "'close' is empty" },
        { "Log1.Annotate", "('%s', {'patient': <'x'>})", "NotFound", "" },
        { "Manager1.Enroll", "('', {'timeout': <uint32 1>})", bad, "unknown key 'timeout'" },
        { "Manager1.Enroll", "('', {'timeout_s': <uint32 0>})", bad, "pass 1 to 300" },
        { "Manager1.Enroll", "('', {'timeout_s': <uint32 301>})", bad, "pass 1 to 300" },
        { "Manager1.Forget", "('PT-1', {'force': <'yes'>})", bad, "pass a boolean" },
        { "Manager1.Forget", "('PT-9', @a{sv} {})", "NotFound", "PT-9" },
        { "Manager1.Forget", "('PT-1', @a{sv} {})", "UnreadRecords", "5 records" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(GStrv) parts = g_strsplit(rows[i].arguments, "%s", -1);
        g_autofree char *arguments = g_strjoinv(id, parts);
        expect_error(self, rows[i].method, arguments, rows[i].name, rows[i].words);
    }
}

static void
test_pens(Fixture *self, gconstpointer data)
{
    g_autoptr(GVariant) pens = ask(self, "Manager1.ListPens", "()");
    g_autofree char *text = g_variant_print(pens, TRUE);

    g_assert_nonnull(strstr(text, "'Serial': <'PT-1'>"));
    g_assert_nonnull(strstr(text, "'State': <'live'>"));
    g_assert_nonnull(strstr(text, "'Name': <''>"));
    g_assert_nonnull(strstr(text, "'Battery': <byte 0xff>"));
    g_autoptr(GVariant) health = ask(self, "Manager1.Health", "()");
    g_autofree char *words = g_variant_print(health, TRUE);
    g_assert_nonnull(strstr(words, "'store_state': <'ok'>"));
    g_assert_nonnull(strstr(words, "pen PT-1 sent 3 malformed"));
    g_assert_nonnull(strstr(words, "no Bluetooth adapter is powered"));
    g_assert_nonnull(strstr(words, "'frames_lost': <uint64 4>"));
}

static GVariant *
ask_objects(Fixture *self)
{
    g_auto(Call) call = { 0 };

    g_dbus_connection_call_with_unix_fd_list(self->client,
                                             g_dbus_connection_get_unique_name(self->daemon),
                                             "/org/pentel",
                                             "org.freedesktop.DBus.ObjectManager",
                                             "GetManagedObjects",
                                             NULL,
                                             NULL,
                                             G_DBUS_CALL_FLAGS_NONE,
                                             -1,
                                             NULL,
                                             NULL,
                                             on_reply,
                                             &call);
    loop_until(&call.done);
    g_assert_no_error(call.error);
    return g_variant_get_child_value(call.reply, 0);
}

static void
test_objects(Fixture *self, gconstpointer data)
{
    fake_pens_set(self->pens, "b.2_X", "absent");
    fake_pens_set(self->pens, "PT-1", "connected");
    g_autoptr(GVariant) objects = ask_objects(self);
    g_assert_cmpuint(g_variant_n_children(objects), ==, 3);
    g_autoptr(GVariant) pen = g_variant_lookup_value(objects, "/org/pentel/pens/b_2e2_5fX", NULL);
    g_assert_nonnull(pen);
    g_autofree char *text = g_variant_print(objects, TRUE);
    g_assert_nonnull(strstr(text, "'State': <'connected'>"));
    fake_pens_remove(self->pens, "b.2_X");
    g_autoptr(GVariant) fewer = ask_objects(self);
    g_assert_cmpuint(g_variant_n_children(fewer), ==, 2);
}

static char *
record_session(Fixture *self)
{
    const TreatmentPlan plan = { .log_id = 7, .seed = 1, .n_sessions = 1, .n_blocks = N_BLOCKS };
    g_autoptr(Treatment) treatment = treatment_new(&plan);

    rig_append_all(self->rig, treatment);
    rig_flush(self->rig);
    for (unsigned i = 0; i < 100; i++) {
        g_autoptr(GPtrArray) sessions = rig_list(self->rig, NULL, 0, 10);
        const PdSession *session = sessions->len == 1 ? sessions->pdata[0] : NULL;
        if (session != NULL && session->fold.has_end) {
            return g_strdup(session->id);
        }
        loop_for(20);
    }
    g_assert_not_reached();
}

static void
test_session(Fixture *self, gconstpointer data)
{
    g_autofree char *id = record_session(self);
    g_autofree char *by_prefix = g_strdup_printf("('%.8s',)", id);
    g_autofree char *raw_arguments = g_strdup_printf("('%.8s', 'raw')", id);
    g_autofree char *line_arguments = g_strdup_printf("('%s', 'jsonl')", id);
    g_autoptr(GVariant) list = ask(self, "Log1.ListSessions", "(@a{sv} {}, '', uint32 1)");
    g_autofree char *list_text = g_variant_print(list, FALSE);
    g_autoptr(GVariant) session = ask(self, "Log1.GetSession", by_prefix);
    g_autofree char *text = g_variant_print(session, FALSE);

    g_assert_nonnull(strstr(list_text, id));
    g_assert_nonnull(strstr(text, "'passes': <"));
    g_autoptr(GByteArray) expected = rig_read_all_raw(self->rig, id);
    g_autoptr(GString) raw = read_to_end(ask_fd(self, "Log1.StreamSession", raw_arguments));
    g_assert_cmpuint(raw->len, >, expected->len);
    g_autoptr(GString) lines = read_to_end(ask_fd(self, "Log1.StreamSession", line_arguments));
    g_test_message("%zu bytes raw, %zu bytes of lines", raw->len, lines->len);
    g_assert_cmpuint(count_of(lines, "{\"tick_us\":") + 1, ==, count_of(lines, "}\n"));
    g_assert_true(g_str_has_suffix(lines->str, "}\n{\"end\":true}\n"));
    g_assert_cmpuint(count_of(lines, "{\"tick_us\":"), >=, N_BLOCKS);
    g_assert_cmpuint(lines->len, >, 2 * PD_SERVICE_STREAM_CHUNK);
    g_assert_nonnull(strstr(lines->str, "\"contact\":true"));
}

static void
test_paging(Fixture *self, gconstpointer data)
{
    const TreatmentPlan plan = { .log_id = 7, .seed = 1, .n_sessions = 5, .n_blocks = 1 };
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    g_autofree char *cursor = g_strdup("");
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    rig_append_all(self->rig, treatment);
    rig_flush(self->rig);
    loop_for(200);
    for (unsigned i = 0; i < 10; i++) {
        g_autofree char *arguments = g_strdup_printf("(@a{sv} {}, '%s', uint32 2)", cursor);
        g_autoptr(GVariant) page = ask(self, "Log1.ListSessions", arguments);
        g_autoptr(GVariant) list = g_variant_get_child_value(page, 0);

        for (gsize j = 0; j < g_variant_n_children(list); j++) {
            g_autoptr(GVariant) one = g_variant_get_child_value(list, j);
            char *id = NULL;
            g_assert_true(g_variant_lookup(one, "id", "s", &id));
            g_assert_true(g_hash_table_add(seen, id));
        }
        g_free(cursor);
        g_variant_get_child(page, 1, "s", &cursor);
        if (cursor[0] == '\0') {
            break;
        }
    }
    g_assert_cmpstr(cursor, ==, "");
    g_assert_cmpuint(g_hash_table_size(seen), ==, 5);
}

/* Longest turn of the main loop while a call is answered. */
static int64_t
ask_and_watch(Fixture *self, const char *method, const char *arguments)
{
    PdServiceLoopWatch *watch = pd_service_loop_watch_new(NULL);
    g_autoptr(GVariant) reply = ask(self, method, arguments);
    const int64_t longest_us = pd_service_loop_watch_get_max_us(watch);

    g_assert_nonnull(reply);
    pd_service_loop_watch_free(watch);
    return longest_us;
}

/* The most that a call may ask for does not hold up anybody else. */
static void
test_long_list(Fixture *self, gconstpointer data)
{
    const TreatmentPlan plan = { .log_id = 7, .seed = 1, .n_sessions = 1000, .n_blocks = 1 };
    g_autoptr(Treatment) treatment = treatment_new(&plan);
    int64_t best_us = INT64_MAX;

    rig_append_all(self->rig, treatment);
    rig_flush(self->rig);
    loop_for(1000);
    g_autoptr(GVariant) page = ask(self, "Log1.ListSessions", "(@a{sv} {}, '', uint32 1000)");
    g_autoptr(GVariant) list = g_variant_get_child_value(page, 0);
    g_assert_cmpuint(g_variant_n_children(list), ==, 1000);
    /* A busy machine may hold up any one of them. */
    for (unsigned i = 0; i < 5; i++) {
        const int64_t longest_us =
            ask_and_watch(self, "Log1.ListSessions", "(@a{sv} {}, '', uint32 1000)");
        g_test_message("longest turn %" G_GINT64_FORMAT " us", longest_us);
        best_us = MIN(best_us, longest_us);
    }
    g_assert_cmpint(best_us, <, 5000);
}

/* The watch sees what it is there to see. */
static gboolean
on_hold_up(gpointer user_data)
{
    bool *done = user_data;

    g_usleep(30000);
    *done = true;
    return G_SOURCE_REMOVE;
}

static void
test_loop_watch(void)
{
    PdServiceLoopWatch *watch = pd_service_loop_watch_new(NULL);
    bool done = false;

    loop_for(5);
    g_assert_cmpint(pd_service_loop_watch_get_max_us(watch), <, 25000);
    g_timeout_add(1, on_hold_up, &done);
    loop_until(&done);
    loop_for(5);
    g_assert_cmpint(pd_service_loop_watch_get_max_us(watch), >=, 30000);
    pd_service_loop_watch_free(watch);
}

static void
test_annotate_and_journal(Fixture *self, gconstpointer data)
{
    g_autofree char *id = record_session(self);
    g_autofree char *arguments = g_strdup_printf("('%s', {'patient': <'ref-1'>})", id);
    g_autoptr(GVariant) reply = ask(self, "Log1.Annotate", arguments);
    uint64_t seq = 0;
    uint64_t head = 0;
    uint64_t after = 0;
    g_auto(Call) call = { 0 };

    g_variant_get(reply, "(t)", &seq);
    begin(self, self->client, "Log1.ReadJournal", "(uint64 0,)", &call);
    loop_until(&call.done);
    g_assert_no_error(call.error);
    g_variant_get(call.reply, "(sth)", NULL, &head, NULL);
    g_assert_cmpuint(head, >=, seq);
    const int fd = g_unix_fd_list_get(call.fds, 0, NULL);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
    g_autoptr(GString) streamed = read_to_end(fd);
    g_autoptr(GBytes) expected = rig_read_journal(self->rig, &after, head, NULL);
    g_autoptr(GBytes) got = g_bytes_new(streamed->str, streamed->len);
    g_assert_true(g_bytes_equal(got, expected));
    g_autoptr(GString) none = read_to_end(ask_fd(self, "Log1.ReadJournal", "(uint64 99999,)"));
    g_assert_cmpuint(none->len, ==, 0);
}

static void
test_follow(Fixture *self, gconstpointer data)
{
    g_autoptr(GString) all = g_string_new(NULL);
    g_autoptr(GString) one = g_string_new(NULL);

    fake_pens_set(self->pens, "PT-2", "live");
    g_assert_false(fake_pens_is_watched(self->pens));
    const int all_fd = ask_fd(self, "Log1.FollowLive", "('',)");
    const int one_fd = ask_fd(self, "Log1.FollowLive", "('PT-2',)");
    g_assert_true(fake_pens_is_watched(self->pens));
    fake_pens_link(self->pens, "PT-1", true);
    fake_pens_send(self->pens, "PT-1", 2, 3);
    fake_pens_send(self->pens, "PT-2", 5, 2);
    loop_for(50);
    g_assert_false(drain(all_fd, all));
    g_assert_false(drain(one_fd, one));
    g_assert_cmpuint(count_of(all, "\n"), ==, 6);
    g_assert_cmpuint(count_of(one, "\n"), ==, 2);
    g_assert_true(g_str_has_prefix(all->str, "{\"pen\":\"PT-1\",\"event\":\"link-up\"}\n"));
    g_assert_cmpuint(count_of(one, "\"number\":5"), ==, 2);
    close(all_fd);
    loop_for(50);
    g_assert_true(fake_pens_is_watched(self->pens));
    close(one_fd);
    loop_for(50);
    g_assert_false(fake_pens_is_watched(self->pens));
}

/* Every line is either there or counted. */
static void
test_follow_slow(Fixture *self, gconstpointer data)
{
    const unsigned n_blocks = 400;
    const unsigned n_samples = 10;
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned n_dropped = 0;
    const int fd = ask_fd(self, "Log1.FollowLive", "('',)");

    for (unsigned i = 0; i < n_blocks; i++) {
        fake_pens_send(self->pens, "PT-1", i + 1, n_samples);
        g_main_context_iteration(NULL, FALSE);
    }
    for (unsigned i = 0; i < 50; i++) {
        g_assert_false(drain(fd, text));
        loop_for(5);
    }
    for (const char *at = strstr(text->str, "{\"dropped\":"); at != NULL;
         at = strstr(at + 1, "{\"dropped\":")) {
        n_dropped += (unsigned)g_ascii_strtoull(at + strlen("{\"dropped\":"), NULL, 10);
    }
    g_test_message("%u of %u lines dropped", n_dropped, n_blocks * n_samples);
    g_assert_cmpuint(n_dropped, >, 0);
    g_assert_cmpuint(count_of(text, "\"tick_us\"") + n_dropped, ==, n_blocks * n_samples);
    g_assert_cmpuint(text->len, <, 3 * 65536);
    close(fd);
    loop_for(20);
}

static void
test_busy(Fixture *self, gconstpointer data)
{
    int fds[4];

    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = ask_fd(self, "Log1.FollowLive", "('',)");
    }
    expect_error(self, "Log1.FollowLive", "('',)", "Busy", "end one first");
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        close(fds[i]);
    }
    loop_for(50);
    close(ask_fd(self, "Log1.FollowLive", "('',)"));
    loop_for(20);
}

static void
test_enroll(Fixture *self, gconstpointer data)
{
    g_auto(Call) call = { 0 };
    const char *path = NULL;

    begin(self, self->client, "Manager1.Enroll", "('', @a{sv} {})", &call);
    loop_for(50);
    g_assert_true(fake_pens_is_enrolling(self->pens));
    fake_pens_enrol(self->pens, "PT-7");
    loop_until(&call.done);
    g_assert_no_error(call.error);
    g_variant_get(call.reply, "(&o)", &path);
    g_assert_cmpstr(path, ==, "/org/pentel/pens/PT_2d7");
}

/* The window closes with the one who opened it. */
static void
test_enroll_left(Fixture *self, gconstpointer data)
{
    GDBusConnection *other = connect_bus(self);
    g_auto(Call) call = { 0 };

    begin(self, other, "Manager1.Enroll", "('', @a{sv} {})", &call);
    loop_for(50);
    g_assert_true(fake_pens_is_enrolling(self->pens));
    drop_connection(other);
    loop_for(50);
    g_assert_false(fake_pens_is_enrolling(self->pens));
    loop_until(&call.done);
}

/* Stopping answers who still waits and ends every pipe. */
/* It reads the journal and, session by session, what the journal is about; nothing else. */
static void
test_uploader(Fixture *self, gconstpointer data)
{
    static const char denied[] = "NotAuthorized";
    g_autofree char *id = record_session(self);
    g_autofree char *by_id = g_strdup_printf("('%s',)", id);
    g_autofree char *raw_arguments = g_strdup_printf("('%s', 'raw')", id);
    g_autofree char *line_arguments = g_strdup_printf("('%s', 'jsonl')", id);
    g_autofree char *annotation = g_strdup_printf("('%s', {'patient': <'x'>})", id);
    g_autoptr(GVariant) session = ask(self, "Log1.GetSession", by_id);
    g_autofree char *text = g_variant_print(session, FALSE);
    g_autoptr(GString) raw = read_to_end(ask_fd(self, "Log1.StreamSession", raw_arguments));
    g_autoptr(GString) journal = read_to_end(ask_fd(self, "Log1.ReadJournal", "(uint64 0,)"));

    g_assert_nonnull(strstr(text, "'passes': <"));
    g_assert_cmpuint(raw->len, >, 0);
    g_assert_cmpuint(journal->len, >, 0);
    /* The refusal names what a person would ask for, not the uploader's own action. */
    expect_error(self, "Log1.StreamSession", line_arguments, denied, "org.pentel.read");
    expect_error(self, "Log1.ListSessions", "(@a{sv} {}, '', uint32 1)", denied, "org.pentel.read");
    expect_error(self, "Log1.FollowLive", "('',)", denied, "org.pentel.read");
    expect_error(self, "Log1.Annotate", annotation, denied, "org.pentel.annotate");
    expect_error(self, "Manager1.ListPens", "()", denied, "org.pentel.read");
    expect_error(self, "Manager1.Health", "()", denied, "org.pentel.read");
}

static void
test_stop(Fixture *self, gconstpointer data)
{
    g_auto(Call) call = { 0 };
    const int fd = ask_fd(self, "Log1.FollowLive", "('',)");

    begin(self, self->client, "Manager1.Enroll", "('', @a{sv} {})", &call);
    loop_for(50);
    g_clear_pointer(&self->service, pd_service_free);
    fake_pens_set_quiet(self->pens);
    fake_pens_enrol(self->pens, "PT-7");
    loop_until(&call.done);
    g_autofree char *remote = g_dbus_error_get_remote_error(call.error);
    g_assert_cmpstr(remote, ==, "org.pentel.Error.Busy");
    g_autoptr(GString) rest = read_to_end(fd);
    g_assert_cmpuint(rest->len, ==, 0);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(Fixture *self, gconstpointer data);
    } tests[] = {
        { "/service/refusals", test_refusals },
        { "/service/follow-slow", test_follow_slow },
        { "/service/busy", test_busy },
        { "/service/enroll-left", test_enroll_left },
        { "/service/stop", test_stop },
        { "/service/pens", test_pens },
        { "/service/objects", test_objects },
        { "/service/session", test_session },
        { "/service/paging", test_paging },
        { "/service/long-list", test_long_list },
        { "/service/annotate-and-journal", test_annotate_and_journal },
        { "/service/follow", test_follow },
        { "/service/enroll", test_enroll },
    };

    (void)signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/service/loop-watch", test_loop_watch);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].run, tear_down);
    }
    g_test_add("/service/uploader", Fixture, as_uploader, set_up, test_uploader, tear_down);
    return g_test_run();
}
