/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * many-gateways CONF GATEWAYS SESSIONS THREADS: as many gateways as asked for, each with a
 * connection of its own, deliver sessions to the PostgreSQL of CONF, THREADS of them at a
 * time. Every session is heard by two of them, the second of which has more of it. Says how
 * long that took; what is in the database afterwards is for the caller to look at.
 */
#include "sync/pg_schema.h"
#include "sync/postgresql.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    const char *path;
    guint n_gateways;
    guint n_sessions; /* of each gateway */
    gint next;        /* atomic; gateway to be served */
    gint n_failed;    /* atomic */
    gint n_retried;   /* atomic */
} Bench;

static GVariant *
make_state(const char *id, guint n_records)
{
    g_autofree char *text = g_strdup_printf(
        "{'id': <'%s'>, 'pen': <'PT-%u'>, 'started_at': <'2026-11-24T10:00:00.000Z'>,"
        " 'elapsed_ms': <uint64 600000>, 'contact_ms': <uint64 300000>, 'pass_count': <uint32 1>,"
        " 'state': <'complete'>, 'definition': <'pass/1'>, 'patient': <'P'>,"
        " 'depth_um': <{'min': <uint32 1>, 'median': <uint32 2>}>,"
        " 'records': <{'log': <'aa'>, 'first': <uint32 1>, 'last': <uint32 %u>,"
        " 'missing': <@a(uus) []>}>, 'settings': <@aa{sv} []>, 'cartridges': <[{'id': <'C-%u'>}]>,"
        " 'faults': <@aa{sv} []>, 'passes': <[{'index': <uint32 1>, 'contact_ms': <uint64 %u>}]>}",
        id,
        g_str_hash(id) % 50,
        n_records,
        g_str_hash(id) % 200,
        n_records);

    return g_variant_ref_sink(g_variant_new_parsed(text));
}

static bool
deliver_all(Bench *bench, SyncSink *sink, guint gateway, const char *name)
{
    const guint n = bench->n_sessions;
    g_autofree SyncDelivery *deliveries = g_new0(SyncDelivery, n);
    g_autofree const SyncDelivery **pointers = g_new0(const SyncDelivery *, n);
    g_autofree SyncOutcome *outcomes = g_new0(SyncOutcome, n);
    g_autoptr(GArray) said = g_array_new(FALSE, TRUE, sizeof(SyncSaid));
    const SyncSaid patient = { .field = (char[]){ "patient" }, .wall_us = 1000 + gateway };
    bool is_good = true;

    g_array_append_val(said, patient);
    for (guint i = 0; i < n; i++) {
        /* Gateways 2k and 2k + 1 hear the same; in another order, so that locks could cross. */
        const guint k = gateway / 2 * n + (gateway % 2 == 0 ? i : n - 1 - i);
        char *id = g_strdup_printf("%08x-0000-5000-8000-000000000000", k);
        const guint n_records = 100 + gateway % 2 * 50;
        deliveries[i] = (SyncDelivery){ .session = id,
                                        .gateway = name,
                                        .state = make_state(id, n_records),
                                        .seq = i + 1,
                                        .wall_us = 1764000000000000,
                                        .fold_wall_us = 1764000000000000,
                                        .n_settled = n_records,
                                        .said = said,
                                        .raw_fd = -1 };
        pointers[i] = &deliveries[i];
    }
    sync_postgresql_funcs.deliver(sink, pointers, n, outcomes, NULL);
    for (guint i = 0; i < n; i++) {
        if (outcomes[i].kind != SYNC_DELIVERED) {
            fprintf(stderr, "gateway %u: %s\n", gateway, outcomes[i].reason);
            is_good = false;
        }
        sync_outcome_clear(&outcomes[i]);
        g_variant_unref(deliveries[i].state);
        g_free((gpointer)(uintptr_t)deliveries[i].session);
    }
    return is_good;
}

static bool
serve(Bench *bench, guint gateway)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SyncConfig) config = sync_config_load(bench->path, &error);
    g_autofree char *name = g_strdup_printf("gw-%04u", gateway);
    const SyncSetup setup = {
        .name = "many", .gateway = name, .state_dir = "/nonexistent", .config = config
    };
    SyncSink *sink = config != NULL ? sync_postgresql_funcs.create(&setup, &error) : NULL;
    bool is_good = false;

    /* A server that is full for now is what a gateway waits for. */
    for (guint i = 0; sink != NULL && i < 20 && !is_good; i++) {
        g_clear_error(&error);
        is_good = sync_postgresql_funcs.open(sink, NULL, &error) &&
                  deliver_all(bench, sink, gateway, name);
        if (!is_good) {
            g_atomic_int_inc(&bench->n_retried);
            g_usleep(50000 * (i + 1));
        }
    }
    if (!is_good && error != NULL) {
        fprintf(stderr, "gateway %u: %s\n", gateway, error->message);
    }
    if (sink != NULL) {
        sync_postgresql_funcs.destroy(sink);
    }
    return is_good;
}

static gpointer
work(gpointer data)
{
    Bench *bench = data;

    for (;;) {
        const guint gateway = (guint)g_atomic_int_add(&bench->next, 1);
        if (gateway >= bench->n_gateways) {
            return NULL;
        }
        if (!serve(bench, gateway)) {
            g_atomic_int_inc(&bench->n_failed);
        }
    }
}

int
main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: many-gateways CONF GATEWAYS SESSIONS THREADS\n");
        return 2;
    }
    Bench bench = { .path = argv[1],
                    .n_gateways = (guint)atoi(argv[2]),
                    .n_sessions = (guint)atoi(argv[3]) };
    const guint n_threads = (guint)CLAMP(atoi(argv[4]), 1, 64);
    GThread *threads[64];
    const int64_t begun_us = g_get_monotonic_time();

    /* GLib registers resources at their first use, and another thread would find none. */
    g_strfreev(sync_pg_load("put"));
    for (guint i = 0; i < n_threads; i++) {
        threads[i] = g_thread_new("gateway", work, &bench);
    }
    for (guint i = 0; i < n_threads; i++) {
        g_thread_join(threads[i]);
    }
    const double spent_s = (double)(g_get_monotonic_time() - begun_us) / 1e6;
    printf("%u gateways, %u deliveries in %.1f s, %.0f/s, %d retried, %d failed\n",
           bench.n_gateways,
           bench.n_gateways * bench.n_sessions,
           spent_s,
           bench.n_gateways * bench.n_sessions / spent_s,
           g_atomic_int_get(&bench.n_retried),
           g_atomic_int_get(&bench.n_failed));
    return g_atomic_int_get(&bench.n_failed) == 0 ? 0 : 1;
}
