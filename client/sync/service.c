/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * org.pentel.Sync1: authorise, parse, call, complete.
 */
#include "sync/service.h"

#include "lib/time.h"
#include "sync/authority.h"
#include "sync/dbus.h"
#include "sync/service_import.h"

#include <string.h>

#define PATH      "/org/pentel/sync"
#define N_ENTRIES 200u
#define N_UUID    36

struct SyncService {
    SyncDbusSync1 *skeleton;   /* owned */
    SyncEngine *engine;        /* borrowed; outlives self */
    const SyncWork *work;      /* borrowed; outlives self */
    GCancellable *cancellable; /* owned; of checks under way */
    SyncIntaker intaker;
    bool is_taking; /* a set is being taken over */
};

typedef struct Call {
    SyncService *service;              /* borrowed; not touched once cancelled */
    GDBusMethodInvocation *invocation; /* owned */
    char *session;                     /* owned; of Retry */
    CliSet *set;                       /* owned; of Import */
    void (*run)(SyncService *service, struct Call *call);
} Call;

static const char *const wait_words[] = {
    [SYNC_WAIT_QUEUED] = "queued",
    [SYNC_WAIT_BACKOFF] = "backoff",
    [SYNC_WAIT_UNBOUND] = "unbound",
    [SYNC_WAIT_SET_ASIDE] = "set-aside",
};

G_STATIC_ASSERT(G_N_ELEMENTS(wait_words) == SYNC_WAIT_N);

static void
add_text(GVariantBuilder *builder, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        g_variant_builder_add(builder, "{sv}", key, g_variant_new_string(text));
    }
}

static void
add_time(GVariantBuilder *builder, const char *key, int64_t wall_us)
{
    g_autofree char *text = wall_us > 0 ? cli_time_to_rfc3339(wall_us) : NULL;

    add_text(builder, key, text);
}

static void
add_count(GVariantBuilder *builder, const char *key, uint64_t value)
{
    g_variant_builder_add(builder, "{sv}", key, g_variant_new_uint64(value));
}

static void
add_engine(GVariantBuilder *builder, const SyncEngine *engine)
{
    SyncEngineStatus status = { 0 };

    sync_engine_describe(engine, &status);
    add_text(builder, "store_id", status.store_id);
    if (status.store_id[0] != '\0') {
        add_count(builder, "scanned", status.scanned);
        add_count(builder, "head", status.head);
    }
    add_text(builder, "last_error", status.last_error);
    add_time(builder, "last_error_at", status.error_us);
    add_time(builder, "next_try_at", status.next_us);
    g_variant_builder_add(
        builder, "{sv}", "working", g_variant_new_boolean(status.is_working ? TRUE : FALSE));
    sync_engine_status_clear(&status);
}

static bool
add_counts(GVariantBuilder *builder, SyncState *state, GError **error)
{
    SyncCounts counts = { 0 };

    if (!sync_state_count(state, &counts, error)) {
        return false;
    }
    add_count(builder, "delivered", counts.n_delivered);
    add_text(builder, "last_delivered", counts.last_session);
    add_time(builder, "last_delivered_at", counts.last_us);
    add_count(builder,
              "waiting",
              counts.n_waiting[SYNC_WAIT_QUEUED] + counts.n_waiting[SYNC_WAIT_BACKOFF]);
    add_count(builder, "unbound", counts.n_waiting[SYNC_WAIT_UNBOUND]);
    add_count(builder, "set_aside", counts.n_waiting[SYNC_WAIT_SET_ASIDE]);
    add_time(builder, "oldest_at", counts.oldest_us);
    sync_counts_clear(&counts);
    return true;
}

