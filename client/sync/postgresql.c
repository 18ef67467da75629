/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The sink for PostgreSQL. Decides what goes into one transaction: a batch of sessions when
 * all is well, each session alone when one of them is refused, so that it is known which.
 */
#include "sync/postgresql.h"

#include "lib/dict.h"
#include "sync/clean.h"
#include "sync/pg_connection.h"
#include "sync/pg_message.h"
#include "sync/pg_schema.h"

/* Deadlocks and the like: the server itself says that trying again may help. */
#define TRIES 3

struct SyncSink {
    const SyncSetup *setup; /* borrowed; outlives self */
    SyncPg *pg;             /* owned */
    char **put;             /* owned; statements */
    char **raw;             /* owned */
    char **erase;           /* owned */
    bool is_checked;        /* the schema, on this connection */
};

static void
destroy(SyncSink *self)
{
    g_clear_pointer(&self->pg, sync_pg_free);
    g_strfreev(self->put);
    g_strfreev(self->raw);
    g_strfreev(self->erase);
    g_free(self);
}

static SyncSink *
create(const SyncSetup *setup, GError **error)
{
    SyncPg *pg = sync_pg_new(setup, error);

    if (pg == NULL) {
        return NULL;
    }
    SyncSink *self = g_new0(SyncSink, 1);
    *self = (SyncSink){ .setup = setup,
                        .pg = pg,
                        .put = sync_pg_load("put"),
                        .raw = sync_pg_load("raw"),
                        .erase = sync_pg_load("erase") };
    return self;
}

static bool
reach(SyncSink *self, GCancellable *cancellable, GError **error)
{
    if (!sync_pg_is_open(self->pg)) {
        self->is_checked = false;
    }
    if (!sync_pg_open(self->pg, cancellable, error)) {
        return false;
    }
    if (!self->is_checked &&
        !sync_pg_check_schema(self->pg, self->setup->name, cancellable, error)) {
        sync_pg_close(self->pg);
        return false;
    }
    self->is_checked = true;
    return true;
}

static bool
open_database(SyncSink *self, GCancellable *cancellable, GError **error)
{
    return sync_clean_error(reach(self, cancellable, error), error);
}

static bool
migrate(SyncSink *self, GCancellable *cancellable, GError **error)
{
    return sync_clean_error(sync_pg_open(self->pg, cancellable, error) &&
                                sync_pg_migrate(self->pg, cancellable, error),
                            error);
}

static bool
begin(SyncSink *self, GCancellable *cancellable, GError **error)
{
    return sync_pg_do(self->pg, "begin", NULL, 0, cancellable, error) &&
           sync_pg_do(self->pg,
                      "select set_config('statement_timeout', '60s', true),"
                      " set_config('lock_timeout', '30s', true),"
                      " set_config('datestyle', 'iso', true)",
                      NULL,
                      0,
                      cancellable,
                      error);
}

static bool
run_all(SyncSink *self,
        char *const *statements,
        const char *const *values,
        int n_values,
        GCancellable *cancellable,
        GError **error)
{
    for (gsize i = 0; statements[i] != NULL; i++) {
        if (!sync_pg_do(self->pg, statements[i], values, n_values, cancellable, error)) {
            return false;
        }
    }
    return true;
}

static bool
put_records(SyncSink *self, const SyncDelivery *delivery, GCancellable *cancellable, GError **error)
{
    g_autofree char *records = delivery->raw_fd >= 0 ? sync_pg_read_records(delivery) : NULL;
    g_autofree char *n_settled = g_strdup_printf("%u", (unsigned)delivery->n_settled);
    const char *const values[] = { delivery->session, delivery->gateway, n_settled, records };

    return records == NULL || run_all(self, self->raw, values, 4, cancellable, error);
}

static bool
put_sessions(SyncSink *self,
             const SyncDelivery *const *deliveries,
             guint n_deliveries,
             GCancellable *cancellable,
             GError **error)
{
    g_autoptr(GString) message = g_string_new("[");
    guint n = 0;

    for (guint i = 0; i < n_deliveries; i++) {
        if (!deliveries[i]->is_erased) {
            g_string_append(message, n++ > 0 ? "," : "");
            sync_pg_append_message(message, deliveries[i]);
        }
    }
    g_string_append_c(message, ']');
    const char *const values[] = { message->str, deliveries[0]->gateway };
    if (n > 0 && !run_all(self, self->put, values, 2, cancellable, error)) {
        return false;
    }
    for (guint i = 0; i < n_deliveries; i++) {
        if (!deliveries[i]->is_erased && !put_records(self, deliveries[i], cancellable, error)) {
            return false;
        }
    }
    return true;
}

