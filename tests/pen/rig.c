/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The bench of the pen tests: real store, real client of org.bluez, simulated pens.
 */
#include "rig.h"

#include <glib/gstdio.h>

#include <json-glib/json-glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define START_MS  10000u
#define COMMIT_MS 300u

static void
on_added(void *user_data, const char *serial)
{
    g_string_append_printf(((Rig *)user_data)->events, "added %s;", serial);
}

static void
on_removed(void *user_data, const char *serial)
{
    g_string_append_printf(((Rig *)user_data)->events, "removed %s;", serial);
}

static void
on_changed(void *user_data, const char *serial)
{
    Rig *self = user_data;
    PdPenStatus status;

    if (self->manager != NULL && pd_pen_manager_get(self->manager, serial, &status)) {
        g_test_message("%s: %s: %s", serial, status.state, status.reason);
        g_string_append_printf(self->events, "%s %s;", status.state, serial);
    }
}

static void
on_link(void *user_data, const char *serial, bool up)
{
    g_string_append_printf(((Rig *)user_data)->events, "%s %s;", up ? "up" : "down", serial);
}

static void
on_record(void *user_data,
          const char *serial,
          uint64_t log_id,
          const PenRecordHeader *header,
          const PenBody *body,
          uint32_t tick_unit)
{
    Rig *self = user_data;

    self->n_records++;
    self->n_clock_sets += body->kind == PEN_BODY_CLOCK_SET ? 1 : 0;
}

static void
on_durable(void *user_data, uint64_t log_id, uint32_t contiguous)
{
    Rig *self = user_data;

    if (self->manager != NULL) {
        pd_pen_manager_on_durable(self->manager, log_id, contiguous);
    }
}

static gboolean
on_tick(gpointer user_data)
{
    return G_SOURCE_CONTINUE; /* so that the loop looks at its condition */
}

void
rig_wait(
    Rig *self, RigCondition condition, const void *user_data, uint32_t timeout_ms, const char *what)
{
    const int64_t end_us = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
    const guint tick = g_timeout_add(50, on_tick, NULL);

    while (!condition(self, user_data)) {
        if (g_get_monotonic_time() > end_us) {
            g_autofree char *out = g_build_filename(self->directory, "sim.out", NULL);
            g_autofree char *said = NULL;
            (void)g_file_get_contents(out, &said, NULL, NULL);
            const size_t n_said = said != NULL ? strlen(said) : 0;
            g_error("waited %u ms for %s; heard %s; pensim: %s",
                    timeout_ms,
                    what,
                    self->events->str,
                    n_said > 3000 ? said + n_said - 3000 : said);
        }
        g_main_context_iteration(NULL, TRUE);
    }
    g_source_remove(tick);
}

static bool
is_past(Rig *self, const void *user_data)
{
    return g_get_monotonic_time() > *(const int64_t *)user_data;
}

void
rig_idle(Rig *self, uint32_t ms)
{
    int64_t end_us = g_get_monotonic_time() + (int64_t)ms * 1000;

    rig_wait(self, is_past, &end_us, ms + START_MS, "time to pass");
}

/* A test that aborts leaves nothing running. */
static void
die_with_parent(gpointer data)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static GSubprocess *
spawn(Rig *self, const char *name, const char *const *argv)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
    g_autoptr(GError) error = NULL;
    g_autofree char *out = g_strdup_printf("%s/%s.out", self->directory, name);
    g_autofree char *err = g_strdup_printf("%s/%s.err", self->directory, name);

    g_subprocess_launcher_set_child_setup(launcher, die_with_parent, NULL, NULL);
    g_subprocess_launcher_set_stdout_file_path(launcher, out);
    g_subprocess_launcher_set_stderr_file_path(launcher, err);
    if (self->address != NULL) {
        g_subprocess_launcher_setenv(launcher, "DBUS_SYSTEM_BUS_ADDRESS", self->address, TRUE);
    }
    GSubprocess *process = g_subprocess_launcher_spawnv(launcher, argv, &error);
    g_assert_no_error(error);
    return process;
}