static GVariant *
build_entry(const SyncPending *pending)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sv}"));
    add_text(&builder, "session", pending->session);
    add_text(&builder, "gateway", pending->gateway);
    add_time(&builder, "since", pending->since_us);
    add_text(&builder, "reason", wait_words[pending->wait]);
    add_text(&builder, "text", pending->reason);
    g_variant_builder_add(&builder, "{sv}", "attempts", g_variant_new_uint32(pending->attempts));
    add_time(&builder, "next_try_at", pending->next_us);
    return g_variant_builder_end(&builder);
}

static bool
add_entries(GVariantBuilder *builder, SyncState *state, GError **error)
{
    g_autoptr(GPtrArray) list = sync_state_list_waiting(state, N_ENTRIES, error);
    GVariantBuilder entries;

    if (list == NULL) {
        return false;
    }
    g_variant_builder_init(&entries, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < list->len; i++) {
        g_variant_builder_add_value(&entries, build_entry(list->pdata[i]));
    }
    g_variant_builder_add(builder, "{sv}", "entries", g_variant_builder_end(&entries));
    return true;
}

static void
fail(GDBusMethodInvocation *invocation, const char *name, const char *words)
{
    g_autofree char *full = g_strdup_printf("org.pentel.Error.%s", name);

    g_dbus_method_invocation_return_dbus_error(invocation, full, words);
}

static void
run_status(SyncService *self, Call *call)
{
    GDBusMethodInvocation *invocation = call->invocation;
    g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{sv}"));
    g_autoptr(GError) error = NULL;

    add_text(&builder, "version", PENTEL_VERSION);
    add_text(&builder, "name", self->work->setup->name);
    add_text(&builder, "kind", self->work->funcs->kind);
    add_text(&builder, "gateway", self->work->setup->gateway);
    add_engine(&builder, self->engine);
    if (!add_counts(&builder, self->work->state, &error) ||
        !add_entries(&builder, self->work->state, &error)) {
        fail(invocation, "StoreFailed", error->message);
        return;
    }
    sync_dbus_sync1_complete_status(self->skeleton, invocation, g_variant_builder_end(&builder));
}

static void
run_retry(SyncService *self, Call *call)
{
    GDBusMethodInvocation *invocation = call->invocation;
    const char *session = call->session;
    g_autoptr(GError) error = NULL;
    uint64_t n = 0;

    if (session[0] != '\0' && (strlen(session) != N_UUID || !g_uuid_string_is_valid(session))) {
        fail(invocation, "InvalidArgument", "'session' is no session id; pass a UUID, or \"\"");
        return;
    }
    if (!sync_engine_retry(self->engine, session[0] != '\0' ? session : NULL, &n, &error)) {
        fail(invocation, "StoreFailed", error->message);
        return;
    }
    sync_dbus_sync1_complete_retry(self->skeleton, invocation, (guint)MIN(n, G_MAXUINT));
}

/* Of a set that is being taken over. */
typedef struct {
    SyncService *service;              /* borrowed; the process ends before it does */
    GDBusMethodInvocation *invocation; /* owned */
} Taking;

static void
on_taken(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Taking *taking = user_data;
    SyncService *self = taking->service;
    g_autoptr(GError) error = NULL;
    g_autoptr(SyncIntake) intake = sync_intake_finish(result, &error);

    self->is_taking = false;
    if (intake == NULL) {
        fail(taking->invocation, "StoreFailed", error->message);
    } else {
        if (intake->refusal != NULL) {
            g_warning("%s", intake->refusal);
        }
        sync_dbus_sync1_complete_import(
            self->skeleton, taking->invocation, NULL, sync_import_describe(intake));
        if (intake->n_new > 0) {
            sync_engine_poke(self->engine);
        }
    }
    g_free(taking);
}

static void
run_import(SyncService *self, Call *call)
{
    if (self->is_taking) {
        fail(call->invocation, "Busy", "another set is being taken over");
        return;
    }
    Taking *taking = g_new0(Taking, 1);
    *taking = (Taking){ .service = self, .invocation = call->invocation };
    self->is_taking = true;
    sync_intake_async(
        &self->intaker, g_steal_pointer(&call->set), self->cancellable, on_taken, taking);
}

