/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides whether the cursor still fits the journal (F7): the store's id, then the hash of
 * the entry that it stands at, which is read again for that. If anything differs, the store
 * was restored, salvaged or replaced, and everything is delivered again.
 */
#include "sync/scan.h"

#include "sync/error.h"
#include "sync/journal.h"

#include <string.h>

typedef struct {
    GDBusConnection *bus; /* ref */
    SyncState *state;     /* borrowed; outlives the call by contract */
    SyncCursor cursor;    /* owned */
    SyncScanReport report;
    bool is_checked; /* the entry at the cursor was seen and is the same */
    bool is_other;   /* it is not */
    bool is_restarted;
} Scan;

static void
scan_free(gpointer data)
{
    Scan *self = data;

    g_object_unref(self->bus);
    sync_cursor_clear(&self->cursor);
    g_free(self->report.store_id);
    g_free(self);
}

static bool
refuse(Scan *self, GError **error)
{
    self->is_other = true;
    g_set_error(error, SYNC_ERROR, SYNC_ERROR_UNAVAILABLE, "the journal is another one");
    return false;
}

static bool
begin(const char *store_id, uint64_t head, gpointer user_data, GError **error)
{
    Scan *self = user_data;
    const SyncCursor *cursor = &self->cursor;

    g_free(self->report.store_id);
    self->report.store_id = g_strdup(store_id);
    self->report.head = head;
    if (strcmp(cursor->store_id, store_id) == 0) {
        return head >= cursor->seq || refuse(self, error);
    }
    if (cursor->seq == 0) {
        g_free(self->cursor.store_id);
        self->cursor.store_id = g_strdup(store_id);
        return sync_state_restart(self->state, store_id, error);
    }
    return refuse(self, error);
}

static bool
is_same_hash(GBytes *a, GBytes *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || g_bytes_equal(a, b));
}

static bool
take_entries(GPtrArray *entries, gpointer user_data, GError **error)
{
    Scan *self = user_data;

    if (!self->is_checked && self->cursor.seq > 0) {
        const SyncEntry *first = entries->pdata[0];
        if (first->seq != self->cursor.seq || !is_same_hash(first->hash, self->cursor.hash)) {
            return refuse(self, error);
        }
        g_ptr_array_remove_index(entries, 0);
    }
    self->is_checked = true;
    if (entries->len == 0) {
        return true;
    }
    if (!sync_state_scan(self->state, entries, g_get_real_time(), error)) {
        return false;
    }
    self->report.scanned = ((const SyncEntry *)entries->pdata[entries->len - 1])->seq;
    return true;
}

static const SyncJournalFuncs journal_funcs = {
    .begin = begin,
    .entries = take_entries,
};

static void on_read(GObject *source, GAsyncResult *result, gpointer user_data);

/* Takes over @task. */
static void
read_journal(GTask *task)
{
    Scan *self = g_task_get_task_data(task);
    GError *error = NULL;

    sync_cursor_clear(&self->cursor);
    if (!sync_state_get_cursor(self->state, &self->cursor, &error)) {
        g_task_return_error(task, error);
        g_object_unref(task);
        return;
    }
    self->report.scanned = self->cursor.seq;
    self->is_checked = false;
    self->is_other = false;
    sync_journal_read_async(self->bus,
                            self->cursor.seq > 0 ? self->cursor.seq - 1 : 0,
                            &journal_funcs,
                            self,
                            g_task_get_cancellable(task),
                            on_read,
                            task);
}

static bool
restart(Scan *self, GError **error)
{
    g_message("the journal is not the one of which %" G_GUINT64_FORMAT
              " entries were read (store %s): all of it is delivered again",
              self->cursor.seq,
              self->report.store_id);
    return sync_state_restart(self->state, self->report.store_id, error);
}

static void
on_read(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    Scan *self = g_task_get_task_data(task);
    g_autoptr(GError) error = NULL;
    const bool is_good = sync_journal_read_finish(result, &error);

    /* The entry at the cursor did not come at all. */
    if (is_good && self->cursor.seq > 0 && !self->is_checked) {
        self->is_other = true;
    }
    if (self->is_other && !self->is_restarted) {
        self->is_restarted = true;
        g_clear_error(&error);
        if (restart(self, &error)) {
            read_journal(g_steal_pointer(&task));
            return;
        }
    }
    if (error != NULL) {
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    g_task_return_boolean(task, TRUE);
}

void
sync_scan_async(GDBusConnection *bus,
                SyncState *state,
                GCancellable *cancellable,
                GAsyncReadyCallback callback,
                gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    Scan *self = g_new0(Scan, 1);

    g_task_set_source_tag(task, sync_scan_async);
    *self = (Scan){ .bus = g_object_ref(bus), .state = state };
    g_task_set_task_data(task, self, scan_free);
    read_journal(task);
}

bool
sync_scan_finish(GAsyncResult *result, SyncScanReport *report_out, GError **error)
{
    Scan *self = g_task_get_task_data(G_TASK(result));

    *report_out = self->report;
    self->report.store_id = NULL;
    return g_task_propagate_boolean(G_TASK(result), error);
}