static bool
erase_sessions(SyncSink *self,
               const SyncDelivery *const *deliveries,
               guint n_deliveries,
               GCancellable *cancellable,
               GError **error)
{
    for (guint i = 0; i < n_deliveries; i++) {
        const char *const values[] = { deliveries[i]->session, deliveries[i]->gateway };
        if (deliveries[i]->is_erased &&
            !run_all(self, self->erase, values, 2, cancellable, error)) {
            return false;
        }
    }
    return true;
}

static bool
run_transaction(SyncSink *self,
                const SyncDelivery *const *deliveries,
                guint n_deliveries,
                GCancellable *cancellable,
                GError **error)
{
    if (begin(self, cancellable, error) &&
        put_sessions(self, deliveries, n_deliveries, cancellable, error) &&
        erase_sessions(self, deliveries, n_deliveries, cancellable, error) &&
        sync_pg_do(self->pg, "commit", NULL, 0, cancellable, error)) {
        return true;
    }
    if (sync_pg_is_open(self->pg) &&
        !sync_pg_do(self->pg, "rollback", NULL, 0, cancellable, NULL)) {
        sync_pg_close(self->pg);
    }
    return false;
}

static bool
transact(SyncSink *self,
         const SyncDelivery *const *deliveries,
         guint n_deliveries,
         GCancellable *cancellable,
         GError **error)
{
    for (guint i = 1;; i++) {
        g_autoptr(GError) failure = NULL;
        if (run_transaction(self, deliveries, n_deliveries, cancellable, &failure)) {
            return true;
        }
        if (i == TRIES || !sync_pg_is_open(self->pg) || failure->code != SYNC_ERROR_CLASH) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return false;
        }
    }
}

/* A session that is there stays when its patient is taken back, without the patient; the note
 * remembers that it is there. */
static void
set_delivered(const SyncSink *self, const SyncDelivery *delivery, SyncOutcome *outcome)
{
    const bool is_bound = delivery->is_erased || self->setup->sends_unbound ||
                          cli_dict_get_text(delivery->state, "patient") != NULL;

    outcome->note = g_strdup("there");
    if (!is_bound) {
        sync_outcome_set(outcome, SYNC_UNBOUND, "no patient reference any more");
    }
}

static void
deliver_alone(SyncSink *self,
              const SyncDelivery *delivery,
              SyncOutcome *outcome,
              GCancellable *cancellable)
{
    g_autoptr(GError) error = NULL;

    if (!sync_pg_is_open(self->pg)) {
        sync_outcome_set(outcome, SYNC_RETRY, "PostgreSQL: the connection broke");
    } else if (!transact(self, &delivery, 1, cancellable, &error)) {
        g_autofree char *words = sync_clean_words(&delivery, 1, error->message, SYNC_WORDS_MAX);
        sync_outcome_set(
            outcome, error->code == SYNC_ERROR_DATA ? SYNC_SET_ASIDE : SYNC_RETRY, "%s", words);
    } else {
        set_delivered(self, delivery, outcome);
    }
}

/* Deliveries of one gateway. */
static void
deliver_run(SyncSink *self,
            const SyncDelivery *const *deliveries,
            guint n_deliveries,
            SyncOutcome *outcomes,
            GCancellable *cancellable)
{
    g_autoptr(GError) error = NULL;

    if (transact(self, deliveries, n_deliveries, cancellable, &error)) {
        for (guint i = 0; i < n_deliveries; i++) {
            set_delivered(self, deliveries[i], &outcomes[i]);
        }
        return;
    }
    if (error->code == SYNC_ERROR_DATA) {
        for (guint i = 0; i < n_deliveries; i++) {
            deliver_alone(self, deliveries[i], &outcomes[i], cancellable);
        }
        return;
    }
    /* Tables or rights may have changed. */
    self->is_checked = false;
    g_autofree char *words =
        sync_clean_words(deliveries, n_deliveries, error->message, SYNC_WORDS_MAX);
    for (guint i = 0; i < n_deliveries; i++) {
        sync_outcome_set(&outcomes[i], SYNC_RETRY, "%s", words);
    }
}

/* A transaction is of one gateway: locks are taken in order within it. */
static void
deliver(SyncSink *self,
        const SyncDelivery *const *deliveries,
        guint n_deliveries,
        SyncOutcome *outcomes,
        GCancellable *cancellable)
{
    guint n = 0;

    for (guint i = 0; i < n_deliveries; i += n) {
        n = 1;
        while (i + n < n_deliveries &&
               g_str_equal(deliveries[i + n]->gateway, deliveries[i]->gateway)) {
            n++;
        }
        deliver_run(self, deliveries + i, n, outcomes + i, cancellable);
    }
}

static void
close_database(SyncSink *self)
{
    sync_pg_close(self->pg);
}

const SyncSinkFuncs sync_postgresql_funcs = {
    .kind = "postgresql",
    .may_send_unbound = true,
    .may_raw = true,
    .n_batch_max = 64,
    .create = create,
    .destroy = destroy,
    .open = open_database,
    .migrate = migrate,
    .deliver = deliver,
    .close = close_database,
};