static void
refuse(GDBusMethodInvocation *invocation, GError *error)
{
    g_autofree char *name = g_dbus_error_get_remote_error(error);

    g_dbus_error_strip_remote_error(error);
    g_dbus_method_invocation_return_dbus_error(
        invocation, name != NULL ? name : "org.pentel.Error.Failed", error->message);
}

static void
on_authorised(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Call *call = user_data;
    g_autoptr(GError) error = NULL;

    if (sync_authority_check_finish(result, &error)) {
        call->run(call->service, call);
    } else {
        refuse(call->invocation, error);
    }
    g_free(call->session);
    cli_set_free(call->set);
    g_free(call);
}

static void
begin_call(SyncService *self, const Call *wanted, const char *action)
{
    Call *call = g_memdup2(wanted, sizeof *wanted);

    sync_authority_check_async(self->work->bus,
                               g_dbus_method_invocation_get_sender(call->invocation),
                               action,
                               self->cancellable,
                               on_authorised,
                               call);
}

static gboolean
on_status(SyncDbusSync1 *skeleton, GDBusMethodInvocation *invocation, SyncService *self)
{
    const Call call = { .service = self, .invocation = invocation, .run = run_status };

    begin_call(self, &call, "org.pentel.sync-status");
    return TRUE;
}

static gboolean
on_retry(SyncDbusSync1 *skeleton,
         GDBusMethodInvocation *invocation,
         const char *session,
         SyncService *self)
{
    const Call call = {
        .service = self, .invocation = invocation, .session = g_strdup(session), .run = run_retry
    };

    begin_call(self, &call, "org.pentel.sync-retry");
    return TRUE;
}

static gboolean
on_import(SyncDbusSync1 *skeleton,
          GDBusMethodInvocation *invocation,
          GUnixFDList *fds,
          const char *name,
          const char *before,
          const char *after,
          GVariant *files,
          SyncService *self)
{
    g_autoptr(GError) error = NULL;
    CliSet *set = sync_import_set_new(name, before, after, files, fds, &error);
    const Call call = { .service = self, .invocation = invocation, .set = set, .run = run_import };

    if (set == NULL) {
        fail(invocation, "InvalidArgument", error->message);
        return TRUE;
    }
    begin_call(self, &call, "org.pentel.sync-import");
    return TRUE;
}

bool
sync_service_is_taking(const SyncService *self)
{
    return self->is_taking;
}

SyncService *
sync_service_new(SyncEngine *engine, const SyncWork *work, GError **error)
{
    g_autoptr(SyncService) self = g_new0(SyncService, 1);

    self->skeleton = sync_dbus_sync1_skeleton_new();
    self->engine = engine;
    self->work = work;
    self->cancellable = g_cancellable_new();
    self->intaker = (SyncIntaker){ .state = work->state,
                                   .own_gateway = work->setup->gateway,
                                   .wants_raw = work->wants_raw };
    g_signal_connect(self->skeleton, "handle-status", G_CALLBACK(on_status), self);
    g_signal_connect(self->skeleton, "handle-retry", G_CALLBACK(on_retry), self);
    g_signal_connect(self->skeleton, "handle-import", G_CALLBACK(on_import), self);
    if (!g_dbus_interface_skeleton_export(
            G_DBUS_INTERFACE_SKELETON(self->skeleton), work->bus, PATH, error)) {
        return NULL;
    }
    return g_steal_pointer(&self);
}

void
sync_service_free(SyncService *self)
{
    if (self == NULL) {
        return;
    }
    g_cancellable_cancel(self->cancellable);
    g_dbus_interface_skeleton_unexport(G_DBUS_INTERFACE_SKELETON(self->skeleton));
    g_object_unref(self->skeleton);
    g_object_unref(self->cancellable);
    g_free(self);
}