static bool
has_bus_address(Rig *self, const void *user_data)
{
    g_autofree char *out = g_build_filename(self->directory, "bus.out", NULL);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(out, &text, NULL, NULL) || !g_str_has_suffix(text, "\n")) {
        return false;
    }
    self->address = g_strdup(g_strstrip(text));
    return true;
}

static void
start_bus(Rig *self)
{
    g_autofree char *config = g_strdup_printf("--config-file=%s", getenv("PENTEL_BUS_CONFIG"));
    const char *argv[] = { "dbus-daemon", "--nofork", "--print-address", config, NULL };
    g_autoptr(GError) error = NULL;

    self->bus_process = spawn(self, "bus", argv);
    rig_wait(self, has_bus_address, NULL, START_MS, "the bus");
    self->bus =
        g_dbus_connection_new_for_address_sync(self->address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL,
                                               NULL,
                                               &error);
    g_assert_no_error(error);
}

uint32_t
rig_count(Rig *self, const char *text)
{
    g_autofree char *out = g_build_filename(self->directory, "sim.out", NULL);
    g_autofree char *said = NULL;
    uint32_t n = 0;

    if (!g_file_get_contents(out, &said, NULL, NULL)) {
        return 0;
    }
    for (const char *at = strstr(said, text); at != NULL; at = strstr(at + 1, text)) {
        n++;
    }
    return n;
}

bool
rig_said(Rig *self, const char *line)
{
    g_autofree char *whole = g_strdup_printf("%s\n", line);

    return rig_count(self, whole) > 0;
}

static bool
is_sim_ready(Rig *self, const void *user_data)
{
    return rig_said(self, "READY");
}

static void
start_sim(Rig *self, const char *options)
{
    const char *more = getenv("PENTEL_SIM_MORE"); /* for soaks: another seed, more chaos */
    g_autofree char *line = g_strdup_printf("%s --verbose --polkit=absent --truth %s %s %s",
                                            getenv("PENTEL_PENSIM"),
                                            self->truth_path,
                                            options,
                                            more != NULL ? more : "");
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(g_shell_parse_argv(line, NULL, &argv, &error));
    self->sim = spawn(self, "sim", (const char *const *)argv);
    rig_wait(self, is_sim_ready, NULL, START_MS, "pensim");
}

static void
open_store(Rig *self, const char *name, uint32_t commit_ms)
{
    static const PdStoreListener listener = { .durable = on_durable };
    g_autofree char *directory = g_build_filename(self->directory, name, NULL);
    g_autoptr(GError) error = NULL;
    const PdStoreConfig config = { .directory = directory,
                                   .commit_ms = commit_ms,
                                   .commit_records = 256,
                                   .fold = PEN_FOLD_DEFAULT };

    g_assert_cmpint(g_mkdir(directory, 0700), ==, 0);
    self->store = pd_store_open(&config, &listener, self, &error);
    g_assert_no_error(error);
}

void
rig_swap_store(Rig *self)
{
    pd_store_close(self->store);
    open_store(self, "other", COMMIT_MS);
}

void
rig_slow_store(Rig *self, uint32_t commit_ms)
{
    pd_store_close(self->store);
    open_store(self, "slow", commit_ms);
}

Rig *
rig_new(const char *options)
{
    g_autoptr(GError) error = NULL;
    Rig *self = g_new0(Rig, 1);

    self->directory = g_dir_make_tmp("pentel-pen-XXXXXX", &error);
    g_assert_no_error(error);
    self->truth_path = g_build_filename(self->directory, "truth.json", NULL);
    self->events = g_string_new(NULL);
    start_bus(self);
    start_sim(self, options);
    open_store(self, "state", COMMIT_MS);
    self->time_sync = pd_time_sync_new(self->bus);
    return self;
}

