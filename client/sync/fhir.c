/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The FHIR sink as the engine sees it. What it does with a session is in fhir_deliver.c.
 */
#include "sync/fhir.h"

#include "sync/clean.h"
#include "sync/fhir_deliver.h"

/* A server that was restored from a backup may have lost a Device that we know to be there. */
#define DEVICES_HOLD_US ((gint64)600 * G_USEC_PER_SEC)

struct SyncSink {
    FhirSettings *settings; /* owned */
    FhirClient *client;     /* owned */
    FhirDesk desk;
    gint64 devices_mono_us; /* since when they are remembered */
};

static void
destroy(SyncSink *self)
{
    g_clear_pointer(&self->desk.devices, g_hash_table_unref);
    g_clear_pointer(&self->client, fhir_client_free);
    g_clear_pointer(&self->settings, fhir_settings_free);
    g_free(self);
}

static SyncSink *
create(const SyncSetup *setup, GError **error)
{
    SyncSink *self = g_new0(SyncSink, 1);

    self->settings = fhir_settings_new(setup->config, error);
    if (self->settings != NULL) {
        self->client = fhir_client_new(self->settings, setup->config, error);
    }
    if (self->client == NULL) {
        destroy(self);
        return NULL;
    }
    self->desk.client = self->client;
    self->desk.settings = self->settings;
    self->desk.n_entries_max = self->settings->max_entries;
    self->desk.devices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->desk.mapping.codes = self->settings->codes;
    self->desk.mapping.order_system = self->settings->order_system;
    self->desk.mapping.is_test = self->settings->is_test;
    return self;
}

static bool
open_server(SyncSink *self, GCancellable *cancellable, GError **error)
{
    return sync_clean_error(fhir_client_open(self->client, cancellable, error), error);
}

static void
deliver(SyncSink *self,
        const SyncDelivery *const *deliveries,
        guint n_deliveries,
        SyncOutcome *outcomes,
        GCancellable *cancellable)
{
    const gint64 now_us = g_get_monotonic_time();

    if (now_us - self->devices_mono_us > DEVICES_HOLD_US) {
        g_hash_table_remove_all(self->desk.devices);
        self->devices_mono_us = now_us;
    }
    for (guint i = 0; i < n_deliveries; i++) {
        fhir_deliver(&self->desk, deliveries[i], &outcomes[i], cancellable);
    }
}

static void
close_server(SyncSink *self)
{
    fhir_client_close(self->client);
    g_hash_table_remove_all(self->desk.devices);
}

const SyncSinkFuncs sync_fhir_funcs = {
    .kind = "fhir",
    .may_send_unbound = false,
    .may_raw = false,
    .n_batch_max = 1,
    .create = create,
    .destroy = destroy,
    .open = open_server,
    .migrate = NULL,
    .deliver = deliver,
    .settle = NULL,
    .close = close_server,
};
