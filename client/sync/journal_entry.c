/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what an entry of the journal means to a copier: which session must be delivered
 * again, and what was said about it when. The words themselves are left where they are.
 */
#include "sync/journal_entry.h"

#include "journal.pb-c.h"

static void
read_annotation(SyncEntry *self, const Pentel__V1__Annotation *said)
{
    guint n = 0;

    if (said->maybe_patient_case == PENTEL__V1__ANNOTATION__MAYBE_PATIENT_PATIENT) {
        self->fields[n++] = g_strdup("patient");
    }
    if (said->maybe_operator_case == PENTEL__V1__ANNOTATION__MAYBE_OPERATOR_OPERATOR) {
        self->fields[n++] = g_strdup("operator");
    }
    if (said->maybe_note_case == PENTEL__V1__ANNOTATION__MAYBE_NOTE_NOTE) {
        self->fields[n++] = g_strdup("note");
    }
    if (said->maybe_reaction_case == PENTEL__V1__ANNOTATION__MAYBE_REACTION_REACTION) {
        self->fields[n++] = g_strdup("reaction");
    }
    if (said->maybe_order_case == PENTEL__V1__ANNOTATION__MAYBE_ORDER_ORDER) {
        self->fields[n++] = g_strdup("order");
    }
    if (said->maybe_zone_case != PENTEL__V1__ANNOTATION__MAYBE_ZONE_ZONE) {
        return;
    }
    if (said->maybe_pass_index_case == PENTEL__V1__ANNOTATION__MAYBE_PASS_INDEX_PASS_INDEX) {
        self->fields[n++] = g_strdup_printf("zone:%" G_GUINT32_FORMAT, said->pass_index);
    } else {
        self->fields[n++] = g_strdup("zone");
    }
}

/* Of a kind that is not known here nothing is read, but its session is looked at again. */
static void
read_kind(SyncEntry *self, const Pentel__V1__JournalEntry *entry)
{
    self->is_erased = entry->erased;
    if (entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_SESSION_CHANGED) {
        self->is_fold = true;
    } else if (entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_ANNOTATION) {
        read_annotation(self, entry->annotation);
    } else if (entry->kind_case == PENTEL__V1__JOURNAL_ENTRY__KIND_CLOSED_BY) {
        self->fields[0] = g_strdup("closed");
    }
}

SyncEntry *
sync_entry_decode(const uint8_t *bytes, size_t n_bytes)
{
    Pentel__V1__JournalEntry *entry = pentel__v1__journal_entry__unpack(NULL, n_bytes, bytes);

    if (entry == NULL) {
        return NULL;
    }
    SyncEntry *self = g_new0(SyncEntry, 1);
    self->seq = entry->seq;
    self->store_id = g_strdup(entry->store_id);
    self->hash = entry->hash.len > 0 ? g_bytes_new(entry->hash.data, entry->hash.len) : NULL;
    self->wall_us = entry->wall_us;
    self->uid = entry->uid;
    self->session = g_strdup(entry->session);
    read_kind(self, entry);
    pentel__v1__journal_entry__free_unpacked(entry, NULL);
    return self;
}

void
sync_entry_free(SyncEntry *self)
{
    if (self == NULL) {
        return;
    }
    g_free(self->store_id);
    g_clear_pointer(&self->hash, g_bytes_unref);
    g_free(self->session);
    for (gsize i = 0; i < G_N_ELEMENTS(self->fields); i++) {
        g_free(self->fields[i]);
    }
    g_free(self);
}