void
rig_start_manager(Rig *self, const PdPenConfig *config)
{
    static const PdPenListener listener = {
        .pen_added = on_added,
        .pen_changed = on_changed,
        .pen_removed = on_removed,
        .record = on_record,
        .link = on_link,
    };
    static const PdPenConfig usual = { .coalesce_ms = 100 };

    self->manager = pd_pen_manager_new(
        self->bus, self->store, self->time_sync, config != NULL ? config : &usual, &listener, self);
}

void
rig_stop_manager(Rig *self)
{
    PdPenManager *manager = g_steal_pointer(&self->manager);

    pd_pen_manager_free(manager);
}

static void
end_process(GSubprocess *process)
{
    if (process != NULL) {
        g_subprocess_send_signal(process, SIGTERM);
        (void)g_subprocess_wait(process, NULL, NULL);
        g_object_unref(process);
    }
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

    for (const char *name = directory != NULL ? g_dir_read_name(directory) : NULL; name != NULL;
         name = g_dir_read_name(directory)) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        remove_tree(child);
    }
    (void)g_remove(path);
}

void
rig_free(Rig *self)
{
    rig_stop_manager(self);
    pd_store_close(self->store);
    pd_time_sync_free(self->time_sync);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    (void)g_dbus_connection_close_sync(self->bus, NULL, NULL);
    g_object_unref(self->bus);
    end_process(self->sim);
    end_process(self->bus_process);
    if (getenv("PENTEL_KEEP") == NULL) {
        remove_tree(self->directory);
    }
    g_free(self->directory);
    g_free(self->truth_path);
    g_free(self->address);
    g_string_free(self->events, TRUE);
    g_free(self);
}

typedef struct {
    bool done;
    bool ok;
    char *serial;
    GError *error;
} Outcome;

static void
on_enrolled(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Outcome *outcome = user_data;

    outcome->serial = pd_pen_manager_enroll_finish(NULL, result, &outcome->error);
    outcome->done = true;
}

static void
on_forgotten(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Outcome *outcome = user_data;

    outcome->ok = pd_pen_manager_forget_finish(NULL, result, &outcome->error);
    outcome->done = true;
}

static bool
is_done(Rig *self, const void *user_data)
{
    return ((const Outcome *)user_data)->done;
}

char *
rig_enroll(Rig *self, const char *pen, const char *adapter, uint32_t timeout_s, GError **error_out)
{
    Outcome outcome = { 0 };

    pd_pen_manager_enroll_async(
        self->manager, pen, adapter, timeout_s, NULL, on_enrolled, &outcome);
    rig_wait(self, is_done, &outcome, (timeout_s + 10) * 1000, "the enrolment");
    if (error_out != NULL) {
        *error_out = outcome.error;
    } else {
        g_assert_no_error(outcome.error);
    }
    return outcome.serial;
}

bool
rig_forget(Rig *self, const char *serial, bool force, GError **error_out)
{
    Outcome outcome = { 0 };

    pd_pen_manager_forget_async(self->manager, serial, force, 0, NULL, on_forgotten, &outcome);
    rig_wait(self, is_done, &outcome, 10000, "forgetting");
    *error_out = outcome.error;
    return outcome.ok;
}

typedef struct {
    GPtrArray *sessions;
    bool done;
} Listing;

static void
on_listed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Listing *listing = user_data;
    g_autoptr(GError) error = NULL;

    listing->sessions = pd_store_list_sessions_finish(NULL, result, &error);
    g_assert_no_error(error);
    listing->done = true;
}

static bool
is_listed(Rig *self, const void *user_data)
{
    return ((const Listing *)user_data)->done;
}

static uint32_t
count_cause(const GArray *missing, PdCause cause)
{
    uint32_t n = 0;

    for (guint i = 0; i < missing->len; i++) {
        const PdMissing *range = &g_array_index(missing, PdMissing, i);
        n += range->cause == cause ? range->last - range->first + 1 : 0;
    }
    return n;
}

