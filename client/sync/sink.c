/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The kinds of sinks there are, and what all of them need.
 */
#include "sync/sink.h"

#include "sync/directory.h"
#include "sync/fhir.h"
#include "sync/postgresql.h"

#include <string.h>

static const SyncSinkFuncs *const kinds[] = {
    &sync_directory_funcs,
    &sync_postgresql_funcs,
    &sync_fhir_funcs,
};

static const char *const names[] = {
    "directory",
    "postgresql",
    "fhir",
    NULL,
};

G_STATIC_ASSERT(G_N_ELEMENTS(names) == G_N_ELEMENTS(kinds) + 1);

const SyncSinkFuncs *
sync_sink_find(const char *kind)
{
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i]->kind, kind) == 0) {
            return kinds[i];
        }
    }
    return NULL;
}

const char *const *
sync_sink_kinds(void)
{
    return names;
}

void
sync_outcome_set(SyncOutcome *self, SyncOutcomeKind kind, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_free(self->reason);
    self->reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    self->kind = kind;
}

void
sync_outcome_clear(SyncOutcome *self)
{
    g_clear_pointer(&self->reason, g_free);
    g_clear_pointer(&self->note, g_free);
}

const SyncSaid *
sync_delivery_find_said(const SyncDelivery *delivery, const char *field)
{
    for (guint i = 0; delivery->said != NULL && i < delivery->said->len; i++) {
        const SyncSaid *said = &g_array_index(delivery->said, SyncSaid, i);
        if (strcmp(said->field, field) == 0) {
            return said;
        }
    }
    return NULL;
}