uint32_t
rig_count_missing(Rig *self, PdCause cause)
{
    const PdSessionFilter filter = { 0 };
    Listing listing = { 0 };
    uint32_t n = 0;

    pd_store_list_sessions_async(self->store, &filter, 0, 100, NULL, on_listed, &listing);
    rig_wait(self, is_listed, &listing, 5000, "the sessions");
    for (guint i = 0; i < listing.sessions->len; i++) {
        const PdSession *session = g_ptr_array_index(listing.sessions, i);
        n += count_cause(session->missing, cause);
    }
    g_ptr_array_unref(listing.sessions);
    return n;
}

static JsonObject *
find_pen(JsonParser *parser, const char *serial)
{
    JsonNode *root = json_parser_get_root(parser);
    JsonArray *pens = json_object_get_array_member(json_node_get_object(root), "pens");

    for (guint i = 0; i < json_array_get_length(pens); i++) {
        JsonObject *pen = json_array_get_object_element(pens, i);

        if (g_strcmp0(json_object_get_string_member(pen, "serial"), serial) == 0) {
            return pen;
        }
    }
    return NULL;
}

uint64_t
rig_get_truth(Rig *self, const char *serial, const char *member)
{
    g_autoptr(JsonParser) parser = json_parser_new();

    if (!json_parser_load_from_file(parser, self->truth_path, NULL)) {
        return 0;
    }
    JsonObject *pen = find_pen(parser, serial);
    JsonNode *node = pen != NULL ? json_object_get_member(pen, member) : NULL;
    if (node != NULL && json_node_get_value_type(node) == G_TYPE_STRING) {
        return g_ascii_strtoull(json_node_get_string(node), NULL, 16);
    }
    return node != NULL ? (uint64_t)json_node_get_int(node) : 0;
}

char *
rig_dup_truth(Rig *self, const char *serial, const char *member)
{
    g_autoptr(JsonParser) parser = json_parser_new();

    g_assert_true(json_parser_load_from_file(parser, self->truth_path, NULL));
    JsonObject *pen = find_pen(parser, serial);
    g_assert_nonnull(pen);
    return g_strdup(json_object_get_string_member(pen, member));
}

static void
on_pen_saved(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Outcome *outcome = user_data;

    outcome->ok = pd_store_save_pen_finish(NULL, result, &outcome->error);
    outcome->done = true;
}

void
rig_save_pen(Rig *self, const char *serial, const char *adapter)
{
    Outcome outcome = { 0 };
    g_autofree char *address = rig_dup_truth(self, serial, "address");
    char *adapters[] = { g_strdup(adapter), NULL };
    g_autofree char *copy = g_strdup(serial);
    const PdPenInfo info = { .serial = copy, .address = address, .adapters = adapters };

    pd_store_save_pen_async(self->store, &info, NULL, on_pen_saved, &outcome);
    rig_wait(self, is_done, &outcome, 5000, "the pen to be saved");
    g_assert_no_error(outcome.error);
    g_free(adapters[0]);
}

bool
rig_is_settled(Rig *self, const void *user_data)
{
    g_autoptr(GPtrArray) serials = pd_pen_manager_list(self->manager);

    for (guint i = 0; i < serials->len; i++) {
        const uint64_t log_id = rig_get_truth(self, serials->pdata[i], "log_id");
        const uint64_t newest = rig_get_truth(self, serials->pdata[i], "newest");
        PenRanges settled;

        pd_store_get_settled(self->store, log_id, &settled);
        const uint32_t contiguous = pen_ranges_contiguous_from(&settled, 1);
        pen_ranges_clear(&settled);
        if (log_id == 0 || newest == 0 || contiguous != newest) {
            return false;
        }
    }
    return serials->len > 0;
}

bool
rig_is_state(Rig *self, const char *serial, const char *state)
{
    PdPenStatus status;

    return pd_pen_manager_get(self->manager, serial, &status) &&
           g_strcmp0(status.state, state) == 0;
}
